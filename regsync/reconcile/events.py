"""The story of a run while it goes on: for progress bars and logs, never for decisions."""

from collections.abc import Callable
from dataclasses import dataclass

from regsync.plan.model import Action, Result, Summary
from regsync.spec.model import Location


@dataclass(frozen=True, slots=True)
class RepositoryStarted:
    """Observation of one mirror's repository begins."""

    mirror: str
    source: Location


@dataclass(frozen=True, slots=True)
class RepositorySelected:
    """Its tags are known."""

    mirror: str
    source: Location
    tags: int


@dataclass(frozen=True, slots=True)
class RepositoryFinished:
    """All of its tags have an outcome."""

    mirror: str
    source: Location
    unchanged: int
    changed: int
    problems: int


@dataclass(frozen=True, slots=True)
class ActionStarted:
    """A tag is being copied; `size` is what there may be to copy, in bytes."""

    action: Action
    size: int


@dataclass(frozen=True, slots=True)
class ActionFinished:
    """A tag has its outcome."""

    result: Result


@dataclass(frozen=True, slots=True)
class Transferred:
    """Bytes reached a target."""

    target: str
    count: int  # bytes since the last such event


@dataclass(frozen=True, slots=True)
class Reused:
    """Bytes that a target had already, or mounted."""

    target: str
    count: int  # bytes


@dataclass(frozen=True, slots=True)
class RegistryWaited:
    """A registry is waited for or tried again: once per registry and kind of trouble, early."""

    registry: str  # its host
    message: str  # what it answered, if it did, and what is done about it
    seconds: float  # at most


@dataclass(frozen=True, slots=True)
class RunFinished:
    """A run of the daemon is over."""

    run: str
    mirrors: tuple[str, ...]
    outcome: str
    summary: Summary
    seconds: float
    copied: int  # bytes
    message: str | None  # why it ended early, or could not begin


Event = (
    RepositoryStarted
    | RepositorySelected
    | RepositoryFinished
    | ActionStarted
    | ActionFinished
    | Transferred
    | Reused
    | RegistryWaited
    | RunFinished
)
Emit = Callable[[Event], None]


def ignore(event: Event) -> None:
    """An `Emit` for those who do not watch."""
