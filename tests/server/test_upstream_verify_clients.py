"""Real clients pull through a registry whose upstream has to be signed, from our own and another's."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import httpx
import pytest

from tests.support.images import Content, as_json, image
from tests.support.processes import wait_until
from tests.support.regsync_server import RegsyncServer
from tests.support.servers import RegistryServer
from tests.support.signing_layouts import SIGNED, SIGNING, contents, image_alone
from tests.support.tools import Tool, ToolError

Start = Callable[..., RegsyncServer]
FALLBACK = SIGNED.replace(":", "-")
NO_ROOTS = '{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}'
AUDITED = "audit: {file: audit.log}\n"
UPSTREAM = "upstreams: [{prefix: hub, registry: up, firstPull: anyone, maxAge: 0s, verify: [signed]}]"
ANOTHER = """\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE0II613pAkF/SaMXv4r+ofRCr7Yo6
Tr330479gutGmjqN6h0IkcotjhQ6JTdgBn1M95hSeJcb0FrTXO0/guzU1Q==
-----END PUBLIC KEY-----
"""
POLICY = """
apiVersion: regsync.dev/v1
kind: VerificationPolicy
metadata: {name: signed}
spec:
  authorities: {ops: {key: {file: cosign.pub, tlog: ignore}}}
  require: {signature: {authority: ops, annotations: {team: core}}}
"""


def documents(url: str) -> str:
    head = "apiVersion: regsync.dev/v1\nkind: Registry\nmetadata: {name: up}\n"
    return f"{head}spec: {{url: '{url}'}}\n---{POLICY}"


@pytest.fixture
def verifying(regsync_server_factory: Start) -> Callable[[str], RegsyncServer]:
    """Our registry, in which what is below `hub/` has to be signed with the key of the fixtures."""

    def start(url: str) -> RegsyncServer:
        key = (SIGNING / "cosign.pub").read_text()
        return regsync_server_factory(spec=AUDITED + UPSTREAM, more=documents(url), files={"cosign.pub": key})

    return start


def push(
    server: RegistryServer | RegsyncServer, name: str, found: Iterable[tuple[Content, list[str]]]
) -> None:
    for content, tags in found:
        server.push(name, content, *tags)


def push_fallback_tag(server: RegistryServer, name: str) -> None:
    """What cosign pushes where nothing lists referrers."""
    bundles = [one for one, _ in contents("newfmt") if "subject" in one.document]
    listed = [one.descriptor(artifactType=one.document["artifactType"]) for one in bundles]
    kind = "application/vnd.oci.image.index.v1+json"
    document = {"schemaVersion": 2, "mediaType": kind, "manifests": listed}
    server.push(name, Content(kind, as_json(document)), FALLBACK)


def get(url: str) -> httpx.Response:
    return httpx.get(url, timeout=30, trust_env=False)


def audited(server: RegsyncServer) -> list[dict[str, object]]:
    lines = (server.directory / "audit.log").read_text().splitlines()
    return [one for one in map(json.loads, lines) if one["event"] == "verify"]


@pytest.mark.parametrize("layout", ["legacy", "newfmt"])
def test_crane_and_skopeo_pull_what_is_signed_and_are_told_why_not(
    verifying: Callable[[str], RegsyncServer],
    regsync_server: RegsyncServer,
    tool: Callable[[str], Tool],
    tmp_path: Path,
    layout: str,
) -> None:
    push(regsync_server, "team/app", contents(layout))
    push(regsync_server, "team/unsigned", image_alone())
    proxy = verifying(regsync_server.url)
    crane, skopeo = tool("crane"), tool("skopeo")
    assert crane("digest", "--insecure", proxy.reference("hub/team/app", "v1")) == SIGNED
    crane("pull", "--insecure", "--format=oci", proxy.reference("hub/team/app", "v1"), tmp_path / "crane")
    copy = ("copy", "--all", "--src-tls-verify=false")
    skopeo(*copy, f"docker://{proxy.reference('hub/team/app', 'v1')}", f"dir:{tmp_path}/skopeo")
    with pytest.raises(ToolError, match=f"policy signed refuses {SIGNED}: no signature by ops"):
        crane("pull", "--insecure", proxy.reference("hub/team/unsigned", "v1"), tmp_path / "refused")
    with pytest.raises(ToolError, match="policy signed refuses"):
        skopeo(*copy, f"docker://{proxy.reference('hub/team/unsigned', 'v1')}", f"dir:{tmp_path}/refused")
    wait_until(lambda: bool(audited(proxy)), what="the refusal stands in the audit log")
    line = audited(proxy)[0]
    assert (line["policy"], line["digest"], line["status"]) == ("signed", SIGNED, 403)
    metrics = get(f"{proxy.url}/metrics").text
    assert 'regsync_upstream_verdicts_total{policy="signed",result="fail"}' in metrics
    assert 'regsync_upstream_requests_total{outcome="refused",prefix="hub"}' in metrics


@pytest.mark.parametrize("layout", ["legacy", "newfmt"])
def test_cosign_verifies_through_it(
    verifying: Callable[[str], RegsyncServer],
    distribution_factory: Callable[..., RegistryServer],
    tool: Callable[[str], Tool],
    tmp_path: Path,
    layout: str,
) -> None:
    upstream = distribution_factory()
    push(upstream, "team/app", contents(layout))
    if layout == "newfmt":
        push_fallback_tag(upstream, "team/app")
    proxy = verifying(upstream.url)
    (tmp_path / "root.json").write_text(NO_ROOTS)
    said = tool("cosign")(
        "verify",
        *(
            "--key",
            SIGNING / "cosign.pub",
            f"--new-bundle-format={'true' if layout == 'newfmt' else 'false'}",
        ),
        *(("--trusted-root", tmp_path / "root.json") if layout == "newfmt" else ()),
        *("--insecure-ignore-tlog", "--allow-insecure-registry", "--allow-http-registry"),
        proxy.reference("hub/team/app", "v1"),
        env={"COSIGN_PASSWORD": ""},
    )
    assert SIGNED in said


def test_regctl_copies_an_image_with_all_its_evidence_through_it(
    verifying: Callable[[str], RegsyncServer],
    regsync_server: RegsyncServer,
    tool: Callable[[str], Tool],
    tmp_path: Path,
) -> None:
    for layout in ("legacy", "newfmt"):
        push(regsync_server, "team/app", contents(layout))
    proxy, regctl = verifying(regsync_server.url), tool("regctl")
    regctl("registry", "set", proxy.host, "--tls=disabled")
    source = proxy.reference("hub/team/app", "v1")
    regctl("image", "copy", "--referrers", "--digest-tags", source, f"ocidir://{tmp_path}/copy:v1")
    there = {f"sha256:{one.name}" for one in (tmp_path / "copy" / "blobs" / "sha256").iterdir()}
    assert there >= {content.digest for layout in ("legacy", "newfmt") for content, _ in contents(layout)}


def test_an_unsigned_push_upstream_changes_nothing_here_until_it_is_signed(
    verifying: Callable[[str], RegsyncServer], distribution_factory: Callable[..., RegistryServer]
) -> None:
    upstream = distribution_factory()
    push(upstream, "team/app", contents("legacy"))
    proxy = verifying(upstream.url)
    url = f"{proxy.url}/v2/hub/team/app/manifests"
    assert get(f"{url}/v1").headers["docker-content-digest"] == SIGNED
    unsigned = upstream.push("team/app", image("unsigned"), "v1")
    reply = get(f"{url}/v1")
    assert (reply.status_code, reply.headers["docker-content-digest"]) == (200, SIGNED)
    assert unsigned.digest in reply.headers["warning"]
    assert get(f"{url}/{unsigned.digest}").status_code == 403
    assert unsigned.digest in proxy.log()
    upstream.stop()
    assert get(f"{url}/v1").status_code == 200
    proxy.restart()
    assert get(f"{url}/v1").status_code == 503  # nobody can say now whether it may be served


def test_a_policy_is_taken_up_while_the_server_runs(
    verifying: Callable[[str], RegsyncServer], regsync_server: RegsyncServer
) -> None:
    push(regsync_server, "team/app", image_alone())
    proxy = verifying(regsync_server.url)
    url = f"{proxy.url}/v2/hub/team/app/manifests/v1"
    assert get(url).status_code == 403
    text = proxy.spec.read_text()
    proxy.spec.write_text(text.replace("require: {signature", "mode: warn\n  require: {signature"))
    wait_until(lambda: get(url).status_code == 200, what="the policy only warns")
    assert "would refuse" in proxy.log()
    proxy.spec.write_text(text)
    wait_until(lambda: get(url).status_code == 403, what="the policy refuses what is here by now")
    key = proxy.directory / "cosign.pub"
    signed = key.read_text()
    push(regsync_server, "team/app", contents("legacy"))
    wait_until(lambda: get(url).status_code == 200, what="it is signed")
    key.write_text(ANOTHER)
    wait_until(lambda: get(url).status_code == 403, what="the key is another")
    key.write_text(signed)
    wait_until(lambda: get(url).status_code == 200, what="the key is the old one")
    proxy.spec.write_text(text.replace("cosign.pub", "another.pub"))
    wait_until(lambda: "another.pub" in proxy.log(), what="the mistake is told")
    assert get(url).status_code == 200
