"""What a run has learned and not yet written down.

It is laid over what the disk says at every read, so a run sees its own writes. Laying the same facts
over twice changes nothing, which is why reads may go on while a batch is on its way to the disk.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.plan.absence import Absence
from regsync.reconcile.ledger import Deletion, OpenUpload, PassedVerdict, Spot
from regsync.reconcile.ledger_rows import pack_digest, pack_digests, pack_time, plain


class Seen(NamedTuple):
    """Times in microseconds since 1970."""

    first: int
    last: int
    compared: int | None


class OwnTag(NamedTuple):
    """A tag that is ours. `written` in microseconds since 1970."""

    digest: bytes
    written: int
    origin: Spot | None


class Run(NamedTuple):
    """A run as `regsync history` shows it. Times in microseconds since 1970."""

    id: str
    command: str
    started: int
    ended: int
    summary: str  # JSON


@dataclass(slots=True)
class Gathered:
    """Facts by table; a digest is its raw bytes."""

    sightings: dict[Spot, dict[bytes, Seen]] = field(default_factory=dict)
    tags: dict[Spot, dict[Tag, OwnTag | None]] = field(default_factory=dict)  # None: ours no more
    absences: dict[Spot, dict[Tag, Absence | None]] = field(default_factory=dict)  # None: it is kept
    deletions: dict[tuple[str, Spot, Tag], Deletion | None] = field(default_factory=dict)  # None: drop it
    graphs: dict[tuple[bytes, str], tuple[bytes, int]] = field(default_factory=dict)
    verdicts: dict[bytes, PassedVerdict] = field(default_factory=dict)
    forgotten: set[Spot] = field(default_factory=set)  # whose blobs go before `blobs` come
    blobs: dict[Spot, dict[bytes, tuple[int, int]]] = field(default_factory=dict)  # size and time
    uploads: dict[tuple[Spot, bytes], OpenUpload | None] = field(default_factory=dict)  # None: drop it
    runs: dict[str, Run] = field(default_factory=dict)
    count: int = 0  # facts since the last flush was tried

    def saw(self, spot: Spot, digest: Digest, when: datetime) -> None:
        """A sight of `digest`."""
        moment = pack_time(when)
        self._see(spot, pack_digest(digest), Seen(moment, moment, None))
        self.count += 1

    def compared(self, spot: Spot, digest: Digest, when: datetime) -> None:
        """A sight of `digest`, and a comparison of its evidence."""
        moment = pack_time(when)
        self._see(spot, pack_digest(digest), Seen(moment, moment, moment))
        self.count += 1

    def _see(self, spot: Spot, raw: bytes, seen: Seen) -> None:
        rows = self.sightings.setdefault(spot, {})
        known = rows.get(raw)
        if known is not None:
            seen = Seen(
                min(known.first, seen.first),
                max(known.last, seen.last),
                known.compared if seen.compared is None else seen.compared,
            )
        rows[raw] = seen

    def wrote(self, spot: Spot, tag: Tag, digest: Digest, when: datetime, origin: Spot | None) -> None:
        """The tag is ours."""
        self.tags.setdefault(spot, {})[tag] = OwnTag(pack_digest(digest), pack_time(when), origin)
        self.count += 1

    def absent(self, spot: Spot, tag: Tag, absence: Absence | None) -> None:
        """Nothing keeps the tag, or something does again."""
        self.absences.setdefault(spot, {})[tag] = absence
        self.count += 1

    def deletion(self, deletion: Deletion) -> None:
        """A deletion is begun, or done: then the tag is ours no more."""
        self.deletions[(deletion.run, deletion.spot, deletion.tag)] = deletion
        if deletion.done is not None:
            self.tags.setdefault(deletion.spot, {})[deletion.tag] = None
            self.absences.setdefault(deletion.spot, {})[deletion.tag] = None
        self.count += 1

    def no_deletion(self, deletion: Deletion) -> None:
        """A deletion did not happen."""
        self.deletions[(deletion.run, deletion.spot, deletion.tag)] = None
        self.count += 1

    def graph(self, digest: Digest, platforms: str, manifests: tuple[Digest, ...], when: datetime) -> None:
        """The manifests of an index."""
        self.graphs[(pack_digest(digest), platforms)] = (pack_digests(manifests), pack_time(when))
        self.count += 1

    def verdict(self, key: Digest, verdict: PassedVerdict) -> None:
        """A policy let something pass."""
        self.verdicts[pack_digest(key)] = verdict
        self.count += 1

    def knows_blob(self, spot: Spot, digest: Digest, size: int, when: datetime) -> None:
        """A blob is there."""
        self.blobs.setdefault(spot, {})[pack_digest(digest)] = (size, pack_time(when))
        self.count += 1

    def forget_blobs(self, spot: Spot) -> None:
        """No blob is known to be there."""
        self.blobs.pop(spot, None)
        self.forgotten.add(spot)
        self.count += 1

    def upload(self, spot: Spot, digest: Digest, upload: OpenUpload | None) -> None:
        """A session is open, or no longer."""
        self.uploads[(spot, pack_digest(digest))] = upload
        self.count += 1

    def record_run(self, run: Run) -> None:
        """A run ended."""
        self.runs[run.id] = run._replace(command=plain(run.command), summary=plain(run.summary))
        self.count += 1

    def absorb(self, later: "Gathered") -> None:
        """Take what was gathered after this, as if it had been gathered here."""
        for spot, seen in later.sightings.items():
            for raw, value in seen.items():
                self._see(spot, raw, value)
        for spot, tags in later.tags.items():
            self.tags.setdefault(spot, {}).update(tags)
        for spot, absences in later.absences.items():
            self.absences.setdefault(spot, {}).update(absences)
        self.deletions.update(later.deletions)
        for spot in later.forgotten:
            self.blobs.pop(spot, None)
        self.forgotten |= later.forgotten
        for spot, blobs in later.blobs.items():
            self.blobs.setdefault(spot, {}).update(blobs)
        self.graphs.update(later.graphs)
        self.verdicts.update(later.verdicts)
        self.uploads.update(later.uploads)
        self.runs.update(later.runs)

    def spots(self) -> Iterator[Spot]:
        """Every spot that a fact is about, some more than once."""
        yield from self.sightings
        yield from self.tags
        for tags in self.tags.values():
            yield from {one.origin for one in tags.values() if one is not None and one.origin is not None}
        yield from self.absences
        for _, spot, _ in self.deletions:
            yield spot
        yield from {
            one.origin for one in self.deletions.values() if one is not None and one.origin is not None
        }
        yield from self.forgotten
        yield from self.blobs
        for spot, _ in self.uploads:
            yield spot

    def __bool__(self) -> bool:
        return bool(
            self.sightings
            or self.tags
            or self.absences
            or self.deletions
            or self.graphs
            or self.verdicts
            or self.forgotten
            or self.blobs
            or self.uploads
            or self.runs
        )
