"""What a mirror may delete, and how much of it at once (DESIGN.md, section 3, "What is deleted")."""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from regsync.spec.durations import written_duration


class Owns(Enum):
    """Which tags of a target repository are the mirror's to delete."""

    LEDGER = "ledger"  # those that regsync wrote there, as its ledger remembers
    REPOSITORY = "repository"  # all of them: the spec says that regsync alone writes there


@dataclass(frozen=True, slots=True)
class DeletionLimits:
    """How many tags of one repository may go in one run; more, and none of them goes."""

    max_deletes: int
    max_delete_percent: int  # 1 to 100, of the tags that could go, as they were before the run

    def allowed(self, total: int) -> int:
        """The most that may go of `total` tags: the percentage, rounded up, at least 1, or `max_deletes`."""
        return min(self.max_deletes, max(1, -(-total * self.max_delete_percent // 100)))

    def __str__(self) -> str:
        return f"maxDeletes {self.max_deletes}, maxDeletePercent {self.max_delete_percent}"


PRUNE_LIMITS = DeletionLimits(10, 10)
RETENTION_LIMITS = DeletionLimits(100, 20)


@dataclass(frozen=True, slots=True)
class PrunePolicy:
    """`Mirror.prune`; where a mirror has none, it deletes nothing."""

    limits: DeletionLimits = PRUNE_LIMITS
    grace: timedelta = timedelta(days=7)  # how long a tag has to be unwanted before it goes
    protect: tuple[str, ...] = ()  # globs over target tags
    owns: Owns = Owns.LEDGER

    def __str__(self) -> str:
        protect = f", protect {' '.join(self.protect)}" if self.protect else ""
        grace = f"grace {written_duration(self.grace)}"
        return f"{self.limits}, {grace}, owns {self.owns.value}{protect}"
