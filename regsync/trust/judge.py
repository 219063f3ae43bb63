"""What a policy says of an image, from all evidence that was found and all places that were looked at.

Pure: the same evidence in any order gives the same verdict. Rules: SIGNING.md, sections 0 and 6.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from regsync.content.pieces import Looked
from regsync.oci.digest import Digest
from regsync.spec.verification import (
    AllOf,
    AtLeast,
    AttestationRequirement,
    Requirement,
    SignatureRequirement,
    Skip,
    VerificationPolicy,
)
from regsync.trust.ages import span
from regsync.trust.distinct import distinct
from regsync.trust.envelopes import Question
from regsync.trust.examine import Examined
from regsync.trust.policy import CompiledPolicy
from regsync.trust.requirements import Case, Outcome, attestation, described, signature
from regsync.trust.verdict import RequirementVerdict, Result, Searched, Verdict


def judge(
    policy: CompiledPolicy,
    examined: Sequence[Examined],
    looked: Sequence[Looked],
    subjects: Sequence[Digest],
    question: Question,
    platforms: Mapping[Digest, str] | None = None,
) -> Verdict:
    """Say whether every one of `subjects` meets the policy.

    `subjects` are the digests that have to carry evidence by the policy's scope; `platforms` names them
    for people. A place that could not be looked at makes an error of what did not pass: "no signature"
    would be a guess. Attestations of which all, or the newest, have to be good do not pass without it either.
    """
    places = tuple(sorted(map(_searched, looked), key=_place_order))
    cases = [_case(one, examined, places, question) for one in dict.fromkeys(subjects)]
    outcomes = [(case, _subject(policy.policy, case)) for case in cases]
    result = _together([outcome.result for _, outcome in outcomes])
    names = platforms or {}
    return Verdict(
        policy.name,
        policy.policy.mode,
        question.image.digest,
        result,
        None if result is Result.PASS else _reason(outcomes, names),
        _requirements(outcomes, names),
        places,
        tuple(sorted({described(one.signer) for _, outcome in outcomes for one in outcome.counted})),
        # What cannot be told is asked again each time.
        question.now if result is Result.ERROR else _first([outcome.expires for _, outcome in outcomes]),
    )


def skipped(policy: CompiledPolicy, skip: Skip, question: Question) -> Verdict:
    """The verdict over an image that the policy does not look at."""
    return Verdict(
        policy.name,
        policy.policy.mode,
        question.image.digest,
        Result.SKIPPED,
        f"until {skip.until:%Y-%m-%d}: {skip.reason}",
        expires=skip.until,
    )


def _case(
    subject: Digest, examined: Sequence[Examined], places: Sequence[Searched], question: Question
) -> Case:
    evidence = tuple(one for one in examined if one.speaks_of(subject))
    return Case(subject, evidence, tuple(one for one in places if one.subject == subject), question)


def _subject(policy: VerificationPolicy, case: Case) -> Outcome:
    outcome = _require(policy.require, case)
    if policy.min_age is None or outcome.result is not Result.PASS:
        return outcome
    return _all([outcome, _min_age(policy.min_age, outcome, case)])


def _require(requirement: Requirement, case: Case) -> Outcome:
    match requirement:
        case SignatureRequirement():
            return signature(requirement, case)
        case AttestationRequirement():
            return attestation(requirement, case)
        case AllOf(of):
            return _all([_require(one, case) for one in of])
        case AtLeast(count, of):
            return _at_least(count, [_require(one, case) for one in of], case)


def _all(parts: Sequence[Outcome]) -> Outcome:
    result = _together([part.result for part in parts])
    reasons = [part.verdict.reason for part in parts if part.verdict.reason is not None]
    opening = None if parts else "it asks for nothing, which nothing meets"
    reason = opening or "; ".join(reasons) or None
    of = tuple(part.verdict for part in parts)
    return _combined(RequirementVerdict("all", result, reason, of=of, opening=opening), parts)


def _at_least(count: int, parts: Sequence[Outcome], case: Case) -> Outcome:
    """Requirements are counted by distinct signers; one may stand for a branch by any part of it."""
    met = [part for part in parts if part.result is Result.PASS]
    by_signers = distinct([part.signers for part in met])
    label = "any" if count == 1 else f"at least {count}"
    of = tuple(part.verdict for part in parts)
    if by_signers >= count > 0:
        return _combined(RequirementVerdict(label, Result.PASS, of=of), met)
    unknown = sum(part.result is Result.ERROR for part in parts)
    is_error = case.is_open or (unknown > 0 and by_signers + unknown >= count)
    reasons = [part.verdict.reason for part in parts if part.verdict.reason is not None]
    opening = (
        f"{by_signers} of {len(parts)} met, {count} needed by distinct signers"
        if count > 1
        else "none is met"
    )
    if len(met) > by_signers:
        signers = ", ".join(sorted({described(one.signer) for part in met for one in part.counted}))
        opening += f": {len(met)} are met, but by no more signers than {signers}"
    reason = f"{opening}: {'; '.join(reasons)}" if reasons else opening
    result = Result.ERROR if is_error else Result.FAIL
    return Outcome(RequirementVerdict(label, result, reason, of=of, opening=opening))


def _combined(verdict: RequirementVerdict, parts: Sequence[Outcome]) -> Outcome:
    if verdict.result is not Result.PASS:
        return Outcome(verdict, expires=_first([part.expires for part in parts]))
    return Outcome(
        verdict,
        frozenset().union(*(part.signers for part in parts)),
        tuple(proven for part in parts for proven in part.counted),
        _first([part.expires for part in parts]),
    )


def _min_age(min_age: timedelta, outcome: Outcome, case: Case) -> Outcome:
    """Whether somebody whose word counted gave it long enough ago, by a time that was verified."""
    label = f"signed at least {span(min_age)} ago"
    known = [proven.signed_at for proven in outcome.counted if proven.signed_at is not None]
    first = min(known, default=None)
    if first is not None and first + min_age <= case.question.now:
        return Outcome(RequirementVerdict(label, Result.PASS), outcome.signers)
    result = Result.ERROR if case.is_open else Result.FAIL
    if first is None:
        reason = f"not {label}: nothing that counts has a time that was verified, of a log or an authority"
        return Outcome(RequirementVerdict(label, result, reason))
    reason = f"not {label}: signed {first:%Y-%m-%d %H:%M} UTC, {span(case.question.now - first)} ago"
    return Outcome(RequirementVerdict(label, result, reason), expires=first + min_age)


def _together(results: Sequence[Result]) -> Result:
    """All have to pass, and there has to be one; a clear no outweighs what cannot be told."""
    if not results or Result.FAIL in results:
        return Result.FAIL
    return Result.ERROR if Result.ERROR in results else Result.PASS


def _reason(outcomes: Sequence[tuple[Case, Outcome]], names: Mapping[Digest, str]) -> str:
    """Why it is no pass, and where evidence was looked for; of several digests for each that lacks it.

    Most often all of them lack the same, and were looked for in the same places: that is said once.
    """
    bad = [(case, outcome.verdict.reason) for case, outcome in outcomes if outcome.result is not Result.PASS]
    named: dict[str, list[str]] = {}
    for case, reason in bad:
        named.setdefault(reason or "", []).append(_named(case.subject, names))
    several = len(outcomes) > 1
    reasons = [f"{', '.join(who)}: {reason}" if several else reason for reason, who in named.items()]
    looked = dict.fromkeys(case.looked_at() for case, _ in bad)
    return "; ".join([*reasons, *looked]) or "there is no digest to judge"


def _requirements(
    outcomes: Sequence[tuple[Case, Outcome]], names: Mapping[Digest, str]
) -> tuple[RequirementVerdict, ...]:
    """Of one digest what is asked of it; of several one for each, called like its platform."""
    if len(outcomes) == 1:
        return _below(outcomes[0][1])
    return tuple(
        RequirementVerdict(
            _named(case.subject, names), outcome.result, outcome.verdict.reason, of=_below(outcome)
        )
        for case, outcome in outcomes
    )


def _below(outcome: Outcome) -> tuple[RequirementVerdict, ...]:
    return outcome.verdict.of if outcome.verdict.requirement == "all" else (outcome.verdict,)


def _named(digest: Digest, names: Mapping[Digest, str]) -> str:
    name = names.get(digest)
    return f"{name} ({digest.short()})" if name else str(digest)


def _first(times: Sequence[datetime | None]) -> datetime | None:
    return min((time for time in times if time is not None), default=None)


def _searched(looked: Looked) -> Searched:
    said = None if looked.problem is None else str(looked.problem)
    return Searched(looked.subject, looked.repository, looked.location, looked.found, said, looked.is_open)


def _place_order(one: Searched) -> tuple[str, ...]:
    return (str(one.subject), one.repository, one.location, str(one.problem or ""))
