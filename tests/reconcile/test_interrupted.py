"""Runs that are stopped or lose their lease: what is done is told, and nothing is half done."""

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from regsync.content.memory import MemoryRepository
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName, Tag
from regsync.plan.model import Outcome, exit_code, problems_of
from regsync.reconcile.lease import LeaseLostError
from regsync.reconcile.ledger import Spot
from regsync.reconcile.ledger_memory import MemoryLedger
from regsync.reconcile.run import apply, sync
from tests.reconcile.world import World
from tests.support.images import Content, image, index, referrer

pytestmark = pytest.mark.anyio

OURS = Spot("https://ours.test", RepositoryName("app"))


@pytest.fixture
def world() -> World:
    return World()


def complete(target: MemoryRepository, content: Content) -> bool:
    """Whether all of an image is there."""
    manifests = all(Digest.parse(node.digest) in target._manifests for node in content.walk())
    return manifests and all(Digest.parse(one) in target._blobs for one in content.all_blobs())


async def test_a_run_that_is_stopped_tells_what_it_did_and_remembers_it(world: World) -> None:
    for tag in ("v1", "v2"):
        await world.put("hub/app", image(tag), tag)
    world.mirror("app", "hub/app", ["ours/app"])
    target, stop = world.repository("ours/app"), anyio.Event()
    slow = Digest.of(image("v2").blobs[1])
    plain = target.push

    async def push(desc: Descriptor, chunks: object) -> None:
        if desc.digest == slow:
            while Tag("v1") not in target._tags:
                await checkpoint()
            stop.set()
            await anyio.sleep_forever()
        await plain(desc, chunks)

    target.push = push  # type: ignore[method-assign]
    report = await sync(world.spec(), world.engine(), stop=stop)

    assert report.run.interrupted
    assert {one.action.tag: one.outcome for one in report.results} == {"v1": Outcome.DONE}
    assert set(target._tags) == {"v1"}
    assert dict(world.ledger.ours(OURS)) == {"v1": Digest.parse(image("v1").digest)}
    assert isinstance(world.ledger, MemoryLedger)
    assert len(world.ledger.runs) == 1


async def test_the_run_after_it_goes_on_without_repeating_what_was_done(world: World) -> None:
    await world.put("hub/app", image("app", layers=4), "v1")
    world.mirror("app", "hub/app", ["ours/app"])
    target, stop = world.repository("ours/app"), anyio.Event()
    last = Digest.of(image("app", layers=4).blobs[4])
    plain = MemoryRepository.push

    async def push(desc: Descriptor, chunks: object) -> None:
        if desc.digest == last and not stop.is_set():
            while len(target._blobs) < 4:
                await checkpoint()
            stop.set()
            await anyio.sleep_forever()
        target.calls.append(("push", str(desc.digest)))
        await plain(target, desc, chunks)  # type: ignore[arg-type]

    target.push = push  # type: ignore[method-assign]
    await world.put("ours/app", image("another"), "other")
    await sync(world.spec(), world.engine(), stop=stop)
    world.forget_calls()

    report = await world.sync()

    assert report.summary.create == 1
    assert target.count("push") == 1


async def test_a_run_that_ends_by_itself_was_not_interrupted(world: World) -> None:
    await world.put("hub/app", image("app"), "v1")
    world.mirror("app", "hub/app", ["ours/app"])

    assert not (await sync(world.spec(), world.engine(), stop=anyio.Event())).run.interrupted


async def test_a_plan_that_is_stopped_tells_what_it_did(world: World) -> None:
    await world.put("hub/app", image("app"), "v1")
    world.mirror("app", "hub/app", ["ours/app"])
    planned, stop = await world.plan(), anyio.Event()

    async def push(desc: Descriptor, chunks: object) -> None:
        stop.set()
        await anyio.sleep_forever()

    world.repository("ours/app").push = push  # type: ignore[method-assign]
    report = await apply(planned, world.spec(), world.engine(), stop=stop)

    assert report.run.interrupted
    assert report.results == ()


@settings(max_examples=80, deadline=None)
@given(turns=st.integers(0, 400))
def test_stopped_at_any_moment_no_tag_is_half_visible_and_the_next_run_ends_it(turns: int) -> None:
    async def scenario() -> None:
        world = World()
        contents = {
            "v1": index(image("a"), image("a", arch="arm64")),
            "v2": image("b"),
            "v3": index(image("a"), image("c", arch="arm64")),
        }
        for tag, content in contents.items():
            await world.put("hub/app", content, tag)
            await world.put("hub/app", referrer(content, data=tag.encode()))
        world.mirror("app", "hub/app", ["eu/app", "us/app"])
        stop = anyio.Event()

        async def stop_later() -> None:
            for _ in range(turns):
                await checkpoint()
            stop.set()

        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                group.start_soon(stop_later)
                report = await sync(world.spec(), world.engine(), stop=stop)
        for name in ("eu", "us"):
            target = world.repository(f"{name}/app")
            for tag in target._tags:
                assert complete(target, contents[tag])
                assert await target.referrers(Digest.parse(contents[tag].digest)), "evidence before the tag"
        done = {(str(one.action.target), one.action.tag) for one in report.results}
        there = {
            (f"{name}/app", tag) for name in ("eu", "us") for tag in world.repository(f"{name}/app")._tags
        }
        assert done == there
        again = await world.sync()
        assert again.summary.failed == 0
        assert len(world.repository("eu/app")._tags) == len(world.repository("us/app")._tags) == 3
        assert (await world.sync()).results == ()

    anyio.run(scenario)


async def test_a_run_that_lost_its_lease_writes_nothing_more(world: World) -> None:
    for number in range(6):
        await world.put("hub/app", image(f"{number}"), f"v{number}")
    world.mirror("app", "hub/app", ["ours/app"])
    target = world.repository("ours/app")
    written: list[int] = []

    def check() -> None:
        if target._tags:
            written.append(len(target.calls))
            raise LeaseLostError("another run took it", where="ledger.db")

    world.check_lease = check
    engine = world.engine(concurrency=1)
    report = await sync(world.spec(), engine)

    done = [one for one in report.results if one.outcome is Outcome.DONE]
    assert len(done) == 1
    assert len(target._tags) == 1
    assert exit_code(problems_of(report.results)) == 75
    after = [call for call, _ in target.calls[written[0] :]]
    assert not {"push", "push_manifest", "mount"} & set(after)


async def test_a_run_that_lost_its_lease_ends_there_and_says_why(world: World) -> None:
    for number in range(50):
        await world.put("hub/app", image(f"{number}"), f"v{number}")
    world.mirror("app", "hub/app", ["ours/app"])

    def lost() -> None:
        raise LeaseLostError("another run took it", where="ledger.db")

    world.check_lease = lost
    report = await sync(world.spec(), world.engine(concurrency=1))

    assert report.run.interrupted
    (problem,) = problems_of(report.results)
    assert "another run took it" in problem.message
    assert exit_code(problems_of(report.results)) == 75
    assert world.repository("hub/app").count("manifest") < 5, "no further tag is looked at"


async def test_a_run_whose_every_step_waits_ends_when_its_lease_is_taken(world: World) -> None:
    for tag in ("v1", "v2"):
        await world.put("hub/app", image(tag), tag)
    world.mirror("app", "hub/app", ["ours/app"])
    pushing = anyio.Event()

    async def push(desc: Descriptor, chunks: object) -> None:
        pushing.set()
        await anyio.sleep_forever()

    async def lost() -> LeaseLostError:
        await pushing.wait()
        return LeaseLostError("another run took it", where="ledger.db")

    world.repository("ours/app").push = push  # type: ignore[method-assign]
    with anyio.fail_after(5):
        report = await sync(world.spec(), world.engine(lease_lost=lost))

    assert report.run.interrupted
    assert exit_code(report.problems) == 75
    assert any("another run took it" in one for one in report.warnings)


async def test_a_tag_that_another_step_is_putting_is_given_up_with_the_lease(world: World) -> None:
    for tag in ("v1", "v2"):
        await world.put("hub/app", image(tag), tag)
    world.mirror("app", "hub/app", ["ours/app"])
    putting = anyio.Event()

    async def push_manifest(desc: Descriptor, raw: bytes, *, tag: Tag | None = None) -> None:
        putting.set()
        await anyio.sleep_forever()

    def check() -> None:
        if putting.is_set():
            raise LeaseLostError("another run took it", where="ledger.db")

    world.check_lease = check
    world.repository("ours/app").push_manifest = push_manifest  # type: ignore[method-assign]
    with anyio.fail_after(5):
        report = await sync(world.spec(), world.engine())

    assert exit_code(problems_of(report.results)) == 75
    assert sorted("given up" in one.message for one in problems_of(report.results)) == [False, True]
