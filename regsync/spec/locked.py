"""What a lock file makes of a spec: tags that stand where it says (DESIGN.md, section 6, rule 12).

`--locked` takes every entry, and nothing but them: rules are asked only for names on the targets. Without
it the entries with `hold: true` still stand in for what their tags are at the source.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from regsync.errors import RegsyncError
from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName, Tag
from regsync.spec.expand import NoRepositoriesError, needs_listing, units
from regsync.spec.facts import TagFacts
from regsync.spec.lock import LockEntry, LockFile, source_name
from regsync.spec.model import Binding, IndexForm, Location, LockedTag, Mirror, Position, Spec, TagRule, Unit
from regsync.spec.problems import InvalidSpecError, Problems, SpecProblem
from regsync.spec.renaming import parse_template
from regsync.spec.selection import select

FirstSeen = Callable[[Digest], datetime]


def locked_spec(spec: Spec) -> Spec:
    """The spec that `--locked` runs; raises InvalidSpecError where the lock does not cover its mirrors."""
    problems = Problems()
    for mirror in spec.mirrors:
        found = [(unit, entries_of(spec, unit)) for unit in locked_units(spec, mirror)]
        if not any(entries for _, entries in found):
            path = spec.lock.of_mirror(mirror.name).path
            where = mirror.position or Position(str(path), 1, 1)
            problems.add(where, "", f"mirror {mirror.name} has no entry in {path}: `regsync lock` makes them")
        for unit, entries in found:
            problems.found += _against_pins(unit, entries)
    if problems.found:
        raise InvalidSpecError(problems.found)
    return replace(spec, binding=Binding.ALL)


def _against_pins(unit: Unit, entries: Sequence[LockEntry]) -> list[SpecProblem]:
    """Entries that say otherwise than a digest in the spec itself."""
    pinned = {pin.tag: pin.digest for pin in unit.pinned if pin.tag is not None and pin.digest is not None}
    return [
        SpecProblem(
            entry.position or Position("", 1, 1),
            "images.image",
            f"mirror {unit.mirror} pins {entry.name} to {pinned[entry.tag]}: `regsync lock` takes that",
        )
        for entry in entries
        if entry.tag in pinned and entry.digest != pinned[entry.tag]
    ]


def entries_of(spec: Spec, unit: Unit) -> tuple[LockEntry, ...]:
    """What the lock file says of a unit's tags and pinned content."""
    return spec.lock.of(unit.mirror, [source_name(spec.registries, one) for one in unit.sources])


def trims(unit: Unit) -> bool:
    """Whether targets get another digest than the source has, of indexes."""
    return unit.platforms is not None and unit.index is IndexForm.TRIMMED


def locked_units(spec: Spec, mirror: Mirror) -> tuple[Unit, ...]:
    """The units of a mirror, its repositories taken from the lock file where a run would list them."""
    if not needs_listing(mirror):
        return units(mirror)
    try:
        return units(mirror, _locked_repositories(spec, mirror))
    except NoRepositoriesError:
        return ()


def _locked_repositories(spec: Spec, mirror: Mirror) -> tuple[RepositoryName, ...]:
    """The repositories of a mirror's first source that its lock file names for it."""
    place = source_name(spec.registries, Location(mirror.sources[0].registry, RepositoryName("")))
    file: LockFile = spec.lock.of_mirror(mirror.name)
    names = {entry.repository for entry in file.entries if entry.mirror == mirror.name}
    if not names:  # it was renamed since, maybe: its globs say what is its own
        names = {entry.repository for entry in file.entries if entry.mirror not in spec.lock.paths}
    chosen = {name.removeprefix(place) for name in names if name.startswith(place)}
    return tuple(sorted(map(RepositoryName, chosen)))


def bound(
    spec: Spec, unit: Unit, *, first_seen: FirstSeen, now: datetime
) -> tuple[Unit, tuple[RegsyncError, ...], tuple[LockEntry, ...]]:
    """The unit with what the lock file says, problems of naming tags, and entries that no rule could choose.

    `first_seen` says of a digest when it was seen first, for `rename`.
    """
    entries = [entry for entry in entries_of(spec, unit) if entry.tag is not None]
    if spec.binding is Binding.HOLDS:
        entries = [entry for entry in entries if entry.hold]
        if not entries:
            return unit, (), ()
    locked, problems = _named(unit, entries, first_seen, now)
    known = {one.source_tag for one in locked}
    strangers = () if problems else tuple(entry for entry in entries if entry.tag not in known)
    if spec.binding is Binding.HOLDS:
        return replace(unit, locked=locked), problems, strangers
    pinned = tuple(pin for pin in unit.pinned if pin.tag is None)
    return replace(unit, locked=locked, rules=(), pinned=pinned), problems, strangers


def _named(
    unit: Unit, entries: Sequence[LockEntry], first_seen: FirstSeen, now: datetime
) -> tuple[tuple[LockedTag, ...], tuple[RegsyncError, ...]]:
    """Entries under their names on the targets, less those that the unit's rules could never choose."""
    by_tag = {entry.tag: entry for entry in entries if entry.tag is not None}
    facts: dict[Tag, TagFacts] = {}
    if parse_template(unit.rename).needs_facts:
        facts = {tag: TagFacts(one.digest, first_seen(one.digest)) for tag, one in by_tag.items()}
    loose = replace(unit, rules=tuple(map(_loosened, unit.rules)), at_least=0)
    chosen = select(loose, by_tag, facts, now=now)
    names = dict(chosen.tags) | {pin.tag: pin.tag for pin in unit.pinned if pin.tag in by_tag and pin.tag}
    locked = tuple(
        LockedTag(tag, names[tag], one.digest, one.trimmed, one.hold)
        for tag, one in by_tag.items()
        if tag in names
    )
    return locked, chosen.problems


def target_names(spec: Spec, unit: Unit, now: datetime) -> dict[Tag, Tag]:
    """Tags at the source that are in the lock file, and their names on the targets, dates in them aside."""
    whole = replace(spec, binding=Binding.ALL)
    named, _, _ = bound(whole, unit, first_seen=lambda _: now, now=now)
    return {one.source_tag: one.tag for one in named.locked}


def could_choose(unit: Unit, tag: Tag, now: datetime) -> bool:
    """Whether the unit could choose a tag of its source and leave it its name."""
    entry = LockEntry("", tag, Digest.of(b""))
    named, _ = _named(unit, [entry], lambda _: now, now)
    return any(one.tag == tag for one in named)


def _loosened(rule: TagRule) -> TagRule:
    """What the rule could choose, were the source to hold nothing else: the lock file has chosen."""
    return replace(rule, labels={}, max_age=None, per=None, newest=None, sort=None)
