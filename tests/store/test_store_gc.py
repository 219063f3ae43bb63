"""Garbage collection of a store: what goes, what stays, when, and for whose sake."""

import hashlib
import os
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from regsync.content.errors import ContentNotFoundError
from regsync.content.references import MissingReferencesError
from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName, Tag
from regsync.store import garbage_changes as changes
from regsync.store import gc_bytes, gc_repository
from regsync.store.blobs import DirectoryBlobs
from regsync.store.builtin import BuiltinStore
from regsync.store.catalogue import Transaction
from regsync.store.gc_report import Decision, Fate, GarbageReport, Kind, Rules, Run
from regsync.store.repository import BuiltinRepository
from regsync.store.schema import manifest_pulls
from tests.contract.places import blob, described, put, read, stream
from tests.support.clock import FrozenClock
from tests.support.images import Content, image, index, noise, referrer

pytestmark = pytest.mark.anyio

APP, OTHER = RepositoryName("team/app"), RepositoryName("team/other")
V1 = Tag("v1")
AT_ONCE = Rules(grace=0, untagged=0, uploads=0)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
A_DAY_LATER = timedelta(days=1, seconds=1)


class Yard:
    """A store, its clock, and what it is asked in these tests."""

    def __init__(self, store: BuiltinStore, clock: FrozenClock) -> None:
        self.store, self.clock = store, clock
        self.app, self.other = store.repository(APP), store.repository(OTHER)

    async def collect(self, rules: Rules = AT_ONCE, *, run: Run = Run.FOR_REAL) -> GarbageReport:
        return await self.store.collect_garbage(rules, run)

    async def collect_with_time(self, rules: Rules | None = None) -> GarbageReport:
        """Mark, let everything become old, and delete."""
        await self.collect(rules or Rules())
        self.clock.advance(timedelta(days=8))
        await self.collect(rules or Rules())
        self.clock.advance(A_DAY_LATER)
        return await self.collect(rules or Rules())

    async def explained(self, rules: Rules = AT_ONCE, run: Run = Run.DRY) -> dict[tuple[Kind, str], Decision]:
        found: list[Decision] = []
        await self.store.collect_garbage(rules, run, found.append)
        return {(one.kind, one.name): one for one in found}


@asynccontextmanager
async def yard(path: Path, clock: FrozenClock | None = None) -> AsyncIterator[Yard]:
    clock = clock or FrozenClock()
    async with BuiltinStore.open(path, clock=clock) as store:
        yield Yard(store, clock)


def bytes_on_disk(path: Path) -> int:
    return sum(one.stat().st_size for one in (path / "blobs").rglob("*") if one.is_file())


async def is_there(repository: BuiltinRepository, content: Content) -> bool:
    try:
        await repository.manifest(Digest.parse(content.digest))
    except ContentNotFoundError:
        return False
    for data in content.blobs:
        assert await read(repository, blob(data)) == data
    return True


async def abandoned(one: Yard, content: Content) -> None:
    """Content that was pushed long ago and has lost its tag since."""
    await put(one.app, content, "v1")
    await one.app.untag(V1)
    one.clock.advance(DAY)


async def test_what_lost_its_tag_goes_with_its_bytes_and_what_has_one_stays(tmp_path: Path) -> None:
    async with yard(tmp_path) as one:
        await abandoned(one, image("old", layer_size=5000))
        kept = image("kept")
        await put(one.app, kept, "v2")
        one.clock.advance(HOUR)
        report = await one.collect()
        assert not await is_there(one.app, image("old", layer_size=5000))
        assert await is_there(one.app, kept)
        assert bytes_on_disk(tmp_path) == sum(len(data) for data in kept.blobs)
        assert report.counts[Kind.MANIFEST].deleted == 1
        assert report.counts[Kind.LINK].deleted == report.counts[Kind.BLOB].deleted == 3
        assert report.freed == image("old", layer_size=5000).total_size()
        assert (report.counts[Kind.MANIFEST].kept, report.counts[Kind.BLOB].kept) == (1, 3)
        assert (await one.collect()).freed == 0


async def test_an_index_and_a_subject_keep_what_they_lead_to(tmp_path: Path) -> None:
    child, other = image("a", arch="amd64"), image("a", arch="arm64")
    multi, signature = index(child, other), referrer(child)
    async with yard(tmp_path) as one:
        await put(one.app, multi, "v1")
        await put(one.app, signature)
        one.clock.advance(HOUR)
        await one.collect()
        for content in (multi, child, other, signature):
            assert await is_there(one.app, content)
        await one.app.untag(V1)
        await one.collect()
        for content in (multi, child, other, signature):
            assert not await is_there(one.app, content)
        assert bytes_on_disk(tmp_path) == 0


async def test_a_blob_that_another_repository_has_stays_there(tmp_path: Path) -> None:
    shared = image("shared")
    async with yard(tmp_path) as one:
        await put(one.other, shared, "v1")
        await abandoned(one, shared)
        report = await one.collect()
        assert report.counts[Kind.LINK].deleted == 3
        assert report.counts[Kind.BLOB].deleted == 0
        assert not await is_there(one.app, shared)
        assert await is_there(one.other, shared)


async def test_nothing_goes_before_its_time_by_default(tmp_path: Path) -> None:
    content = image("old")
    async with yard(tmp_path) as one:
        await abandoned(one, content)
        report = await one.collect(Rules())
        assert report.counts[Kind.MANIFEST].waiting == 1
        one.clock.advance(timedelta(days=6, hours=23))
        await one.collect(Rules())
        assert await is_there(one.app, content)
        one.clock.advance(HOUR)
        report = await one.collect(Rules())  # the manifest is seven days old; its blobs are seen unused now
        assert (report.counts[Kind.MANIFEST].deleted, report.counts[Kind.LINK].waiting) == (1, 3)
        one.clock.advance(HOUR)
        report = await one.collect(Rules())
        assert (report.counts[Kind.LINK].deleted, report.counts[Kind.BLOB].deleted) == (3, 3)


async def test_a_manifest_that_is_pulled_by_its_digest_waits_as_long_again(tmp_path: Path) -> None:
    content = image("pinned")
    async with yard(tmp_path) as one:
        await abandoned(one, content)
        await one.collect(Rules())
        one.clock.advance(timedelta(days=6))
        one.store.pulls.note(APP, Digest.parse(content.digest), Digest.parse(content.digest))
        await one.store.pulls.write()
        one.clock.advance(timedelta(days=6))
        await one.collect(Rules())
        assert await is_there(one.app, content)
        one.clock.advance(timedelta(days=1))
        await one.collect(Rules())
        assert not await is_there(one.app, content)


async def test_a_pull_is_seen_in_the_transaction_that_deletes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, delete = image("pinned"), changes.delete_manifests
    digest = Digest.parse(content.digest)
    async with yard(tmp_path) as one:
        await abandoned(one, content)
        await one.collect(Rules())
        one.clock.advance(timedelta(days=8))

        def pulled(transaction: Transaction, *rest: Any, **more: Any) -> Collection[str]:
            row = {"repository_id": 1, "digest": str(digest), "pulled_at": transaction.now}
            transaction.insert_missing(manifest_pulls, [row])
            return delete(transaction, *rest, **more)

        monkeypatch.setattr(changes, "delete_manifests", pulled)
        assert (await one.collect(Rules())).counts[Kind.MANIFEST].deleted == 0
        assert await is_there(one.app, content)


async def test_a_component_larger_than_a_transaction_goes_with_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gc_repository, "BATCH", 4)
    child = image("a", arch="amd64")
    signatures = [referrer(child, data=b"%d" % number) for number in range(9)]
    async with yard(tmp_path) as one:
        for number, content in enumerate((index(child, image("a", arch="arm64")), *signatures)):
            await put(one.app, content, f"t{number}")
        await one.collect()
        one.clock.advance(DAY)
        for number in range(10):
            await one.app.untag(Tag(f"t{number}"))
        assert (await one.collect()).counts[Kind.MANIFEST].deleted == 12


async def test_a_manifest_that_gets_a_tag_or_is_pushed_again_counts_anew(tmp_path: Path) -> None:
    tagged, pushed = image("tagged"), image("pushed")
    async with yard(tmp_path) as one:
        for content in (tagged, pushed):
            await abandoned(one, content)
        await one.collect(Rules())
        one.clock.advance(timedelta(days=6))
        await one.app.tag(described(tagged), V1)
        await one.app.push_manifest(described(pushed), pushed.data)
        await one.app.untag(V1)
        one.clock.advance(timedelta(days=6))
        await one.collect(Rules())
        assert await is_there(one.app, tagged)
        assert await is_there(one.app, pushed)


async def test_a_push_under_way_keeps_what_it_put_however_short_the_grace(tmp_path: Path) -> None:
    content = image("slow")
    async with yard(tmp_path) as one:
        for data in content.blobs:
            await one.app.push(blob(data), stream(data))
            report = await one.collect()
            assert report.counts[Kind.LINK].deleted == 0
            one.clock.advance(timedelta(minutes=14))
        await one.app.push_manifest(described(content), content.data, tag=V1)
        assert await is_there(one.app, content)


async def test_a_push_that_finds_a_blob_there_keeps_it_too(tmp_path: Path) -> None:
    content = image("again")
    async with yard(tmp_path) as one:
        await abandoned(one, content)
        await one.collect(Rules(untagged=0))  # the manifest goes, its blobs are marked
        for data in content.blobs:
            await one.app.push(blob(data), stream(data))
        one.clock.advance(timedelta(minutes=10))
        await one.collect()
        await one.app.push_manifest(described(content), content.data, tag=V1)
        assert await is_there(one.app, content)


async def test_whoever_is_told_that_content_is_there_can_rely_on_it(tmp_path: Path) -> None:
    content = image("asked for")
    multi = index(content)
    async with yard(tmp_path) as one:
        await abandoned(one, content)
        await one.collect(Rules())  # all of it is marked
        one.clock.advance(timedelta(days=8))
        await one.app.claim(Digest.parse(content.digest))
        await one.collect(Rules())
        await one.app.push_manifest(described(multi), multi.data, tag=V1)
        assert await is_there(one.app, content)


async def test_a_mount_of_what_is_about_to_go_holds(tmp_path: Path) -> None:
    data = b"to be mounted"
    async with yard(tmp_path) as one:
        await one.app.push(blob(data), stream(data))
        one.clock.advance(HOUR)
        await one.collect(Rules())
        one.clock.advance(timedelta(hours=2))
        assert await one.other.mount(blob(data), one.app)
        report = await one.collect(Rules())
        assert report.counts[Kind.LINK].deleted == 1  # where it came from
        assert await read(one.other, blob(data)) == data


async def test_a_push_outlives_a_clock_that_is_set_back(tmp_path: Path) -> None:
    async with yard(tmp_path) as one:
        right = one.clock.now()
        one.clock.set(right + DAY)
        await one.app.push(blob(b"first"), stream(b"first"))
        one.clock.set(right)
        await one.app.push(blob(b"layer"), stream(b"layer"))
        await one.collect()
        assert await read(one.app, blob(b"layer")) == b"layer"


async def test_a_lease_that_ended_while_the_machine_slept_begins_anew(tmp_path: Path) -> None:
    async with yard(tmp_path) as one:
        await one.app.push(blob(b"layer"), stream(b"layer"))
        await one.collect()
        one.clock.set(one.clock.now() + 2 * HOUR)  # meanwhile the other clock stood still
        assert await one.app.claim(blob(b"layer").digest)
        await one.collect()
        assert await read(one.app, blob(b"layer")) == b"layer"


async def test_an_upload_under_way_keeps_the_blobs_of_its_repository(tmp_path: Path) -> None:
    layer, rest = noise("layer", 1000), noise("rest", 1000)
    async with yard(tmp_path) as one:
        await one.app.push(blob(layer), stream(layer))
        session = await one.store.sessions.start(APP)
        for number in range(8):  # two hours, a little every quarter of an hour
            one.clock.advance(timedelta(minutes=14))
            part = rest[number * 125 : (number + 1) * 125]
            await one.store.sessions.append(APP, session, stream(part), at=None)
            await one.collect(Rules(grace=0))
        await one.app.finish_upload(session, blob(rest).digest)
        assert await read(one.app, blob(layer)) == layer
        assert await read(one.app, blob(rest)) == rest


async def test_a_busy_repository_is_cleaned_of_what_was_unused_before_its_pushes_began(
    tmp_path: Path,
) -> None:
    async with yard(tmp_path) as one:
        await abandoned(one, image("old"))
        await one.collect(Rules())
        one.clock.advance(timedelta(days=8))
        await one.app.push(blob(b"new"), stream(b"new"))
        report = await one.collect(Rules())
        assert report.counts[Kind.MANIFEST].deleted == 1


async def test_a_repository_that_never_rests_is_cleaned_after_a_day(tmp_path: Path) -> None:
    content = image("old")
    async with yard(tmp_path) as one:
        await put(one.app, content, "v1")
        await one.app.untag(V1)
        for number in range(24 * 5):
            data = b"%d" % number
            await one.app.push(blob(data), stream(data))
            await one.collect()
            one.clock.advance(timedelta(minutes=12, seconds=30))
        assert not await is_there(one.app, content)


async def test_a_dead_process_keeps_nothing_for_longer_than_its_lease(tmp_path: Path) -> None:
    clock = FrozenClock()
    async with yard(tmp_path, clock) as dead:  # its lease is not released while it is open
        await dead.app.push(blob(b"x"), stream(b"x"))
        async with yard(tmp_path, clock) as one:
            assert (await one.collect()).counts[Kind.LINK].deleted == 0
            clock.advance(timedelta(minutes=15, seconds=1))
            assert (await one.collect()).counts[Kind.LINK].deleted == 1


async def test_a_store_that_is_closed_leaves_no_lease(tmp_path: Path) -> None:
    clock = FrozenClock()
    async with yard(tmp_path, clock) as one:
        await one.app.push(blob(b"x"), stream(b"x"))
    async with yard(tmp_path, clock) as one:
        assert (await one.collect()).counts[Kind.BLOB].deleted == 1


async def test_bytes_without_a_record_are_left_for_a_while_and_then_go(tmp_path: Path) -> None:
    data = b"a process died before it linked this"
    path = tmp_path / "blobs" / "sha256" / blob(data).digest.encoded[:2] / blob(data).digest.encoded
    async with yard(tmp_path) as one:
        path.write_bytes(data)
        await one.app.push(blob(b"somebody pushes"), stream(b"somebody pushes"))
        assert (await one.collect()).counts[Kind.BLOB].waiting == 1
        one.clock.advance(timedelta(minutes=16))
        await one.app.push(blob(b"something else"), stream(b"something else"))
        assert (await one.collect()).counts[Kind.BLOB].deleted == 1
        assert not path.exists()


async def test_bytes_without_a_record_that_are_pushed_again_count_anew(tmp_path: Path) -> None:
    data = b"half a push"
    path = tmp_path / "blobs" / "sha256" / blob(data).digest.encoded[:2] / blob(data).digest.encoded
    async with yard(tmp_path) as one:
        path.write_bytes(data[:3])
        await one.app.push(blob(b"somebody pushes"), stream(b"somebody pushes"))
        await one.collect()
        await one.app.push(blob(data), stream(data))
        one.clock.advance(timedelta(minutes=16))
        await one.app.push(blob(b"something else"), stream(b"something else"))
        await one.collect(Rules())
        assert await read(one.app, blob(data)) == data


async def test_bytes_that_another_run_removed_meanwhile_count_anew_when_they_are_pushed(
    tmp_path: Path,
) -> None:
    data, other = b"popular", b"somebody pushes"
    path = tmp_path / "blobs" / "sha256" / blob(data).digest.encoded[:2] / blob(data).digest.encoded
    async with yard(tmp_path) as one:
        await one.app.push(blob(other), stream(other))
        remove = partial(changes.remove_bytes, digests=[str(blob(data).digest)], stored=one.store.blobs)
        assert await one.store._catalogue.change(remove) == []  # what the other run has removed
        one.clock.advance(timedelta(minutes=16))
        path.write_bytes(data)  # a push is just storing it
        await one.app.push(blob(b"and more"), stream(b"and more"))
        assert (await one.collect()).counts[Kind.BLOB].waiting == 1
        assert path.exists()


async def test_bytes_that_were_linked_again_count_anew_when_they_are_not(tmp_path: Path) -> None:
    data, other = b"in and out", b"somebody pushes"
    path = tmp_path / "blobs" / "sha256" / blob(data).digest.encoded[:2] / blob(data).digest.encoded
    async with yard(tmp_path) as one:
        await one.other.push(blob(other), stream(other))
        path.write_bytes(data)
        await one.collect()
        await one.store.blobs.write(blob(data), stream(data), where="a push that looked before")
        await one.app._link(blob(data))
        await one.collect(Rules())
        one.clock.advance(timedelta(minutes=16))
        await one.app.delete(blob(data))
        await one.other.push(blob(other), stream(other))
        assert (await one.collect()).counts[Kind.BLOB].deleted == 0
        assert path.exists()


async def test_large_blobs_are_removed_a_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed, remove = list[int](), DirectoryBlobs.remove_now

    def counted(self: DirectoryBlobs, digests: Sequence[Digest]) -> None:
        removed.append(len(digests))
        remove(self, digests)

    monkeypatch.setattr(gc_bytes, "HEAVY", 2000)
    monkeypatch.setattr(DirectoryBlobs, "remove_now", counted)
    async with yard(tmp_path) as one:
        for number, size in enumerate((900, 900, 900, 900, 5000)):
            data = noise(f"{number}", size)
            await one.app.push(blob(data), stream(data))
        one.clock.advance(DAY)
        assert (await one.collect()).counts[Kind.BLOB].deleted == 5
    assert sum(removed) == 5
    assert max(removed) == 2


async def test_no_upload_goes_a_moment_after_its_last_byte(tmp_path: Path) -> None:
    async with yard(tmp_path) as one:
        session = await one.store.sessions.start(APP)
        await one.store.sessions.append(APP, session, stream(b"told"), at=0)
        await one.collect()
        one.clock.advance(60 * 14)
        assert (await one.collect()).counts[Kind.UPLOAD].deleted == 0
        one.clock.advance(60)
        assert (await one.collect()).counts[Kind.UPLOAD].deleted == 1


async def test_an_upload_goes_after_a_day_without_a_byte(tmp_path: Path) -> None:
    async with yard(tmp_path) as one:
        idle, slow = [await one.store.sessions.start(APP) for _ in range(2)]
        for session in (idle, slow):
            await one.store.sessions.append(APP, session, stream(b"begun"), at=None)
        await one.collect(Rules())
        one.clock.advance(timedelta(hours=23))
        await one.store.sessions.append(APP, slow, stream(b"a byte"), at=None)
        await one.collect(Rules())
        one.clock.advance(timedelta(hours=2))
        report = await one.collect(Rules())
        assert (report.counts[Kind.UPLOAD].deleted, report.counts[Kind.UPLOAD].freed) == (1, 5)
        assert [name for name in os.listdir(next((tmp_path / "uploads").iterdir()))] == [slow]


async def test_parts_of_dead_processes_go(tmp_path: Path) -> None:
    async with yard(tmp_path) as one:
        (tmp_path / "parts").mkdir(exist_ok=True)
        (tmp_path / "parts" / "part-1-1").write_bytes(b"left")
        assert (await one.collect(run=Run.DRY)).counts[Kind.PART].deleted == 1
        assert (await one.collect()).counts[Kind.PART].deleted == 1
        assert os.listdir(tmp_path / "parts") == []


async def test_a_manifest_cannot_be_pushed_over_blobs_that_are_gone(tmp_path: Path) -> None:
    content = image("late")
    async with yard(tmp_path) as one:
        for data in content.blobs:
            await one.app.push(blob(data), stream(data))
        one.clock.advance(HOUR)
        await one.collect()
        with pytest.raises(MissingReferencesError):
            await one.app.push_manifest(described(content), content.data, tag=V1)


async def test_each_digest_is_explained(tmp_path: Path) -> None:
    async with yard(tmp_path) as one:
        await abandoned(one, image("old"))
        child = image("kept")
        multi = index(child)
        await put(one.app, multi, "v2")
        one.clock.advance(HOUR)
        why = await one.explained()
        assert why[Kind.MANIFEST, multi.digest].reason == "tag v2"
        assert why[Kind.MANIFEST, child.digest].reason == f"part of index {multi.digest}"
        assert why[Kind.LINK, str(blob(child.blobs[0]).digest)].reason == f"part of {child.digest}"
        for key in (
            (Kind.MANIFEST, image("old").digest),
            (Kind.BLOB, str(blob(image("old").blobs[0]).digest)),
        ):
            assert why[key].fate is Fate.DELETED
        await one.app.push(blob(b"under way"), stream(b"under way"))
        young = (await one.explained(Rules()))[Kind.LINK, str(blob(b"under way").digest)]
        assert young.fate is Fate.WAITING
        assert (
            young.reason
            == "nothing leads to it, seen first at 2026-01-02T13:00:00Z, kept until 2026-01-02T14:00:00Z"
        )
        held = (await one.explained())[Kind.LINK, str(blob(b"under way").digest)]
        assert held.fate is Fate.WAITING
        assert held.reason.endswith("a push that began before may need it")


def fingerprint(path: Path) -> dict[str, str]:
    return {
        str(one.relative_to(path)): hashlib.sha256(one.read_bytes()).hexdigest()
        if one.is_file()
        else "directory"
        for one in path.rglob("*")
    }


async def littered(path: Path, clock: FrozenClock) -> None:
    """A store with one of each kind of garbage, some of it marked."""
    async with yard(path, clock) as one:
        await abandoned(one, image("marked"))
        await one.collect(Rules())
        await put(one.app, index(image("fresh")), "v1")
        await one.app.untag(V1)
        await put(one.other, image("shared"), "v1")
        await put(one.app, image("shared"), "v2")
        await one.app.push(blob(b"loose"), stream(b"loose"))
        session = await one.store.sessions.start(APP)
        await one.store.sessions.append(APP, session, stream(b"begun"), at=None)
        orphan = blob(b"orphan").digest.encoded
        (path / "blobs" / "sha256" / orphan[:2] / orphan).write_bytes(b"orphan")
        (path / "parts" / "part-1-1").write_bytes(b"left")
    clock.advance(timedelta(days=30))


@pytest.mark.parametrize("rules", [Rules(), AT_ONCE])
async def test_a_dry_run_changes_nothing_and_says_what_a_run_then_does(tmp_path: Path, rules: Rules) -> None:
    clock = FrozenClock()
    await littered(tmp_path, clock)
    before = fingerprint(tmp_path)
    async with BuiltinStore.look(tmp_path, clock=clock) as store:
        dry: list[Decision] = []
        would = await store.collect_garbage(rules, Run.DRY, dry.append)
    assert fingerprint(tmp_path) == before
    async with BuiltinStore.look(tmp_path, clock=clock) as store:
        again: list[Decision] = []
        await store.collect_garbage(rules, Run.DRY, again.append)
    assert again == dry
    (tmp_path / "parts" / "part-1-1").write_bytes(b"left")
    async with BuiltinStore.open(tmp_path, clock=clock) as store:
        (tmp_path / "parts" / "part-1-1").write_bytes(b"left")
        done: list[Decision] = []
        report = await store.collect_garbage(rules, Run.FOR_REAL, done.append)
    assert sorted(map(repr, done)) == sorted(map(repr, dry))
    assert report.counts == would.counts
