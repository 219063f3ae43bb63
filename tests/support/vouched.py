"""Evidence signed by a mere name, and an authority that believes it: judging, without any cryptography.

    court = Court(require=SignatureRequirement("ops"), ops="olga")
    verdict = court.judge(signed("olga", at=NOW - DAY), attested("olga", VULN, {...}))

It goes the way that all evidence goes: a manifest, its layers, envelopes, examination, judgement.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from regsync.content.pieces import Looked, Piece
from regsync.oci.digest import Digest
from regsync.spec.verification import KeyAuthority, Material, Requirement, VerificationPolicy
from regsync.trust.envelopes import (
    Image,
    NotationEnvelope,
    Proven,
    Question,
    Signer,
    SigstoreEnvelope,
)
from regsync.trust.errors import EvidenceRejectedError, TrustRootTooOldError
from regsync.trust.examine import Examined, examine
from regsync.trust.expressions import Expressions
from regsync.trust.judge import judge
from regsync.trust.policy import CompiledPolicy
from regsync.trust.verdict import Verdict
from tests.support.evidence_pieces import piece_of
from tests.support.images import Content, as_json, image
from tests.support.sigstore_evidence import DSSE, IN_TOTO, Layer, layers_manifest, simple_signing, statement

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
APP = image("vouched").digest
OTHER = image("another").digest
UNKNOWN_LOG = "someone in a log that the root lacks"
EXPRESSIONS = Expressions()


class Believes:
    """An authority: whoever is called one of `who`. Keeps count of what it was asked."""

    def __init__(self, name: str, *who: str) -> None:
        self.name, self.who, self.asked = name, who, 0

    def verify(self, envelope: SigstoreEnvelope | NotationEnvelope, question: Question) -> Proven:
        """Read the name and the time that stand where the signature should."""
        self.asked += 1
        assert isinstance(envelope, SigstoreEnvelope)
        who, at, until = json.loads(envelope.signature)
        if who == UNKNOWN_LOG:
            raise TrustRootTooOldError("transparency log", "log 4242")
        if who not in self.who:
            raise EvidenceRejectedError("signature", "it was made by another key")
        signer = Signer(self.name, who, "https://issuer.example", who, {"runnerEnvironment": "github-hosted"})
        return Proven(signer, ("signature (name)",), (), _time(at), _time(until))


def signed(
    who: str,
    subject: str = APP,
    *,
    at: datetime | None = None,
    until: datetime | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Content:
    """A manifest with one signature; `at` is a verified time, at `until` it expires."""
    payload = simple_signing(subject, annotations)
    notes = {"dev.cosignproject.cosign/signature": base64.b64encode(_signature(who, at, until)).decode()}
    return layers_manifest(Layer("application/vnd.dev.cosign.simplesigning.v1+json", payload, notes))


def attested(
    who: str,
    predicate_type: str,
    predicate: Mapping[str, Any] | None = None,
    subject: str = APP,
    *,
    at: datetime | None = None,
) -> Content:
    """A manifest with one attestation."""
    payload = statement(subject, predicate_type, dict(predicate or {}))
    signature = {"sig": base64.b64encode(_signature(who, at, None)).decode(), "keyid": ""}
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": IN_TOTO,
        "signatures": [signature],
    }
    return layers_manifest(Layer(DSSE, as_json(envelope)))


class Court:
    """A policy over authorities that believe names: `ops="olga"`, or `ci=("bot", "bot2")`."""

    def __init__(self, require: Requirement, **who: str | tuple[str, ...]) -> None:
        believed = {name: (one,) if isinstance(one, str) else one for name, one in who.items()}
        self.authorities = {name: Believes(name, *names) for name, names in believed.items()}
        declared = {name: KeyAuthority(Material("data", name.encode())) for name in who}
        self.policy = VerificationPolicy("prod", declared, require)
        self.now = NOW

    def with_policy(self, **changes: Any) -> "Court":
        """The same court, by a policy that differs."""
        self.policy = replace(self.policy, **changes)
        return self

    @property
    def compiled(self) -> CompiledPolicy:
        """The policy as `judge` takes it."""
        return CompiledPolicy(self.policy, self.authorities, EXPRESSIONS, "fingerprint", uses_image=False)

    @property
    def question(self) -> Question:
        """What is asked: the image APP, now."""
        return Question(Image("hub", "acme/app", "v1", Digest.parse(APP)), self.now)

    def examine(self, *evidence: Content | Piece, subjects: Sequence[str] = ()) -> list[Examined]:
        """All of it, in this order; `subjects` are judged besides APP."""
        pieces = [one if isinstance(one, Piece) else piece_of(one, APP) for one in evidence]
        digests = [Digest.parse(one) for one in subjects]
        return [found for piece in pieces for found in examine(piece, self.compiled, self.question, digests)]

    def judge(
        self,
        *evidence: Content | Piece,
        looked: Sequence[Looked] | None = None,
        subjects: Sequence[str] = (APP,),
        platforms: Mapping[Digest, str] | None = None,
    ) -> Verdict:
        """The verdict over evidence that was found beside APP."""
        places = looked if looked is not None else [place(one) for one in ("referrers", "tag:.sig")]
        digests = [Digest.parse(one) for one in subjects]
        examined = self.examine(*evidence, subjects=subjects)
        return judge(self.compiled, examined, places, digests, self.question, platforms)


def place(location: str, problem: Exception | None = None, subject: str = APP) -> Looked:
    """A place that was looked at."""
    return Looked(Digest.parse(subject), "hub/acme/app", location, 0, problem)  # type: ignore[arg-type]


def _signature(who: str, at: datetime | None, until: datetime | None) -> bytes:
    return json.dumps([who, *(None if time is None else time.isoformat() for time in (at, until))]).encode()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
