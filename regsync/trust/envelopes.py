"""Evidence as read, before anything in it is believed: what it says, and what is to prove it.

Nothing in an envelope is true until an authority has verified it. One manifest may hold several
(a cosign legacy manifest has a layer for each signature).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from regsync.oci.digest import Digest


class Kind(Enum):
    """What evidence is. An attestation never counts as a signature (SIGNING.md, rule 2)."""

    SIGNATURE = "signature"
    ATTESTATION = "attestation"


@dataclass(frozen=True, slots=True)
class Message:
    """What an envelope says, and of which digests."""

    kind: Kind
    subjects: frozenset[Digest]
    annotations: Mapping[str, str] = field(default_factory=dict)  # a signature's: `cosign sign -a`
    predicate_type: str | None = None
    statement: Mapping[str, object] | None = None  # the whole in-toto statement, of an attestation


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """That an entry is in a log of `tree_size` entries whose root a checkpoint signs."""

    index: int
    root_hash: bytes
    tree_size: int
    hashes: tuple[bytes, ...]
    checkpoint: str | None  # a signed note; without one the root is only a claim


@dataclass(frozen=True, slots=True)
class LogEntry:
    """An entry of a transparency log, as it came with the evidence."""

    log_id: bytes  # SHA-256 of the log's public key, or its C2SP key id, as the trusted root has it
    index: int
    kind: str  # "hashedrekord", "dsse", "intoto"
    version: str
    body: bytes  # canonicalised, as it was put into the tree
    integrated_time: int | None = None  # seconds; believed only under `promise`
    promise: bytes | None = None  # signed entry timestamp (SET) of Rekor v1
    proof: InclusionProof | None = None


@dataclass(frozen=True, slots=True)
class Dsse:
    """A DSSE envelope, without its hints at keys. Source: dsse/protocol.md, v1.0.2."""

    payload_type: str
    payload: bytes
    signatures: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class SigstoreEnvelope:
    """Something signed the way cosign signs: by a key, or by a certificate of a Fulcio.

    `signed` are the bytes that the signature is over (of DSSE its pre-authentication encoding), or None
    where only their digest is known: a message signature over an image's manifest.
    """

    format: str  # cosign-signature | cosign-attestation | sigstore-bundle | dsse
    message: Message
    signature: bytes
    signed: bytes | None
    signed_digest: Digest  # of the bytes that the signature is over
    certificates: tuple[bytes, ...] = ()  # DER, the leaf first; none: signed by a key
    entries: tuple[LogEntry, ...] = ()
    timestamps: tuple[bytes, ...] = ()  # RFC 3161 TimeStampResp, DER, over `stamped`
    dsse: Dsse | None = None
    bundle: bytes | None = None  # the Sigstore bundle as it was read
    timestamped: bytes | None = None  # what cosign stamps of an attestation in place of its signature

    @property
    def stamped(self) -> bytes:
        """The bytes that timestamps are over: the signature, but for cosign's attestations."""
        return self.signature if self.timestamped is None else self.timestamped


@dataclass(frozen=True, slots=True)
class NotationEnvelope:
    """A signature envelope of the Notary Project."""

    format: str  # notation-jws | notation-cose
    message: Message
    raw: bytes


@dataclass(frozen=True, slots=True)
class UnsignedEnvelope:
    """Evidence that nobody signed: BuildKit's attestations, cosign's SBOM tags. Never proves anything."""

    format: str  # in-toto-unsigned | sbom-unsigned
    message: Message | None = None


@dataclass(frozen=True, slots=True)
class UnreadableEnvelope:
    """Evidence that could not be read, and why: it proves nothing, and a verdict says so.

    `is_rest`: a bound was hit, and it stands for all that comes after, whatever that is.
    """

    format: str
    reason: str
    is_rest: bool = False


Envelope = SigstoreEnvelope | NotationEnvelope | UnsignedEnvelope | UnreadableEnvelope


@dataclass(frozen=True, slots=True)
class Image:
    """The image that is asked about, as expressions and trust policies see it."""

    registry: str  # the Registry's name, or the host on the command line
    repository: str
    tag: str | None
    digest: Digest  # what was asked about: the index, or the image; not the child that evidence speaks of
    host: str | None = None  # the registry as the world knows it, for notation's registryScopes


@dataclass(frozen=True, slots=True)
class Question:
    """What an authority needs to know besides the envelope."""

    image: Image
    now: datetime


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed, as proven."""

    authority: str  # its name in the policy
    identity: str  # tells signers apart: a key's fingerprint, issuer and subject, a certificate's subject
    issuer: str | None = None
    subject: str | None = None
    extensions: Mapping[str, str] = field(default_factory=dict)  # of a Fulcio certificate, by name


@dataclass(frozen=True, slots=True)
class Proven:
    """An envelope that an authority vouches for, and exactly the checks that were made."""

    signer: Signer
    checks: tuple[str, ...]  # in the order made: "signature (ECDSA P-256, SHA-256)", "log inclusion", …
    relaxed: tuple[str, ...] = ()  # checks that were not made or did not count, and why
    signed_at: datetime | None = None  # by a verified time alone
    expires: datetime | None = None  # when what was proven ends: a signature's expiry, a certificate's end
