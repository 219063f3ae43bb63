"""Garbage of one repository: manifests that nothing leads to, then blobs that no manifest needs."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial

from sqlalchemy import Connection, Table

from regsync.store import garbage_changes as changes
from regsync.store import garbage_reading as reading
from regsync.store.garbage import Component, Held, Limits, Verdict, judge
from regsync.store.gc_pass import BATCH, Pass, batches, moment_text, unused, waiting
from regsync.store.gc_report import Fate, Kind
from regsync.store.leases import Moment
from regsync.store.schema import manifests, repository_blobs

_SPARED = "came into use while it was looked at"


async def collect_repository(one: Pass, key: int, name: str) -> Collection[str]:
    """Collect it; returns the blobs that are taken out of it, or would be."""
    gone = await _Manifests(one, key, name).collect()
    return await _Links(one, key, name).collect(gone if one.is_dry else ())


async def _note(one: Pass, table: Table, key: int, new: Sequence[str], over: Sequence[str]) -> None:
    """Mark what is newly seen unused, and take the marks of what is used again."""
    if one.is_dry:
        return
    for part in batches(new):
        await one.change(partial(changes.mark, table=table, key=key, digests=part))
    for part in batches(over):
        await one.change(partial(changes.unmark, table=table, key=key, digests=part))


class _Manifests:
    def __init__(self, one: Pass, key: int, name: str) -> None:
        self._pass, self._key, self._name = one, key, name
        self._moment = one.moment()

    async def collect(self) -> Collection[str]:
        """Returns those that are deleted, or would be."""
        one = self._pass
        held, verdict = await one.look(self._judge)
        new = [digest for digest in verdict.unused if held[digest].unused_since is None]
        over = [digest for digest in verdict.kept if held[digest].unused_since is not None]
        await _note(one, manifests, self._key, new, over)
        gone: set[str] = set()
        for part in _together(verdict.components):
            if one.is_dry:
                gone.update(digest for component in part for digest in component.members)
            else:
                delete = partial(changes.delete_manifests, key=self._key, repository=self._name)
                gone.update(await one.change(partial(delete, components=part, grace=one.rules.untagged)))
        self._tell(held, verdict, gone)
        return gone

    def _judge(self, connection: Connection) -> tuple[Mapping[str, Held], Verdict]:
        there = reading.manifests_of(connection, self._key)
        grace, now = self._pass.rules.untagged, self._moment.now
        before = self._moment.unused_before(connection, self._name, grace)
        return there.held, judge(there, Limits(now, before, now - grace))

    def _tell(self, held: Mapping[str, Held], verdict: Verdict, gone: Collection[str]) -> None:
        one, now = self._pass, self._moment.now
        for digest, reason in verdict.kept.items():
            one.stays(Kind.MANIFEST, self._name, digest, held[digest].size, reason)
        for digest, above in verdict.waiting.items():
            reason = above or self._why(held[digest])
            one.waits(Kind.MANIFEST, self._name, digest, held[digest].size, reason)
        for component in verdict.components:
            for digest in component.members:
                size, since = held[digest].size, held[digest].unused_since or now
                if digest in gone:
                    one.goes(Kind.MANIFEST, self._name, digest, size, unused(since))
                else:
                    one.stays(Kind.MANIFEST, self._name, digest, size, _SPARED)

    def _why(self, manifest: Held) -> str:
        now, grace = self._moment.now, self._pass.rules.untagged
        if manifest.pulled_at is not None and manifest.pulled_at > now - grace:
            pulled = manifest.pulled_at
            return f"pulled at {moment_text(pulled)}, kept until {moment_text(pulled + grace)}"
        return waiting(manifest.unused_since or now, now, grace)


class _Links:
    def __init__(self, one: Pass, key: int, name: str) -> None:
        self._pass, self._key, self._name = one, key, name
        self._moment: Moment = one.moment()
        self._before = 0

    async def collect(self, manifests_gone: Collection[str]) -> Collection[str]:
        """Returns the blobs that are taken out, or would be."""
        one = self._pass
        links = await one.look(partial(self._doubtful, gone=manifests_gone))
        free = [link for link in links if not link.is_used]
        new = [link.digest for link in free if link.unused_since is None]
        over = [link.digest for link in links if link.is_used]
        await _note(one, repository_blobs, self._key, new, over)
        old = [link.digest for link in free if self._since(link) <= self._before]
        gone = set(old) if one.is_dry else await self._unlink(old)
        for link in free:
            self._tell(link, old, gone)
        await self._tell_used({link.digest for link in free if one.is_dry or link.digest not in gone})
        return gone

    def _doubtful(self, connection: Connection, gone: Collection[str]) -> Sequence[reading.Link]:
        self._before = self._moment.unused_before(connection, self._name, self._pass.rules.grace)
        return reading.links_of(connection, self._key, gone)

    def _since(self, link: reading.Link) -> int:
        return link.unused_since if link.unused_since is not None else self._moment.now

    async def _unlink(self, old: Sequence[str]) -> set[str]:
        gone: set[str] = set()
        unlink = partial(changes.unlink_blobs, key=self._key, repository=self._name)
        for part in batches(old):
            gone.update(await self._pass.change(partial(unlink, digests=part, grace=self._pass.rules.grace)))
        return gone

    def _tell(self, link: reading.Link, old: Collection[str], gone: Collection[str]) -> None:
        one, since = self._pass, self._since(link)
        if link.digest in gone:
            one.goes(Kind.LINK, self._name, link.digest, link.size, unused(since))
        elif since <= self._before:
            one.stays(Kind.LINK, self._name, link.digest, link.size, _SPARED)
        else:
            reason = waiting(since, self._moment.now, one.rules.grace)
            one.waits(Kind.LINK, self._name, link.digest, link.size, reason)

    async def _tell_used(self, free: Collection[str]) -> None:
        """What is needed is listed only for whoever asked why; else it is counted. `free` is also there."""
        one = self._pass
        if one.explain is None:
            count = await one.look(partial(reading.link_count, key=self._key))
            one.report.add(Kind.LINK, Fate.KEPT, max(0, count - len(free)))
            return
        used = await one.look(partial(reading.uses, key=self._key))
        for digest, manifest in used.items():
            if digest not in free:
                one.stays(Kind.LINK, self._name, digest, 0, f"part of {manifest}")


def _together(components: Sequence[Component]) -> Iterator[Sequence[Component]]:
    """Components, as many as make one transaction; one that is larger in several."""
    part: list[Component] = []
    size = 0
    for component in (piece for one in components for piece in one.in_parts(BATCH)):
        if part and size + len(component.members) > BATCH:
            yield part
            part, size = [], 0
        part.append(component)
        size += len(component.members)
    if part:
        yield part
