"""Chained mirrors: planned, synced and applied in their order."""

from datetime import timedelta

import anyio
import anyio.lowlevel
import pytest

from regsync.errors import TemporaryError
from regsync.oci.digest import Digest
from regsync.oci.platform import Platform
from regsync.plan.model import Outcome
from regsync.reconcile.run import apply, sync
from tests.reconcile.world import World
from tests.support.images import image, index, referrer

pytestmark = pytest.mark.anyio


class DownError(TemporaryError):
    """503."""


@pytest.fixture
def world() -> World:
    world = World()
    # Named so that the order of names is not the order of the chain.
    world.mirror("b-staging", "dev/app", ["staging/app"])
    world.mirror("a-prod", "staging/app", ["prod/app"])
    world.mirror("c-dev", "hub/app", ["dev/app"])
    return world


async def test_a_plan_of_a_chain_is_applied_in_one_go(world: World) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    await world.put("hub/app", referrer(app))

    planned = await world.plan()
    report = await world.apply(planned)

    assert planned.summary.create == 3
    assert [one.outcome for one in report.results] == [Outcome.DONE] * 3
    assert await world.tag("prod/app", "v1") == app.digest
    assert len(await world.repository("prod/app").referrers(Digest.parse(app.digest))) == 1
    assert (await world.plan()).actions == ()


async def test_a_sync_of_a_chain_brings_everything_to_its_end(world: World) -> None:
    app = await world.put("hub/app", image("app"), "v1")

    report = await world.sync()

    assert report.summary.create == 3
    assert await world.tag("prod/app", "v1") == app.digest
    assert (await world.sync()).results == ()


async def test_a_moved_tag_is_planned_down_the_chain(world: World) -> None:
    await world.put("hub/app", image("old"), "v1")
    await world.sync()
    new = await world.put("hub/app", image("new"), "v1")

    planned = await world.plan()

    assert {str(one.target): str(one.digest) for one in planned.actions} == dict.fromkeys(
        ("dev/app", "staging/app", "prod/app"), new.digest
    )
    report = await world.apply(planned)
    assert report.summary.update == 3


async def test_late_evidence_goes_down_the_chain(world: World) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    await world.sync()
    world.clock.advance(timedelta(hours=1))
    await world.put("hub/app", referrer(app))

    report = await world.sync()

    assert report.summary.update == 3
    assert len(await world.repository("prod/app").referrers(Digest.parse(app.digest))) == 1


async def test_what_one_link_trims_the_next_plans(world: World) -> None:
    world.mirrors.clear()
    world.mirror("dev", "hub/app", ["dev/app"], platforms=(Platform.parse("linux/amd64"),))
    world.mirror("prod", "dev/app", ["prod/app"])
    await world.put("hub/app", index(image("a"), image("a", arch="arm64")), "v1")

    planned = await world.plan()
    report = await world.apply(planned)

    assert len({one.digest for one in planned.actions}) == 1
    assert report.summary.create == 2
    assert (await world.plan()).actions == ()


@pytest.mark.parametrize("command", ["sync", "apply"])
async def test_a_stalled_target_does_not_hold_back_what_does_not_read_from_it(
    monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr("regsync.content.transfers.PATIENCE", 0.0)  # with a stream that hardly moves
    world = World()
    world.mirror("dev", "hub/app", ["dev/app", "slow/app"])
    world.mirror("alone", "hub/app", ["slow/other"])
    world.mirror("prod", "dev/app", ["prod/app"])
    app = await world.put("hub/app", image("app"), "v1")
    planned, stop = await world.plan(), anyio.Event()

    async def stalled(*_: object) -> None:
        await anyio.sleep_forever()

    for name in ("app", "other"):
        world.repository(f"slow/{name}").push = stalled  # type: ignore[method-assign]
    runs = {
        "sync": lambda: sync(world.spec(), world.engine(), stop=stop),
        "apply": lambda: apply(planned, world.spec(), world.engine(), stop=stop),
    }
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(runs[command])
            while await world.tag("prod/app", "v1") != app.digest:
                await anyio.lowlevel.checkpoint()
            stop.set()


async def test_a_link_that_fails_leaves_the_next_with_what_there_is(world: World) -> None:
    await world.put("hub/app", image("old"), "v1")
    await world.sync()
    await world.put("hub/app", image("new"), "v1")
    world.repository("staging/app").fail("push", DownError("503"))

    report = await world.sync()

    assert {str(one.action.target): one.outcome for one in report.results} == {
        "dev/app": Outcome.DONE,
        "staging/app": Outcome.FAILED,
    }
    assert await world.tag("prod/app", "v1") == image("old").digest
