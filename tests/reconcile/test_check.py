"""`check` over places in memory: what is asked, what is told, and that nothing is ever written."""

from collections.abc import Iterable
from dataclasses import replace

import anyio
import pytest

from regsync.content.memory import MemoryRepository
from regsync.content.tags_state import TagsState
from regsync.errors import DeferredError, DeniedError, RegsyncError, TemporaryError, UnsupportedError
from regsync.oci.digest import Digest
from regsync.oci.platform import Platform
from regsync.oci.reference import RepositoryName, Tag
from regsync.plan.check import CheckReport, Drift, Owner, State
from regsync.reconcile.check import check
from regsync.spec.history import History
from regsync.spec.model import LocationTemplate, ReferrersMode, ReferrersPolicy, TagRule
from tests.reconcile.test_verification import policy, sign_by_tag
from tests.reconcile.world import World
from tests.support.images import (
    DOCKER_MANIFEST,
    Content,
    as_json,
    cosign_signature,
    cosign_tag,
    image,
    index,
    referrer,
)

pytestmark = pytest.mark.anyio

AMD, ARM = image("app", arch="amd64"), image("app", arch="arm64")
MULTI = index(AMD, ARM)
OLD, NEW, OTHER = image("old"), image("new"), image("other")
WRITES = {"push", "push_manifest", "mount", "tag", "delete", "untag"}


class DownError(TemporaryError):
    """A refused connection, for as long as anybody tries."""

    is_exhausted = True


class ForbiddenError(DeniedError):
    """403."""


class NoListingError(UnsupportedError):
    """A registry that lists no tags."""


class WaitError(DeferredError):
    """429 with an hour to wait."""


@pytest.fixture
async def world() -> World:
    """Two targets that follow one source with three tags."""
    world = World()
    await world.put("hub/app", MULTI, "v1")
    await world.put("hub/app", OLD, "v2", "latest")
    world.mirror("app", "hub/app", ["eu/app", "us/app"])
    await world.sync()
    world.forget_calls()
    world.clock.advance(60)
    return world


async def checked(world: World, **more: object) -> CheckReport:
    """A check, which must not have written anything."""
    world.forget_calls()
    report = (await check(world.spec(), world.engine(), **more)).report  # type: ignore[arg-type]
    assert not WRITES & {call for call, _ in calls(world)}
    return report


def calls(world: World) -> Iterable[tuple[str, str]]:
    for place in world.places.values():
        for repository in place._repositories.values():
            yield from repository.calls  # type: ignore[attr-defined]


def told(report: CheckReport) -> dict[str, str]:
    """Every row by `target:tag`, as its kind of drift or its state."""
    return {
        f"{row.target}:{row.tag}": row.drift.value if row.drift is not None else row.state.value
        for row in report.rows
    }


def equal(report: CheckReport) -> int:
    return report.counts[State.EQUAL]


async def test_places_that_are_equal_are_counted_and_asked_once_for_each_tag(world: World) -> None:
    report = await checked(world)
    assert (report.rows, equal(report), report.exit_code) == ((), 6, 0)
    for path in ("hub/app", "eu/app", "us/app"):
        repository = world.repository(path)
        assert (repository.count("tags"), repository.count("resolve")) == (1, 3)
        assert repository.count("manifest") == repository.count("fetch") == 0


async def test_a_dozen_kinds_of_drift_are_told_apart() -> None:
    world = World()
    for name in ("missing", "moved", "late", "docker", "half", "sole", "same"):
        await world.put("hub/app", index(image(name), ARM) if name in ("half", "sole") else image(name), name)
    world.mirror("app", "hub/app", ["eu/app", "us/app"])
    await world.sync()
    world.clock.advance(60)
    eu = world.repository("eu/app")
    del eu._tags[Tag("missing")]
    await world.put("eu/app", OTHER, "moved", "stray")
    await world.put("hub/app", image("later"), "late")
    docker = as_json({**image("docker").document, "mediaType": DOCKER_MANIFEST})
    await world.put("eu/app", Content(DOCKER_MANIFEST, docker, image("docker").blobs), "docker")
    await world.put("eu/app", index(ARM), "half")
    await world.put("eu/app", ARM, "sole")
    report = await checked(world)
    assert told(report) == {
        "eu/app:missing": "missing",
        "eu/app:moved": "moved-there",
        "eu/app:late": "moved-at-source",
        "us/app:late": "moved-at-source",
        "eu/app:docker": "re-serialised",
        "eu/app:half": "other-platforms",
        "eu/app:sole": "other-platforms",
        "eu/app:stray": "extra",
    }
    assert report.exit_code == 2
    moved = next(row for row in report.rows if row.tag == "moved")
    assert (str(moved.digest), str(moved.expected)) == (OTHER.digest, image("moved").digest)
    stray = next(row for row in report.rows if row.tag == "stray")
    assert (stray.owner, str(stray.digest)) == (Owner.OTHERS, OTHER.digest)


async def test_manifests_are_read_only_where_digests_differ(world: World) -> None:
    await world.put("eu/app", OTHER, "v2")
    await checked(world)
    assert world.repository("eu/app").count("manifest") == 1
    assert world.repository("us/app").count("manifest") == 0


async def test_without_a_ledger_the_other_places_tell_who_moved(world: World) -> None:
    await world.put("eu/app", OTHER, "v2")
    await world.put("hub/app", NEW, "latest")
    world.ledger = World().ledger
    assert told(await checked(world)) == {
        "eu/app:v2": "moved-there",
        "eu/app:latest": "moved-at-source",
        "us/app:latest": "moved-at-source",
    }


async def test_a_trimmed_index_is_equal_and_the_whole_one_is_other_platforms() -> None:
    world = World()
    await world.put("hub/app", MULTI, "v1", "v2")
    world.mirror("app", "hub/app", ["eu/app"], platforms=(Platform.parse("linux/amd64"),))
    await world.sync()
    assert (await checked(world)).rows == ()
    await world.put("eu/app", MULTI, "v2")
    assert told(await checked(world)) == {"eu/app:v2": "other-platforms"}


async def test_immutable_tags_are_compared_as_all_others_are(world: World) -> None:
    world.mirrors[:] = [replace(world.mirrors[0], immutable=("v*",))]
    await world.put("hub/app", NEW, "v1")
    await world.put("eu/app", OTHER, "v2")
    assert told(await checked(world)) == {
        "eu/app:v1": "moved-at-source",
        "us/app:v1": "moved-at-source",
        "eu/app:v2": "moved-there",
    }


async def test_what_is_late_says_since_when_the_source_had_it(world: World) -> None:
    await world.put("hub/app", NEW, "v3")
    seen = world.clock.now()
    world.repository("eu/app").fail("push_manifest", DownError("no"))
    world.repository("us/app").fail("push_manifest", DownError("no"))
    await world.sync()
    for path in ("eu/app", "us/app"):
        world.repository(path).failing.clear()
    world.forget_calls()
    world.clock.advance(3600)
    report = await checked(world)
    assert told(report) == {"eu/app:v3": "missing", "us/app:v3": "missing"}
    assert {row.since for row in report.rows} == {seen}


async def test_evidence_that_a_place_lacks(world: World) -> None:
    await world.put("hub/app", referrer(OLD, artifact_type="application/spdx+json"))
    await world.put("hub/app", cosign_signature(AMD), cosign_tag(AMD))
    await world.sync()
    us = world.repository("us/app")
    del us._tags[Tag(cosign_tag(AMD))]
    report = await checked(world)
    assert told(report) == {"us/app:v1": "evidence-missing"}
    assert (equal(report), report.exit_code) == (5, 2)


async def test_evidence_is_not_looked_for_where_it_does_not_travel(world: World) -> None:
    await world.put("hub/app", cosign_signature(OLD), cosign_tag(OLD))
    world.mirrors[:] = [replace(world.mirrors[0], referrers=ReferrersPolicy(ReferrersMode.NONE))]
    assert (await checked(world)).rows == ()


async def test_what_a_policy_refuses_with_the_evidence_that_is_there() -> None:
    world = World()
    world.policies.append(policy())
    await world.put("hub/app", OLD, "v1")
    await sign_by_tag(world, "hub/app", OLD)
    world.mirror("app", "hub/app", ["eu/app"], verify=("prod",))
    await world.sync()
    assert (await checked(world)).exit_code == 0
    await world.put("eu/app", cosign_signature(OLD), cosign_tag(OLD))
    report = await checked(world)
    assert told(report) == {"eu/app:v1": "evidence-missing"}
    assert report.exit_code == 3
    assert "refused" in report.rows[0].why


async def test_a_dead_target_holds_back_no_other(world: World) -> None:
    world.repository("eu/app").fail("tags", DownError("connection refused"))
    del world.repository("us/app")._tags[Tag("v1")]
    report = await checked(world)
    assert told(report) == {"eu/app:None": "unreachable", "us/app:v1": "missing"}
    assert (equal(report), report.exit_code) == (2, 75)


async def test_a_target_that_dies_in_the_middle_is_one_row_and_asked_no_further() -> None:
    world = World()
    for number in range(300):
        await world.put("hub/app", OLD, f"v{number}")
    world.mirror("app", "hub/app", ["eu/app", "us/app"])
    await world.sync()
    world.forget_calls()
    world.repository("eu/app").fail("resolve", DownError("connection refused"))
    report = await checked(world)
    assert told(report) == {"eu/app:None": "unreachable"}
    assert (equal(report), report.exit_code) == (300, 75)
    assert world.repository("eu/app").count("resolve") < 300
    assert "not compared" in report.rows[0].why


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(ForbiddenError("403"), 1, id="a place that may not be listed"),
        pytest.param(WaitError("429"), 75, id="a place with a quota that is used up"),
    ],
)
async def test_a_target_that_will_not_answer(world: World, error: RegsyncError, code: int) -> None:
    world.repository("us/app").fail("tags", error)
    report = await checked(world)
    assert told(report) == {"us/app:None": "unreachable"}
    assert report.exit_code == code


async def test_a_target_that_is_not_there_lacks_everything(world: World) -> None:
    world.mirror("more", "hub/app", ["ap/app"])
    report = await checked(world)
    assert told(report) == {f"ap/app:{tag}": "missing" for tag in ("v1", "v2", "latest")}
    assert world.repository("ap/app").count("resolve") == 0


async def test_a_target_that_lists_no_tags_is_asked_for_each(world: World) -> None:
    world.repository("us/app").fail("tags", NoListingError("405"))
    report = await checked(world)
    assert (report.rows, equal(report)) == ((), 6)


async def test_a_short_listing_makes_nothing_missing(world: World) -> None:
    us = world.repository("us/app")
    hidden = us._tags.copy()
    del us._tags[Tag("v1")]
    original = us.resolve

    async def resolve(name: Tag | Digest) -> object:
        us._tags.update(hidden)
        try:
            return await original(name)
        finally:
            del us._tags[Tag("v1")]

    us.resolve = resolve  # type: ignore[method-assign,assignment]
    report = await checked(world)
    assert (report.rows, equal(report)) == ((), 6)
    assert any("leaves out tags" in warning for warning in report.warnings)


async def test_without_its_source_places_are_compared_with_each_other(world: World) -> None:
    world.mirrors[0] = replace(world.mirrors[0], targets=(*world.mirrors[0].targets, *_more(world)))
    await world.sync()
    await world.put("eu/app", OTHER, "v2")
    del world.repository("us/app")._tags[Tag("v1")]
    world.repository("hub/app").fail("tags", DownError("connection refused"))
    report = await checked(world)
    assert told(report) == {
        "hub/app:None": "unreachable",
        "eu/app:v2": "unknown",
        "us/app:v1": "missing",
    }
    assert report.exit_code == 75


def _more(world: World) -> Iterable[LocationTemplate]:
    world.mirror("third", "hub/app", ["ap/app"])
    return world.mirrors.pop().targets


async def test_a_tag_that_the_source_lacks_and_the_spec_names(world: World) -> None:
    world.mirrors[0] = replace(world.mirrors[0], rules=(TagRule(names=(Tag("v1"), Tag("v9"))),))
    report = await checked(world)
    assert told(report)["hub/app:v9"] == "missing"
    assert report.exit_code == 1


async def test_a_tag_that_the_source_cannot_show_now(world: World) -> None:
    world.repository("hub/app").fail("resolve", DownError("503"), when=Tag("v2"))
    report = await checked(world)
    assert told(report) == {"hub/app:v2": "unreachable"}
    assert report.exit_code == 75


async def test_tags_that_nothing_selects(world: World) -> None:
    await world.put("eu/app", OTHER, "evil", cosign_tag(OTHER))
    world.mirrors[0] = replace(
        world.mirrors[0],
        rules=(TagRule(names=(Tag("v1"),)),),
        history=History("{tag}-{date}-{digest:12}"),
    )
    await world.put("us/app", OLD, "v1-20260101-" + OLD.digest.removeprefix("sha256:")[:12])
    report = await checked(world)
    assert {(f"{row.target}:{row.tag}", row.owner) for row in report.rows} == {
        ("eu/app:evil", Owner.OTHERS),
        *((f"{place}/app:{tag}", Owner.OURS) for place in ("eu", "us") for tag in ("v2", "latest")),
    }
    assert report.exit_code == 2
    del world.repository("eu/app")._tags[Tag("evil")]
    assert (await checked(world)).exit_code == 0


async def test_what_another_mirror_keeps_in_the_same_place_is_not_extra(world: World) -> None:
    await world.put("hub/other", OTHER, "x1")
    world.mirror("other", "hub/other", ["eu/app"])
    await world.sync()
    assert (await checked(world)).rows == ()
    app, other = world.mirrors
    world.mirrors[:] = [app]
    assert told(await checked(world)) == {"eu/app:x1": "extra"}
    assert told(await checked(world, unchecked=[other])) == {}


async def test_chained_mirrors_are_compared_with_what_feeds_them(world: World) -> None:
    world.mirror("onward", "eu/app", ["ap/app"])
    await world.sync()
    await world.put("hub/app", NEW, "v2")
    assert told(await checked(world)) == {
        "eu/app:v2": "moved-at-source",
        "us/app:v2": "moved-at-source",
    }


async def test_content_pinned_by_digest_is_looked_for_too(world: World) -> None:
    world.mirror("pins", "hub/app", ["ap/app"], digests=(Digest.parse(OLD.digest), Digest.parse(AMD.digest)))
    await world.put("ap/app", OLD)
    report = await checked(world)
    assert [(str(row.target), row.state, str(row.expected)) for row in report.rows] == [
        ("ap/app", State.MISSING, AMD.digest)
    ]


async def test_a_slow_target_holds_back_no_other(world: World) -> None:
    eu, us = world.repository("eu/app"), world.repository("us/app")
    done = anyio.Event()
    slow, fast = eu.resolve, us.resolve
    left = 3

    async def wait(name: Tag | Digest) -> object:
        await done.wait()
        return await slow(name)

    async def count(name: Tag | Digest) -> object:
        nonlocal left
        left -= 1
        if left == 0:
            done.set()  # the other target is through while this one has not answered once
        return await fast(name)

    eu.resolve, us.resolve = wait, count  # type: ignore[method-assign,assignment]
    with anyio.fail_after(10):
        assert (await checked(world)).rows == ()


class KnowingWorld(World):
    """A world whose registries say what their repositories hold in one answer."""

    def __init__(self, world: World) -> None:
        super().__init__(world.clock, world.ledger, world.places, mirrors=world.mirrors)
        self.asked: list[str] = []

    async def states(
        self, registry: str, wanted: Iterable[RepositoryName]
    ) -> dict[RepositoryName, TagsState]:
        self.asked.append(registry)
        found = {}
        for name, repository in self.places[registry]._repositories.items():
            assert isinstance(repository, MemoryRepository)
            lines = "".join(f"{tag} {repository._tags[tag]}\n" for tag in sorted(repository._tags))
            state = TagsState(Digest.of(lines.encode()), Digest.of(b""), len(repository._tags))
            found[RepositoryName(name)] = state
        return found


async def test_repositories_that_are_equal_by_hash_are_asked_nothing_else(world: World) -> None:
    knowing = KnowingWorld(world)
    report = await checked(knowing)
    assert (report.rows, equal(report)) == ((), 6)
    assert sorted(knowing.asked) == ["eu", "hub", "us"]
    assert list(calls(knowing)) == []


async def test_where_rules_choose_only_the_source_is_listed(world: World) -> None:
    world.mirrors[0] = replace(world.mirrors[0], rules=(TagRule(glob="v*"),))
    report = await checked(KnowingWorld(world))
    assert equal(report) == 4
    assert {row.owner for row in report.rows} == {Owner.OURS}
    assert world.repository("eu/app").count("tags") == world.repository("us/app").count("tags") == 0


async def test_only_the_place_that_differs_by_hash_is_looked_at(world: World) -> None:
    del world.repository("us/app")._tags[Tag("v1")]
    report = await checked(KnowingWorld(world))
    assert told(report) == {"us/app:v1": "missing"}
    assert world.repository("eu/app").count("tags") == 0


async def test_what_is_renamed_or_trimmed_is_not_compared_by_hash(world: World) -> None:
    world.mirrors[0] = replace(world.mirrors[0], platforms=(Platform.parse("linux/amd64"),))
    knowing = KnowingWorld(world)
    report = await checked(knowing)
    assert knowing.asked == []
    assert {row.drift for row in report.rows} == {Drift.OTHER_PLATFORMS}


async def test_who_does_not_say_what_it_holds_in_one_answer_holds_back_no_other(world: World) -> None:
    knowing = KnowingWorld(world)
    answer = knowing.states

    async def states(registry: str, wanted: Iterable[RepositoryName]) -> object:
        if registry == "eu":
            await anyio.sleep_forever()
        return await answer(registry, wanted)

    knowing.states = states  # type: ignore[method-assign,assignment]
    with anyio.fail_after(10):
        report = (await check(knowing.spec(), knowing.engine(grace=0.0))).report
    assert (report.rows, equal(report)) == ((), 6)
    assert (world.repository("eu/app").count("tags"), world.repository("us/app").count("tags")) == (1, 0)
