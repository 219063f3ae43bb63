"""One tag rule at work: match → exclude → labels → maxAge → group → sort → newest.

Facts about content cost requests, so they are asked for last and only of the tags that can still
decide something: in a group of which the newest three are wanted, the walk stops behind the third.
Source: DESIGN.md, section 3, "Selection".
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import datetime
from heapq import nlargest
from typing import Any

from regsync.oci.reference import Tag
from regsync.spec.facts import TagFacts
from regsync.spec.globs import compile_glob, matches
from regsync.spec.model import SortBy, TagRule
from regsync.spec.regexes import compile_regex
from regsync.spec.versions import Version, natural_key, parse_range, parse_version

Reasons = MutableMapping[Tag, str]  # why a tag was kept or dropped, for those who ask

_DIGEST_TAG = re.compile(r"sha(?:256-[a-f0-9]{64}|512-[a-f0-9]{128})(?:\.[a-zA-Z0-9._-]+)?")


def is_digest_tag(tag: str) -> bool:
    """Whether a tag stands for evidence of another image: cosign's, or the referrers fallback."""
    return tag.startswith("sha") and _DIGEST_TAG.fullmatch(tag) is not None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tag that a rule's selector matched, with what the match found in it."""

    tag: Tag
    version: Version | None
    groups: re.Match[str] | None


@dataclass(frozen=True, slots=True)
class Kept:
    """What one rule selects of a repository's tags."""

    candidates: tuple[Candidate, ...]
    undecided: frozenset[Tag]  # what depends on facts that are not known


def literal_tags(rule: TagRule) -> tuple[Tag, ...]:
    """The tags that a rule names and does not itself exclude."""
    return tuple(name for name in rule.names if not any(matches(glob, name) for glob in rule.exclude))


def needs_config(rule: TagRule) -> bool:
    """Whether the rule looks into images, which costs more than their digests."""
    return bool(rule.labels) or rule.max_age is not None or rule.order.by is SortBy.CREATED


def candidates(rule: TagRule, tags: Collection[Tag]) -> list[Candidate]:
    """What the selector matches and `exclude` leaves: the steps that need no facts."""
    return _exclude(rule, _match(rule, tags, None), None)


def apply_rule(
    rule: TagRule,
    tags: Collection[Tag],
    facts: Mapping[Tag, TagFacts],
    *,
    now: datetime,
    reasons: Reasons | None = None,
) -> Kept:
    """Select of `tags`; where a fact is missing that decides, the tag is undecided and not selected."""
    found = _exclude(rule, _match(rule, tags, reasons), reasons)
    run = _Facts(rule, facts, now, reasons)
    if rule.newest is None or rule.names:
        kept = [candidate for candidate in _sortable(rule, found, reasons) if run.passes(candidate.tag)]
        if reasons is not None:
            reasons.update((candidate.tag, "kept") for candidate in kept)
        return Kept(tuple(kept), frozenset(run.undecided))
    if rule.order.by is SortBy.CREATED:
        found = [candidate for candidate in found if run.passes(candidate.tag, needs_facts=True)]
    key = _sort_key(rule, facts)
    chosen: list[Candidate] = []
    for name, members in _groups(rule, found, reasons).items():
        if run.looks or reasons is not None:
            chosen += _newest(rule, name, sorted(members, key=key, reverse=True), run)
        else:
            chosen += nlargest(rule.newest, members, key=key)
    return Kept(tuple(chosen), frozenset(run.undecided))


class _Facts:
    """The steps that look at content, one tag at a time, remembering what could not be told."""

    def __init__(
        self, rule: TagRule, facts: Mapping[Tag, TagFacts], now: datetime, reasons: Reasons | None
    ) -> None:
        self._rule, self._facts, self._now, self.reasons = rule, facts, now, reasons
        self.looks = bool(rule.labels) or rule.max_age is not None
        self._seen: dict[Tag, bool] = {}
        self.undecided: set[Tag] = set()

    def passes(self, tag: Tag, *, needs_facts: bool = False) -> bool:
        """Whether labels and age let the tag by; without its facts it does not pass."""
        if not self.looks and not needs_facts:
            return True
        if tag not in self._seen:
            self._seen[tag] = self._decide(tag)
        return self._seen[tag]

    def _decide(self, tag: Tag) -> bool:
        facts = self._facts.get(tag)
        if facts is None:
            self.undecided.add(tag)
            why: str | None = "dropped: what it holds is not known"
        else:
            why = self._objection(facts)
        if why is not None and self.reasons is not None:
            self.reasons[tag] = why
        return why is None

    def _objection(self, facts: TagFacts) -> str | None:
        for key, glob in self._rule.labels.items():
            values = facts.label(key)
            if not any(matches(glob, value) for value in values):
                shown = f"is {values[0]!r:.60}" if values else "is not set"
                return f"dropped by labels: {key} {shown}, wanted {glob!r}"
        age = self._now - facts.age_counts_from
        if self._rule.max_age is not None and age > self._rule.max_age:
            return f"dropped by maxAge: {age.days} days old"
        return None


def _match(rule: TagRule, tags: Collection[Tag], reasons: Reasons | None) -> Iterator[Candidate]:
    """Match the selector alone. Patterns never select digest tags; a name may."""
    if rule.names:
        names = set(rule.names)
        return (Candidate(tag, None, None) for tag in tags if tag in names)
    ordinary = (tag for tag in tags if not is_digest_tag(tag))
    if rule.glob is not None:
        whole = compile_glob(rule.glob).fullmatch
        return (Candidate(tag, None, None) for tag in ordinary if whole(tag))
    if rule.regex is not None:
        return _match_regex(rule, compile_regex(rule.regex), ordinary, reasons)
    return _match_semver(rule, ordinary)


def _match_regex(
    rule: TagRule, regex: re.Pattern[str], tags: Iterable[Tag], reasons: Reasons | None
) -> Iterator[Candidate]:
    wanted = parse_range(rule.semver.range) if rule.semver is not None else None
    of = rule.semver.of if rule.semver is not None else None
    for tag in tags:
        groups = regex.fullmatch(tag)
        if groups is None:
            continue
        version = None
        if wanted is not None:
            text = groups[of] if of is not None else tag
            version = parse_version(text) if text is not None else None
            if version is None or not wanted.contains(version):
                if reasons is not None:
                    reasons[tag] = f"dropped by semver: {text!r} is " + (
                        "no version" if version is None else "outside the range"
                    )
                continue
        yield Candidate(tag, version, groups)


def _match_semver(rule: TagRule, tags: Iterable[Tag]) -> Iterator[Candidate]:
    assert rule.semver is not None  # noqa: S101 - the only selector left
    wanted = parse_range(rule.semver.range)
    for tag in tags:
        version = parse_version(tag)
        if version is not None and wanted.contains(version):
            yield Candidate(tag, version, None)


def _exclude(rule: TagRule, found: Iterator[Candidate], reasons: Reasons | None) -> list[Candidate]:
    if not rule.exclude:
        return list(found)
    patterns = [(glob, compile_glob(glob).fullmatch) for glob in rule.exclude]
    kept = []
    for candidate in found:
        by = next((glob for glob, whole in patterns if whole(candidate.tag)), None)
        if by is None:
            kept.append(candidate)
        elif reasons is not None:
            reasons[candidate.tag] = f"dropped by exclude {by!r}"
    return kept


def _sortable(rule: TagRule, found: list[Candidate], reasons: Reasons | None) -> list[Candidate]:
    """Drop what the rule's sort cannot read; `names` are not sorted."""
    if rule.names or rule.sort is None:
        return found
    kept = []
    for candidate in found:
        if _readable(rule, candidate):
            kept.append(candidate)
        elif reasons is not None:
            reasons[candidate.tag] = f"dropped by sort: no {rule.order.by.value} order for it"
    return kept


def _readable(rule: TagRule, candidate: Candidate) -> bool:
    order = rule.order
    if order.by is SortBy.SEMVER:
        return sort_version(rule, candidate) is not None
    return order.of is None or candidate.groups is None or candidate.groups[order.of] is not None


def sort_version(rule: TagRule, candidate: Candidate) -> Version | None:
    """The version that the rule sorts and groups by: that of its semver, of its sort, or of the tag."""
    if candidate.version is not None and (rule.sort is None or rule.sort.by is not SortBy.SEMVER):
        return candidate.version
    text = _sorted_text(rule, candidate)
    return parse_version(text) if text is not None else None


def _sorted_text(rule: TagRule, candidate: Candidate) -> str | None:
    """The part of the tag that is compared; None when the regex left it out."""
    if candidate.groups is None:
        return candidate.tag
    of = rule.sort.of if rule.sort is not None else None
    if of is None and rule.semver is not None and (rule.sort is None or rule.sort.by is SortBy.SEMVER):
        of = rule.semver.of
    text: str | None = candidate.groups[of] if of is not None else candidate.tag
    return text


def _groups(rule: TagRule, found: list[Candidate], reasons: Reasons | None) -> dict[str, list[Candidate]]:
    """Part what can be sorted by the rule's `per`; one group of all without it."""
    groups: dict[str, list[Candidate]] = {}
    for candidate in found:
        name = _group(rule, candidate) if _readable(rule, candidate) else None
        if name is not None:
            groups.setdefault(name, []).append(candidate)
        elif reasons is not None:
            reasons[candidate.tag] = f"dropped by sort: no {rule.order.by.value} order for it"
    return groups


def _group(rule: TagRule, candidate: Candidate) -> str | None:
    match rule.per:
        case None:
            return ""
        case "major" | "minor" if groups_by_version(rule):
            version = candidate.version or sort_version(rule, candidate)
            if version is None:
                return None
            return f"{version.major}" if rule.per == "major" else f"{version.major}.{version.minor}"
        case name:
            return candidate.groups[name] if candidate.groups is not None else None


def groups_by_version(rule: TagRule) -> bool:
    """Whether `per: major` means the version's, rather than a group of the regex."""
    return rule.semver is not None or rule.order.by is SortBy.SEMVER


def _sort_key(rule: TagRule, facts: Mapping[Tag, TagFacts]) -> Callable[[Candidate], tuple[Any, ...]]:
    """The key by which greater is newer; the tag decides between equals, so no order of input matters."""
    match rule.order.by:
        case SortBy.SEMVER:

            def by_version(candidate: Candidate) -> tuple[Any, ...]:
                version = sort_version(rule, candidate)
                assert version is not None  # noqa: S101 - unreadable ones are gone
                # semver ignores builds, but somebody who tags _build10 means it to follow _build9.
                return version.key, natural_key(version.build) if version.build else _NO_BUILD, candidate.tag

            return by_version
        case SortBy.NATURAL:
            return lambda one: (natural_key(_sorted_text(rule, one) or ""), one.tag)
        case SortBy.CREATED:
            return lambda one: (facts[one.tag].age_counts_from, natural_key(one.tag), one.tag)
        case SortBy.NAME:
            return lambda one: (_sorted_text(rule, one) or "", one.tag)


_NO_BUILD = ("",)


def _newest(rule: TagRule, group: str, members: list[Candidate], run: _Facts) -> list[Candidate]:
    """The first `newest` of sorted `members` that pass; undecided ones take a place until they are known."""
    assert rule.newest is not None  # noqa: S101 - asked for only then
    kept: list[Candidate] = []
    waiting = 0
    of = f" of {rule.per} {group}" if rule.per is not None else ""
    for candidate in members:
        if len(kept) + waiting >= rule.newest:
            if run.reasons is None:
                break
            run.reasons[candidate.tag] = f"dropped: not among the newest {rule.newest}{of}"
        elif run.passes(candidate.tag):
            kept.append(candidate)
            if run.reasons is not None:
                run.reasons[candidate.tag] = f"kept: among the newest {rule.newest}{of}"
        elif candidate.tag in run.undecided:
            waiting += 1
    return kept
