"""Which tags a RetentionPolicy keeps, and which may go: a function of what was seen (DESIGN.md, section 3).

A tag goes only if a rule speaks of it and no rule, nor anything else, keeps it. What is not known keeps: a
pull time that a registry does not tell, a tag that a rule's `sort` cannot read. `created` is never looked
at, since builders write there what they like. What the tags lead to is decided in `retention_content`.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.spec.globs import compile_glob
from regsync.spec.matching import Reasons, candidates, is_digest_tag
from regsync.spec.model import Location, SortBy, TagRule
from regsync.spec.retention import KeepRule, RetentionPolicy, Unmatched
from regsync.spec.rules import can_place, narrow


@dataclass(frozen=True, slots=True)
class TagState:
    """What is known of one tag; None is not known."""

    digest: Digest | None = None
    pushed: datetime | None = None  # when it was last put, aware
    pulled: datetime | None = None  # when it was last pulled at any place of the same mirror, aware


@dataclass(frozen=True, slots=True)
class RetentionSeen:
    """One repository that a policy covers, and what there is to keep of it for other reasons."""

    location: Location
    tags: Mapping[Tag, TagState]  # all of them
    kept: Mapping[Tag, str] = field(default_factory=dict)  # by mirrors and whatever runs, with the reason
    kept_digests: Mapping[Digest, str] = field(default_factory=dict)  # likewise, whatever leads to them


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one tag, and why."""

    tag: Tag
    kept: bool
    why: str


@dataclass(frozen=True, slots=True)
class RetentionDecision:
    """What of one repository may go. Digest tags are in neither list: they follow their subjects."""

    policy: RetentionPolicy
    seen: RetentionSeen
    now: datetime
    going: tuple[Tag, ...]  # sorted
    total: int  # tags that the limits count a part of

    @property
    def allowed(self) -> int:
        """How many tags may go at most."""
        return self.policy.limits.allowed(self.total)

    @property
    def is_refused(self) -> bool:
        """Whether more would go than the limits allow, so that none of them does."""
        return len(self.going) > self.allowed

    def fates(self, tags: Collection[Tag] | None = None) -> tuple[Fate, ...]:
        """The rule that kept, or the rules that did not keep, each of these tags (None: all), sorted."""
        wanted = self.seen.tags if tags is None else tags
        judges = _Judges.of(self.policy, self.seen, self.now, reasons=True)
        going = set(self.going)
        return tuple(judges.fate(tag, goes=tag in going) for tag in sorted(wanted))


def decide_retention(policy: RetentionPolicy, seen: RetentionSeen, *, now: datetime) -> RetentionDecision:
    """What `policy` no longer keeps of a repository."""
    judges = _Judges.of(policy, seen, now)
    going = tuple(sorted(judges.going()))
    return RetentionDecision(policy, seen, now, going, len(judges.tags))


@dataclass(slots=True)
class _Verdict:
    """What one rule says."""

    rule: KeepRule
    number: int
    matched: frozenset[Tag]  # of which it speaks; empty for a rule that only protects
    kept: Collection[Tag]
    reasons: Reasons = field(default_factory=dict)

    def about(self, tag: Tag) -> str:
        return f"rule {self.number} ({self.rule}): {self.reasons[tag]}"


@dataclass(slots=True)
class _Judges:
    """All that may keep a tag."""

    policy: RetentionPolicy
    seen: RetentionSeen
    tags: tuple[Tag, ...]  # but digest tags
    held: Mapping[Tag, str]  # whatever rules say, with the reason
    verdicts: tuple[_Verdict, ...]

    @classmethod
    def of(
        cls, policy: RetentionPolicy, seen: RetentionSeen, now: datetime, *, reasons: bool = False
    ) -> "_Judges":
        tags = tuple(tag for tag in seen.tags if not is_digest_tag(tag))
        held = dict(_held(policy, seen, tags))
        judge = partial(_judge, seen=seen, tags=tags, now=now, reasons=reasons)
        verdicts = tuple(judge(rule, number) for number, rule in enumerate(policy.keep, 1))
        return cls(policy, seen, tags, held, verdicts)

    def going(self) -> set[Tag]:
        """The tags that nothing keeps."""
        spoken_of = (
            set(self.tags)
            if self.policy.unmatched is Unmatched.DELETE
            else {tag for verdict in self.verdicts for tag in verdict.matched}
        )
        for verdict in self.verdicts:
            spoken_of.difference_update(verdict.kept)
        spoken_of.difference_update(self.held)
        return spoken_of

    def fate(self, tag: Tag, *, goes: bool) -> Fate:
        if is_digest_tag(tag):
            return Fate(tag, kept=True, why="evidence of another image: it follows its subject")
        if (held := self.held.get(tag)) is not None:
            return Fate(tag, kept=True, why=held)
        said = [verdict for verdict in self.verdicts if tag in verdict.reasons]
        for verdict in said:
            if tag in verdict.kept:
                return Fate(tag, kept=True, why=verdict.about(tag))
        if not goes:
            why = "; ".join(["no rule's selector matches it", *(one.about(tag) for one in said)])
            return Fate(tag, kept=True, why=why)
        return Fate(tag, kept=False, why="; ".join(one.about(tag) for one in said) or "no rule keeps it")


def _held(policy: RetentionPolicy, seen: RetentionSeen, tags: Iterable[Tag]) -> Iterator[tuple[Tag, str]]:
    protecting = [(glob, compile_glob(glob).fullmatch) for glob in policy.protect]
    for tag in tags:
        by = next((glob for glob, whole in protecting if whole(tag)), None)
        if by is not None:
            yield tag, f"protected by {by!r}"
        elif (why := seen.kept.get(tag)) is not None:
            yield tag, why
        else:
            digest = seen.tags[tag].digest
            if digest is not None and (why := seen.kept_digests.get(digest)) is not None:
                yield tag, why


def _judge(
    rule: KeepRule, number: int, *, seen: RetentionSeen, tags: tuple[Tag, ...], now: datetime, reasons: bool
) -> _Verdict:
    said: Reasons = {}
    if rule.selector is None:
        matched: frozenset[Tag] = frozenset()
        chosen: Collection[Tag] = tags
    else:
        matched, chosen = _select(rule.selector, tags, now, said if reasons else None)
    times = _Times(rule, seen, now)
    kept = frozenset(tag for tag in chosen if times.keeps(tag))
    if reasons:
        said.update((tag, times.why(tag)) for tag in chosen if times.is_asked)
    return _Verdict(rule, number, matched, kept, said)


def _select(
    written: TagRule, tags: Collection[Tag], now: datetime, reasons: Reasons | None
) -> tuple[frozenset[Tag], Collection[Tag]]:
    """Of which tags a selector speaks, and which of them it keeps."""
    rule = certain_part(written)
    found = [one for one in candidates(rule, tags, reasons) if can_place(rule, one)]
    chosen = narrow(rule, found, {}, now=now, reasons=reasons)
    return frozenset(one.tag for one in found), [one.tag for one in chosen.candidates]


def certain_part(rule: TagRule) -> TagRule:
    """The rule less what rests on the content of images, by which nothing may be deleted: it keeps more."""
    if rule.labels or rule.max_age is not None or rule.order.by is SortBy.CREATED:
        return replace(rule, labels={}, max_age=None, sort=None, newest=None, per=None)
    return rule


@dataclass(slots=True)
class _Times:
    """`pushedWithin` and `pulledWithin` of one rule. What is not known counts as within."""

    rule: KeepRule
    seen: RetentionSeen
    now: datetime

    @property
    def is_asked(self) -> bool:
        return self.rule.pushed_within is not None or self.rule.pulled_within is not None

    def keeps(self, tag: Tag) -> bool:
        state = self.seen.tags[tag]
        return self._is_within(state.pushed, self.rule.pushed_within) and self._is_within(
            state.pulled, self.rule.pulled_within
        )

    def _is_within(self, moment: datetime | None, within: timedelta | None) -> bool:
        return within is None or moment is None or self.now - moment <= within

    def why(self, tag: Tag) -> str:
        state = self.seen.tags[tag]
        asked = (
            ("pushed", state.pushed, self.rule.pushed_within),
            ("pulled", state.pulled, self.rule.pulled_within),
        )
        said = [self._one(*one) for one in asked if one[2] is not None]
        return f"{'kept' if self.keeps(tag) else 'not kept'}: {', '.join(said)}"

    def _one(self, verb: str, moment: datetime | None, within: timedelta | None) -> str:
        if moment is None:
            return f"when it was last {verb} is not known"
        age = self.now - moment
        return f"last {verb} {max(age, timedelta()) // timedelta(days=1)} days ago"
