"""What registries were seen to hold, as data: the input of planning."""

from dataclasses import dataclass

from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.plan.judgement import Judgement
from regsync.plan.model import Explanation, Problem
from regsync.plan.pruning import Scope
from regsync.spec.model import Location, Unit


@dataclass(frozen=True, slots=True)
class TargetSeen:
    """One target of one tag."""

    location: Location
    digest: Digest | None = None  # None: the tag, or the pinned content, is not there
    kept: bool = False  # immutable and there: left alone without a look at either side
    evidence_lacking: int = 0  # pieces that the source has beside the same digest
    unseen: bool = False  # it could not be looked at; `problem` says why
    problem: Problem | None = None  # what kept it from being seen, or would keep it from being written
    verdicts: tuple[Judgement, ...] = ()  # of the source's content, by the policies that apply here


@dataclass(frozen=True, slots=True)
class TagSeen:
    """One selected tag of a source, or content pinned by digest, and its targets."""

    source: Location  # the place that supplies it
    source_tag: Tag | None
    tag: Tag | None  # its name on the targets
    source_digest: Digest | None
    digest: Digest | None  # on the targets, after trimming
    targets: tuple[TargetSeen, ...]
    size: int | None = None  # distinct bytes; known when something is to be copied
    moves: bool = True  # whether this source may move a tag that a target has
    problem: Problem | None = None  # what kept it from being read
    locked: bool = False  # the lock file says the digest, whatever the source has now
    held: bool = False  # and says so until it is released


@dataclass(frozen=True, slots=True)
class UnitSeen:
    """One mirror and source repository."""

    unit: Unit
    tags: tuple[TagSeen, ...]
    problems: tuple[Problem, ...] = ()  # of the repository as a whole, for every target
    explanations: tuple[Explanation, ...] = ()


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that one run saw."""

    units: tuple[UnitSeen, ...]
    warnings: tuple[str, ...] = ()
    scopes: tuple[Scope, ...] = ()  # what may be deleted, and why the rest stays
    knows_deletions: bool = False  # whether there was any history to know them by
    explanations: tuple[Explanation, ...] = ()  # of tags that may be deleted
