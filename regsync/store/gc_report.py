"""What garbage collection found and did, for people, metrics and JSON."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum


class Kind(Enum):
    """What a decision is about."""

    MANIFEST = "manifest"
    LINK = "link"  # a blob of one repository
    BLOB = "blob"  # the bytes, which repositories share
    UPLOAD = "upload"
    PART = "part"  # a file that a dead process was writing


class Run(Enum):
    """Whether anything is changed."""

    FOR_REAL = "for real"
    DRY = "dry"


class Fate(Enum):
    """What becomes of it. In a dry run: would become."""

    KEPT = "kept"
    WAITING = "waiting"  # nothing leads to it, but not for long enough
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing, what becomes of it and why. `repository` is None for what is of no repository alone."""

    kind: Kind
    repository: str | None
    name: str  # a digest, or an upload's name
    fate: Fate
    reason: str
    size: int = 0  # bytes


@dataclass(slots=True)
class Count:
    """How many of a kind; `freed` are bytes of those that were deleted."""

    kept: int = 0
    waiting: int = 0
    deleted: int = 0
    freed: int = 0


@dataclass(frozen=True, slots=True)
class Rules:
    """How long what nothing leads to is kept. Microseconds."""

    grace: int = 3_600_000_000  # blobs: an hour
    untagged: int = 7 * 24 * 3_600_000_000  # manifests, after the last pull too
    uploads: int = 24 * 3_600_000_000  # without a byte more


Explain = Callable[[Decision], None]


@dataclass(slots=True)
class GarbageReport:
    """One run. Bytes are freed by blobs, uploads and manifests; links and parts count for none."""

    is_dry_run: bool
    rules: Rules
    repositories: int = 0
    seconds: float = 0.0
    counts: dict[Kind, Count] = field(default_factory=lambda: {kind: Count() for kind in Kind})

    @property
    def freed(self) -> int:
        """Bytes."""
        return sum(count.freed for count in self.counts.values())

    def add(self, kind: Kind, fate: Fate, number: int = 1, size: int = 0) -> None:
        """Count what became of `number` things, which have `size` bytes together."""
        count = self.counts[kind]
        if fate is Fate.KEPT:
            count.kept += number
        elif fate is Fate.WAITING:
            count.waiting += number
        else:
            count.deleted += number
            count.freed += 0 if kind is Kind.LINK else size
