"""Sigstore bundles: a signature or an attestation with all that is to prove it, in one JSON document.

Versions 0.1, 0.2 and 0.3 are read, whichever way their media type is spelt. Fields that nothing is known
of are passed over; what the proof rests on has to be there and be what it should be.
Sources: sigstore/protobuf-specs, `sigstore_bundle.proto`, `sigstore_rekor.proto`, `sigstore_common.proto`.
"""

import hashlib
import re

from regsync.oci.digest import Digest, InvalidDigestError
from regsync.trust.dsse import pae, parse_dsse
from regsync.trust.envelopes import InclusionProof, Kind, LogEntry, Message, SigstoreEnvelope
from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.protojson import Fields
from regsync.trust.statements import IN_TOTO_PAYLOAD, parse_statement
from regsync.trust.x509_reading import InvalidCertificateError, read_certificate

FORMAT = "sigstore-bundle"
MAX_SIZE = 32 * 1024 * 1024  # bytes
MAX_ENTRIES = 32  # of logs; as many timestamps
MAX_CERTIFICATES = 10
MAX_HASHES = 64  # of a proof: a tree of 2^64 entries

_CHECK = "bundle"
_MEDIA_TYPE = re.compile(
    r"application/vnd\.dev\.sigstore\.bundle(?:\+json;\s?version=0\.([0-9]+)|\.v0\.([0-9]+)(?:\.0)?\+json)"
)
_VERSIONS = (1, 2, 3)
_MESSAGE = "message digest"
_HASHES = {"SHA2_256": "sha256", "SHA2_384": "sha384", "SHA2_512": "sha512"}


def read_bundle(
    raw: bytes, *, manifest_digest: Digest | None, content: bytes | None = None
) -> SigstoreEnvelope:
    """Read a bundle; nothing in it is believed yet.

    `manifest_digest` is what a message signature has to be over, and then the subject: the digest of the
    manifest beside which an image's bundle was found. With its `content` at hand, signatures over other
    hashes of it can be verified too. Raises EvidenceRejectedError.
    """
    if len(raw) > MAX_SIZE:
        raise EvidenceRejectedError(_CHECK, f"it has {len(raw)} bytes, at most {MAX_SIZE} are read")
    document = Fields.parse(raw, _CHECK)
    version = _version(document)
    material = document.needed("verificationMaterial")
    certificates = _certificates(material, version)
    entries = _entries(material, version)
    timestamps = _timestamps(material)
    if document.one_of("dsseEnvelope", "messageSignature") == "dsseEnvelope":
        dsse = parse_dsse(document.needed("dsseEnvelope").values)
        if len(dsse.signatures) != 1:
            reason = f"its DSSE envelope has {len(dsse.signatures)} signatures, a bundle's has exactly one"
            raise EvidenceRejectedError(_CHECK, reason)
        if dsse.payload_type != IN_TOTO_PAYLOAD:
            reason = f"payloadType is {dsse.payload_type!r:.120}, only {IN_TOTO_PAYLOAD} is understood"
            raise EvidenceRejectedError(_CHECK, reason)
        signed = pae(dsse.payload_type, dsse.payload)
        return SigstoreEnvelope(
            FORMAT,
            parse_statement(dsse.payload),
            dsse.signatures[0],
            signed,
            Digest.of(signed),
            certificates,
            entries,
            timestamps,
            dsse,
            raw,
        )
    message = document.needed("messageSignature")
    digest = _message_digest(message, manifest_digest, content)
    return SigstoreEnvelope(
        FORMAT,
        Message(Kind.SIGNATURE, frozenset({digest})),
        message.data("signature"),
        content,
        digest,
        certificates,
        entries,
        timestamps,
        bundle=raw,
    )


def _version(document: Fields) -> int:
    """The minor version: 1, 2 or 3."""
    media_type = document.text("mediaType")
    found = _MEDIA_TYPE.fullmatch(media_type)
    version = int(found[1] or found[2]) if found is not None else 0
    if version not in _VERSIONS:
        raise EvidenceRejectedError(
            _CHECK, f"mediaType is {media_type!r:.120}, no bundle of version 0.1 to 0.3"
        )
    return version


def _certificates(material: Fields, version: int) -> tuple[bytes, ...]:
    """The leaf, then what came with it; none: signed by a key, of which a bundle has but a hint."""
    match material.one_of("publicKey", "certificate", "x509CertificateChain"):
        case "publicKey":
            return ()
        case "certificate":
            return (material.needed("certificate").data("rawBytes"),)
    if version >= 3:
        raise material.refuse(
            "x509CertificateChain", "is of older bundles; one of version 0.3 has a certificate"
        )
    chain = material.needed("x509CertificateChain")
    found = tuple(one.data("rawBytes") for one in chain.messages("certificates", MAX_CERTIFICATES))
    if not found:
        raise chain.refuse("certificates", "is empty")
    for certificate in found:
        _refuse_root(certificate, chain)
    return found


def _refuse_root(der: bytes, chain: Fields) -> None:
    # A root that comes with what it is to prove invites a verifier to believe it.
    try:
        certificate = read_certificate(der)
    except InvalidCertificateError as cause:
        raise chain.refuse("certificates", f"has something that is no certificate: {cause}") from cause
    if certificate.issuer == certificate.subject and certificate.subject.rdns:
        raise chain.refuse("certificates", "has a root certificate, which never comes with evidence")


def _entries(material: Fields, version: int) -> tuple[LogEntry, ...]:
    found = tuple(_entry(one, version) for one in material.messages("tlogEntries", MAX_ENTRIES))
    if len({(entry.log_id, entry.index) for entry in found}) < len(found):
        raise material.refuse("tlogEntries", "names one entry of a log twice")
    return found


def _entry(entry: Fields, version: int) -> LogEntry:
    kind = entry.needed("kindVersion")
    promise = entry.message("inclusionPromise")
    proof = entry.message("inclusionProof")
    if version == 1 and promise is None:
        raise entry.refuse("inclusionPromise", "is missing, which bundles of version 0.1 have to have")
    if version > 1 and proof is None:
        raise entry.refuse("inclusionProof", "is missing, which bundles from version 0.2 on have to have")
    if version > 1 and proof is not None and not proof.needed("checkpoint").text("envelope"):
        raise proof.refuse("checkpoint.envelope", "is missing")
    return LogEntry(
        log_id=entry.needed("logId").data("keyId"),
        index=entry.count("logIndex"),
        kind=kind.text("kind"),
        version=kind.text("version"),
        body=entry.data("canonicalizedBody"),
        integrated_time=entry.count("integratedTime") or None,
        promise=promise.data("signedEntryTimestamp") if promise is not None else None,
        proof=_proof(proof) if proof is not None else None,
    )


def _proof(proof: Fields) -> InclusionProof:
    checkpoint = proof.message("checkpoint")
    return InclusionProof(
        index=proof.count("logIndex"),
        root_hash=proof.data("rootHash"),
        tree_size=proof.count("treeSize"),
        hashes=proof.texts("hashes", MAX_HASHES),
        checkpoint=(checkpoint.text("envelope") or None) if checkpoint is not None else None,
    )


def _timestamps(material: Fields) -> tuple[bytes, ...]:
    holder = material.message("timestampVerificationData")
    if holder is None:
        return ()
    stamps = holder.messages("rfc3161Timestamps", MAX_ENTRIES)
    found = tuple(one.data("signedTimestamp") for one in stamps)
    if len(set(found)) < len(found):
        raise holder.refuse("rfc3161Timestamps", "has one timestamp twice")
    return found


def _message_digest(message: Fields, expected: Digest | None, content: bytes | None) -> Digest:
    """The digest that a message signature is over. The one in the bundle is a claim, and may be left out."""
    claim = message.message("messageDigest")
    if claim is None:
        if expected is None:
            raise message.refuse("messageDigest", "is missing, so that nothing says what was signed")
        return expected
    algorithm, value = claim.text("algorithm"), claim.data("digest")
    if algorithm not in _HASHES:
        raise claim.refuse("algorithm", f"is {algorithm!r:.40}, none of {', '.join(_HASHES)}")
    name = _HASHES[algorithm]
    if expected is not None and content is not None:
        if hashlib.new(name, content).digest() != value:
            raise EvidenceRejectedError(_MESSAGE, f"the signature is over something else than {expected}")
        return expected
    try:
        found = Digest.parse(f"{name}:{value.hex()}")
    except InvalidDigestError as cause:
        raise claim.refuse("digest", f"is of {algorithm}, which names no image: {cause}") from cause
    if expected is not None and found != expected:
        raise EvidenceRejectedError(_MESSAGE, f"the signature is over {found}, not over {expected}")
    return found
