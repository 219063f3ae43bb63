"""Which tags of a source a mirror takes, as pure functions (DESIGN.md, section 3, "Selection").

Rules run alone and are united; then come `excludeTags`, `atLeast` and `rename`. The result depends
on the set of tags and on what is known of them, never on their order.

    facts = {}
    while wanted := next_facts(unit, tags, facts, now=now):
        facts |= look_up(wanted)          # must add every tag that was asked for, or stop
    chosen = select(unit, tags, facts, now=now)
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from regsync.errors import RegsyncError
from regsync.oci.reference import Tag
from regsync.spec import rules
from regsync.spec.facts import TagFacts
from regsync.spec.globs import compile_glob
from regsync.spec.matching import candidates, is_digest_tag
from regsync.spec.model import TagRule, Unit
from regsync.spec.renaming import RenameFailedError, parse_template
from regsync.spec.versions import Version, parse_version

NO_FACTS: Mapping[Tag, TagFacts] = {}


class TooFewTagsError(RegsyncError):
    """A source shows fewer tags than `atLeast`: it may have been emptied, or a pattern is wrong."""

    def __init__(self, unit: Unit, count: int, listed: int) -> None:
        super().__init__(
            f"mirror {unit.mirror}: {unit.source} has {count} tags of those wanted (of {listed} seen), "
            f"atLeast is {unit.at_least}"
        )
        self.count, self.at_least = count, unit.at_least

    @property
    def hint(self) -> str | None:
        """What to do next."""
        return "see `plan --explain` for what dropped each tag, or lower atLeast"


class RenameCollisionError(RegsyncError):
    """Two tags would have one name on the targets."""

    def __init__(self, unit: Unit, target: Tag, sources: tuple[Tag, ...]) -> None:
        shown = ", ".join(sources[:5]) + (" …" if len(sources) > 5 else "")
        super().__init__(
            f"mirror {unit.mirror}: {unit.source}: rename {unit.rename!r} makes {target} of {shown}"
        )
        self.target, self.sources = target, sources


@dataclass(frozen=True, slots=True)
class TagExplanation:
    """Which rule and step kept or dropped one tag."""

    tag: Tag
    kept: bool
    why: str


@dataclass(frozen=True, slots=True)
class Selection:
    """What a unit takes of its source."""

    tags: tuple[tuple[Tag, Tag], ...]  # at the source and on the targets, sorted
    missing: tuple[Tag, ...] = ()  # named, and the source lacks them; sorted
    undecided: tuple[Tag, ...] = ()  # not selected because a fact is missing that decides; sorted
    problems: tuple[RegsyncError, ...] = ()
    rules: Mapping[Tag, TagRule] = field(default_factory=dict, repr=False, compare=False)  # by source tag
    explain: Callable[[], tuple[TagExplanation, ...]] = field(default=tuple, repr=False, compare=False)

    @property
    def problem(self) -> RegsyncError | None:
        """The first problem: too few tags, a name that cannot be made, two tags with one name."""
        return self.problems[0] if self.problems else None

    @property
    def explanations(self) -> tuple[TagExplanation, ...]:
        """Why each tag is in or out; worked out when asked for."""
        return self.explain()


def literal_tags(unit: Unit) -> frozenset[Tag]:
    """The tags that rules name: all that has to be asked for where `unit.needs_tags` is false."""
    exclude = [compile_glob(glob).fullmatch for glob in unit.exclude_tags]
    return frozenset(
        tag
        for rule in unit.rules
        for tag in rules.literal_tags(rule)
        if not any(whole(tag) for whole in exclude)
    )


def needs_config(unit: Unit) -> bool:
    """Whether facts include `created` and labels, which are in images, or digests alone."""
    return any(rules.needs_config(rule) for rule in unit.rules)


def needs_facts(unit: Unit, tags: Collection[Tag]) -> frozenset[Tag]:
    """Every tag whose facts could be needed. `next_facts` asks for fewer, in several turns."""
    by_name = parse_template(unit.rename).needs_facts
    return frozenset(
        candidate.tag
        for rule in unit.rules
        if by_name or rules.needs_config(rule)
        for candidate in candidates(rule, tags)
    )


def next_facts(
    unit: Unit, tags: Collection[Tag], facts: Mapping[Tag, TagFacts], *, now: datetime
) -> frozenset[Tag]:
    """The tags whose facts decide something next; empty when `facts` are enough for `select`."""
    wanted: set[Tag] = set()
    united: dict[Tag, Version | None] = {}
    for rule in unit.rules:
        kept = rules.apply_rule(rule, tags, facts, now=now)
        wanted |= kept.undecided
        united.update(dict.fromkeys((candidate.tag for candidate in kept.candidates), None))
    if parse_template(unit.rename).needs_facts:
        wanted.update(tag for tag in _without_excluded(unit, united) if tag not in facts)
    return frozenset(wanted)


def select(
    unit: Unit, tags: Collection[Tag], facts: Mapping[Tag, TagFacts] = NO_FACTS, *, now: datetime
) -> Selection:
    """What the unit takes of `tags`. `facts` have to hold what `next_facts` asked for."""
    united: dict[Tag, Version | None] = {}
    undecided: set[Tag] = set()
    chosen_by: dict[Tag, TagRule] = {}
    for rule in unit.rules:
        kept = rules.apply_rule(rule, tags, facts, now=now)
        undecided |= kept.undecided
        for candidate in kept.candidates:
            chosen_by.setdefault(candidate.tag, rule)
            united[candidate.tag] = united.get(candidate.tag) or candidate.version
    selected = _without_excluded(unit, united)
    problems: list[RegsyncError] = []
    if unit.rules and len(selected) < unit.at_least:
        problems.append(TooFewTagsError(unit, len(selected), len(tags)))
    renamed = _rename(unit, selected, facts, problems)
    present = set(tags)
    return Selection(
        tags=tuple(sorted(renamed)),
        missing=tuple(sorted(literal_tags(unit) - present)),
        undecided=tuple(sorted(undecided - selected.keys())),
        problems=tuple(problems),
        rules=chosen_by,
        explain=lambda: explain(unit, tags, facts, now=now),
    )


def explain(
    unit: Unit, tags: Collection[Tag], facts: Mapping[Tag, TagFacts] = NO_FACTS, *, now: datetime
) -> tuple[TagExplanation, ...]:
    """For each tag, and each that is named and missing, which rule and step kept or dropped it."""
    kept: dict[Tag, str] = {}
    dropped: dict[Tag, list[str]] = {}
    for number, rule in enumerate(unit.rules, start=1):
        reasons: dict[Tag, str] = {}
        chosen = rules.apply_rule(rule, tags, facts, now=now, reasons=reasons)
        names = {candidate.tag for candidate in chosen.candidates}
        for tag, why in reasons.items():
            line = f"rule {number} ({rule}): {why}"
            if tag in names:
                kept.setdefault(tag, line)
            else:
                dropped.setdefault(tag, []).append(line)
    excluded = _excluded(unit, kept)
    return tuple(
        _explanation(tag, kept, dropped, excluded, present=tag in set_of_tags)
        for set_of_tags in (frozenset(tags),)
        for tag in sorted(set_of_tags | literal_tags(unit))
    )


def _explanation(
    tag: Tag, kept: Mapping[Tag, str], dropped: Mapping[Tag, list[str]], excluded: Mapping[Tag, str], *,
    present: bool,
) -> TagExplanation:  # fmt: skip
    if not present:
        return TagExplanation(tag, kept=False, why="named, but the source does not have it")
    if tag in excluded:
        return TagExplanation(tag, kept=False, why=f"dropped by excludeTags {excluded[tag]!r}")
    if tag in kept:
        return TagExplanation(tag, kept=True, why=kept[tag])
    if tag in dropped:
        return TagExplanation(tag, kept=False, why="; ".join(dropped[tag]))
    if is_digest_tag(tag):
        return TagExplanation(tag, kept=False, why="evidence of another image: it follows its subject")
    return TagExplanation(tag, kept=False, why="no rule matches it")


def _without_excluded(unit: Unit, united: Mapping[Tag, Version | None]) -> dict[Tag, Version | None]:
    excluded = _excluded(unit, united)
    return {tag: version for tag, version in united.items() if tag not in excluded}


def _excluded(unit: Unit, tags: Collection[Tag]) -> dict[Tag, str]:
    """The tags that `excludeTags` drops, and by which glob."""
    found: dict[Tag, str] = {}
    for glob in unit.exclude_tags:
        whole = compile_glob(glob).fullmatch
        for tag in tags:
            if whole(tag):
                found.setdefault(tag, glob)
    return found


def _rename(
    unit: Unit,
    selected: Mapping[Tag, Version | None],
    facts: Mapping[Tag, TagFacts],
    problems: list[RegsyncError],
) -> list[tuple[Tag, Tag]]:
    """Pairs of source and target tag, less those that cannot be named or that collide."""
    template = parse_template(unit.rename)
    if template.is_identity:
        return [(tag, tag) for tag in selected]
    by_target: dict[Tag, list[Tag]] = {}
    for tag in sorted(selected):
        version = selected[tag] or (parse_version(tag) if template.needs_version else None)
        try:
            by_target.setdefault(template.fill(tag, version, facts.get(tag)), []).append(tag)
        except RenameFailedError as problem:
            problems.append(problem)
    for target, sources in by_target.items():
        if len(sources) > 1:
            problems.append(RenameCollisionError(unit, target, tuple(sources)))
    return [(sources[0], target) for target, sources in by_target.items() if len(sources) == 1]
