"""Which tags of a target repository a mirror deletes: one function decides, with a reason for every tag.

What is not known for certain keeps a tag: a selection that cannot be trusted deletes nothing at all, and
neither does one that would delete more than the limits of `prune`. Source: DESIGN.md, "What is deleted".
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from regsync.errors import RefusedError
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.plan.absence import Absence
from regsync.plan.model import Action, Explanation, Problem, Verb
from regsync.spec.globs import matches_any
from regsync.spec.matching import is_digest_tag
from regsync.spec.model import Location
from regsync.spec.pruning import PrunePolicy

RUNS_IN_GRACE = 2  # on end that have to find a tag unwanted, whatever the clock says, where there is a grace


class PruneLimitError(RefusedError):
    """More tags would go at once than a mirror's `prune` allows: none of them goes."""

    def __init__(self, mirror: str, target: Location, count: int, policy: PrunePolicy, total: int) -> None:
        limits = policy.limits
        super().__init__(
            f"mirror {mirror}: {count} of {total} tags at {target} would be deleted, at most "
            f"{limits.allowed(total)} may be (maxDeletes {limits.max_deletes}, "
            f"maxDeletePercent {limits.max_delete_percent}): none of them is"
        )

    @property
    def hint(self) -> str:
        """What to do next."""
        return (
            "see `regsync prune --dry-run --explain`; if they are all meant, raise prune.maxDeletes and "
            "prune.maxDeletePercent for that change"
        )


class Fate(Enum):
    """What becomes of a tag."""

    KEPT = "kept"
    WAITING = "waiting"  # nothing keeps it but its grace
    DUE = "due"  # nothing keeps it


@dataclass(frozen=True, slots=True)
class TagFate:
    """What becomes of one tag, and why."""

    tag: Tag
    fate: Fate
    why: str


def _not_selected(tag: Tag) -> str:
    return "the selection yields no tag of that name"


@dataclass(frozen=True, slots=True)
class PruneSeen:
    """What one mirror may delete at one target repository, and all that could keep it."""

    mirror: str
    source: Location
    target: Location
    policy: PrunePolicy
    ours: Collection[Tag]  # that were there before the run
    wanted: Collection[Tag] = frozenset()  # what the selections of this run yield there, renamed
    immutable: tuple[str, ...] = ()  # globs
    kept: Mapping[Tag, str] = field(default_factory=dict)  # what else keeps a tag
    absences: Mapping[Tag, Absence] = field(default_factory=dict)  # as earlier runs left them
    doubts: tuple[str, ...] = ()  # why the selections cannot be trusted; with one nothing is deleted
    unselected: Callable[[Tag], str] = field(default=_not_selected, compare=False)  # why a tag is not wanted


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of every tag that is ours there."""

    fates: tuple[TagFate, ...]  # by tag; evidence, which follows its subject, is not among them
    absences: Mapping[Tag, Absence | None]  # to be remembered; None: something keeps the tag again
    total: int  # tags that the limits are a percentage of

    @property
    def due(self) -> tuple[TagFate, ...]:
        """The tags that nothing keeps."""
        return tuple(one for one in self.fates if one.fate is Fate.DUE)


def decide(seen: PruneSeen, *, now: datetime) -> Decision:
    """Say of each tag what becomes of it. The same input gives the same decision."""
    fates: list[TagFate] = []
    absences: dict[Tag, Absence | None] = {}
    for tag in sorted(tag for tag in seen.ours if not is_digest_tag(tag)):
        why = _keeps(seen, tag)
        if why is not None:
            fates.append(TagFate(tag, Fate.KEPT, why))
            if tag in seen.absences and not seen.doubts:
                absences[tag] = None
            continue
        absence = Absence.seen(now, seen.absences.get(tag))
        absences[tag] = absence
        fates.append(_unkept(seen, tag, absence, now))
    return Decision(tuple(fates), absences, len(fates))


def refusal(seen: PruneSeen, decision: Decision, count: int) -> PruneLimitError | None:
    """Why `count` tags may not be deleted at once, if they may not."""
    if count == 0 or count <= seen.policy.limits.allowed(decision.total):
        return None
    return PruneLimitError(seen.mirror, seen.target, count, seen.policy, decision.total)


@dataclass(frozen=True, slots=True)
class Scope:
    """What one mirror deletes at one target repository, decided."""

    seen: PruneSeen
    decision: Decision
    digests: Mapping[Tag, Digest]  # of the tags that are due; those that are not in it are gone already
    planned: frozenset[Tag] | None = None  # all that may go, by a plan; None: whatever is due
    problem: Problem | None = None  # why none of it goes
    reads: tuple[Location, ...] = ()  # the sources of what the mirror brings there
    # What tags pointed to before an earlier run had begun to delete them, where that is another digest.
    originals: Mapping[Tag, Digest] = field(default_factory=dict)

    @property
    def actions(self) -> tuple[Action, ...]:
        """One for each tag that nothing keeps."""
        return tuple(
            self._action(one)
            for one in self.decision.due
            if (self.planned is None or one.tag in self.planned)
            and (self.problem is not None or one.tag in self.digests)
        )

    @property
    def pending(self) -> tuple[Action, ...]:
        """The actions that can be carried out."""
        return self.actions if self.problem is None else ()

    @property
    def explanations(self) -> tuple[Explanation, ...]:
        """Why each tag stays or goes."""
        seen = self.seen
        return tuple(
            Explanation(seen.mirror, seen.source, one.tag, one.fate is not Fate.DUE, one.why, seen.target)
            for one in self.decision.fates
        )

    def _action(self, one: TagFate) -> Action:
        seen, digest = self.seen, self.digests.get(one.tag)
        return Action(
            Verb.DELETE,
            seen.mirror,
            seen.source,
            seen.target,
            one.tag,
            digest,
            digest,
            None,
            one.why,
            source_tag=one.tag,
            source_digest=self.originals.get(one.tag, digest),
            problem=self.problem,
        )


def _keeps(seen: PruneSeen, tag: Tag) -> str | None:
    """What keeps a tag, whatever its grace; None: nothing."""
    if tag in seen.wanted:
        return "wanted"
    if seen.doubts:
        return f"nothing is deleted here: {'; '.join(seen.doubts)}"
    if (glob := matches_any(seen.policy.protect, tag)) is not None:
        return f"protected by prune.protect {glob!r}"
    if (glob := matches_any(seen.immutable, tag)) is not None:
        return f"immutable by {glob!r}"
    return seen.kept.get(tag)


def _unkept(seen: PruneSeen, tag: Tag, absence: Absence, now: datetime) -> TagFate:
    why, grace = seen.unselected(tag), seen.policy.grace
    if grace <= timedelta():
        return TagFate(tag, Fate.DUE, why)
    history = f"nothing keeps it since {absence.since:%Y-%m-%d %H:%M} UTC, in {absence.runs} runs"
    if absence.runs == 1:
        history = "nothing keeps it since this run"
    if absence.runs >= RUNS_IN_GRACE and now - absence.since >= grace:
        return TagFate(tag, Fate.DUE, f"{why}; {history}")
    return TagFate(tag, Fate.WAITING, f"{why}; {history}, it goes after a grace of {in_words(grace)}")


def in_words(length: timedelta) -> str:
    """`7d`, `12h`, `90s`: as the spec writes it."""
    seconds = int(length.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
