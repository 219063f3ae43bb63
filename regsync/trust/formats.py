"""From pieces of evidence to envelopes, whatever format they are in: what is there says, never a switch.

A manifest's layers tell the format, since fallback indexes and old clients write wrong artifact types
(SIGNING.md, section 0, rule 1). What cannot be read is an envelope too, with its reason.
"""

from collections.abc import Callable, Iterator, Mapping

from regsync.content.pieces import Piece
from regsync.errors import RegsyncError
from regsync.oci.descriptor import Descriptor
from regsync.oci.manifest import MIB
from regsync.oci.media_type import strip_parameters
from regsync.oci.strict_json import InvalidJSONError, loads
from regsync.trust.bundles import FORMAT as BUNDLE_FORMAT
from regsync.trust.bundles import read_bundle
from regsync.trust.cosign import (
    ATTESTATION_FORMAT,
    DSSE_FORMAT,
    SIGNATURE_FORMAT,
    read_attestation,
    read_signature,
)
from regsync.trust.envelopes import Envelope, Message, UnreadableEnvelope, UnsignedEnvelope
from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.notation.reading import FORMATS as NOTATION
from regsync.trust.notation.reading import read_notation
from regsync.trust.statements import parse_statement

SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
DSSE = "application/vnd.dsse.envelope.v1+json"
IN_TOTO = "application/vnd.in-toto+json"
UNSIGNED_STATEMENT = "in-toto-unsigned"
UNSIGNED_SBOM = "sbom-unsigned"
UNKNOWN = "unknown"
# Of all layers of a manifest with evidence, each as often as it is named.
MAX_PIECE_SIZE = 256 * MIB  # bytes
MAX_LAYERS = 1_000

_BUNDLES = "application/vnd.dev.sigstore.bundle"  # `+json;version=0.1`, `.v0.3+json`
_SBOMS = ("text/spdx", "application/vnd.cyclonedx", "application/vnd.syft+json")
_MAX_REASON = 500  # characters
_DIGEST_TAGS = ("tag:.sig", "tag:.att")

_Reader = Callable[[bytes, Descriptor, Piece], tuple[Envelope, ...]]


def wants(media_type: str) -> bool:
    """Whether the bytes of a layer of this type are needed to read the evidence in it."""
    return _format_of(media_type) in _READERS


def read_piece(piece: Piece) -> Iterator[Envelope]:
    """All that a manifest holds: an envelope for each layer, and for each signature where one has several.

    A manifest that holds no evidence, such as a referrer of some other use, gives none. Never raises on
    what is in the piece. One after the other, since a statement takes ten times the memory of its bytes.
    """
    if piece.manifest is None:
        yield _unreadable(UNKNOWN, piece.failed)
        return
    size = count = 0
    for layer in piece.manifest.layers:
        kind = _format_of(layer.media_type)
        if kind is None and piece.location not in _DIGEST_TAGS:
            continue
        size, count = size + layer.size, count + 1
        if size > MAX_PIECE_SIZE or count > MAX_LAYERS:
            bound = f"{MAX_LAYERS} layers or {MAX_PIECE_SIZE // MIB} MiB"
            reason = f"it has more than {bound}; the rest is not read"
            yield UnreadableEnvelope(kind or UNKNOWN, reason, is_rest=True)
            return
        if kind == UNSIGNED_SBOM:
            yield UnsignedEnvelope(kind)
        elif kind is not None:
            yield from _read_layer(kind, layer, piece)
        else:
            yield UnreadableEnvelope(UNKNOWN, f"layer {layer.digest} has media type {layer.media_type:.120}")


def _read_layer(kind: str, layer: Descriptor, piece: Piece) -> tuple[Envelope, ...]:
    raw = piece.layers.get(layer.digest)
    if raw is None:
        return (UnreadableEnvelope(kind, f"layer {layer.digest} was not read"),)
    if isinstance(raw, RegsyncError):
        return (_unreadable(kind, raw),)
    try:
        return _READERS[kind](raw, layer, piece)
    except EvidenceRejectedError as cause:
        return (_unreadable(kind, cause),)


def _unreadable(kind: str, cause: RegsyncError | None) -> UnreadableEnvelope:
    return UnreadableEnvelope(kind, str(cause)[:_MAX_REASON])


def _format_of(media_type: str) -> str | None:
    """The format of evidence that layers of this type hold; None: no evidence."""
    kind = strip_parameters(media_type)
    if kind == SIMPLE_SIGNING:
        return SIGNATURE_FORMAT
    if kind in (DSSE, IN_TOTO) or (kind.startswith("application/vnd.in-toto.") and kind.endswith("+dsse")):
        return DSSE_FORMAT  # of the last, Docker's attestations: `application/vnd.in-toto.spdx+dsse`
    if kind.startswith(_BUNDLES):
        return BUNDLE_FORMAT
    return UNSIGNED_SBOM if kind.startswith(_SBOMS) else NOTATION.get(kind)


def _signature(raw: bytes, layer: Descriptor, _: Piece) -> tuple[Envelope, ...]:
    return (read_signature(raw, layer.annotations),)


def _statement(raw: bytes, layer: Descriptor, piece: Piece) -> tuple[Envelope, ...]:
    """A DSSE envelope, or a statement that nobody signed: both come under the media type of in-toto."""
    if strip_parameters(layer.media_type) == IN_TOTO and _is_bare_statement(raw):
        return (UnsignedEnvelope(UNSIGNED_STATEMENT, _unsigned_message(raw)),)
    kind = ATTESTATION_FORMAT if piece.location == "tag:.att" else DSSE_FORMAT
    return read_attestation(raw, layer.annotations, kind)


def _is_bare_statement(raw: bytes) -> bool:
    try:
        document = loads(raw)
    except InvalidJSONError as cause:
        raise EvidenceRejectedError("statement", str(cause)) from cause
    return isinstance(document, dict) and "_type" in document


def _unsigned_message(raw: bytes) -> Message | None:
    """What BuildKit's statement says, which may name no digest at all."""
    try:
        return parse_statement(raw)
    except EvidenceRejectedError:
        return None


def _bundle(raw: bytes, _: Descriptor, piece: Piece) -> tuple[Envelope, ...]:
    return (read_bundle(raw, manifest_digest=piece.subject),)


def _notation(raw: bytes, layer: Descriptor, _: Piece) -> tuple[Envelope, ...]:
    return (read_notation(raw, strip_parameters(layer.media_type)),)


_READERS: Mapping[str, _Reader] = {
    SIGNATURE_FORMAT: _signature,
    DSSE_FORMAT: _statement,
    BUNDLE_FORMAT: _bundle,
    **dict.fromkeys(NOTATION.values(), _notation),
}
