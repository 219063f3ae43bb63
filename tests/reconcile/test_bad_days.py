"""Runs on bad days: what fails is told, the rest goes on, nothing is half visible."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import anyio
import pytest
from anyio.lowlevel import checkpoint

from regsync.content.errors import ContentNotFoundError
from regsync.content.memory import MemoryRepository
from regsync.errors import DeferredError, RefusedError, RegsyncError, TemporaryError, UnsupportedError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import parse_manifest
from regsync.oci.platform import Platform
from regsync.oci.reference import RepositoryName, Tag
from regsync.plan.model import Outcome, Report, exit_code, problems_of
from regsync.reconcile.run import sync
from regsync.spec.model import IndexForm, Location, Pin, ReferrersMode, ReferrersPolicy, TagRule
from tests.reconcile.world import CountingRepository, World
from tests.support.images import (
    DOCKER_SCHEMA1,
    OCI_INDEX,
    Content,
    as_json,
    buildkit_index,
    cosign_signature,
    cosign_tag,
    image,
    index,
    referrer,
)

pytestmark = pytest.mark.anyio

NO_EVIDENCE = ReferrersPolicy(ReferrersMode.NONE)


class DownError(TemporaryError):
    """503."""


class ForbiddenError(RegsyncError):
    """403."""


class NoListingError(UnsupportedError):
    """A registry that lists no tags."""


class WaitError(DeferredError):
    """429 with an hour to wait."""


class PolicyError(RefusedError):
    """The registry's own rule."""


@pytest.fixture
def world() -> World:
    return World()


def outcomes(report: Report) -> dict[str, str]:
    return {f"{one.action.target}:{one.action.tag}": one.outcome.value for one in report.results}


def code(report: Report) -> int:
    return exit_code(problems_of(report.results))


async def settle() -> None:
    for _ in range(300):
        await checkpoint()


# Sources


async def test_a_tag_that_moves_between_listing_and_copy_is_copied_as_it_was_read(world: World) -> None:
    await world.put("hub/app", image("old"), "v1")
    world.mirror("app", "hub/app", ["ours/app"])
    source = world.repository("hub/app")
    moved = image("moved")
    plain = MemoryRepository.manifest

    async def moves_after(name: object) -> object:
        answer = await plain(source, name)  # type: ignore[arg-type]
        await world.put("hub/app", moved, "v1")
        return answer

    source.manifest = moves_after  # type: ignore[assignment,method-assign]
    report = await world.sync()

    assert report.summary.create == 1
    assert await world.tag("ours/app", "v1") == image("old").digest


async def test_a_tag_that_vanishes_between_listing_and_copy_fails_alone(world: World) -> None:
    await world.put("hub/app", image("one"), "v1")
    await world.put("hub/app", image("two"), "v2")
    world.mirror("app", "hub/app", ["ours/app"])
    gone = ContentNotFoundError("v1", where="hub")
    world.repository("hub/app").fail("manifest", gone, when=Tag("v1"))

    report = await world.sync()

    assert outcomes(report) == {"ours/app:v1": "failed", "ours/app:v2": "done"}
    assert code(report) == 1


async def test_a_listing_that_breaks_off_decides_nothing(world: World) -> None:
    for number in range(5):
        await world.put("hub/app", image(f"{number}"), f"v{number}")
    world.mirror("app", "hub/app", ["ours/app"], rules=[TagRule(glob="*", newest=1)])
    source = world.repository("hub/app")

    @asynccontextmanager
    async def broken() -> AsyncIterator[AsyncIterator[tuple[Tag, Descriptor | None]]]:
        async def pages() -> AsyncIterator[tuple[Tag, Descriptor | None]]:
            yield Tag("v1"), None
            raise DownError("page 2: 503")

        yield pages()

    source.tags = broken  # type: ignore[assignment,method-assign]
    report = await world.sync()

    assert outcomes(report) == {"ours/app:None": "failed"}
    assert code(report) == 75
    assert not world.repository("ours/app")._tags


@pytest.mark.parametrize(
    ("error", "expected"), [(DownError("down"), 75), (ForbiddenError("no"), 1), (WaitError("429"), 75)]
)
async def test_a_source_that_fails_fails_its_mirror_alone(
    world: World, error: RegsyncError, expected: int
) -> None:
    await world.put("hub/app", image("app"), "v1")
    await world.put("other/app", image("app"), "v1")
    world.mirror("bad", "hub/app", ["ours/bad"])
    world.mirror("good", "other/app", ["ours/good"])
    world.repository("hub/app").fail("tags", error)

    report = await world.sync()

    assert code(report) == expected
    assert await world.tag("ours/good", "v1") == image("app").digest


async def test_the_next_source_is_used_where_the_first_is_down(world: World) -> None:
    app = await world.put("backup/app", image("app"), "v1")
    await world.put("hub/app", image("app"), "v1")
    world.mirror("app", ["hub/app", "backup/app"], ["ours/app"])
    world.repository("hub/app").fail("fetch", DownError("down"))

    report = await world.sync()

    assert report.summary.create == 1
    assert await world.tag("ours/app", "v1") == app.digest


async def test_a_first_source_that_cannot_be_read_is_told_even_if_another_has_everything(
    world: World,
) -> None:
    await world.put("backup/app", image("app"), "v1")
    world.repository("hub/app").fail("tags", DownError("hub is down"))
    world.mirror("app", ["hub/app", "backup/app"], ["ours/app"])

    report = await world.sync()

    assert report.summary.create == 1
    assert any("hub is down" in one for one in report.warnings)


async def test_content_that_is_not_carried_is_blocked_and_exits_with_1(world: World) -> None:
    raw = as_json({"schemaVersion": 1, "name": "old", "fsLayers": []})
    source = world.repository("hub/app")
    digest = Digest.of(raw)
    source._manifests[digest] = (Descriptor(DOCKER_SCHEMA1, digest, len(raw)), raw)
    source._tags[Tag("old")] = digest
    await world.put("hub/app", image("new"), "new")
    world.mirror("app", "hub/app", ["ours/app"])

    report = await world.sync()

    assert outcomes(report) == {"ours/app:new": "done", "ours/app:old": "blocked"}
    assert code(report) == 1
    assert "schema 1" in str(problems_of(report.results)[0].message)


async def test_a_manifest_that_is_too_long_or_html_fails_alone(world: World) -> None:
    source = world.repository("hub/app")
    for tag, raw in {
        "html": b"<html>",
        "huge": b'{"schemaVersion":2,"x":"' + b"x" * 5_000_000 + b'"}',
    }.items():
        digest = Digest.of(raw)
        source._manifests[digest] = (Descriptor(OCI_INDEX, digest, len(raw)), raw)
        source._tags[Tag(tag)] = digest
    await world.put("hub/app", image("good"), "good")
    world.mirror("app", "hub/app", ["ours/app"])

    report = await world.sync()

    assert outcomes(report) == {
        "ours/app:good": "done",
        "ours/app:html": "failed",
        "ours/app:huge": "failed",
    }


async def test_a_wait_that_is_too_long_defers_the_tag(world: World) -> None:
    await world.put("hub/app", image("one"), "v1")
    world.mirror("app", "hub/app", ["ours/app"])
    world.repository("ours/app").fail("push", WaitError("wait an hour"))

    report = await world.sync()

    assert outcomes(report) == {"ours/app:v1": "deferred"}
    assert report.summary.deferred == 1
    assert code(report) == 75


async def test_a_hostile_digest_tag_does_not_end_the_run(world: World) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    await world.put("ours/app", cosign_signature(app, "ours"), cosign_tag(app))
    document = cosign_signature(app).document
    del document["layers"]
    signature = cosign_signature(app)
    await world.put(
        "hub/app", Content(signature.media_type, as_json(document), signature.blobs), cosign_tag(app)
    )
    world.mirror("app", "hub/app", ["ours/app"])

    report = await world.sync()

    assert report.summary.create == 1
    _, raw = await world.repository("ours/app").manifest(Tag(cosign_tag(app)))
    assert b"ours" in raw


# Targets


async def test_a_target_that_moved_since_it_was_observed_is_refused_and_the_rest_goes_on(
    world: World,
) -> None:
    await world.put("hub/app", image("old"), "v1")
    world.mirror("app", "hub/app", ["ours/app"])
    await world.sync()
    await world.put("hub/app", image("new"), "v1")
    await world.put("hub/app", image("other"), "v2")
    theirs = image("theirs")
    await world.put("ours/app", theirs)
    target = world.repository("ours/app")
    plain = MemoryRepository.resolve
    calls = []

    async def moves_after(name: object) -> Descriptor:
        answer = await plain(target, name)  # type: ignore[arg-type]
        if name == "v1" and not calls:
            calls.append(name)
            target._tags[Tag("v1")] = Digest.parse(theirs.digest)
        return answer

    target.resolve = moves_after  # type: ignore[assignment,method-assign]
    report = await world.sync()

    assert outcomes(report) == {"ours/app:v1": "refused", "ours/app:v2": "done"}
    assert code(report) == 3
    assert await world.tag("ours/app", "v1") == theirs.digest


async def test_a_read_only_target_fails_every_tag_and_says_why(world: World) -> None:
    await world.put("hub/app", image("one"), "v1", "v2")
    world.mirror("app", "hub/app", ["ours/app"])
    world.repository("ours/app").fail("push", ForbiddenError("403: read-only"))

    report = await world.sync()

    assert outcomes(report) == {"ours/app:v1": "failed", "ours/app:v2": "failed"}
    assert code(report) == 1
    assert world.repository("ours/app").count("push") <= 3, "once for each blob, not for each tag"


async def test_a_target_that_cannot_be_listed_is_asked_tag_by_tag(world: World) -> None:
    app = await world.put("hub/app", image("app"), "v1", "v2")
    await world.put("ours/app", app, "v1")
    world.mirror("app", "hub/app", ["ours/app"], referrers=NO_EVIDENCE)
    world.repository("ours/app").fail("tags", NoListingError("it has no listing"))

    report = await world.sync()

    assert (report.summary.create, report.summary.unchanged) == (1, 1)
    resolved = sorted(name for call, name in world.repository("ours/app").calls if call == "resolve")
    assert resolved == ["v1", "v2"]


async def test_one_of_three_targets_down_costs_the_others_nothing(world: World) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    world.mirror("app", "hub/app", ["eu/app", "us/app", "asia/app"])
    world.repository("us/app").fail("tags", DownError("us is down"))

    report = await world.sync()

    assert outcomes(report) == {"asia/app:v1": "done", "eu/app:v1": "done", "us/app:v1": "failed"}
    assert code(report) == 75
    assert await world.tag("eu/app", "v1") == app.digest


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([], 0),
        ([DownError("x")], 75),
        ([DownError("x"), ForbiddenError("x")], 1),
        ([DownError("x"), ForbiddenError("x"), PolicyError("x")], 3),
        ([WaitError("x"), DownError("x")], 75),
    ],
)
async def test_the_exit_code_of_a_mixture_is_the_gravest(
    world: World, errors: list[RegsyncError], expected: int
) -> None:
    await world.put("hub/app", image("app"), "v1")
    world.mirror("app", "hub/app", ["ours/app", *(f"t{number}/app" for number in range(len(errors)))])
    for number, error in enumerate(errors):
        world.repository(f"t{number}/app").fail("push_manifest", error)

    report = await world.sync()

    assert code(report) == expected
    assert outcomes(report)["ours/app:v1"] == "done"


async def test_a_target_that_never_answers_holds_back_no_other(world: World) -> None:
    tags = [f"v{number}" for number in range(12)]
    for tag in tags:
        await world.put("hub/app", image(tag), tag)
    world.mirror("app", "hub/app", ["good/app", "bad/app"])
    bad = world.repository("bad/app")

    async def forever(desc: Descriptor, chunks: object) -> None:
        await anyio.sleep_forever()

    bad.push = forever  # type: ignore[assignment,method-assign]
    engine = world.engine(concurrency=4)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(sync, world.spec(), engine)
            for _ in range(20):
                await settle()
            assert sorted(world.repository("good/app")._tags) == sorted(tags)
            group.cancel_scope.cancel()

    assert not bad._tags


async def test_one_slot_is_enough(world: World) -> None:
    for number in range(5):
        child = image(f"{number}")
        await world.put("hub/app", index(child, image(f"{number}", arch="arm64")), f"v{number}")
        await world.put("hub/app", referrer(child))
    world.mirror("app", "hub/app", ["eu/app", "us/app"])

    with anyio.fail_after(10):
        report = await sync(world.spec(), world.engine(concurrency=1))

    assert report.summary.create == 10


# Platforms and forms


async def test_a_sparse_index_that_a_target_refuses_is_blocked_with_a_way_out(world: World) -> None:
    await world.put("hub/app", index(image("app"), image("app", arch="arm64")), "v1")
    amd64 = (Platform.parse("linux/amd64"),)
    world.mirror("app", "hub/app", ["ours/app"], platforms=amd64, index=IndexForm.ORIGINAL)

    report = await world.sync()

    assert outcomes(report) == {"ours/app:v1": "blocked"}
    assert code(report) == 1
    problem = problems_of(report.results)[0]
    assert "left out" in problem.message
    assert "`platforms`" in (problem.hint or "")
    assert await world.tag("ours/app", "v1") is None


async def test_a_platform_that_is_not_there_fails_and_says_which_are(world: World) -> None:
    await world.put("hub/app", index(image("app"), image("app", arch="arm64")), "v1")
    world.mirror("app", "hub/app", ["ours/app"], platforms=(Platform.parse("linux/s390x"),))

    report = await world.sync()

    assert outcomes(report) == {"ours/app:v1": "failed"}
    assert "linux/amd64, linux/arm64" in problems_of(report.results)[0].message


async def test_a_single_image_for_another_platform_fails_like_an_index_without_it(world: World) -> None:
    await world.put("hub/app", image("app"), "v1")
    await world.put("hub/app", image("app", arch="arm64"), "v2")
    world.mirror("app", "hub/app", ["ours/app"], platforms=(Platform.parse("linux/arm64"),))

    planned = await world.plan()
    report = await world.sync()

    assert outcomes(report) == {"ours/app:v1": "failed", "ours/app:v2": "done"}
    (problem,) = problems_of(report.results)
    assert "is for none of linux/arm64; it is an image for another" in problem.message
    assert [one.problem is None for one in planned.actions] == [False, True]
    assert await world.tag("ours/app", "v1") is None


async def test_a_single_image_for_another_platform_is_found_out_once_for_good(world: World) -> None:
    await world.put("hub/app", image("app"), "v1")
    world.mirror("app", "hub/app", ["ours/app"], platforms=(Platform.parse("linux/arm64"),))
    first = await world.sync()
    world.forget_calls()

    second = await world.sync()

    assert problems_of(second.results) == problems_of(first.results) != ()
    source = world.repository("hub/app")
    assert [name for call, name in source.calls if call in ("resolve", "manifest")] == ["v1"], "its tag alone"
    assert source.count("fetch") == 0


async def test_a_single_image_that_was_copied_before_its_platform_was_unwanted_is_no_success(
    world: World,
) -> None:
    await world.put("hub/app", image("app"), "v1")
    mirror = world.mirror("app", "hub/app", ["ours/app"], platforms=(Platform.parse("linux/amd64"),))
    assert outcomes(await world.sync()) == {"ours/app:v1": "done"}
    world.mirrors[:] = [replace(mirror, platforms=(Platform.parse("linux/arm64"),))]

    assert outcomes(await world.sync()) == {"ours/app:v1": "failed"}


async def test_three_targets_ask_the_source_once_for_the_evidence_of_an_image(world: World) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    world.mirror("app", "hub/app", ["eu/app", "us/app", "asia/app"], tags=["v1"])
    await world.sync()
    await world.put("hub/app", cosign_signature(app), cosign_tag(app))
    world.forget_calls()

    report = await world.sync()

    assert report.summary.update == 3
    asked = [name for call, name in world.repository("hub/app").calls if call == "resolve"]
    assert sum(name.endswith((".att", ".sbom")) for name in asked) == 2


async def test_what_is_chosen_by_label_and_platform_has_its_config_read_once(world: World) -> None:
    app = await world.put("hub/app", image("app", labels={"vendor": "Acme"}), "v1")
    rule = TagRule(glob="v*", labels={"vendor": "Acme"})
    world.mirror("app", "hub/app", ["ours/app"], rules=[rule], platforms=(Platform.parse("linux/amd64"),))

    planned = await world.plan()

    assert len(planned.pending) == 1
    config = str(Digest.of(app.blobs[0]))
    assert [name for call, name in world.repository("hub/app").calls if call == "fetch"] == [config]


async def test_a_single_image_that_is_there_costs_no_look_at_its_platform(world: World) -> None:
    await world.put("hub/app", image("app"), "v1")
    world.mirror("app", "hub/app", ["ours/app"], platforms=(Platform.parse("linux/amd64"),))
    await world.sync()
    world.forget_calls()

    report = await world.sync()

    assert report.summary.unchanged == 1
    assert world.repository("hub/app").count("fetch") == world.repository("hub/app").count("manifest") == 0


async def test_a_trimmed_index_has_its_attestations_and_is_unchanged_next_time(world: World) -> None:
    await world.put("hub/app", buildkit_index("app", ("amd64", "arm64")), "v1")
    world.mirror("app", "hub/app", ["ours/app"], platforms=(Platform.parse("linux/amd64"),))

    await world.sync()
    again = await world.sync()

    _, raw = await world.repository("ours/app").manifest(Tag("v1"))
    parsed = parse_manifest(raw)
    assert len(parsed.manifests) == 2
    assert again.summary.unchanged == 1
    assert again.results == ()


async def test_sha512_goes_from_end_to_end(world: World) -> None:
    layer, config = b"a layer", b"{}"
    blobs = {Digest.of(one, "sha512"): one for one in (layer, config)}
    entries = [
        {"mediaType": "application/octet-stream", "digest": str(digest), "size": len(data)}
        for digest, data in blobs.items()
    ]
    raw = as_json({"schemaVersion": 2, "config": entries[1], "layers": entries[:1]})
    source = world.repository("hub/app")
    source._blobs.update(blobs)
    digest = Digest.of(raw, "sha512")
    desc = Descriptor("application/vnd.oci.image.manifest.v1+json", digest, len(raw))
    source._manifests[digest] = (desc, raw)
    source._tags[Tag("v1")] = digest
    world.mirror("app", "hub/app", ["ours/app"])

    report = await world.sync()

    assert report.summary.create == 1
    assert await world.tag("ours/app", "v1") == str(digest)
    assert set(world.repository("ours/app")._blobs) == set(blobs)
    assert (await world.sync()).summary.unchanged == 1


# Evidence and the number of requests


async def test_evidence_that_fails_for_a_while_is_no_success(world: World) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    sbom = await world.put("hub/app", referrer(app))
    world.mirror("app", "hub/app", ["ours/app"])
    world.repository("ours/app").fail(
        "push_manifest", DownError("503"), when=Digest.parse(sbom.digest), times=1
    )

    report = await world.sync()
    again = await world.sync()

    assert code(report) == 75
    assert again.summary.create == 1
    assert len(await world.repository("ours/app").referrers(Digest.parse(app.digest))) == 1


def requests(repository: CountingRepository) -> dict[str, int]:
    return {call: repository.count(call) for call, _ in repository.calls}


async def test_a_cold_run_asks_for_little(world: World) -> None:
    for number in range(4):
        await world.put("hub/app", image(f"{number}"), f"v{number}")
    world.mirror("app", "hub/app", ["ours/app"], referrers=NO_EVIDENCE)

    await world.sync()

    assert requests(world.repository("hub/app")) == {"tags": 1, "manifest": 4, "fetch": 12}
    assert requests(world.repository("ours/app")) == {"tags": 1, "push": 12, "push_manifest": 4}


async def test_a_run_with_nothing_to_do_asks_once_per_tag_and_side(world: World) -> None:
    for number in range(4):
        await world.put("hub/app", image(f"{number}"), f"v{number}")
    world.mirror("app", "hub/app", ["ours/app"], referrers=NO_EVIDENCE)
    await world.sync()
    world.forget_calls()

    await world.sync()

    for side in ("hub/app", "ours/app"):
        assert requests(world.repository(side)) == {"tags": 1, "resolve": 4}


async def test_indexes_whose_evidence_is_due_cost_no_read_of_their_children(world: World) -> None:
    await world.put("hub/app", index(image("a"), image("b", arch="arm64")), "v1")
    world.mirror("app", "hub/app", ["ours/app"])
    await world.sync()
    world.forget_calls()

    await world.sync()

    assert world.repository("hub/app").count("manifest") <= 1
    assert world.repository("ours/app").count("manifest") == 0


@pytest.mark.parametrize("immutable", [(), ("v*",)])
async def test_evidence_is_compared_for_a_week_and_then_once_a_day(
    world: World, immutable: tuple[str, ...]
) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    world.mirror("app", "hub/app", ["ours/app"], immutable=immutable)
    await world.sync()
    asked = []
    plain = MemoryRepository.referrers
    source = world.repository("hub/app")

    async def referrers(subject: Digest, *, listed: object = None) -> object:
        asked.append(str(subject))
        return await plain(source, subject)

    source.referrers = referrers  # type: ignore[assignment,method-assign]

    async def asks(after: timedelta) -> bool:
        world.clock.advance(after)
        asked.clear()
        await world.sync()
        return asked == [app.digest]

    assert await asks(timedelta(days=1))
    assert await asks(timedelta(days=5))
    assert await asks(timedelta(days=2))
    assert not await asks(timedelta(hours=1))
    assert not await asks(timedelta(hours=22))
    assert await asks(timedelta(hours=1))


async def test_late_evidence_of_an_immutable_tag_still_travels(world: World) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    world.mirror("app", "hub/app", ["ours/app"], immutable=("v*",))
    await world.sync()
    await world.put("hub/app", referrer(app))

    report = await world.sync()

    assert report.summary.update == 1
    assert len(await world.repository("ours/app").referrers(Digest.parse(app.digest))) == 1


async def test_an_immutable_tag_that_moved_at_the_source_is_not_asked_for_every_time(world: World) -> None:
    await world.put("hub/app", image("app"), "v1")
    world.mirror("app", "hub/app", ["ours/app"], immutable=("v*",))
    await world.sync()
    await world.put("hub/app", image("moved"), "v1")
    world.clock.advance(timedelta(days=10))
    await world.sync()
    world.forget_calls()

    await world.sync()

    assert requests(world.repository("hub/app")) == {"tags": 1}


async def test_content_pinned_by_digest_is_found_where_a_repository_without_tags_is_denied(
    world: World,
) -> None:
    alone = await world.put("hub/app", image("alone"))
    world.mirror("app", "hub/app", ["ours/app"], digests=(Digest.parse(alone.digest),))
    world.repository("ours/app").fail("tags", ContentNotFoundError("ours/app", where="ours"))

    first = await world.sync()
    again = await world.sync()

    assert first.summary.create == 1
    assert again.summary.unchanged == 1
    assert again.results == ()


async def test_a_repository_that_is_not_there_is_asked_for_nothing(world: World) -> None:
    for number in range(3):
        await world.put("hub/app", index(image(f"{number}"), image("b", arch="arm64")), f"v{number}")
    world.mirror("app", "hub/app", ["ours/app"])
    world.repository("ours/app").fail("tags", ContentNotFoundError("ours/app", where="ours"))

    report = await world.sync()

    assert report.summary.create == 3
    assert world.repository("ours/app").count("exists") == 0
    assert world.repository("ours/app").count("resolve") == 0


async def test_whatever_else_keeps_a_target_from_being_listed_is_said_once_and_costs_no_request_per_tag(
    world: World,
) -> None:
    await world.put("hub/app", image("app"), "v1", "v2", "v3")
    world.mirror("app", "hub/app", ["ours/app"])
    world.repository("ours/app").fail("tags", ForbiddenError("certificate signed by unknown authority"))

    report = await world.sync()

    assert set(outcomes(report).values()) == {"failed"}
    assert world.repository("ours/app").count("resolve") == 0
    assert world.repository("hub/app").count("manifest") == 0


async def test_a_plan_asks_once_for_each_target_whether_it_may_be_written(world: World) -> None:
    for number in range(30):
        await world.put("hub/app", image(f"app{number}"), f"v{number}")
    world.mirror("app", "hub/app", ["ours/app"])
    asked: list[str] = []

    async def may_push(location: Location) -> None:
        await anyio.lowlevel.checkpoint()
        asked.append(str(location))

    world.may_push = may_push  # type: ignore[method-assign]

    assert (await world.plan()).summary.create == 30
    assert asked == ["ours/app"]


async def test_a_plan_foresees_that_required_evidence_is_missing(world: World) -> None:
    await world.put("hub/app", image("app"), "v1")
    world.mirror("app", "hub/app", ["ours/app"], referrers=ReferrersPolicy(required=True))

    plan = await world.plan()

    assert plan.summary.failed == 1
    assert "none of the referrers" in str(plan.actions[0].problem)


async def test_a_signature_of_one_tag_costs_the_other_immutable_tags_no_request(world: World) -> None:
    apps = [await world.put("hub/app", image(f"app{number}"), f"v{number}") for number in range(10)]
    world.mirror("app", "hub/app", ["ours/app"], immutable=("v*",))
    for path in ("hub/app", "ours/app"):
        world.repository(path).has_referrers_api = False  # type: ignore[attr-defined]
        world.repository(path).checks_references = True  # type: ignore[attr-defined]
    await world.sync()
    await world.put("hub/app", cosign_signature(apps[3]), cosign_tag(apps[3]))
    world.forget_calls()

    report = await world.sync()

    assert (report.summary.update, report.summary.unchanged) == (1, 9)
    asked = [name for call, name in world.repository("hub/app").calls if call == "resolve"]
    assert set(asked) <= {apps[3].digest, cosign_tag(apps[3])}


async def test_many_missing_images_of_one_repository_cost_one_look_at_its_tags(world: World) -> None:
    await world.put("hub/app", image("app"), "v1")
    pins = tuple(Pin(None, Digest.of(b"%d" % number)) for number in range(20))
    app = Location("hub", RepositoryName("app"))
    images = tuple((app, pin) for pin in pins)
    world.mirror("app", [], ["ours/{repository}"], images=images, referrers=NO_EVIDENCE)
    world.repository("hub/app").fail("tags", NoListingError("405"))

    report = await world.sync()

    assert {one.outcome for one in report.results} == {Outcome.FAILED}
    assert len(report.results) == 20
    assert world.repository("hub/app").count("tags") == 1


async def test_a_tag_that_one_of_two_sources_may_yet_get_is_the_tag_that_is_missing(world: World) -> None:
    await world.put("backup/app", image("app"), "v1")
    world.mirror("app", ["hub/app", "backup/app"], ["ours/app"], tags=["v2"])
    world.repository("hub/app").fail("tags", ContentNotFoundError("repository app", where="hub"))

    report = await world.sync()

    (result,) = report.results
    assert result.problem is not None
    assert result.problem.message == "v2 is not at hub/app, backup/app"


async def test_named_tags_need_no_listing_of_their_source(world: World) -> None:
    names = [f"v{number}" for number in range(6)]
    await world.put("hub/app", image("app"), *names)
    world.mirror("app", "hub/app", ["ours/app"], tags=names)
    world.repository("hub/app").fail("tags", NoListingError("it has no listing"))

    assert (await world.sync()).summary.create == 6
