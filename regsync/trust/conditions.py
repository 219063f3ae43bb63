"""What an attestation that somebody vouches for has to say, beyond being there."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from regsync.spec.verification import AttestationRequirement
from regsync.trust.envelopes import Proven, Question, SigstoreEnvelope
from regsync.trust.expressions import Expressions, Variables
from regsync.trust.predicate_time import said_at
from regsync.trust.slsa import unmet_by_provenance
from regsync.trust.vulnerabilities import judge_scan

_SPEAKS_OF_NOW = re.compile(r"\bnow\b")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the conditions of one requirement came to. `unmet` says why they do not hold.

    `said_at` is when it was made by its own word. `expires`: from then on the answer may be another.
    """

    unmet: str | None
    said_at: datetime | None = None
    expires: datetime | None = None


def ask(
    requirement: AttestationRequirement,
    envelope: SigstoreEnvelope,
    proven: Proven,
    expressions: Expressions,
    question: Question,
) -> Answer:
    """Put every condition of a requirement to a statement; the first that does not hold is the answer."""
    message = envelope.message
    statement = message.statement or {}
    predicate = statement.get("predicate")
    predicate = predicate if isinstance(predicate, Mapping) else {}
    made = said_at(predicate)
    ends: list[datetime] = []
    unmet = None
    if requirement.slsa is not None:
        unmet = unmet_by_provenance(requirement.slsa, message.predicate_type, predicate, proven.signer)
    if unmet is None and requirement.vulnerabilities is not None:
        scan = judge_scan(requirement.vulnerabilities, predicate, question.now)
        unmet = scan.unmet
        ends += [scan.expires] if scan.expires is not None else []
    asked = [condition.expression for condition in requirement.conditions]
    if unmet is None:
        payload = envelope.dsse.payload if envelope.dsse is not None else b""
        signer, image = proven.signer, question.image
        variables = Variables(statement, payload, signer, proven.signed_at, image, question.now)
        unmet = expressions.unmet(asked, variables)
    if any(_SPEAKS_OF_NOW.search(one) for one in asked):
        ends.append(question.now)  # when it will turn is not known: to be asked each time
    return Answer(unmet, made, min(ends, default=None))
