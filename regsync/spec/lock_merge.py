"""A lock file beside what sources hold now: which entries come, go and move. Pure.

What is not known for certain stays: a repository that could not be read, a tag whose digest could not be
had, an entry of a mirror that this command does not look at.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum

from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.spec.lock import LockEntry, LockFile


class Kind(Enum):
    """What happens to an entry, or why nothing does."""

    ADDED = "added"
    REMOVED = "removed"
    MOVED = "moved"
    BEHIND = "behind"  # its tag moved at the source; plain `lock` moves none
    WAITING = "waiting"  # seen too short a time for `--min-age`
    IMMUTABLE = "immutable"  # moved at the source, though the mirror calls it immutable
    HELD = "held"  # the source has something else, and `hold` keeps it
    RELEASED = "released"  # no longer held
    REFUSED = "refused"  # a policy does not let it pass


class Moves(Enum):
    """What may become of entries that are there."""

    NONE = "none"
    UPDATE = "update"


@dataclass(frozen=True, slots=True)
class Change:
    """One entry, from which digest to which; `why` where a person has to know."""

    kind: Kind
    name: str  # the reference without its digest
    mirror: str
    old: Digest | None
    new: Digest | None
    why: str | None = None

    @property
    def order(self) -> tuple[str, str, str]:
        """Changes are listed by it."""
        return self.name, self.mirror, self.kind.value


@dataclass(frozen=True, slots=True)
class Current:
    """One selected tag, or pinned content, as its source has it now."""

    entry: LockEntry
    first_seen: datetime
    immutable: bool = False  # by its name on the targets
    refused: str | None = None  # what a policy says against it


@dataclass(frozen=True, slots=True)
class UnitNow:
    """One mirror and source repository."""

    mirror: str
    repositories: tuple[str, ...]  # the names of its sources in a lock file
    current: tuple[Current, ...] = ()
    whole: bool = True  # nothing else is selected: what is not here, and not in `unread`, is gone
    unread: frozenset[Tag] = frozenset()  # selected, but their digests could not be had


@dataclass(frozen=True, slots=True)
class Rules:
    """How a lock file is brought up to date."""

    now: datetime
    moves: Moves = Moves.NONE
    min_age: timedelta = timedelta()
    # Whether entries go that belong to no mirror any more: not where only a part of the directory was read.
    alone: bool = True


@dataclass(frozen=True, slots=True)
class Merged:
    """The file as it should be, and what that changes."""

    file: LockFile
    changes: tuple[Change, ...]


@dataclass(slots=True)
class _Merge:
    rules: Rules
    kept: list[LockEntry] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)

    def note(self, kind: Kind, current: LockEntry, old: LockEntry | None, why: str | None = None) -> None:
        self.changes.append(
            Change(kind, current.name, current.mirror or "", old.digest if old else None, current.digest, why)
        )


def merge(file: LockFile, units: Sequence[UnitNow], rules: Rules, *, mirrors: Collection[str] = ()) -> Merged:
    """The file with what `units` hold now. `mirrors` are all that the spec has, looked at or not."""
    merge_ = _Merge(rules)
    left = dict.fromkeys(file.entries)
    for unit in units:
        own = _own(unit, left, mirrors)
        for entry in own.values():
            del left[entry]
        _unit(merge_, unit, own)
    for entry in left:
        _foreign(merge_, entry, units, mirrors)
    return Merged(
        replace(file, entries=tuple(sorted(merge_.kept, key=lambda one: one.key))),
        tuple(sorted(merge_.changes, key=lambda one: one.order)),
    )


def _own(unit: UnitNow, left: Iterable[LockEntry], mirrors: Collection[str]) -> dict[str, LockEntry]:
    """The entries of a unit by tag or digest; those of a mirror that is no longer count where it has none."""
    here = [entry for entry in left if entry.repository in unit.repositories]
    own = [entry for entry in here if entry.mirror == unit.mirror]
    own = own or [entry for entry in here if entry.mirror not in mirrors]
    return {_what(entry): entry for entry in own}


def _what(entry: LockEntry) -> str:
    return entry.tag if entry.tag is not None else str(entry.digest)


def _unit(merge_: _Merge, unit: UnitNow, own: dict[str, LockEntry]) -> None:
    for current in unit.current:
        kept = _settle(merge_, current, own.pop(_what(current.entry), None))
        if kept is not None:
            merge_.kept.append(kept)
    for entry in own.values():
        if not unit.whole or entry.tag in unit.unread or _stays_held(merge_, entry):
            merge_.kept.append(replace(entry, mirror=unit.mirror))
        else:
            merge_.changes.append(
                Change(Kind.REMOVED, entry.name, unit.mirror, entry.digest, None, "no longer selected")
            )


def _stays_held(merge_: _Merge, entry: LockEntry) -> bool:
    return entry.hold and merge_.rules.moves is Moves.NONE


def _settle(merge_: _Merge, current: Current, old: LockEntry | None) -> LockEntry | None:
    """What becomes of the entry of one tag."""
    new, rules = current.entry, merge_.rules
    if old is not None:
        new = replace(new, comments=old.comments, remark=old.remark)
    if old is not None and old.digest == new.digest:
        return _unmoved(merge_, current, new, old)
    if old is None:
        if current.refused is not None:
            merge_.note(Kind.REFUSED, new, None, current.refused)
            return None
        if _is_young(current, rules):
            merge_.note(Kind.WAITING, new, None, _since(current))
            return None
        merge_.note(Kind.ADDED, new, None)
        return new
    if (stays := _stays(current, old, rules)) is not None:
        merge_.note(stays[0], new, old, stays[1])
        return replace(old, mirror=new.mirror, rule=new.rule)
    merge_.note(Kind.MOVED, new, old)
    return new


def _stays(current: Current, old: LockEntry, rules: Rules) -> tuple[Kind, str | None] | None:
    """Why an entry does not move to what its tag is now; None where it does."""
    if current.immutable:
        return Kind.IMMUTABLE, "the mirror calls this tag immutable: it is left where it was"
    if old.hold and rules.moves is Moves.NONE:
        return Kind.HELD, None
    if current.refused is not None:
        return Kind.REFUSED, current.refused
    if _is_young(current, rules):
        return Kind.WAITING, _since(current)
    return (Kind.BEHIND, None) if rules.moves is Moves.NONE else None


def _unmoved(merge_: _Merge, current: Current, new: LockEntry, old: LockEntry) -> LockEntry:
    if current.refused is not None:
        merge_.note(Kind.REFUSED, new, old, current.refused)
    if not old.hold:
        return new
    if merge_.rules.moves is Moves.UPDATE:
        merge_.note(Kind.RELEASED, new, old)
        return new
    return replace(new, hold=True)


def _is_young(current: Current, rules: Rules) -> bool:
    return bool(rules.min_age) and current.first_seen > rules.now - rules.min_age


def _since(current: Current) -> str:
    return f"first seen {current.first_seen.isoformat(timespec='minutes')}"


def _foreign(merge_: _Merge, entry: LockEntry, units: Sequence[UnitNow], mirrors: Collection[str]) -> None:
    """An entry that no unit claims: it goes where its mirror was looked at, or is no more."""
    looked_at = {unit.mirror for unit in units if unit.whole}
    lacking = {unit.mirror for unit in units if not unit.whole}
    if entry.mirror in mirrors:
        gone = entry.mirror in looked_at and entry.mirror not in lacking
        why = f"no longer a source of mirror {entry.mirror}"
    else:
        gone = merge_.rules.alone and not lacking
        why = "no mirror has it as its source"
    if gone and not _stays_held(merge_, entry):
        merge_.changes.append(Change(Kind.REMOVED, entry.name, entry.mirror or "", entry.digest, None, why))
    else:
        merge_.kept.append(entry)


def pending(changes: Iterable[Change]) -> Iterator[Change]:
    """Those that `lock --update` would carry out."""
    carried = (Kind.ADDED, Kind.REMOVED, Kind.MOVED, Kind.BEHIND, Kind.RELEASED)
    return (one for one in changes if one.kind in carried)
