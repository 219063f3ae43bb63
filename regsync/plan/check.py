"""Comparing all places of a mirror: what each has, against what it is to have; pure.

Every difference says what kind it is, so that a person knows whether to ask who writes there, to wait for
the next run, or to look at the tool that copied. Of what is equal there is no row: `Compared` counts it.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.plan.likeness import Likeness
from regsync.plan.model import Problem, RunInfo, exit_code
from regsync.spec.model import Location


class State(Enum):
    """How a place stands to what it is to have (DESIGN.md, section 4)."""

    EQUAL = "equal"
    MISSING = "missing"
    DRIFTED = "drifted"
    EXTRA = "extra"
    EVIDENCE_MISSING = "evidence-missing"
    UNREACHABLE = "unreachable"


class Drift(Enum):
    """What kind of difference a drifted tag has."""

    MOVED_THERE = "moved-there"  # somebody else moved it, at the place
    MOVED_AT_SOURCE = "moved-at-source"  # the place has what the source had
    OTHER_PLATFORMS = "other-platforms"  # not trimmed, or otherwise
    RESERIALISED = "re-serialised"  # the same config and layers, in other bytes
    UNKNOWN = "unknown"  # nobody can tell who moved
    INCOMPLETE = "incomplete"  # the right tag, and something that it leads to is not there
    DAMAGED = "damaged"  # the right tag, and something that it leads to is not what its digest says


class Owner(Enum):
    """Whose a tag is that nothing selects."""

    OURS = "ours"  # regsync wrote it, or its source has it: what is left of an earlier selection
    OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Row:
    """One tag at one place, where it is not equal.

    `tag` is None for a whole repository, and for content that is pinned by digest alone. `target` is the
    source itself where that is what could not be read.
    """

    mirror: str
    source: Location
    target: Location
    tag: Tag | None
    state: State
    digest: Digest | None  # what is there; None: nothing, or not known
    expected: Digest | None
    why: str
    drift: Drift | None = None
    owner: Owner | None = None  # of what is extra
    since: datetime | None = None  # when the source was first seen to have what is expected
    problem: Problem | None = None
    lacking: int = 0  # pieces of evidence that the source has and the place does not

    @property
    def order(self) -> tuple[str, ...]:
        """Reports are sorted by it."""
        parts = (self.target, self.tag or "", self.expected or "", self.state.value, self.source, self.why)
        return (self.mirror, *map(str, parts))

    @property
    def is_drift(self) -> bool:
        """Whether it leads to exit code 2; of tags of ours that nothing selects any more prune decides."""
        return self.state is not State.EXTRA or self.owner is Owner.OTHERS


@dataclass(frozen=True, slots=True, order=True)
class Compared:
    """How many tags of one mirror were compared at one place, and how many are equal there."""

    mirror: str
    source: Location
    target: Location
    tags: int
    equal: int


@dataclass(frozen=True, slots=True)
class Reread:
    """What `--deep` read, over all places."""

    blobs: int
    bytes: int
    skipped: int  # blobs that an earlier, interrupted run had read
    unsampled: int  # blobs that `--sample` left out


@dataclass(frozen=True, slots=True)
class CheckReport:
    """All places of every mirror, compared."""

    spec_digest: Digest
    rows: tuple[Row, ...]  # sorted
    compared: tuple[Compared, ...]  # sorted; every place of every mirror, also those that are equal
    run: RunInfo
    warnings: tuple[str, ...] = ()
    reread: Reread | None = None

    @property
    def counts(self) -> Mapping[State, int]:
        """Tags over all places, by their state; a whole repository that could not be read counts as one."""
        counts = Counter(row.state for row in self.rows)
        return {state: counts[state] for state in State} | {
            State.EQUAL: sum(one.equal for one in self.compared)
        }

    @property
    def exit_code(self) -> int:
        """3, 1 and 75 for what could not be compared or is refused, 2 for drift, else 0."""
        problems = [row.problem for row in self.rows if row.problem is not None]
        return exit_code(problems, pending=sum(row.is_drift for row in self.rows))


@dataclass(frozen=True, slots=True)
class SpotSeen:
    """One tag at one target, as it was found."""

    location: Location
    digest: Digest | None = None
    problem: Problem | None = None  # why it could not be asked
    ours: Digest | None = None  # what regsync last wrote there, by its ledger
    source_had_it: bool = False  # the source was seen to have had what is there
    likeness: Likeness | None = None  # None: not looked at
    lacking: int = 0  # pieces of evidence that the source has beside the same digest
    refused: Problem | None = None  # by a policy, as the evidence is there


@dataclass(frozen=True, slots=True)
class TagCompared:
    """One tag of a mirror with all of its places."""

    mirror: str
    source: Location
    tag: Tag | None  # its name at the targets
    expected: Digest | None  # at the targets; None: the source could not be read
    spots: tuple[SpotSeen, ...]
    moves: bool = True  # False: it comes from a later source, which moves nothing that is there
    since: datetime | None = None  # when the source was first seen to have it
    problem: Problem | None = None  # why the source could not be read


def compare(tag: TagCompared) -> tuple[Row, ...]:
    """A row for each place that is not equal; the source's first, where it could not be read."""
    rows = list(_source_row(tag))
    expected = tag.expected or _what_most_have(tag.spots)
    anywhere = {spot.digest for spot in tag.spots} - {None}
    for spot in tag.spots:
        if spot.problem is not None:
            rows.append(_row(tag, spot, State.UNREACHABLE, expected, "not compared", problem=spot.problem))
        elif spot.digest is None:
            if expected is not None or anywhere:
                rows.append(_row(tag, spot, State.MISSING, expected, _why_missing(tag, spot)))
        elif spot.digest == expected:
            rows.extend(_beside(tag, spot))
        elif tag.moves or tag.expected is None:
            drift, why = _drift(tag, spot, expected)
            rows.append(_row(tag, spot, State.DRIFTED, expected, why, drift=drift))
    return tuple(rows)


def unread(mirror: str, source: Location, target: Location, problem: Problem, why: str) -> Row:
    """A whole repository that could not be compared."""
    return Row(mirror, source, target, None, State.UNREACHABLE, None, None, why, problem=problem)


def lost(mirror: str, source: Location, tag: Tag | None, digest: Digest | None, problem: Problem) -> Row:
    """A tag, or content by its digest, that the spec names and no source has."""
    why = "named in the spec, and not at its source"
    return Row(mirror, source, source, tag, State.MISSING, None, digest, why, problem=problem)


@dataclass(frozen=True, slots=True)
class Listed:
    """What one target lists, for finding what nobody selects."""

    mirror: str
    source: Location
    target: Location
    tags: Mapping[Tag, Digest | None]
    selected: Collection[Tag]  # by any mirror that writes there
    ours: Collection[Tag]  # by the ledger
    at_source: Collection[Tag]  # tags of the source, under their names at the target


def extra(listed: Listed) -> Iterator[Row]:
    """Tags that no mirror selects. Whoever calls leaves out those that only follow others: digest tags."""
    for tag, digest in listed.tags.items():
        if tag in listed.selected:
            continue
        if tag in listed.ours:
            owner, why = Owner.OURS, "regsync wrote it, and no mirror selects it any more"
        elif tag in listed.at_source:
            owner, why = Owner.OURS, "its source has it, and no mirror selects it"
        else:
            owner, why = Owner.OTHERS, "no mirror selects it, and regsync is not known to have written it"
        place = (listed.mirror, listed.source, listed.target)
        yield Row(*place, tag, State.EXTRA, digest, None, why, owner=owner)


def _source_row(tag: TagCompared) -> Iterable[Row]:
    if tag.problem is not None:
        place = (tag.mirror, tag.source, tag.source, tag.tag)
        yield Row(*place, State.UNREACHABLE, None, None, "not read", problem=tag.problem)


def _row(
    tag: TagCompared,
    spot: SpotSeen,
    state: State,
    expected: Digest | None,
    why: str,
    *,
    drift: Drift | None = None,
    problem: Problem | None = None,
) -> Row:
    late = state is State.MISSING or drift is Drift.MOVED_AT_SOURCE
    since = tag.since if late else None
    place = (tag.mirror, tag.source, spot.location, tag.tag)
    return Row(*place, state, spot.digest, expected, why, drift, since=since, problem=problem)


def _beside(tag: TagCompared, spot: SpotSeen) -> Iterable[Row]:
    """What an equal digest lacks."""
    if spot.refused is not None:
        why = "the same digest, refused by a policy with the evidence that is there"
        row = _row(tag, spot, State.EVIDENCE_MISSING, spot.digest, why, problem=spot.refused)
        yield replace(row, lacking=spot.lacking)
    elif spot.lacking:
        pieces = f"{spot.lacking} piece{'s' if spot.lacking > 1 else ''} of evidence"
        why = f"the same digest, {pieces} of the source not there"
        yield replace(_row(tag, spot, State.EVIDENCE_MISSING, spot.digest, why), lacking=spot.lacking)


def _why_missing(tag: TagCompared, spot: SpotSeen) -> str:
    if tag.tag is None:
        return "pinned content, not there"
    return "not there" if spot.ours is None else "not there any more: regsync had written it"


def _what_most_have(spots: Iterable[SpotSeen]) -> Digest | None:
    """What more than half of the places that have the tag agree on, where the source cannot be asked."""
    counts = Counter(spot.digest for spot in spots if spot.digest is not None)
    digest, count = next(iter(counts.most_common(1)), (None, 0))
    return digest if count * 2 > counts.total() else None


def _drift(tag: TagCompared, spot: SpotSeen, expected: Digest | None) -> tuple[Drift, str]:
    """What is known for certain comes first: content, then the ledger, then what the other places have."""
    match spot.likeness:
        case Likeness.SAME_CONTENT:
            return Drift.RESERIALISED, "the same content in other bytes: another tool copied it"
        case Likeness.OTHER_PLATFORMS:
            return Drift.OTHER_PLATFORMS, "the same image for other platforms"
    if tag.expected is None:
        return Drift.UNKNOWN, "places differ, and the source could not be read"
    if spot.ours == expected:
        return Drift.MOVED_THERE, "moved there after regsync had written what the source has"
    if spot.ours == spot.digest or spot.source_had_it:
        return Drift.MOVED_AT_SOURCE, "the source moved, and this is what it had"
    if spot.ours is not None:
        return Drift.MOVED_THERE, "moved there: neither what regsync wrote nor what the source has"
    return _by_the_others(tag, spot, expected)


def _by_the_others(tag: TagCompared, spot: SpotSeen, expected: Digest | None) -> tuple[Drift, str]:
    """Without a ledger: a place alone with what it has was moved, several with the same were left behind."""
    others = [one.digest for one in tag.spots if one is not spot and one.digest is not None]
    if spot.digest in others and expected not in others:
        return Drift.MOVED_AT_SOURCE, "other places have the same: the source moved"
    if spot.digest not in others and expected in others:
        return Drift.MOVED_THERE, "the other places have what the source has"
    return Drift.UNKNOWN, "not what the source has"
