"""`regsync rollback`: which earlier digest a tag goes back to, and the entry of the lock file that says so.

Nothing is copied here. What the tag pointed to before is known from former images that `history` keeps on the
targets, and from the ledger's record of what runs moved; content counts that a source or a target still has.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import anyio

from regsync.content.errors import ContentNotFoundError
from regsync.content.protocol import Source
from regsync.errors import RefusedError, RegsyncError, UsageError
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.reconcile.engine import Engine, Run
from regsync.reconcile.expanding import expand
from regsync.reconcile.look import UnitView, look_at
from regsync.reconcile.repositories import Repositories, TargetView
from regsync.spec.globs import matches_any
from regsync.spec.lock import LockEntry, source_name
from regsync.spec.locked import could_choose, entries_of, locked_units, target_names, trims
from regsync.spec.model import Location, Mirror, Spec, Unit


class NoSuchTagError(UsageError):
    """The mirror has no such tag."""

    usual_hint = (
        "`regsync lock` puts every selected tag into the lock file, and its entries say their mirrors"
    )

    def __init__(self, mirror: str, tag: str) -> None:
        super().__init__(f"mirror {mirror} has no tag {tag[:200]}, in the lock file or by its rules")


class AmbiguousTagError(UsageError):
    """Several repositories of the mirror have the tag."""

    def __init__(self, mirror: str, names: Sequence[str]) -> None:
        shown = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
        super().__init__(f"mirror {mirror} has that tag in several repositories: name one of {shown}")


class NothingEarlierError(RegsyncError):
    """No earlier digest is known that is still somewhere."""

    usual_hint = "name the digest with --to; `history` in the mirror keeps former images from now on"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name}: no earlier digest is known that a source or a target still has")


class DigestNowhereError(RegsyncError):
    """What `--to` names is at no place of the mirror."""

    def __init__(self, digest: Digest, places: Sequence[Location]) -> None:
        super().__init__(f"{digest} is at none of {', '.join(map(str, places))}")


class ImmutableRollbackError(RefusedError):
    """The mirror says that the tag never moves."""

    def __init__(self, mirror: str, tag: Tag, glob: str) -> None:
        super().__init__(f"mirror {mirror}: {tag} is immutable by {glob!r}: no run would move it back")


class UnreadMirrorError(RegsyncError):
    """The repositories of a mirror could not be listed."""


@dataclass(frozen=True, slots=True)
class Moved:
    """That a run moved a tag of a target, because its source had."""

    target: str  # <registry>/<repository>
    tag: Tag
    former: Digest
    digest: Digest
    when: datetime
    run: str


@dataclass(frozen=True, slots=True)
class Rollback:
    """What was found, and the entry to write."""

    unit: Unit
    tag: Tag  # on the targets
    entry: LockEntry
    before: LockEntry | None
    now_at: Mapping[Location, Digest | None]  # what targets have
    why: str  # that digest and no other


_EARLY, _LATE = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Candidate:
    digest: Digest
    why: str


async def find_rollback(
    spec: Spec, engine: Engine, mirror: Mirror, name: str, to: Digest | None, moved: Iterable[Moved]
) -> Rollback:
    """What `name`, which is `[repository:]tag`, goes back to. `moved` are earlier moves, the newest first.

    Raises NoSuchTagError, AmbiguousTagError, ImmutableRollbackError, NothingEarlierError, DigestNowhereError,
    and what reading raises.
    """
    async with anyio.create_task_group() as group:
        run = Run(engine, spec, engine.clock.now(), group)
        try:
            return await _find(run, mirror, name, to, moved)
        except RegsyncError as error:
            failure = error  # raised outside, where it is not one of a group
    raise failure


async def _find(run: Run, mirror: Mirror, name: str, to: Digest | None, moved: Iterable[Moved]) -> Rollback:
    unit, source_tag, tag = await _unit(run, mirror, name)
    if (glob := matches_any(unit.immutable, tag)) is not None:
        raise ImmutableRollbackError(mirror.name, tag, glob)
    view = await look_at(unit, Repositories(run))
    targets = [one for one in view.targets if isinstance(one, TargetView)]
    now_at = {one.location: await _resolve(one.destination.store, tag) for one in targets}
    if to is not None:
        chosen = _Candidate(to, "as --to says")
        is_at_source = await _is_at_source(view, to)
        if not is_at_source and not await _is_at_target(targets, to):
            raise DigestNowhereError(to, (*unit.sources, *unit.targets))
    else:
        found = await _earlier(view, targets, tag, now_at, moved)
        if found is None:
            raise NothingEarlierError(f"{unit.mirror}: {tag}")
        chosen, is_at_source = found
    before = next((one for one in entries_of(run.spec, unit) if one.tag == source_tag), None)
    entry = before or LockEntry(source_name(run.spec.registries, unit.source), source_tag, chosen.digest)
    trimmed = chosen.digest if trims(unit) and not is_at_source else None
    entry = replace(entry, digest=chosen.digest, mirror=unit.mirror, size=None, signers=(), hold=True)
    entry = replace(entry, index=trimmed, target=trimmed)
    return Rollback(unit, tag, entry, before, now_at, chosen.why)


async def _unit(run: Run, mirror: Mirror, name: str) -> tuple[Unit, Tag, Tag]:
    """The one unit that has the tag, and its names at the source and on the targets."""
    units = locked_units(run.spec, mirror)
    found = list(_in_lock(run, units, name)) or list(_by_rules(run, units, name))
    if not found:
        todo, unseen = await expand(run, [mirror])
        found = list(_by_rules(run, todo, name))
        if not found and unseen and unseen[0].problems:
            raise UnreadMirrorError(unseen[0].problems[0].message)
    if not found:
        raise NoSuchTagError(mirror.name, name)
    if len(found) > 1:
        raise AmbiguousTagError(mirror.name, [f"{unit.repository}:{tag}" for unit, tag, _ in found])
    return found[0]


def _in_lock(run: Run, units: Iterable[Unit], name: str) -> Iterator[tuple[Unit, Tag, Tag]]:
    """The units whose entries have the tag, under its name at the source or on the targets."""
    repository, _, text = name.rpartition(":")
    for unit in units:
        for source_tag, tag in target_names(run.spec, unit, run.now).items():
            if text in (source_tag, tag) and repository in ("", unit.repository, unit.source.repository):
                yield unit, source_tag, tag


def _by_rules(run: Run, units: Iterable[Unit], name: str) -> Iterator[tuple[Unit, Tag, Tag]]:
    """The units that pin the tag, name it, or could choose it by a pattern."""
    repository, _, text = name.rpartition(":")
    tag = Tag.parse(text)
    for unit in units:
        is_named = repository in ("", unit.repository, unit.source.repository)
        if is_named and could_choose(unit, tag, run.now):
            yield unit, tag, tag


async def _earlier(
    view: UnitView,
    targets: Sequence[TargetView],
    tag: Tag,
    now_at: Mapping[Location, Digest | None],
    moved: Iterable[Moved],
) -> tuple[_Candidate, bool] | None:
    """What was there before what is there now, and is still somewhere; and whether a source has it."""
    present = set(now_at.values())
    found = [*_of_runs(tag, now_at, moved), *await _of_history(view.unit, tag, targets, now_at)]
    for one in found:
        if one.digest not in present:
            at_source = await _is_at_source(view, one.digest)
            if at_source or await _is_at_target(targets, one.digest):
                return one, at_source
    return None


def _of_runs(
    tag: Tag, now_at: Mapping[Location, Digest | None], moved: Iterable[Moved]
) -> Iterator[_Candidate]:
    """What runs moved the tag away from when they brought what is there now."""
    present = {str(target): digest for target, digest in now_at.items()}
    for one in moved:
        if one.tag == tag and present.get(one.target) == one.digest:
            why = f"run {one.run} moved {one.target} away from it at {one.when:%Y-%m-%d %H:%M} UTC"
            yield _Candidate(one.former, why)


async def _of_history(
    unit: Unit, tag: Tag, targets: Sequence[TargetView], now_at: Mapping[Location, Digest | None]
) -> list[_Candidate]:
    """Former images on the targets, the newest first; none that came later than what is there now.

    Those are what an earlier rollback went away from.
    """
    if unit.history is None:
        return []
    found: list[tuple[str, datetime, _Candidate]] = []
    for target in targets:
        since = _first_seen(target, now_at[target.location], _LATE)
        for name in target.listed or ():
            former = unit.history.former(name, None)
            if former is None or former.tag != tag:
                continue
            digest = await _resolve(target.destination.store, name)
            seen = _first_seen(target, digest, _EARLY)
            if digest is not None and unit.history.former(name, digest) is not None and seen <= since:
                found.append((former.date, seen, _Candidate(digest, f"{target.location}:{name} keeps it")))
    found.sort(key=lambda one: (one[0], one[1]), reverse=True)
    return [candidate for _, _, candidate in found]


def _first_seen(target: TargetView, digest: Digest | None, otherwise: datetime) -> datetime:
    seen = target.sightings.get(digest) if digest is not None else None
    return seen.first_seen if seen is not None else otherwise


async def _is_at_source(view: UnitView, digest: Digest) -> bool:
    return any([await _resolve(source.store, digest) is not None for source in view.sources])


async def _is_at_target(targets: Sequence[TargetView], digest: Digest) -> bool:
    return any([await _resolve(one.destination.store, digest) is not None for one in targets])


async def _resolve(store: Source, name: Tag | Digest) -> Digest | None:
    try:
        return (await store.resolve(name)).digest
    except ContentNotFoundError:
        return None
