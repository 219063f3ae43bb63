"""Targets that do not answer hold back none that do, not even before anything is copied."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from regsync.errors import TemporaryError
from regsync.oci.descriptor import Descriptor
from regsync.oci.reference import Tag
from regsync.plan.model import Outcome, Report
from regsync.reconcile.run import sync
from tests.reconcile.world import CountingRepository, World
from tests.support.images import image

pytestmark = pytest.mark.anyio


@pytest.fixture
def world() -> World:
    return World()


class SilentError(TemporaryError):
    """A registry that never answered."""


def hold_listing(
    repository: CountingRepository, until: anyio.Event, error: TemporaryError | None = None
) -> None:
    """Let `repository` answer nothing about its tags before `until`."""
    answer = repository.tags

    @asynccontextmanager
    async def tags() -> AsyncIterator[AsyncIterator[tuple[Tag, Descriptor | None]]]:
        await until.wait()
        if error is not None:
            raise error
        async with answer() as found:
            yield found

    repository.tags = tags  # type: ignore[method-assign]


async def tagged(world: World, path: str) -> None:
    """Wait until the target has the tag."""
    with anyio.fail_after(5):
        while await world.tag(path, "v1") is None:
            await anyio.lowlevel.checkpoint()


async def test_the_others_are_done_before_a_silent_target_answers(world: World) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    world.mirror("app", "hub/app", ["slow/app", "eu/app", "us/app"])
    answered = anyio.Event()
    hold_listing(world.repository("slow/app"), answered)
    reports: list[Report] = []

    async def run() -> None:
        reports.append(await sync(world.spec(), world.engine(grace=0.0)))

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        await tagged(world, "eu/app")
        await tagged(world, "us/app")
        assert await world.tag("slow/app", "v1") is None
        answered.set()

    assert reports[0].summary.create == 3
    assert await world.tag("slow/app", "v1") == app.digest
    fetched = [digest for call, digest in world.repository("hub/app").calls if call == "fetch"]
    assert len(fetched) == len(set(fetched)), "a late target reads from those that have the blob"


async def test_a_target_that_fails_late_fails_alone(world: World) -> None:
    await world.put("hub/app", image("app"), "v1")
    world.mirror("app", "hub/app", ["slow/app", "eu/app"])
    failed = anyio.Event()
    hold_listing(world.repository("slow/app"), failed, SilentError("slow never answered"))
    reports: list[Report] = []

    async def run() -> None:
        reports.append(await sync(world.spec(), world.engine(grace=0.0)))

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        await tagged(world, "eu/app")
        failed.set()

    outcomes = {str(one.action.target): one.outcome for one in reports[0].results}
    assert outcomes == {"eu/app": Outcome.DONE, "slow/app": Outcome.FAILED}


async def test_targets_that_answer_at_once_are_worked_on_together(world: World) -> None:
    await world.put("hub/app", image("app"), "v1")
    world.mirror("app", "hub/app", ["eu/app", "us/app", "asia/app"])

    report = await sync(world.spec(), world.engine(grace=60.0))

    assert report.summary.create == 3
    assert world.repository("hub/app").count("manifest") == 1
