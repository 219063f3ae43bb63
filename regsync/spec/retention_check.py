"""Retention beside mirrors, and beside other retention: what fights is found before anything is deleted."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import combinations, product

from regsync.errors import SpecError
from regsync.spec.expand import needs_listing, units
from regsync.spec.model import Location, Mirror, Registry, TagRule
from regsync.spec.overlap import Writes, common_tag
from regsync.spec.place_globs import is_within, may_meet
from regsync.spec.problems import Problems
from regsync.spec.reaching import reach
from regsync.spec.reading import Document
from regsync.spec.renaming import IDENTITY
from regsync.spec.retention import RetentionPolicy, Unmatched

Held = tuple[Document, RetentionPolicy]


def check_retention(
    found: Sequence[Held], mirrors: Sequence[Mirror], registries: Mapping[str, Registry], problems: Problems
) -> None:
    """Note policies that speak of one repository, and those that would delete what a mirror declares."""
    for one, other in combinations(found, 2):
        _refuse_shared(one, other, registries, problems)
    for held, mirror in product(found, mirrors):
        if held[1].unmatched is Unmatched.DELETE:
            _refuse_unmatched(held, mirror, registries, problems)


def _refuse_shared(one: Held, other: Held, registries: Mapping[str, Registry], problems: Problems) -> None:
    """Of two policies one would delete what the other keeps."""
    for mine in one[1].repositories:
        for theirs in other[1].repositories:
            same_place = registries[mine.registry].place.key == registries[theirs.registry].place.key
            if same_place and may_meet(mine.path, theirs.path):
                spot = other[0].at("spec", "repositories")
                message = f"{theirs} and {mine} of the policy {one[1].name} ({one[1].position}) may be one "
                message += "repository; one policy alone speaks of each"
                problems.add(spot.position, spot.path, message)
                return


def _refuse_unmatched(
    held: Held, mirror: Mirror, registries: Mapping[str, Registry], problems: Problems
) -> None:
    """A mirror's tags that no rule of `keep` can ever match would go by `unmatched: delete`."""
    document, policy = held
    declared = next(_never_kept(policy, mirror, registries), None)
    if declared is not None:
        spot = document.at("spec", "unmatched")
        where = f" ({mirror.position})" if mirror.position is not None else ""
        message = f"delete would take {declared} of the mirror {mirror.name}{where}, which no rule of keep "
        message += "and no glob of protect matches; what a mirror declares is never deleted: keep it here too"
        problems.add(spot.position, spot.path, message)


def _never_kept(policy: RetentionPolicy, mirror: Mirror, registries: Mapping[str, Registry]) -> Iterator[str]:
    """What the mirror writes where the policy rules, one tag or pattern after the other."""
    selectors = (rule.selector for rule in policy.keep if rule.selector is not None)
    protected = (TagRule(glob=glob) for glob in policy.protect)
    kept = Writes.of((*selectors, *protected), (), IDENTITY)
    for writes, target in _written(mirror):
        if not _rules_over(policy, target, registries):
            continue
        for name in sorted(writes.names):
            if common_tag(replace(writes, names=frozenset({name}), patterns=()), kept) is None:
                yield f"the tag {name}"
        for rule in writes.patterns:
            if common_tag(replace(writes, names=frozenset(), patterns=(rule,)), kept) is None:
                yield f"tags of {rule}"


def _written(mirror: Mirror) -> Iterator[tuple[Writes, Location]]:
    if needs_listing(mirror):
        writes = Writes.of(mirror.rules, (), mirror.rename, mirror.exclude_tags)
        yield from ((writes, target) for target in reach(mirror)[1])
        return
    with suppress(SpecError):  # which `check` tells of
        for unit in units(mirror):
            yield from ((Writes.of_unit(unit), target) for target in unit.targets)


def _rules_over(policy: RetentionPolicy, target: Location, registries: Mapping[str, Registry]) -> bool:
    key = registries[target.registry].place.key
    return any(
        registries[one.registry].place.key == key and is_within(target.repository, one.path)
        for one in policy.repositories
    )
