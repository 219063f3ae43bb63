"""Policies made of values, and what they say of evidence: without a spec, a registry or a clock."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from regsync.content.evidence import Shelf
from regsync.content.pieces import Piece
from regsync.content.protocol import Source
from regsync.oci.digest import Digest
from regsync.spec.verification import (
    AllOf,
    AttestationRequirement,
    Authority,
    KeyAuthority,
    KeylessAuthority,
    LogUse,
    Material,
    Requirement,
    SignatureRequirement,
    SigstoreRoot,
    TextMatch,
    TrustRoot,
    VerificationPolicy,
)
from regsync.trust.envelopes import Image, Question
from regsync.trust.examine import examine
from regsync.trust.inquiry import Asked, inquire
from regsync.trust.judge import judge
from regsync.trust.policy import CompiledPolicy, compile_policies
from regsync.trust.verdict import EvidenceSeen, RequirementVerdict, Verdict
from tests.support.signing_keys import public_pem
from tests.support.sigstore_pki import ISSUER, SIGNED_AT, SUBJECT, Signer, SigstorePki

NOW = SIGNED_AT + timedelta(days=3)
AUTHORITY, ROOT = "release", "private"


def trust_of(
    pki: SigstorePki, *, document: bytes | None = None, tlog: int = 1, timestamps: int = 0, ctlog: int = 1
) -> TrustRoot:
    """The private Sigstore as a policy trusts it, or by another trusted root."""
    material = Material("root.json", document or pki.trusted_root())
    return TrustRoot(ROOT, SigstoreRoot(material, tlog, timestamps, ctlog))


def keyless(subject: str = SUBJECT, issuer: str = ISSUER, **extensions: str) -> KeylessAuthority:
    """The authority of whoever the private Fulcio calls so."""
    return KeylessAuthority(ROOT, TextMatch(exact=issuer), TextMatch(exact=subject), extensions)


def key_of(signer: Signer, tlog: LogUse = LogUse.IGNORE) -> KeyAuthority:
    """The authority of a key, whose signatures have to be in a log where `tlog` says so."""
    return KeyAuthority(Material("key.pub", public_pem(signer.key)), tlog=tlog, trust_root=ROOT)


def policy_of(authority: Authority, root: TrustRoot, *requirements: Requirement) -> CompiledPolicy:
    """A policy that asks for a signature by `authority`, or for something else."""
    wanted = requirements or (SignatureRequirement(AUTHORITY),)
    policy = VerificationPolicy("tests", {AUTHORITY: authority}, AllOf(wanted))
    return compile_policies({policy.name: policy}, {ROOT: root})[policy.name]


def attested(predicate_type: str) -> AttestationRequirement:
    """That there is an attestation of a type."""
    return AttestationRequirement(predicate_type, AUTHORITY)


def question_of(digest: str | Digest, now: datetime = NOW) -> Question:
    """About an image by its digest alone."""
    return Question(Image("hub", "acme/app", None, Digest.parse(str(digest))), now)


def judged(
    policy: CompiledPolicy, pieces: Iterable[Piece], digest: str | Digest, now: datetime = NOW
) -> Verdict:
    """What a policy says of an image, by evidence that was found already."""
    question = question_of(digest, now)
    examined = [one for piece in pieces for one in examine(piece, policy, question)]
    return judge(policy, examined, (), [question.image.digest], question)


async def judged_in(
    store: Source, policy: CompiledPolicy, digest: str | Digest, now: datetime = NOW
) -> Verdict:
    """What a policy says of an image in a repository."""
    question = question_of(digest, now)
    shelf = await Shelf.listing(store)
    (answer,) = await inquire([Asked(policy, {question.image.digest: None}, (shelf,))], question)
    return answer.verdict


def evidence_of(verdict: Verdict) -> Sequence[EvidenceSeen]:
    """All evidence that any requirement saw."""
    return [seen for requirement in verdict.requirements for seen in _evidence(requirement)]


def _evidence(requirement: RequirementVerdict) -> list[EvidenceSeen]:
    return [*requirement.evidence, *(seen for below in requirement.of for seen in _evidence(below))]
