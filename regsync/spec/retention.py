"""What to keep in places that regsync writes to (DESIGN.md, section 3, `RetentionPolicy`)."""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from pathlib import Path

from regsync.spec.globs import matches
from regsync.spec.model import Location, Position, TagRule
from regsync.spec.pruning import RETENTION_LIMITS, DeletionLimits
from regsync.spec.schedules import Schedule


@dataclass(frozen=True, slots=True, order=True)
class RepositoryGlob:
    """Repositories of one registry: the policy's authority, whoever pushed there."""

    registry: str  # the name of a Registry; groups are expanded
    path: str  # a glob

    def covers(self, location: Location) -> bool:
        """Whether a location of that very registry is meant."""
        return self.registry == location.registry and matches(self.path, location.repository)

    def __str__(self) -> str:
        return f"{self.registry}/{self.path}"


@dataclass(frozen=True, slots=True)
class KeepRule:
    """A tag is kept that every part of the rule keeps. Without a selector it is a rule over all tags.

    A rule without a selector only protects: that it does not keep a tag makes the tag no candidate.
    """

    selector: TagRule | None = None
    pushed_within: timedelta | None = None
    pulled_within: timedelta | None = None  # at any place of the same mirror
    position: Position | None = field(default=None, compare=False)

    def __str__(self) -> str:
        parts = [str(self.selector)] if self.selector is not None else []
        if self.pushed_within is not None:
            parts.append(f"pushed within {self.pushed_within.total_seconds() / 86400:g} days")
        if self.pulled_within is not None:
            parts.append(f"pulled within {self.pulled_within.total_seconds() / 86400:g} days")
        return ", ".join(parts)


class Unmatched(Enum):
    """What becomes of tags that no rule's selector matches."""

    KEEP = "keep"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class InUseFile:
    """A list of references, one a line, `#` begins a comment; `path` is absolute."""

    path: Path

    def __str__(self) -> str:
        return f"file:{self.path}"


@dataclass(frozen=True, slots=True)
class InUseCluster:
    """The pods of all namespaces of a Kubernetes cluster, by a context of the kubeconfig."""

    context: str

    def __str__(self) -> str:
        return f"kubernetes:{self.context}"


InUse = InUseFile | InUseCluster


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """What of some repositories is kept; carried out by `prune` and `run` alone."""

    name: str
    repositories: tuple[RepositoryGlob, ...]
    keep: tuple[KeepRule, ...] = ()  # a tag that any of them keeps stays
    unmatched: Unmatched = Unmatched.KEEP
    protect: tuple[str, ...] = ()  # globs over tags
    in_use: tuple[InUse, ...] = ()
    untagged_keep_for: timedelta | None = None  # None: untagged manifests stay
    limits: DeletionLimits = RETENTION_LIMITS
    schedule: Schedule | None = None
    position: Position | None = field(default=None, compare=False)

    def covers(self, location: Location) -> bool:
        """Whether the policy speaks of a location, by the name of its Registry."""
        return any(one.covers(location) for one in self.repositories)
