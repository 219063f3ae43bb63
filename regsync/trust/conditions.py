"""What an attestation that somebody vouches for has to say, beyond being there."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from regsync.spec.verification import AttestationRequirement
from regsync.trust.ages import made_at, span
from regsync.trust.envelopes import Proven, Question, SigstoreEnvelope
from regsync.trust.expressions import Expressions, Variables
from regsync.trust.predicate_time import said_at
from regsync.trust.slsa import unmet_by_provenance
from regsync.trust.vulnerabilities import judge_scan

_SPEAKS_OF_NOW = re.compile(r"\bnow\b")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the conditions of one requirement came to. `unmet` says why they do not hold.

    `expires`: from then on the answer may be another.
    """

    unmet: str | None
    made_at: datetime | None = None
    expires: datetime | None = None
    relaxed: tuple[str, ...] = ()  # what did not count against it, and why


def ask(
    requirement: AttestationRequirement,
    envelope: SigstoreEnvelope,
    proven: Proven,
    expressions: Expressions,
    question: Question,
) -> Answer:
    """Put every condition of a requirement to a statement; the first that does not hold is the answer.

    Its age comes first, so that of a year of daily scans only the last ones cost anything.
    """
    statement = envelope.message.statement or {}
    predicate = statement.get("predicate")
    predicate = predicate if isinstance(predicate, Mapping) else {}
    made = made_at(predicate, proven, question.now)
    ends: list[datetime] = []
    relaxed: tuple[str, ...] = ()
    unmet = _unmet_by_age(requirement, made, said_at(predicate), question.now, ends)
    if unmet is None and requirement.slsa is not None:
        kind = envelope.message.predicate_type
        unmet = unmet_by_provenance(requirement.slsa, kind, predicate, proven.signer)
    if unmet is None and requirement.vulnerabilities is not None:
        scan = judge_scan(requirement.vulnerabilities, predicate, question.now)
        unmet, relaxed = scan.unmet, scan.relaxed
        ends += [scan.expires] if scan.expires is not None else []
    if unmet is None and requirement.conditions:
        unmet = _unmet_by_conditions(requirement, envelope, proven, expressions, question)
        if any(_SPEAKS_OF_NOW.search(one.expression) for one in requirement.conditions):
            ends.append(question.now)  # when it will turn is not known: to be asked each time
    return Answer(unmet, made, min(ends, default=None), relaxed)


def _unmet_by_age(
    requirement: AttestationRequirement,
    made: datetime | None,
    said: datetime | None,
    now: datetime,
    ends: list[datetime],
) -> str | None:
    if requirement.max_age is None:
        return None
    if made is None and said is not None:
        return f"its age is not known: it says that it is of {said:%Y-%m-%d %H:%M} UTC, still to come"
    if made is None:
        return "its age is not known: it has no time"
    if made + requirement.max_age <= now:
        return f"it is {span(now - made)} old, at most {span(requirement.max_age)} is let pass"
    ends.append(made + requirement.max_age)
    return None


def _unmet_by_conditions(
    requirement: AttestationRequirement,
    envelope: SigstoreEnvelope,
    proven: Proven,
    expressions: Expressions,
    question: Question,
) -> str | None:
    variables = Variables(
        envelope.message.statement or {},
        envelope.dsse.payload if envelope.dsse is not None else b"",
        proven.signer,
        proven.signed_at,
        question.image,
        question.now,
    )
    return expressions.unmet([one.expression for one in requirement.conditions], variables)
