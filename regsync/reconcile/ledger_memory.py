"""A ledger that lives as long as its process: for commands without a spec, and for tests."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from threading import Lock
from typing import NamedTuple

from regsync.oci.digest import Digest
from regsync.oci.platform import Platform
from regsync.oci.reference import Tag
from regsync.plan.absence import Absence
from regsync.reconcile.lease import LeaseRow
from regsync.reconcile.ledger import Deletion, OpenUpload, PassedVerdict, Sighting, Spot


class RecordedRun(NamedTuple):
    """A run as it was recorded."""

    command: str
    started: datetime
    ended: datetime
    summary: str  # JSON


class MemoryLedger:
    """A `Ledger` and a `LeaseTable` without a disk: plain dictionaries, nothing ever fails."""

    name = "in memory"

    def __init__(self) -> None:
        self.runs: dict[str, RecordedRun] = {}
        self._sightings: dict[Spot, dict[Digest, Sighting]] = defaultdict(dict)
        self._tags: dict[Spot, dict[Tag, tuple[Digest, Spot | None]]] = defaultdict(dict)
        self._absences: dict[Spot, dict[Tag, Absence]] = defaultdict(dict)
        self._deletions: dict[tuple[str, Spot, Tag], Deletion] = {}
        self._graphs: dict[tuple[Digest, frozenset[Platform]], tuple[Digest, ...]] = {}
        self._verdicts: dict[Digest, PassedVerdict] = {}
        self._blobs: dict[Spot, dict[Digest, tuple[int, datetime]]] = defaultdict(dict)
        self._uploads: dict[tuple[Spot, Digest], OpenUpload] = {}
        self._lease: LeaseRow | None = None
        self._swapping = Lock()

    def sightings(self, spot: Spot) -> Mapping[Digest, Sighting]:
        """Every digest that was seen at `spot`."""
        return dict(self._sightings[spot])

    def saw(self, spot: Spot, digest: Digest, when: datetime) -> None:
        """Remember the first sight of `digest`."""
        known = self._sightings[spot].get(digest)
        if known is None:
            self._sightings[spot][digest] = Sighting(when, None)
        elif when < known.first_seen:
            self._sightings[spot][digest] = Sighting(when, known.compared)

    def compared(self, spot: Spot, digest: Digest, when: datetime) -> None:
        """Remember that the evidence of `digest` was compared."""
        self.saw(spot, digest, when)
        self._sightings[spot][digest] = Sighting(self._sightings[spot][digest].first_seen, when)

    @property
    def has_history(self) -> bool:
        """Whether an earlier run left anything."""
        return bool(self.runs) or any(self._tags.values())

    def wrote(self, spot: Spot, tag: Tag, digest: Digest, when: datetime, origin: Spot | None = None) -> None:
        """Remember that `tag` is ours."""
        self._tags[spot][tag] = (digest, origin)

    def ours(self, spot: Spot) -> Mapping[Tag, Digest]:
        """The tags at `spot` that regsync wrote."""
        return {tag: digest for tag, (digest, _) in self._tags[spot].items()}

    def origins(self, spot: Spot) -> Mapping[Tag, Spot]:
        """The origin of each tag at `spot` that is ours, where it is known."""
        return {tag: origin for tag, (_, origin) in self._tags[spot].items() if origin is not None}

    def spots_of_ours(self) -> Sequence[Spot]:
        """Every spot with a tag that is ours."""
        return tuple(sorted(spot for spot, tags in self._tags.items() if tags))

    def absences(self, spot: Spot) -> Mapping[Tag, Absence]:
        """Tags at `spot` that nothing kept when it was last looked at."""
        return dict(self._absences[spot])

    def absent(self, spot: Spot, tag: Tag, absence: Absence | None) -> None:
        """Remember that nothing keeps a tag; None: something does again."""
        if absence is not None:
            self._absences[spot][tag] = absence
        else:
            self._absences[spot].pop(tag, None)

    async def begin_deletions(self, deletions: Sequence[Deletion]) -> None:
        """Remember what is about to be deleted."""
        self._deletions.update(((one.run, one.spot, one.tag), one) for one in deletions)

    def deleted(self, deletion: Deletion, when: datetime) -> None:
        """The tag is gone: it is ours no more, and its absence is over."""
        self._deletions[(deletion.run, deletion.spot, deletion.tag)] = replace(deletion, done=when)
        self._tags[deletion.spot].pop(deletion.tag, None)
        self._absences[deletion.spot].pop(deletion.tag, None)

    def not_deleted(self, deletion: Deletion) -> None:
        """The tag is there still, or again."""
        self._deletions.pop((deletion.run, deletion.spot, deletion.tag), None)

    def open_deletions(self, spot: Spot) -> Sequence[Deletion]:
        """Deletions at `spot` of which it is not known whether they happened."""
        found = (one for one in self._deletions.values() if one.spot == spot and one.done is None)
        return sorted(found, key=lambda one: (one.run, one.tag))

    def deletions(self, run: str) -> Sequence[Deletion]:
        """What a run deleted, or may have."""
        return sorted((one for one in self._deletions.values() if one.run == run), key=_by_place)

    def known_graph(self, digest: Digest, platforms: tuple[Platform, ...]) -> tuple[Digest, ...] | None:
        """The digest of an index reduced to `platforms`, if it was ever made."""
        return self._graphs.get((digest, frozenset(platforms)))

    def remember_graph(
        self, digest: Digest, platforms: tuple[Platform, ...], manifests: tuple[Digest, ...]
    ) -> None:
        """Remember what an index reduced to `platforms` is."""
        self._graphs[(digest, frozenset(platforms))] = manifests

    def passed_verdict(self, key: Digest, now: datetime) -> PassedVerdict | None:
        """What is remembered under `key` and holds at `now`."""
        found = self._verdicts.get(key)
        return found if found is not None and found.until > now else None

    def remember_verdict(self, key: Digest, verdict: PassedVerdict) -> None:
        """Remember a pass."""
        self._verdicts[key] = verdict

    def known_blobs(self, spot: Spot, since: datetime) -> Mapping[Digest, int]:
        """Blobs that were put or seen at `spot` after `since`, with their sizes in bytes."""
        return {digest: size for digest, (size, seen) in self._blobs[spot].items() if seen > since}

    def knows_blob(self, spot: Spot, digest: Digest, size: int, when: datetime) -> None:
        """Remember that a blob of `size` bytes is at `spot`."""
        self._blobs[spot][digest] = (size, when)

    def forget_blobs(self, spot: Spot) -> None:
        """Drop what was known of the blobs at `spot`."""
        self._blobs[spot].clear()

    def open_upload(self, spot: Spot, digest: Digest) -> OpenUpload | None:
        """The session in which a blob was being sent, if one was left open."""
        return self._uploads.get((spot, digest))

    async def keep_upload(self, spot: Spot, digest: Digest, upload: OpenUpload) -> None:
        """Remember a session."""
        self._uploads[(spot, digest)] = upload

    def drop_upload(self, spot: Spot, digest: Digest) -> None:
        """The session is finished or gone."""
        self._uploads.pop((spot, digest), None)

    def record_run(self, run_id: str, command: str, started: datetime, ended: datetime, summary: str) -> None:
        """Remember a run; `summary` is the JSON of its counts."""
        self.runs[run_id] = RecordedRun(command, started, ended, summary)

    @property
    def pending(self) -> int:
        """Nothing ever waits for a disk."""
        return 0

    async def flush(self) -> None:
        """There is no disk."""

    def read_lease(self) -> LeaseRow | None:
        """The lease as it stands."""
        return self._lease

    def swap_lease(self, old: LeaseRow | None, new: LeaseRow) -> bool:
        """Replace `old` by `new`, unless it changed."""
        with self._swapping:
            if self._lease != old:
                return False
            self._lease = new
            return True


def _by_place(deletion: Deletion) -> tuple[Spot, Tag]:
    return deletion.spot, deletion.tag
