"""What a client was told is there stays until it can be done; what it pulls is remembered."""

import errno
import json
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from regsync.content.durable import StorageDeviceError
from regsync.content.tag_times import TagTimes
from regsync.errors import RegsyncError
from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName, Tag
from regsync.server.access import Action, AnonymousAccess
from regsync.server.garbage import CollectionFailedError, GarbageCollection
from regsync.server.policy import Policy
from regsync.store.gc_report import Kind, Rules, Run
from tests.server.asgi import Served, served
from tests.server.put import put
from tests.support.clock import START, FrozenClock
from tests.support.images import Content, image, sha256

pytestmark = pytest.mark.anyio
APP = RepositoryName("team/app")
ONE = image("one")


async def untagged(server: Served, clock: FrozenClock) -> None:
    """An image that has lost its tag, and whose time is over but for being deleted."""
    await put(server, "team/app", ONE, "v1")
    await server.store.repository(APP).untag(Tag("v1"))
    clock.advance(timedelta(days=1))
    await server.store.collect_garbage(Rules(), Run.FOR_REAL)
    clock.advance(timedelta(days=8))


async def statuses(server: Served, content: Content) -> list[int]:
    paths = [f"manifests/{content.digest}", *(f"blobs/{sha256(data)}" for data in content.blobs)]
    return [(await server.head(f"/v2/team/app/{path}")).status for path in paths]


async def test_who_may_push_is_told_of_nothing_that_then_goes(tmp_path: Path, clock: FrozenClock) -> None:
    async with served(tmp_path, clock) as server:
        await untagged(server, clock)
        assert await statuses(server, ONE) == [200] * 4
        await server.store.collect_garbage(Rules(0, 0, 0), Run.FOR_REAL)
        assert await statuses(server, ONE) == [200] * 4
        clock.advance(timedelta(days=1))  # the push never came
        await server.store.collect_garbage(Rules(0, 0, 0), Run.FOR_REAL)
        assert await statuses(server, ONE) == [404] * 4


async def test_who_may_only_pull_keeps_nothing_by_asking(tmp_path: Path, clock: FrozenClock) -> None:
    pull = Policy(AnonymousAccess({Action.PULL}))
    async with served(tmp_path, clock) as server:
        await untagged(server, clock)
        server.app.policy = pull
        assert await statuses(server, ONE) == [200] * 4
        await server.store.collect_garbage(Rules(0, 0, 0), Run.FOR_REAL)
        assert await statuses(server, ONE) == [404] * 4


async def test_the_last_pull_of_a_tag_and_of_a_manifest_is_remembered(
    tmp_path: Path, clock: FrozenClock
) -> None:
    digest = Digest.parse(ONE.digest)
    async with served(tmp_path, clock) as server:
        await put(server, "team/app", ONE, "v1", "v2")
        await server.head("/v2/team/app/manifests/v2")
        await server.get("/v2/team/app/manifests/v1")
        repository = server.store.repository(APP)
        assert (await repository.last_pulls()).manifests == {}  # not in the way of the request
        await server.store.pulls.write()
        pulls = await repository.last_pulls()
        assert pulls.tags == {Tag("v1"): START}
        assert pulls.manifests == {digest: START}
        clock.advance(60)
        await server.get(f"/v2/team/app/manifests/{digest}")
    async with served(tmp_path, clock) as server:  # what was not written yet was when it was closed
        pulls = await server.store.repository(APP).last_pulls()
        assert pulls.tags == {Tag("v1"): START}
        assert pulls.manifests == {digest: START + timedelta(seconds=60)}
        times = await server.store.repository(APP).times()
        assert times == dict.fromkeys((Tag("v1"), Tag("v2")), TagTimes(START, START + timedelta(seconds=60)))
        reply = await server.get("/v2/team/app/_regsync/state")
        assert json.loads(reply.body)["tags"]["v2"]["pulledAt"] == "2026-01-01T12:01:00Z"


async def test_pulls_are_not_in_the_journal_and_go_with_what_was_pulled(
    tmp_path: Path, clock: FrozenClock
) -> None:
    async with served(tmp_path, clock) as server:
        await put(server, "team/app", ONE, "v1")
        before = (tmp_path / "journal" / "000001.jsonl").read_bytes()
        await server.get("/v2/team/app/manifests/v1")
        await server.store.pulls.write()
        assert (tmp_path / "journal" / "000001.jsonl").read_bytes() == before
        repository = server.store.repository(APP)
        await server.get("/v2/team/app/manifests/v1")
        await repository.delete(await repository.resolve(Tag("v1")))
        await server.store.pulls.write()
        assert (await repository.last_pulls()).tags == {}


async def test_runs_are_counted_for_the_metrics_and_audited_when_they_delete(
    tmp_path: Path, clock: FrozenClock
) -> None:
    async with served(tmp_path, clock) as server:
        await untagged(server, clock)
        noted = list[Mapping[str, object]]()
        garbage = GarbageCollection(server.store, lambda error: None, noted.append)
        await garbage.collect()
        done = garbage.collected
        assert (done.runs, done.failures) == (1, 0)
        assert (done.deleted[Kind.MANIFEST], done.waiting[Kind.LINK], done.freed) == (1, 3, ONE.size)
        await garbage.collect()
        assert noted == [
            {"event": "gc", "outcome": "done", "deleted": {"manifest": 1}, "freed": ONE.size},
        ]


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (OSError(errno.EIO, "input/output error"), StorageDeviceError),
        (ZeroDivisionError("a defect"), CollectionFailedError),
    ],
)
async def test_a_run_that_fails_is_told_of_and_ends_nothing_else(
    tmp_path: Path,
    clock: FrozenClock,
    monkeypatch: pytest.MonkeyPatch,
    raised: Exception,
    told: type[RegsyncError],
) -> None:
    lstat = os.lstat

    def fails(path: os.PathLike[str] | str, **rest: Any) -> os.stat_result:
        if "/blobs/" in os.fspath(path):
            raise raised
        return lstat(path, **rest)

    async with served(tmp_path, clock) as server:
        await put(server, "team/app", ONE, "v1")
        failures = list[RegsyncError]()
        garbage = GarbageCollection(server.store, failures.append, lambda record: None)
        with monkeypatch.context() as broken:
            broken.setattr(os, "lstat", fails)
            await garbage.collect()
        assert [type(failure) for failure in failures] == [told]
        assert garbage.collected.failures == 1
        await garbage.collect()
        assert garbage.collected.runs == 1
