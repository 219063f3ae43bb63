"""What the steps of one garbage collection share: the store, the rules, the account."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from sqlalchemy import Connection

from regsync.clock import Clock
from regsync.store.catalogue import Catalogue, Transaction
from regsync.store.gc_report import Decision, Explain, Fate, GarbageReport, Kind, Rules, Run
from regsync.store.leases import Moment

BATCH = 500  # things changed in one transaction: some ten milliseconds, for which a push may have to wait
Result = TypeVar("Result")
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Pass:
    """One run over one store."""

    catalogue: Catalogue
    clock: Clock
    rules: Rules
    run: Run
    report: GarbageReport
    explain: Explain | None

    @property
    def is_dry(self) -> bool:
        """Whether nothing may be changed."""
        return self.run is Run.DRY

    def moment(self) -> Moment:
        """Now."""
        return Moment(int(self.clock.now().timestamp() * 1_000_000))

    async def look(self, query: Callable[[Connection], Result]) -> Result:
        """Read in a worker thread."""
        return await self.catalogue.scan(query)

    async def change(self, change: Callable[[Transaction], Result]) -> Result:
        """Change something, together with whoever else does."""
        return await self.catalogue.change(change)

    def tell(self, decision: Decision) -> None:
        """Count it, and show it where that is wanted."""
        self.report.add(decision.kind, decision.fate, size=decision.size)
        if self.explain is not None:
            self.explain(decision)

    def waits(self, kind: Kind, repository: str | None, name: str, size: int, reason: str) -> None:
        """It is not old enough, or somebody may need it."""
        self.tell(Decision(kind, repository, name, Fate.WAITING, reason, size))

    def goes(self, kind: Kind, repository: str | None, name: str, size: int, reason: str) -> None:
        """It is deleted, or would be."""
        self.tell(Decision(kind, repository, name, Fate.DELETED, reason, size))

    def stays(self, kind: Kind, repository: str | None, name: str, size: int, reason: str) -> None:
        """Something needs it."""
        self.tell(Decision(kind, repository, name, Fate.KEPT, reason, size))


def unused(since: int) -> str:
    """Since when nothing leads to something, in words."""
    return f"nothing leads to it, seen first at {moment_text(since)}"


def waiting(since: int, now: int, grace: int) -> str:
    """Why something that nothing leads to is kept for now."""
    if since > now - grace:
        return f"{unused(since)}, kept until {moment_text(since + grace)}"
    return f"{unused(since)}, and a push that began before may need it"


def moment_text(microseconds: int) -> str:
    """A time as RFC 3339, in seconds."""
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def batches(items: Sequence[Item], size: int = BATCH) -> Iterator[Sequence[Item]]:
    """`items` in parts of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
