"""Whether two units could write the same tag of one target repository.

Literal names are compared exactly, and tried against the other side's patterns. Patterns are
compared by what they can produce: globs exactly, version ranges by their spans, a regex by its fixed
text with everything else taken as `*`. What one side excludes by the very glob that the other side
selects by is apart. So "no" is certain and "yes" may be cautious; `newest`, labels and age are not
looked at, since they depend on what the source holds.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from regsync.oci.reference import Tag
from regsync.spec.globs import MAX_LENGTH, compile_glob, is_glob, matches_any
from regsync.spec.history import History, history_pieces
from regsync.spec.model import Pin, SemverMatch, TagRule, Unit
from regsync.spec.regexes import compile_regex
from regsync.spec.renaming import Template, parse_template
from regsync.spec.versions import parse_range, parse_version

_ANY = "*"
_IDENTITY = parse_template("{tag}")


@dataclass(frozen=True, slots=True)
class Writes:
    """What a unit may write: names for certain, and patterns."""

    names: frozenset[str]
    patterns: tuple[TagRule, ...]  # `exclude` of each with the mirror's `excludeTags`
    rename: Template

    @classmethod
    def of(
        cls,
        rules: tuple[TagRule, ...],
        pins: tuple[Pin, ...],
        rename: str,
        exclude_tags: tuple[str, ...] = (),
    ) -> "Writes":
        """What rules and pinned tags may write."""
        template = parse_template(rename)
        rules = tuple(replace(rule, exclude=(*rule.exclude, *exclude_tags)) for rule in rules)
        names = {tag for rule in rules for tag in rule.names if matches_any(rule.exclude, tag) is None}
        names |= {pin.tag for pin in pins if pin.tag}
        patterns = tuple(rule for rule in rules if not rule.names)
        if template.is_identity:
            return cls(frozenset(names), patterns, template)
        if template.fields <= {"tag"}:
            return cls(frozenset(template.fill(Tag(name), None, None) for name in names), patterns, template)
        return cls(frozenset(), (*patterns, *(TagRule(names=(Tag(name),)) for name in names)), template)

    @classmethod
    def of_unit(cls, unit: Unit) -> "Writes":
        """What a unit may write."""
        return cls.of(unit.rules, unit.pinned, unit.rename, unit.exclude_tags)

    def history(self, history: History) -> "Writes":
        """What the tags for former images of these can be."""
        names = [(TagRule(names=(Tag(name),)), _IDENTITY) for name in sorted(self.names)]
        known = [*names, *((rule, self.rename) for rule in self.patterns)]
        return Writes(frozenset(), tuple(_former(history, *one) for one in known), _IDENTITY)


def _former(history: History, rule: TagRule, rename: Template) -> TagRule:
    """A glob of the tags that former images get.

    Behind a version they are pre-releases of it, and those belong to no range that is apart from its own.
    """
    shape, glob = _shape(rule, rename), ""
    for before, field, length in history_pieces(history.tag):
        parts = {"tag": shape, "date": "[0-9]" * 8, "digest": "[0-9a-f]" * min(length, 16)}
        glob += before + parts.get(field, "") + ("?" * (length - 16) if field == "digest" else "")
    semver = _range_of(rule) if rename.is_identity and history.tag.startswith("{tag}-") else None
    return TagRule(glob=glob if len(glob) <= MAX_LENGTH else _ANY, semver=semver)


def _range_of(rule: TagRule) -> SemverMatch | None:
    """The versions of a rule over plain versions, or of a name that is one."""
    if rule.names:
        version = parse_version(rule.names[0])
        return None if version is None else SemverMatch(f"{version.major}.{version.minor}.{version.patch}")
    return rule.semver if rule.regex is None else None


def common_tag(one: Writes, other: Writes) -> str | None:
    """A tag, or a description of tags, that both could write; None when they certainly do not meet."""
    for name in sorted(one.names & other.names):
        return f"tag {name}"
    for names, patterns in ((one.names, other), (other.names, one)):
        for name in sorted(names):
            rule = next((rule for rule in patterns.patterns if _may_yield(rule, patterns.rename, name)), None)
            if rule is not None:
                return f"tag {name}"
    for first in one.patterns:
        for second in other.patterns:
            if _may_meet(first, one.rename, second, other.rename):
                return f"tags that both {first} and {second} match"
    return None


def _may_yield(rule: TagRule, rename: Template, name: str) -> bool:
    if not rename.is_identity:
        return compile_glob(_shape(rule, rename)).fullmatch(name) is not None
    if matches_any(rule.exclude, name) is not None:
        return False
    if rule.glob is not None:
        return compile_glob(rule.glob).fullmatch(name) is not None
    if rule.regex is not None:
        return compile_regex(rule.regex).fullmatch(name) is not None
    version = parse_version(name)
    return (
        version is not None and rule.semver is not None and parse_range(rule.semver.range).contains(version)
    )


def _may_meet(first: TagRule, first_rename: Template, second: TagRule, second_rename: Template) -> bool:
    as_they_are = first_rename == second_rename and first_rename.is_identity
    if as_they_are and (_own_shape(first) in second.exclude or _own_shape(second) in first.exclude):
        return False
    if first.semver is not None and second.semver is not None and first_rename == second_rename:
        same_part = (first.regex, first.semver.of) == (second.regex, second.semver.of)
        if same_part:
            return parse_range(first.semver.range).meets(parse_range(second.semver.range))
    return globs_meet(_shape(first, first_rename), _shape(second, second_rename))


def _shape(rule: TagRule, rename: Template) -> str:
    """A glob that matches at least everything that a rule, renamed, can yield."""
    own = _own_shape(rule)
    if rename.is_identity:
        return own
    pieces = (before + (own if name == "tag" else _ANY if name else "") for before, name, _ in rename.pieces)
    return _squeeze("".join(pieces))


def _own_shape(rule: TagRule) -> str:
    if rule.names:
        return rule.names[0]
    if rule.glob is not None:
        return rule.glob
    if rule.regex is not None:
        return _regex_shape(rule.regex)
    return "[v0-9]*"


@lru_cache(maxsize=1024)
def _regex_shape(regex: str) -> str:
    if re.search(r"\(\?[a-zA-Z-]*[ix]", regex) is not None:
        return _ANY
    parse = __import__("re._parser", fromlist=["parse"]).parse
    return _squeeze("".join(_fixed(list(parse(regex)))))


def _fixed(items: list[Any]) -> Iterator[str]:
    for operator, argument in items:
        match str(operator):
            case "LITERAL":
                yield chr(argument) if not is_glob(chr(argument)) else _ANY
            case "SUBPATTERN":
                yield from _fixed(list(argument[3]))
            case "AT" | "ASSERT" | "ASSERT_NOT":
                continue
            case _:
                yield _ANY


def _squeeze(glob: str) -> str:
    return re.sub(r"\*+", _ANY, glob) or _ANY


@lru_cache(maxsize=4096)
def globs_meet(one: str, other: str) -> bool:
    """Whether some tag matches both globs."""
    first, second = atoms(one), atoms(other)
    reachable = {(0, 0)}
    waiting = [(0, 0)]
    while waiting:
        at = waiting.pop()
        if at == (len(first), len(second)):
            return True
        for step in _steps(first, second, *at):
            if step not in reachable:
                reachable.add(step)
                waiting.append(step)
    return False


def _steps(first: list[str], second: list[str], i: int, j: int) -> Iterator[tuple[int, int]]:
    """Where both globs can be after one more character, or after a star that takes nothing."""
    a = first[i] if i < len(first) else None
    b = second[j] if j < len(second) else None
    if a == _ANY:
        yield i + 1, j
        if b is not None and b != _ANY:
            yield i, j + 1
    if b == _ANY:
        yield i, j + 1
        if a is not None and a != _ANY:
            yield i + 1, j
    if a is not None and b is not None and _ANY not in (a, b) and characters(a) & characters(b):
        yield i + 1, j + 1


def atoms(glob: str) -> list[str]:
    """The pieces of a glob: characters, classes, and stars."""
    return re.findall(r"\[.[^\]]*\]|\*+|.", glob.replace("**", _ANY), re.DOTALL)


@lru_cache(maxsize=1024)
def characters(atom: str) -> frozenset[str]:
    """What one piece that is no star matches."""
    whole = compile_glob(atom).fullmatch if is_glob(atom) else re.compile(re.escape(atom)).fullmatch
    return frozenset(character for character in map(chr, range(33, 127)) if whole(character))
