"""Policies of upstreams: what they refuse is neither stored nor served, and all that they need is."""

import json
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from regsync.cli.policies import understood
from regsync.cli.server_requirements import Requirements
from regsync.content.protocol import Source
from regsync.content.references import Children
from regsync.oci.digest import Digest
from regsync.oci.manifest import parse_manifest
from regsync.oci.reference import RepositoryName, Tag
from regsync.server import upstream_manifests
from regsync.server.asking_policies import denial_of
from regsync.server.audit_record import record
from regsync.server.exposition import Gauges, exposition
from regsync.server.garbage import Collected
from regsync.server.metrics import RequestMetrics
from regsync.server.passes import NEWS_AFTER
from regsync.server.pull import Prepared, Pull
from regsync.server.refusals import REFUSED_FOR
from regsync.server.required import MAX_REASON
from regsync.server.upstreams import Upstreams
from regsync.server.verdicts import AT_ONCE
from regsync.spec.load import load
from regsync.spec.server import FirstPull
from regsync.spec.verification import Mode
from regsync.store.queries import StoreStats
from regsync.trust.verdict import Result, Verdict
from tests.remote.repositories import at, session_of
from tests.server.asgi import Reply, Served, Users, proxied
from tests.support.clock import FrozenClock
from tests.support.fake_http import Answer, Request
from tests.support.fake_registry import FakeRegistry, Proceed, drop, respond
from tests.support.images import (
    OCI_CONFIG,
    OCI_EMPTY,
    OCI_INDEX,
    OCI_MANIFEST,
    Content,
    as_json,
    blob_descriptor,
    image,
    index,
    sha256,
)
from tests.support.signing_keys import new_key, public_pem
from tests.support.signing_layouts import SIGNED, SIGNING, contents, evidence_alone, image_alone
from tests.support.sigstore_evidence import bundle_referrer, dsse_bundle, statement
from tests.support.sigstore_pki import Signer

pytestmark = pytest.mark.anyio
MANIFESTS = r"/v2/.*/manifests/.*"
APP = "/v2/hub/team/app/manifests"
CHILD = "sha256:dcc88aeb3cdedc8131bb55d85f3e21a29af4e0c312d165482b8446876bec694f"
SIG = f"sha256-{SIGNED.removeprefix('sha256:')}.sig"
ATT = f"sha256-{SIGNED.removeprefix('sha256:')}.att"
IN_TOTO = "application/vnd.in-toto+json"
DOCUMENTS = """
apiVersion: regsync.dev/v1
kind: Registry
metadata: {{name: up}}
spec: {{url: 'http://registry.example'}}
---
apiVersion: regsync.dev/v1
kind: Registry
metadata: {{name: other}}
spec: {{url: 'http://other.example'}}
---
apiVersion: regsync.dev/v1
kind: Registry
metadata: {{name: own}}
spec: {{store: {store}}}
---
apiVersion: regsync.dev/v1
kind: VerificationPolicy
metadata: {{name: signed}}
spec:
  {policy}
  authorities: {{ops: {{key: {{file: cosign.pub, tlog: ignore}}}}}}
  require: {require}
---
apiVersion: regsync.dev/v1
kind: Server
spec: {{upstreams: [{{prefix: hub, registry: {upstream}{verify}}}]}}
"""


def add(registry: FakeRegistry, found: Iterable[tuple[Content, list[str]]], name: str = "team/app") -> None:
    for content, tags in found:
        registry.add(name, content, *tags)


def required(
    path: Path,
    *,
    policy: str = "mode: enforce",
    verify: str = ", verify: [signed]",
    require: str = "{signature: {authority: ops}}",
    elsewhere: Callable[[RepositoryName], Source] | None = None,
    upstream: str = "up",
    key: bytes = (SIGNING / "cosign.pub").read_bytes(),
) -> Any:
    """What the upstream of a spec with the policy requires."""
    file = path / "server.yaml"
    (path / "cosign.pub").write_bytes(key)
    file.write_text(
        DOCUMENTS.format(
            policy=policy, verify=verify, require=require, upstream=upstream, store=path / "served"
        )
    )
    spec = load([file])
    assert spec.server is not None

    def connect(registry: str, name: RepositoryName) -> Source:
        assert elsewhere is not None
        return elsewhere(name)

    return Requirements(spec, understood(spec), path / "served", connect).of(spec.server.upstreams[0])


@asynccontextmanager
async def verified(
    path: Path,
    clock: FrozenClock,
    registry: FakeRegistry,
    *,
    policy: str = "mode: enforce",
    verify: str = ", verify: [signed]",
    **options: Any,
) -> AsyncIterator[Served]:
    """A registry whose `hub/` has to be signed by the key of the fixtures."""
    needed = required(path, policy=policy, verify=verify)
    async with proxied(path / "served", clock, registry, required=needed, **options) as server:
        yield server


def why(reply: Reply) -> dict[str, Any]:
    (error,) = json.loads(reply.body)["errors"]
    found: dict[str, Any] = error
    return found


@pytest.mark.parametrize("layout", ["legacy", "newfmt"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_is_signed_is_served(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry, layout: str, method: str
) -> None:
    add(fake_registry, contents(layout))
    async with verified(tmp_path, clock, fake_registry) as server:
        by_tag = await server.client(method, f"{APP}/v1").run()
        asked = fake_registry.count(".*", ".*")
        by_digest = await server.client(method, f"{APP}/{SIGNED}").run()
        assert fake_registry.count(".*", ".*") == asked  # a pass is remembered
    assert (by_tag.status, by_digest.status) == (200, 200)
    assert by_tag.headers["docker-content-digest"] == SIGNED


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("name", ["v1", SIGNED])
async def test_what_is_not_signed_is_refused_and_not_stored(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry, method: str, name: str
) -> None:
    add(fake_registry, image_alone())
    async with verified(tmp_path, clock, fake_registry) as server:
        reply = await server.client(method, f"{APP}/{name}").run()
        assert reply.status == 403
        assert await server.store.repositories() == []
    if method == "GET":
        error = why(reply)
        assert error["code"] == "DENIED"
        assert error["detail"]["policy"] == "signed"
        assert error["detail"]["digest"] == SIGNED
        assert "signature by ops" in error["detail"]["reason"]
        assert "regsync verify" in error["detail"]["next"]
        assert fake_registry.host not in reply.body.decode()


async def test_an_attestation_alone_is_no_signature(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    add(fake_registry, contents("attonly"))
    async with verified(tmp_path, clock, fake_registry) as server:
        assert (await server.get(f"{APP}/v1")).status == 403


async def test_a_signature_of_another_image_is_none(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    other = fake_registry.add("team/app", image("other"), "v2")
    for content, tags in evidence_alone("legacy"):
        renamed = [tag.replace(SIGNED[7:], other.digest[7:]) for tag in tags]
        fake_registry.add("team/app", content, *renamed)
    async with verified(tmp_path, clock, fake_registry) as server:
        assert (await server.get(f"{APP}/v2")).status == 403


async def test_a_tag_that_moved_to_what_is_refused_stays_at_the_last_that_passed(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    add(fake_registry, contents("legacy"))
    async with verified(tmp_path, clock, fake_registry, max_age=60) as server:
        assert (await server.get(f"{APP}/v1")).status == 200
        moved = fake_registry.add("team/app", image("unsigned"), "v1")
        clock.advance(61)
        replies = [await server.get(f"{APP}/v1"), await server.get(f"{APP}/v1")]
        blocked = await server.get(f"{APP}/{moved.digest}")
        told = [record(one) for one in server.exchanges]
        counted = RequestMetrics(Collected())
        for one in server.exchanges:
            counted.answered(one)
        repository = server.store.repository(RepositoryName("hub/team/app"))
        assert str((await repository.resolve(Tag("v1"))).digest) == SIGNED
    for reply in replies:
        assert (reply.status, reply.headers["docker-content-digest"]) == (200, SIGNED)
        assert "policy signed refuses" in reply.headers["warning"]
        assert moved.digest in reply.headers["warning"]
    assert blocked.status == 403
    assert f"policy signed refuses {moved.digest}" in caplog.text
    assert told[1] is not None
    assert {key: told[1][key] for key in ("event", "outcome", "digest", "policy", "status")} == {
        "event": "verify",
        "outcome": "denied",
        "digest": moved.digest,
        "policy": "signed",
        "status": 200,
    }
    assert counted.pulls == {("hub", "fetched"): 1, ("hub", "held"): 2, ("hub", "refused"): 1}


async def test_what_others_wrote_into_a_reason_stays_on_its_line(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    async with verified(tmp_path, clock, fake_registry) as server:
        upstream = server.app.policy.upstreams.locate(RepositoryName("hub/team/app"), None, None).upstream
        assert upstream is not None
        name = RepositoryName("hub/team/app")
        needed = upstream.required_of(name)
        assert needed is not None
        digest, evil = Digest.parse(SIGNED), f"a\r\nset-cookie: b\x1b[2J {'c' * 1000}"
        verdict = Verdict("signed", Mode.ENFORCE, digest, Result.FAIL, evil)
        pull = Pull(name, upstream, None, lambda _: True, lambda _: False)
        reason = denial_of(pull, needed, verdict).reason
    assert reason.startswith("a  set-cookie: b [2J ccc")
    assert (reason.isprintable(), len(reason)) == (True, MAX_REASON)


async def test_a_tag_that_moved_back_has_no_warning_any_more(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    add(fake_registry, contents("legacy"))
    async with verified(tmp_path, clock, fake_registry, max_age=60) as server:
        await server.get(f"{APP}/v1")
        fake_registry.add("team/app", image("unsigned"), "v1")
        clock.advance(61)
        assert "warning" in (await server.get(f"{APP}/v1")).headers
        fake_registry.add_tags("team/app", {"v1": SIGNED})
        clock.advance(61)
        reply = await server.get(f"{APP}/v1")
    assert (reply.status, reply.headers.get("warning")) == (200, None)


async def test_evidence_that_came_late_counts_with_the_next_pull(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    add(fake_registry, image_alone())
    async with verified(tmp_path, clock, fake_registry) as server:
        assert (await server.get(f"{APP}/v1")).status == 403
        asked = fake_registry.count(".*", ".*")
        assert (await server.get(f"{APP}/v1")).status == 403
        assert fake_registry.count(".*", ".*") == asked  # for moments nobody is asked again
        add(fake_registry, evidence_alone("newfmt"))
        clock.advance(REFUSED_FOR)
        assert (await server.get(f"{APP}/v1")).status == 200


@pytest.mark.parametrize("trouble", [respond(503), drop()], ids=["503", "no answer"])
async def test_where_evidence_cannot_be_looked_for_the_answer_is_to_come_again(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry, trouble: Any
) -> None:
    add(fake_registry, contents("legacy"))
    fake_registry.on("(GET|HEAD)", r"/v2/.*/manifests/sha256-.*", trouble)
    async with verified(tmp_path, clock, fake_registry) as server:
        reply = await server.get(f"{APP}/v1")
        assert (reply.status, reply.headers["retry-after"]) == (503, "5")
        assert "policy signed cannot be asked" in why(reply)["message"]
        assert fake_registry.host not in reply.body.decode()
        fake_registry.behave()
        assert (await server.get(f"{APP}/v1")).status == 200


async def test_the_last_that_passed_is_served_while_the_next_cannot_be_verified(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    add(fake_registry, contents("legacy"))
    async with verified(tmp_path, clock, fake_registry, max_age=60) as server:
        await server.get(f"{APP}/v1")
        fake_registry.add("team/app", image("next"), "v1")
        fake_registry.on("(GET|HEAD)", r"/v2/.*/manifests/sha256-.*", respond(503))
        clock.advance(61)
        reply = await server.get(f"{APP}/v1")
    assert (reply.status, reply.headers["docker-content-digest"]) == (200, SIGNED)
    assert "cannot be asked" in reply.headers["warning"]


async def test_a_manifest_that_cannot_be_verified_keeps_no_other_tag_from_being_looked_at(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    add(fake_registry, contents("legacy"))
    fake_registry.add_tags("team/app", {"v2": SIGNED})
    async with verified(tmp_path, clock, fake_registry, max_age=60) as server:
        for name in ("v1", "v2"):
            await server.get(f"{APP}/{name}")
        fake_registry.add("team/app", image("next"), "v1")
        fake_registry.on("(GET|HEAD)", r"/v2/.*/manifests/sha256-.*", respond(503))
        clock.advance(61)
        assert "warning" in (await server.get(f"{APP}/v1")).headers
        asked = fake_registry.count(".*", ".*")
        assert "warning" in (await server.get(f"{APP}/v1")).headers
        assert fake_registry.count(".*", ".*") == asked  # for moments it is left in peace
        assert "warning" not in (await server.get(f"{APP}/v2")).headers
        assert fake_registry.count(".*", ".*") == asked + 1


async def test_what_passed_is_served_while_the_upstream_is_down(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    add(fake_registry, contents("legacy"))
    async with verified(tmp_path, clock, fake_registry, max_age=60) as server:
        await server.get(f"{APP}/v1")
        fake_registry.on(".*", ".*", drop())
        clock.advance(61)
        assert (await server.get(f"{APP}/v1")).status == 200
        assert (await server.get(f"{APP}/{SIGNED}")).status == 200
        assert (await server.get(f"{APP}/v2")).status == 503


async def test_what_was_stored_before_the_policy_is_verified_before_it_is_served_again(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    add(fake_registry, contents("legacy"))
    fake_registry.add("team/app", image("unsigned"), "v2")
    async with proxied(tmp_path / "served", clock, fake_registry) as server:
        assert (await server.get(f"{APP}/v1")).status == 200
        unsigned = (await server.get(f"{APP}/v2")).headers["docker-content-digest"]
        edit(server, required(tmp_path))  # an edit of the spec, while it runs
        assert (await server.get(f"{APP}/v1")).status == 200
        assert (await server.get(f"{APP}/v2")).status == 403
        assert (await server.get(f"{APP}/{unsigned}")).status == 403
        edit(server, required(tmp_path, policy="images: ['up/other/*']", verify=""))
        assert (await server.get(f"{APP}/v2")).status == 200


def edit(server: Served, needed: Any) -> None:
    """Put other policies into the running server."""
    policy = server.app.policy
    upstream = policy.upstreams.locate(RepositoryName("hub/a/b"), None, None).upstream
    assert upstream is not None
    server.app.policy = replace(policy, upstreams=Upstreams([replace(upstream, required=needed)]))


@pytest.mark.parametrize(
    ("policy", "verify", "status"),
    [
        pytest.param("images: ['up/team/**']", "", 403, id="by the source's name"),
        pytest.param("images: ['registry.example/team/*']", "", 403, id="by the source's host"),
        pytest.param("targets: ['own/hub/**']", "", 403, id="by its place here"),
        pytest.param("images: ['up/other/*']", "", 200, id="another repository"),
        pytest.param("mode: warn", ", verify: [signed]", 200, id="a policy that only warns"),
        pytest.param(
            "skip: [{images: ['up/team/*'], reason: soon, until: '2026-06-01'}]",
            ", verify: [signed]",
            200,
            id="passed over",
        ),
        pytest.param(
            "skip: [{images: ['up/team/*'], reason: soon, until: '2025-06-01'}]",
            ", verify: [signed]",
            403,
            id="no longer passed over",
        ),
    ],
)
async def test_a_policy_holds_where_it_applies(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry, policy: str, verify: str, status: int
) -> None:
    add(fake_registry, image_alone())
    async with verified(tmp_path, clock, fake_registry, policy=policy, verify=verify) as server:
        assert (await server.get(f"{APP}/v1")).status == status


async def test_an_exception_ends_where_the_prefix_leads_to_another_registry(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    skip = "skip: [{images: ['up/team/*'], reason: soon, until: '2026-06-01'}]"
    add(fake_registry, image_alone())
    needed = required(tmp_path, policy=skip)
    async with proxied(tmp_path / "served", clock, fake_registry, required=needed) as server:
        assert (await server.get(f"{APP}/v1")).status == 200
        edit(server, required(tmp_path, policy=skip, upstream="other"))
        assert (await server.get(f"{APP}/v1")).status == 403


async def test_who_has_nothing_fetched_has_what_passed(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    add(fake_registry, contents("legacy"))
    options = {"access": Users(), "first_pull": FirstPull.AUTHENTICATED}
    async with verified(tmp_path, clock, fake_registry, **options) as server:
        assert (await server.get(f"{APP}/v1")).status == 401
        assert (await server.get(f"{APP}/v1", x_user="ann")).status == 200
        assert (await server.get(f"{APP}/v1")).status == 200
        edit(server, required(tmp_path, policy="scope: both"))
        asked = fake_registry.count(".*", ".*")
        assert (await server.get(f"{APP}/v1")).status == 401
        assert fake_registry.count(".*", ".*") == asked


async def test_while_read_only_what_is_here_is_verified_and_nothing_fetched(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    add(fake_registry, contents("legacy"))
    async with verified(tmp_path, clock, fake_registry) as server:
        await server.get(f"{APP}/v1")
    async with verified(tmp_path, clock, fake_registry) as server:
        server.app.policy = replace(server.app.policy, read_only=True)
        assert (await server.get(f"{APP}/v1")).status == 200
        assert (await server.get(f"{APP}/{CHILD}")).status == 404


async def test_evidence_is_looked_for_where_else_the_policy_says(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    add(fake_registry, image_alone())
    add(fake_registry, contents("newfmt"), "team/signatures")
    async with session_of(fake_registry) as session:

        def elsewhere(name: RepositoryName) -> Source:
            return at(session, name)

        needed = required(tmp_path, policy="evidence: [up/team/signatures]", elsewhere=elsewhere)
        async with proxied(tmp_path / "served", clock, fake_registry, required=needed) as server:
            assert (await server.get(f"{APP}/v1")).status == 200
            fake_registry.on("GET", r"/v2/team/signatures/.*", respond(503))
            edit(
                server,
                required(
                    tmp_path,
                    policy="mode: enforce\n  scope: both\n  evidence: [up/team/signatures]",
                    elsewhere=elsewhere,
                ),
            )
            assert (await server.get(f"{APP}/v1")).status == 503


async def test_who_waits_for_a_verdict_waits_no_longer_than_for_a_manifest(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream_manifests, "FETCH_WITHIN", 0.2)
    add(fake_registry, contents("legacy"))
    let_go = threading.Event()

    def stall(request: Request, proceed: Proceed) -> Answer:
        let_go.wait(30)
        return proceed()

    fake_registry.on("GET", r"/v2/.*/manifests/sha256-.*sig", stall)
    async with verified(tmp_path, clock, fake_registry) as server:
        reply = await server.get(f"{APP}/v1")
        let_go.set()
        assert (reply.status, reply.headers["retry-after"]) == (503, "5")
        assert await server.store.repositories() == []


async def test_a_pass_that_newer_evidence_may_undo_holds_while_nobody_can_be_asked(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    add(fake_registry, contents("newfmt"))
    newest = "{attestation: {predicateType: spdxjson, authority: ops, select: newest}}"
    needed = required(tmp_path, require=newest)
    async with proxied(
        tmp_path / "served", clock, fake_registry, required=needed, max_stale=3 * 86_400
    ) as server:
        assert (await server.get(f"{APP}/{SIGNED}")).status == 200
        fake_registry.on(".*", ".*", drop())
        clock.advance(NEWS_AFTER)
        assert (await server.get(f"{APP}/{SIGNED}")).status == 200
        clock.advance(3 * 86_400)
        assert (await server.get(f"{APP}/{SIGNED}")).status == 503
        fake_registry.behave()
        assert (await server.get(f"{APP}/{SIGNED}")).status == 200


async def test_a_platform_of_an_index_that_passes_is_served(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    add(fake_registry, contents("legacy"))
    async with verified(tmp_path, clock, fake_registry) as server:
        alone = await server.get(f"{APP}/{CHILD}")
        assert alone.status == 403  # what lists it has not been pulled, and it is not signed itself
        assert "after that index" in why(alone)["detail"]["next"]
        assert (await server.get(f"{APP}/v1")).status == 200
        clock.advance(REFUSED_FOR)
        assert (await server.get(f"{APP}/{CHILD}")).status == 200


async def test_after_a_restart_a_platform_is_served_since_its_index_is_here(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    add(fake_registry, contents("legacy"))
    async with verified(tmp_path, clock, fake_registry) as server:
        await server.get(f"{APP}/v1")
    async with verified(tmp_path, clock, fake_registry) as server:
        assert (await server.get(f"{APP}/{CHILD}")).status == 200


async def test_an_index_that_is_refused_lets_no_platform_pass(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    child = image("evil", arch="amd64")
    fake_registry.add("team/app", index(child), "v2")
    async with proxied(tmp_path / "served", clock, fake_registry) as server:
        assert (await server.get(f"{APP}/v2")).status == 200
        edit(server, required(tmp_path))
        assert (await server.get(f"{APP}/{child.digest}")).status == 403


async def test_by_scope_platforms_each_platform_has_to_be_signed(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    add(fake_registry, contents("legacy"))
    async with verified(tmp_path, clock, fake_registry, policy="scope: platforms") as server:
        assert (await server.get(f"{APP}/v1")).status == 403


async def test_by_scope_platforms_what_else_an_index_lists_is_served_if_it_is_evidence(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    signer, nowhere = Signer(new_key()), {"architecture": "unknown", "os": "unknown"}
    signed, evil = image("signed"), replace(image("evil"), platform=nowhere)
    attestation = replace(artifact(IN_TOTO, OCI_CONFIG, b"{}", None), platform=nowhere)
    fake_registry.add("team/app", index(signed, evil, attestation), "v1")
    fake_registry.add("team/app", bundle_referrer(signed, dsse_bundle(signer, statement(signed.digest))))
    needed = required(tmp_path, policy="scope: platforms", key=public_pem(signer.key))
    async with proxied(tmp_path / "served", clock, fake_registry, required=needed) as server:
        assert (await server.get(f"{APP}/v1")).status == 200
        asked = fake_registry.count(".*", ".*")
        assert (await server.get(f"{APP}/{signed.digest}")).status == 200
        assert fake_registry.count(".*", ".*") == asked + 1  # its verdict is a part of the index's
        assert (await server.get(f"{APP}/{attestation.digest}")).status == 200
        assert (await server.get(f"{APP}/{evil.digest}")).status == 403


async def test_a_platform_is_not_refused_while_its_index_cannot_be_asked_about(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    add(fake_registry, contents("legacy"))
    async with verified(tmp_path, clock, fake_registry) as server:
        await server.get(f"{APP}/v1")
    async with verified(tmp_path, clock, fake_registry) as server:
        fake_registry.on("(GET|HEAD)", f"/v2/.*/{SIG}", respond(503))
        assert (await server.get(f"{APP}/{CHILD}")).status == 503
        fake_registry.behave()
        assert (await server.get(f"{APP}/{CHILD}")).status == 200


async def test_what_passed_is_what_is_served_though_its_tag_moves_meanwhile(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    """Another process on the same store may know nothing of the policy."""
    add(fake_registry, contents("legacy"))
    unsigned = parse_manifest(image("unsigned").data)
    async with verified(tmp_path, clock, fake_registry) as server:
        manifests = server.app.pull_through._upstream_manifests
        repository = server.store.repository(RepositoryName("hub/team/app"), children=Children.ON_DEMAND)
        prepare = manifests.prepare

        async def prepare_and_move(pull: Pull, reference: Tag | Digest) -> Prepared:
            prepared = await prepare(pull, reference)
            await repository.put_manifest(unsigned, (Tag("v1"),))
            return prepared

        manifests.prepare = prepare_and_move  # type: ignore[method-assign]
        reply = await server.get(f"{APP}/v1")
    assert (reply.status, reply.headers["docker-content-digest"]) == (200, SIGNED)


@pytest.mark.parametrize("layout", ["legacy", "newfmt"])
async def test_clients_get_the_evidence_of_what_passes_to_verify_it_themselves(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry, layout: str
) -> None:
    add(fake_registry, contents(layout))
    async with verified(tmp_path, clock, fake_registry) as server:
        for content, tags in evidence_alone(layout):
            for name in (*tags, content.digest):
                reply = await server.get(f"{APP}/{name}")
                assert (reply.status, reply.body) == (200, content.data), name
            for blob in content.blobs:
                assert (await server.get(f"/v2/hub/team/app/blobs/{sha256(blob)}")).body == blob


def fallback_of(found: Iterable[tuple[Content, list[str]]], *more: Content) -> tuple[Content, str]:
    """The list of all referrers among these, and more, and the digest of one of them."""
    listed = [one.descriptor(artifactType="a/b") for one, _ in found if "subject" in one.document]
    entries = [*listed, *(one.descriptor() for one in more)]
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    return Content(OCI_INDEX, as_json(document)), str(listed[0]["digest"])


async def test_a_fallback_tag_is_served_and_lets_nothing_pass_that_it_lists(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    fake_registry.referrers_api = False
    evil = image("evil")
    fake_registry.add("team/app", evil)
    found = list(contents("newfmt"))
    add(fake_registry, found)
    fallback, listed = fallback_of(found, evil)
    fake_registry.add("team/app", fallback, SIGNED.replace(":", "-"))
    async with verified(tmp_path, clock, fake_registry) as server:
        assert (await server.get(f"{APP}/v1")).status == 200
        assert (await server.get(f"{APP}/{SIGNED.replace(':', '-')}")).body == fallback.data
        assert (await server.get(f"{APP}/{listed}")).status == 200
        assert (await server.get(f"{APP}/{evil.digest}")).status == 403


def artifact(media_type: str, config_type: str, data: bytes, subject: str | None = SIGNED) -> Content:
    """A manifest with one layer that says what it is, and of what."""
    config = as_json({"architecture": "amd64", "os": "linux"})
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": blob_descriptor(config_type, config),
        "layers": [blob_descriptor(media_type, data)],
    }
    if subject is not None:
        document["subject"] = {"mediaType": OCI_INDEX, "digest": subject, "size": 509}
    return Content(OCI_MANIFEST, as_json(document), (config, data))


SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
TAR = b"bin/sh\0\0\0 as good as any tar"
GZIP = b"\x1f\x8b\x08 as good as any gzip"


@pytest.mark.parametrize(
    ("content", "name"),
    [
        pytest.param(artifact(LAYER, OCI_CONFIG, GZIP), None, id="an image with a subject"),
        pytest.param(artifact(LAYER, OCI_CONFIG, GZIP, None), SIG, id="an image at a digest tag"),
        pytest.param(artifact(SIMPLE, OCI_CONFIG, TAR, None), SIG, id="a tar that is called a signature"),
        pytest.param(artifact(SIMPLE, OCI_CONFIG, GZIP), None, id="the same, compressed, with a subject"),
        pytest.param(artifact(IN_TOTO, "", TAR), None, id="a config of no type"),
        pytest.param(artifact("application/wasm", OCI_EMPTY, b"()"), None, id="what is no image, and runs"),
        pytest.param(index(image("evil")), ATT, id="an index at a digest tag"),
        pytest.param(
            artifact(IN_TOTO, OCI_EMPTY, b"{}", image("evil").digest), None, id="evidence of what is refused"
        ),
        pytest.param(artifact(IN_TOTO, OCI_EMPTY, b"{}", None), None, id="evidence of nothing"),
    ],
)
async def test_nothing_gets_in_as_evidence_that_is_none(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry, content: Content, name: str | None
) -> None:
    add(fake_registry, contents("newfmt"))
    fake_registry.add("team/app", image("evil"))
    fake_registry.add("team/app", content, *([name] if name else []))
    async with verified(tmp_path, clock, fake_registry) as server:
        assert (await server.get(f"{APP}/v1")).status == 200
        if name is not None:
            reply = await server.get(f"{APP}/{name}")
            assert reply.status == (200 if content.children else 403)  # an index is nothing without these
        for child in content.walk():
            if not child.children:
                assert (await server.get(f"{APP}/{child.digest}")).status == 403
                assert (await server.get(f"/v2/hub/team/app/blobs/{sha256(child.blobs[-1])}")).status == 404


@pytest.mark.parametrize("is_pulled", [True, False], ids=["pulled before", "not pulled before"])
async def test_a_tag_for_images_does_not_move_to_evidence(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry, is_pulled: bool
) -> None:
    fake_registry.referrers_api = False
    found = list(contents("newfmt"))
    add(fake_registry, found)
    fallback, listed = fallback_of(found)
    fake_registry.add("team/app", fallback, SIGNED.replace(":", "-"))
    async with verified(tmp_path, clock, fake_registry, max_age=0) as server:
        assert (await server.get(f"{APP}/v1")).status == 200
        for name, digest in ((SIGNED.replace(":", "-"), fallback.digest), (listed, listed)):
            if is_pulled:
                assert (await server.get(f"{APP}/{name}")).status == 200
            fake_registry.add_tags("team/app", {"v1": digest})
            reply = await server.get(f"{APP}/v1")
            assert (reply.headers["docker-content-digest"], "warning" in reply.headers) == (SIGNED, True)
            assert (await server.get(f"{APP}/{name}")).status == 200


async def test_evidence_of_evidence_is_served(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    add(fake_registry, contents("newfmt"))
    sbom = fake_registry.add("team/app", artifact("application/spdx+json", OCI_EMPTY, b"{}"))
    signature = fake_registry.add("team/app", artifact(IN_TOTO, OCI_EMPTY, b"{}", sbom.digest))
    async with verified(tmp_path, clock, fake_registry) as server:
        assert (await server.get(f"{APP}/{signature.digest}")).status == 200


async def test_digest_tags_that_name_each_other_end(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    one, other = (artifact(IN_TOTO, OCI_EMPTY, data, None) for data in (b"{}", b"[]"))
    fake_registry.add("team/app", one, other.digest.replace(":", "-") + ".sig")
    fake_registry.add("team/app", other, one.digest.replace(":", "-") + ".sig")
    async with proxied(tmp_path / "served", clock, fake_registry) as server:
        for content in (one, other):
            assert (await server.get(f"{APP}/{content.digest.replace(':', '-')}.sig")).status == 200
        edit(server, required(tmp_path))
        assert (await server.get(f"{APP}/{one.digest}")).status == 403


async def test_one_verification_serves_all_who_wait(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    add(fake_registry, contents("legacy"))
    replies: list[Reply] = []
    async with verified(tmp_path, clock, fake_registry) as server:

        async def pull() -> None:
            replies.append(await server.get(f"{APP}/v1"))

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(pull)
        counts = dict(server.app.pull_through.verdicts)
    assert [one.status for one in replies] == [200] * 20
    assert fake_registry.count("GET", r"/v2/.*/referrers/.*") == 1
    assert counts == {("signed", "pass"): 1}


async def test_a_few_are_verified_at_a_time(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    lock, full = threading.Lock(), threading.Event()
    under_way, most = 0, 0

    def count(request: Request, proceed: Proceed) -> Answer:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
            if under_way == AT_ONCE:
                full.set()
        full.wait(30)
        with lock:
            under_way -= 1
        return proceed()

    fake_registry.on("GET", r"/v2/.*/referrers/.*", count)
    images = [fake_registry.add("team/app", image(f"app{number}")) for number in range(3 * AT_ONCE)]
    async with (
        verified(tmp_path, clock, fake_registry, policy="mode: warn") as server,
        anyio.create_task_group() as group,
    ):
        for one in images:
            group.start_soon(server.get, f"{APP}/{one.digest}")
    assert most == AT_ONCE


async def test_verdicts_are_counted(tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry) -> None:
    add(fake_registry, contents("legacy"))
    fake_registry.add("team/app", image("unsigned"), "v2")
    async with verified(tmp_path, clock, fake_registry) as server:
        await server.get(f"{APP}/v1")
        await server.get(f"{APP}/v2")
        metrics = RequestMetrics(Collected())
        metrics.verdicts = server.app.pull_through.verdicts
        gauges = Gauges(0, 0, False, StoreStats(0, 0, 0, 0, 0, 0), 0)
        page = exposition(metrics, gauges).decode()
    assert 'regsync_upstream_verdicts_total{policy="signed",result="pass"} 1.0' in page
    assert 'regsync_upstream_verdicts_total{policy="signed",result="fail"} 1.0' in page
