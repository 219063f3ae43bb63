"""What regsync remembers between runs: a cache and a memory, never the truth about a registry.

Losing it costs requests and history, never correctness (DESIGN.md, section 6, rule 7). Rows are keyed
by the place (`Place.key` and repository), never by the name of a Registry or Mirror. Reads come in
bulk, once per repository; writes are gathered in memory and reach the disk in batches, at `flush` at
the latest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from regsync.errors import RegsyncError
from regsync.oci.digest import Digest
from regsync.oci.platform import Platform
from regsync.oci.reference import Tag
from regsync.plan.absence import Absence


class LedgerError(RegsyncError):
    """The ledger could not be read or written; a run that has begun goes on without it."""

    def __init__(self, path: object, cause: str, *, hint: str | None = None) -> None:
        super().__init__(f"ledger {path}: {cause}")
        self._hint = hint

    @property
    def hint(self) -> str | None:
        """What to do about the cause."""
        return self._hint


@dataclass(frozen=True, slots=True, order=True)
class Spot:
    """A repository at a place: the key of most rows."""

    place: str  # Place.key
    repository: str


@dataclass(frozen=True, slots=True)
class Sighting:
    """When a digest was first seen somewhere, and when its evidence was last compared."""

    first_seen: datetime
    compared: datetime | None


@dataclass(frozen=True, slots=True)
class OpenUpload:
    """An upload session at a registry that a later run may go on with."""

    location: str = field(repr=False)  # URL; registries sign it, so whoever has it may write
    offset: int  # bytes that the registry had confirmed
    opened: datetime


@dataclass(frozen=True, slots=True)
class PassedVerdict:
    """That a policy let content pass, and when it has to be asked again."""

    until: datetime
    signers: tuple[str, ...]  # who signed, as reports show them


@dataclass(frozen=True, slots=True, order=True)
class Deletion:
    """A tag that a run deleted; `done` is None while it may have, and nobody has looked since."""

    run: str
    spot: Spot
    tag: Tag
    digest: Digest  # what the tag pointed to
    begun: datetime
    done: datetime | None = None
    origin: Spot | None = None  # where regsync had brought it from; None: it is not known, or another made it


class Ledger(Protocol):
    """The memory of runs. One writer at a time, which the lease ensures."""

    @property
    def has_history(self) -> bool:
        """Whether an earlier run left anything: without it, what is ours is not known."""
        ...

    def sightings(self, spot: Spot) -> Mapping[Digest, Sighting]:
        """Every digest that was seen at `spot`."""
        ...

    def saw(self, spot: Spot, digest: Digest, when: datetime) -> None:
        """Remember `when` as the first sight of `digest`, unless there was an earlier one.

        Call it for whatever is seen, known or not: it costs no write while nothing is new, and what
        nobody has seen for long is dropped in the end.
        """
        ...

    def compared(self, spot: Spot, digest: Digest, when: datetime) -> None:
        """Remember that the evidence of `digest` at the target `spot` was compared with its source's.

        It counts as a sight too; of several times the one said last holds.
        """
        ...

    def wrote(self, spot: Spot, tag: Tag, digest: Digest, when: datetime, origin: Spot | None = None) -> None:
        """Remember that regsync pointed `tag` to `digest`: it is ours.

        `origin` is the first source of the mirror that it was done for; None: it is not known.
        """
        ...

    def ours(self, spot: Spot) -> Mapping[Tag, Digest]:
        """The tags at `spot` that regsync wrote, and did not delete."""
        ...

    def origins(self, spot: Spot) -> Mapping[Tag, Spot]:
        """The origin of each tag at `spot` that is ours, where it is known."""
        ...

    def spots_of_ours(self) -> Sequence[Spot]:
        """Every spot with a tag that is ours, sorted."""
        ...

    def absences(self, spot: Spot) -> Mapping[Tag, Absence]:
        """Tags at `spot` that nothing kept when it was last looked at, and for how long that has been."""
        ...

    def absent(self, spot: Spot, tag: Tag, absence: Absence | None) -> None:
        """Remember that nothing keeps a tag; None: something does again."""
        ...

    async def begin_deletions(self, deletions: Sequence[Deletion]) -> None:
        """Remember what is about to be deleted; on disk when this returns.

        The next thing may be kill -9. Raises LedgerError, after which nothing may be deleted.
        """
        ...

    def deleted(self, deletion: Deletion, when: datetime) -> None:
        """The tag is gone: it is ours no more, and its absence is over."""
        ...

    def not_deleted(self, deletion: Deletion) -> None:
        """The tag is there still, or again."""
        ...

    def open_deletions(self, spot: Spot) -> Sequence[Deletion]:
        """Deletions at `spot` of which it is not known whether they happened, sorted."""
        ...

    def deletions(self, run: str) -> Sequence[Deletion]:
        """What a run deleted, or may have, sorted; the last 400 days are remembered."""
        ...

    def known_graph(self, digest: Digest, platforms: tuple[Platform, ...]) -> tuple[Digest, ...] | None:
        """The manifests of an index reduced to `platforms` (none: whole), the root first; None if unknown.

        Of a single image: itself, or nothing where it is for none of them.

        Content decides them for good, so they need not be read again to be compared.
        """
        ...

    def remember_graph(
        self, digest: Digest, platforms: tuple[Platform, ...], manifests: tuple[Digest, ...]
    ) -> None:
        """Remember the manifests of an index, the root first; of a single image itself, if it fits."""
        ...

    def passed_verdict(self, key: Digest, now: datetime) -> PassedVerdict | None:
        """What is remembered under `key` and holds at `now`.

        The key stands for everything that the verdict rests on: place, content, policy and trust roots.
        Only passes are remembered: what was refused may be signed a minute later.
        """
        ...

    def remember_verdict(self, key: Digest, verdict: PassedVerdict) -> None:
        """Remember a pass."""
        ...

    def known_blobs(self, spot: Spot, since: datetime) -> Mapping[Digest, int]:
        """Blobs put or seen at `spot` after `since`, at most 12 h ago, with their sizes in bytes."""
        ...

    def knows_blob(self, spot: Spot, digest: Digest, size: int, when: datetime) -> None:
        """Remember that a blob of `size` bytes is at `spot`."""
        ...

    def forget_blobs(self, spot: Spot) -> None:
        """The registry said otherwise: drop what was known of its blobs."""
        ...

    def open_upload(self, spot: Spot, digest: Digest) -> OpenUpload | None:
        """The session in which a blob was being sent, if one was left open."""
        ...

    async def keep_upload(self, spot: Spot, digest: Digest, upload: OpenUpload) -> None:
        """Remember a session; on disk when this returns, since the next thing may be kill -9.

        Raises LedgerError, after which the upload goes on, only that no later run can resume it.
        """
        ...

    def drop_upload(self, spot: Spot, digest: Digest) -> None:
        """The session is finished or gone."""
        ...

    def record_run(self, run_id: str, command: str, started: datetime, ended: datetime, summary: str) -> None:
        """Remember a run; `summary` is the JSON of its counts."""
        ...

    @property
    def pending(self) -> int:
        """Facts gathered since the last flush was tried; the caller flushes when they are many."""
        ...

    async def flush(self) -> None:
        """Bring what was gathered to disk.

        Raises LedgerError, after which the run goes on: what was gathered stays readable in memory,
        and the next flush tries again. A read that failed before is told here too, once.
        """
        ...
