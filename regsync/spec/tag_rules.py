"""A tag rule as written to a rule as selection takes it."""

from regsync.oci.reference import Tag
from regsync.spec.globs import is_glob
from regsync.spec.model import Position, SemverMatch, Sort, SortBy, TagRule
from regsync.spec.rule_keys import RuleKeys, SemverKeys, SortKeys


def tag_rule(written: RuleKeys | str, position: Position | None) -> TagRule:
    """The rule; a text is a glob, or without wildcard a name."""
    if isinstance(written, str):
        if is_glob(written):
            return TagRule(glob=written, position=position)
        return TagRule(names=(Tag(written),), position=position)
    return TagRule(
        names=tuple(dict.fromkeys(written.names or ())),
        glob=written.glob,
        regex=written.regex,
        semver=_semver(written.semver),
        exclude=tuple(written.exclude or ()),
        labels=dict(written.labels or {}),
        max_age=written.max_age,
        per=written.per,
        sort=_sort(written.sort),
        newest=written.newest,
        position=position,
    )


def _semver(written: SemverKeys | str | None) -> SemverMatch | None:
    match written:
        case None:
            return None
        case str():
            return SemverMatch(written)
        case SemverKeys():
            return SemverMatch(written.range, written.of)


def _sort(written: SortKeys | str | None) -> Sort | None:
    match written:
        case None:
            return None
        case str():
            return Sort(SortBy(written))
        case SortKeys():
            key = next(iter(written.model_fields_set))
            return Sort(SortBy(key), getattr(written, key))
