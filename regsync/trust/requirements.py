"""One requirement against the evidence of one digest: which of it counts, and why the rest does not."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from regsync.oci.digest import Digest
from regsync.spec.verification import AttestationRequirement, Select, SignatureRequirement
from regsync.trust.envelopes import Kind, Proven, Question, Signer
from regsync.trust.examine import UNSIGNED, Examined, Refusal, is_of_type
from regsync.trust.verdict import EvidenceSeen, RequirementVerdict, Result, Searched

_REASONS = 3  # told in one sentence


@dataclass(frozen=True, slots=True)
class Case:
    """What one digest's requirements are judged by."""

    subject: Digest
    evidence: tuple[Examined, ...]
    searched: tuple[Searched, ...]
    question: Question

    @property
    def is_open(self) -> bool:
        """Whether some place could not be looked at, so that more evidence may be there."""
        return any(one.is_error for one in self.searched) or any(one.is_error for one in self.evidence)

    def looked_at(self) -> str:
        """`looked at referrers, tag:.sig of hub/acme/app`, and what kept places from being looked at.

        What fails in one repository most often fails alike everywhere in it, so one cause is told.
        """
        seen = _by_repository(one for one in self.searched if not one.is_error)
        failed = _by_repository(one for one in self.searched if one.is_error)
        looked = "; ".join(f"{_locations(places)} of {name}" for name, places in seen.items())
        not_looked = "; ".join(
            f"{_locations(places)} of {name}: {places[0].problem}" for name, places in failed.items()
        )
        said = [f"looked at {looked}"] if looked else []
        said += [f"could not look everywhere: {not_looked}"] if not_looked else []
        return "; ".join(said) or "there was no place to look at"


def _by_repository(places: Iterable[Searched]) -> dict[str, list[Searched]]:
    found: dict[str, list[Searched]] = {}
    for one in places:
        found.setdefault(one.repository, []).append(one)
    return found


def _locations(places: Iterable[Searched]) -> str:
    return ", ".join(dict.fromkeys(one.location for one in places))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a requirement, and who stands for it."""

    verdict: RequirementVerdict
    signers: frozenset[str] = frozenset()  # identities; any of them can stand for it
    counted: tuple[Proven, ...] = ()
    expires: datetime | None = None  # of a pass

    @property
    def result(self) -> Result:
        """Its result."""
        return self.verdict.result


@dataclass(frozen=True, slots=True)
class _Weighed:
    """One piece of evidence as a requirement sees it. `reason` says why it does not count."""

    examined: Examined
    proven: Proven | None = None
    reason: str | None = None
    is_error: bool = False
    is_vouched: bool = False  # the authority signed it, of this digest
    order: datetime | None = None  # what `newest` goes by
    expires: datetime | None = None
    relaxed: tuple[str, ...] = ()  # by the conditions

    def seen(self, case: Case) -> EvidenceSeen:
        """As a verdict shows it."""
        one, proven = self.examined, self.proven
        return EvidenceSeen(
            one.digest,
            one.repository,
            one.location,
            one.format,
            case.subject,
            one.message.predicate_type if one.message is not None else None,
            proven.checks if proven is not None else (),
            (proven.relaxed if proven is not None else ()) + self.relaxed,
            described(proven.signer) if proven is not None else None,
            proven.signed_at if proven is not None else None,
            self.reason,
        )


def described(signer: Signer) -> str:
    """A signer as a person knows it."""
    return f"{signer.authority}: {signer.subject or signer.identity}"


def signature(requirement: SignatureRequirement, case: Case) -> Outcome:
    """Whether there is a signature by the authority with the annotations; an attestation never is one."""
    weighed = [
        _check_annotations(requirement, _weigh(one, requirement.authority, case))
        for one in case.evidence
        if (one.message is None and one.problem != UNSIGNED)
        or (one.message is not None and one.message.kind is Kind.SIGNATURE)
    ]
    others = len(case.evidence) - len(weighed)
    count = "counts" if others == 1 else "count"
    aside = (
        f"; {counted(others, 'attestation')} beside it, which never {count} as a signature" if others else ""
    )
    asked = _Asked("signature", requirement.label, requirement.authority, aside=aside)
    return _outcome(asked, weighed, case)


def attestation(requirement: AttestationRequirement, case: Case) -> Outcome:
    """Whether there are attestations of the type by the authority, and those selected meet the conditions."""
    name = requirement.authority
    weighed = [
        _check_conditions(requirement, _weigh(one, name, case))
        for one in case.evidence
        if one.message is None or is_of_type(one.message, requirement)
    ]
    types = sorted({kind for one in case.evidence if (kind := _other_type(one, requirement)) is not None})
    aside = f"; of other types there are {', '.join(types[:_REASONS])}" if types else ""
    return _outcome(_Asked("attestation", requirement.label, name, requirement.select, aside), weighed, case)


def _other_type(one: Examined, requirement: AttestationRequirement) -> str | None:
    if one.message is None or one.message.kind is Kind.SIGNATURE or is_of_type(one.message, requirement):
        return None
    return one.message.predicate_type


def _weigh(one: Examined, authority: str, case: Case) -> _Weighed:
    """What the evidence and the authority say, before the requirement asks anything."""
    if one.problem is not None or one.message is None:
        return _Weighed(one, reason=one.problem, is_error=one.is_error)
    found = one.by[authority]
    if isinstance(found, Refusal):
        return _Weighed(one, reason=found.reason, is_error=found.is_error)
    if case.subject not in one.message.subjects:
        named = ", ".join(sorted(map(str, one.message.subjects))[:1]) or "none that names content"
        return _Weighed(one, found, f"it is of another digest: {named}")
    if found.expires is not None and found.expires <= case.question.now:
        return _Weighed(one, found, f"it expired at {found.expires:%Y-%m-%d %H:%M} UTC")
    return _Weighed(one, found, is_vouched=True, expires=found.expires)


def _check_annotations(requirement: SignatureRequirement, weighed: _Weighed) -> _Weighed:
    message = weighed.examined.message
    if not weighed.is_vouched or message is None:
        return weighed
    for key, wanted in sorted(requirement.annotations.items()):
        found = message.annotations.get(key)
        if found is None:
            return replace(weighed, reason=f"it has no annotation {key}")
        if found != wanted:
            return replace(weighed, reason=f"its annotation {key} is {found!r:.120}, not {wanted!r}")
    return weighed


def _check_conditions(requirement: AttestationRequirement, weighed: _Weighed) -> _Weighed:
    if not weighed.is_vouched:
        return weighed
    answer = weighed.examined.answers[requirement]
    expires = _earliest([weighed.expires, answer.expires])
    return replace(
        weighed, order=answer.made_at, reason=answer.unmet, expires=expires, relaxed=answer.relaxed
    )


def _earliest(times: Iterable[datetime | None]) -> datetime | None:
    return min((time for time in times if time is not None), default=None)


@dataclass(frozen=True, slots=True)
class _Asked:
    """How a requirement is spoken of, and which of its evidence decides."""

    noun: str
    label: str
    authority: str
    select: Select = Select.ANY
    aside: str = ""


def _outcome(asked: _Asked, weighed: list[_Weighed], case: Case) -> Outcome:
    weighed, problem = _selected(asked.select, weighed)
    counting = [one for one in weighed if one.reason is None]
    passes = bool(counting) and problem is None
    # What could not be looked at may hold a newer attestation, or one that does not meet the conditions.
    is_sure = asked.select is Select.ANY or not case.is_open
    if passes and is_sure:
        result, reason = Result.PASS, None
    else:
        is_error = case.is_open or any(one.is_error for one in weighed)
        result = Result.ERROR if is_error else Result.FAIL
        reason = _why(asked, result, weighed, problem)
    seen = sorted((one.seen(case) for one in weighed), key=_order)
    verdict = RequirementVerdict(asked.label, result, reason, asked.authority, tuple(seen))
    if result is not Result.PASS:
        return Outcome(verdict)
    proofs = tuple(one.proven for one in counting if one.proven is not None)
    signers = frozenset(proven.signer.identity for proven in proofs)
    return Outcome(verdict, signers, proofs, _earliest(one.expires for one in counting))


def _selected(select: Select, weighed: list[_Weighed]) -> tuple[list[_Weighed], str | None]:
    """The evidence with what the selection leaves out, and why what it chose does not do."""
    vouched = [one for one in weighed if one.is_vouched]
    if select is Select.ANY or not vouched:
        return weighed, None
    if select is Select.ALL:
        bad = sum(one.reason is not None for one in vouched)
        return (
            weighed,
            f"{bad} of {len(vouched)} do not meet the conditions, and all have to" if bad else None,
        )
    undated = sum(one.order is None for one in vouched)
    if undated and len({one.examined.digest for one in vouched}) > 1:
        return weighed, f"which of {len(vouched)} is the newest cannot be told: {undated} have no time"
    newest = max((one.order for one in vouched if one.order is not None), default=None)
    # Several may be of one second: then all of them are the newest.
    left_out = "a newer one decides"
    chosen = [
        replace(one, reason=left_out) if one.is_vouched and one.order != newest else one for one in weighed
    ]
    bad = sum(one.reason is not None for one in chosen if one.is_vouched and one.order == newest)
    return chosen, "the newest does not meet the conditions" if bad else None


def _order(seen: EvidenceSeen) -> tuple[str, ...]:
    """The same order whichever way the evidence came."""
    texts = (seen.repository, seen.location, str(seen.digest), seen.format, seen.predicate_type)
    return tuple(str(one or "") for one in (*texts, seen.signer, seen.signed_at, seen.reason))


def _why(asked: _Asked, result: Result, weighed: list[_Weighed], problem: str | None) -> str:
    """For the person on call: what is missing, what was there instead, and why it did not do."""
    if result is Result.FAIL:
        opening, nothing = f"no {asked.label}", "there is none"
    else:
        article = "an" if asked.noun == "attestation" else "a"
        opening, nothing = f"cannot tell whether there is {article} {asked.label}", "none was found"
    return f"{opening}: {_instead(asked.noun, weighed, problem) if weighed else nothing}{asked.aside}"


def _instead(noun: str, weighed: list[_Weighed], problem: str | None) -> str:
    reasons = Counter(one.reason for one in weighed if one.reason is not None)
    told = sorted(reasons.items(), key=lambda one: (-one[1], one[0]))
    shown = [
        f"{count} of them: {reason}" if len(weighed) > 1 else reason for reason, count in told[:_REASONS]
    ]
    if len(told) > _REASONS:
        shown.append(f"{sum(count for _, count in told[_REASONS:])} more for other reasons")
    found = f"found {counted(len(weighed), noun)}"
    return "; ".join([*([problem] if problem else []), found + (f": {'; '.join(shown)}" if shown else "")])


def counted(count: int, noun: str) -> str:
    """`1 signature`, `2 signatures`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
