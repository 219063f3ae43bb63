"""One piece of evidence under one policy: who vouches for it, and what conditions make of it.

What is kept of it is small: a scan may have megabytes, an image hundreds of scans.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from regsync.content.pieces import Piece
from regsync.oci.digest import Digest
from regsync.spec.verification import AttestationRequirement, SignatureRequirement
from regsync.trust.authorities import Authority
from regsync.trust.conditions import Answer, ask
from regsync.trust.envelopes import (
    Envelope,
    Kind,
    Message,
    NotationEnvelope,
    Proven,
    Question,
    SigstoreEnvelope,
    UnreadableEnvelope,
    UnsignedEnvelope,
)
from regsync.trust.errors import EvidenceRejectedError, TrustRootTooOldError
from regsync.trust.formats import read_piece
from regsync.trust.policy import CompiledPolicy, leaves
from regsync.trust.statements import predicate_matches

UNSIGNED = "nobody signed it"

_SHOWN = 120  # characters of an annotation that is not the wanted one


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an authority does not vouch for evidence; `is_error`: its trust root is too old to tell."""

    reason: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Examined:
    """One envelope, where it was found, and what the policy's authorities and conditions say of it.

    `by` has an answer of each authority that could make it count; `answers` one for each requirement
    that is asked about attestations of this type and whose authority vouches. `message` has of what was
    written only what the policy may ask of (see `_kept`), and is None where nothing could be read.
    """

    digest: Digest  # of the manifest that holds it
    subject: Digest  # beside which it was found
    repository: str
    location: str
    format: str
    message: Message | None
    by: Mapping[str, Proven | Refusal] = field(default_factory=dict)
    answers: Mapping[AttestationRequirement, Answer] = field(default_factory=dict)
    problem: str | None = None  # why it proves nothing, whoever is asked
    is_error: bool = False  # the registry did not give it, or a bound was hit

    def speaks_of(self, subject: Digest) -> bool:
        """Whether it is to be shown for a digest: it names it, or was found beside it."""
        return self.subject == subject or (self.message is not None and subject in self.message.subjects)


def examine(
    piece: Piece, policy: CompiledPolicy, question: Question, subjects: Collection[Digest] = ()
) -> tuple[Examined, ...]:
    """Read a piece and ask whom it concerns; an empty tuple where it holds no evidence.

    `subjects` are digests that are judged besides the image of `question` and that which the piece was
    found beside. Conditions may take two seconds of a processor: call it from a thread. Never raises on
    what is in the piece.
    """
    judged = {question.image.digest, piece.subject, *subjects}
    return tuple(_examined(piece, envelope, policy, question, judged) for envelope in read_piece(piece))


def _examined(
    piece: Piece, envelope: Envelope, policy: CompiledPolicy, question: Question, judged: set[Digest]
) -> Examined:
    found = Examined(piece.digest, piece.subject, piece.repository, piece.location, envelope.format, None)
    match envelope:
        case UnreadableEnvelope():
            is_error = envelope.is_rest or bool(piece.withheld)
            return replace(found, problem=f"unreadable: {envelope.reason}", is_error=is_error)
        case UnsignedEnvelope():
            said = None if envelope.message is None else _kept(envelope.message, policy, judged)
            return replace(found, message=said, problem=UNSIGNED)
    by = {one.name: _ask_authority(one, envelope, question) for one in _concerned(envelope.message, policy)}
    answers = dict(_answers(envelope, by, policy, question))
    return replace(found, message=_kept(envelope.message, policy, judged), by=by, answers=answers)


def _kept(message: Message, policy: CompiledPolicy, judged: set[Digest]) -> Message:
    """The message without what nothing asks of: whoever can push writes as much as they like.

    Of digests that are not judged one is kept, for people; of a text that is longer than the wanted one
    enough to see that it is another.
    """
    longest: dict[str, int] = {}
    for leaf in leaves(policy.policy.require):
        if isinstance(leaf, SignatureRequirement):
            for key, wanted in leaf.annotations.items():
                longest[key] = max(longest.get(key, 0), len(wanted) + _SHOWN)
    annotations = {
        key: message.annotations[key][:most] for key, most in longest.items() if key in message.annotations
    }
    subjects = message.subjects & judged or frozenset(sorted(message.subjects)[:1])
    return replace(message, statement=None, annotations=annotations, subjects=subjects)


def _ask_authority(
    authority: Authority, envelope: SigstoreEnvelope | NotationEnvelope, question: Question
) -> Proven | Refusal:
    try:
        return authority.verify(envelope, question)
    except TrustRootTooOldError as cause:
        return Refusal(str(cause), is_error=True)
    except EvidenceRejectedError as cause:
        return Refusal(str(cause))


def _concerned(message: Message, policy: CompiledPolicy) -> list[Authority]:
    """The authorities of requirements that this could meet: nobody else's word is asked for."""
    names: set[str] = set()
    for leaf in leaves(policy.policy.require):
        if isinstance(leaf, SignatureRequirement):
            if message.kind is Kind.SIGNATURE:
                names.add(leaf.authority)
        elif is_of_type(message, leaf):
            names.add(leaf.authority)
    return [policy.authorities[name] for name in sorted(names)]


def is_of_type(message: Message, requirement: AttestationRequirement) -> bool:
    """Whether it is an attestation, and of the type that a requirement asks for."""
    return (
        message.kind is Kind.ATTESTATION
        and message.predicate_type is not None
        and predicate_matches(requirement.predicate_type, message.predicate_type)
    )


def _answers(
    envelope: SigstoreEnvelope | NotationEnvelope,
    by: Mapping[str, Proven | Refusal],
    policy: CompiledPolicy,
    question: Question,
) -> Iterator[tuple[AttestationRequirement, Answer]]:
    if isinstance(envelope, NotationEnvelope):
        return  # a signature, whatever is in it
    for leaf in leaves(policy.policy.require):
        if isinstance(leaf, AttestationRequirement) and is_of_type(envelope.message, leaf):
            proven = by[leaf.authority]
            if isinstance(proven, Proven):
                yield leaf, ask(leaf, envelope, proven, policy.expressions, question)
