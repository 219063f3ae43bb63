"""One tag rule at work: match → exclude → labels → maxAge → group → sort → newest.

Facts about content cost requests, so they are asked for last and only of the tags that can still
decide something: in a group of which the newest three are wanted, the walk stops behind the third.
Source: DESIGN.md, section 3, "Selection".
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from heapq import nlargest
from typing import Any

from regsync.oci.reference import Tag
from regsync.spec.facts import TagFacts
from regsync.spec.globs import matches
from regsync.spec.matching import Candidate, Reasons, candidates
from regsync.spec.model import SortBy, TagRule
from regsync.spec.versions import Version, natural_key, parse_version


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


def apply_rule(
    rule: TagRule,
    tags: Collection[Tag],
    facts: Mapping[Tag, TagFacts],
    *,
    now: datetime,
    reasons: Reasons | None = None,
) -> Kept:
    """Select of `tags`; where a fact is missing that decides, the tag is undecided and not selected."""
    return narrow(rule, candidates(rule, tags, reasons), facts, now=now, reasons=reasons)


def narrow(
    rule: TagRule,
    found: list[Candidate],
    facts: Mapping[Tag, TagFacts],
    *,
    now: datetime,
    reasons: Reasons | None = None,
) -> Kept:
    """Select of what the rule's selector matched, as `apply_rule` does."""
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


def can_place(rule: TagRule, candidate: Candidate) -> bool:
    """Whether the rule's `sort` and `per` can read the tag: what they cannot read they say nothing about."""
    if rule.names or (rule.newest is None and rule.sort is None):
        return True
    return _readable(rule, candidate) and (rule.newest is None or _group(rule, candidate) is not None)


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
    """The first `newest` of sorted `members` that pass.

    Undecided ones take a place until they are known. As many again as were turned down are looked
    at together, so that a long row of old images takes few turns.
    """
    assert rule.newest is not None  # noqa: S101 - asked for only then
    kept: list[Candidate] = []
    waiting = rejected = 0
    of = f" of {rule.per} {group}" if rule.per is not None else ""
    for candidate in members:
        if len(kept) >= rule.newest or waiting >= max(rule.newest - len(kept), rejected):
            if run.reasons is None:
                break
            run.reasons[candidate.tag] = f"dropped: not among the newest {rule.newest}{of}"
        elif run.passes(candidate.tag):
            kept.append(candidate)
            if run.reasons is not None:
                run.reasons[candidate.tag] = f"kept: among the newest {rule.newest}{of}"
        elif candidate.tag in run.undecided:
            waiting += 1
        else:
            rejected += 1
    return kept
