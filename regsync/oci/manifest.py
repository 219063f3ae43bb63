"""Image manifests and indexes: strict, bounded parsing that keeps the bytes as they were served.

Sources: image-spec 1.1, "Image Manifest" and "Image Index"; Docker's "Image Manifest V 2, Schema 2".
Refused as ambiguous (GHSA-77vh-xpmg-72qh): a document with both `layers` and `manifests`, or whose
`mediaType` contradicts the type it was served with.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from regsync.errors import RegsyncError, UnsupportedError
from regsync.oci import media_type as types
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import SHA256, Digest, InvalidDigestError
from regsync.oci.platform import Platform
from regsync.oci.strict_json import InvalidJSONError, loads

MIB = 1024 * 1024
MAX_MANIFEST_SIZE = 4 * MIB  # bytes; the least that registries must accept
MAX_CHILDREN = 10_000  # descriptors in one document
MAX_BLOB_SIZE = 2**63 - 1  # bytes


class InvalidManifestError(RegsyncError, ValueError):
    """The bytes are no manifest or index that can be trusted to mean one thing."""

    def __init__(self, cause: str, *, digest: Digest | None = None) -> None:
        super().__init__(f"invalid manifest{f' {digest}' if digest else ''}: {cause}")
        self.cause = cause


class UnsupportedManifestError(InvalidManifestError, UnsupportedError):
    """A valid document of a kind that regsync reports and does not carry, such as schema 1."""

    usual_hint = "leave the tag out with excludeTags, or push the image again with a current tool"


@dataclass(frozen=True, slots=True)
class Manifest:
    """An image manifest, or any artifact packed as one."""

    raw: bytes
    descriptor: Descriptor
    config: Descriptor
    layers: tuple[Descriptor, ...]
    subject: Descriptor | None = None
    artifact_type: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Config and layers, each digest once, in the order in which they stand."""
        return _distinct((self.config, *self.layers))

    @property
    def manifests(self) -> tuple[Descriptor, ...]:
        """Children that are manifests: none."""
        return ()


@dataclass(frozen=True, slots=True)
class Index:
    """An image index or Docker manifest list."""

    raw: bytes
    descriptor: Descriptor
    entries: tuple[Descriptor, ...]  # as they stand, repeats included
    subject: Descriptor | None = None
    artifact_type: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Entries whose type is no manifest: an index may list any content."""
        return _distinct(entry for entry in self.entries if not entry.is_manifest)

    @property
    def manifests(self) -> tuple[Descriptor, ...]:
        """Entries that are manifests or indexes, each digest once."""
        return _distinct(entry for entry in self.entries if entry.is_manifest)


def parse_manifest(raw: bytes, served_as: str | None = None, *, algorithm: str = SHA256) -> Manifest | Index:
    """Read a manifest or index from exactly these bytes.

    `served_as` is the Content-Type, or the media type of the descriptor that led here; types that
    servers use for any JSON are ignored, and the document's own `mediaType` or its fields decide.
    `algorithm` is that of the digest in the result's descriptor.
    Raises InvalidManifestError, or UnsupportedManifestError for schema 1 and the withdrawn artifact
    manifest.
    """
    digest = Digest.of(raw, algorithm)
    if len(raw) > MAX_MANIFEST_SIZE:
        raise InvalidManifestError(f"{len(raw)} bytes, at most {MAX_MANIFEST_SIZE} are read", digest=digest)
    try:
        document = loads(raw)
    except InvalidJSONError as cause:
        raise InvalidManifestError(str(cause), digest=digest) from cause
    if not isinstance(document, dict):
        raise InvalidManifestError("not a JSON object", digest=digest)
    try:
        kind = _media_type(document, types.strip_parameters(served_as or ""))
        descriptor = Descriptor(kind, digest, len(raw))
        if kind in types.INDEXES:
            return _index(raw, descriptor, document)
        return _manifest(raw, descriptor, document)
    except UnsupportedManifestError as cause:
        raise UnsupportedManifestError(cause.cause, digest=digest) from cause
    except InvalidManifestError as cause:
        raise InvalidManifestError(cause.cause, digest=digest) from cause


def parse_listed(raw: bytes) -> tuple[Descriptor, ...]:
    """The entries of an index that a registry makes up for its answer, such as a page of referrers.

    It is no content that anybody stores, so that what bounds an answer bounds it. Raises
    InvalidManifestError.
    """
    try:
        document = loads(raw)
    except InvalidJSONError as cause:
        raise InvalidManifestError(str(cause)) from cause
    if not isinstance(document, dict):
        raise InvalidManifestError("not a JSON object")
    if _media_type(document, types.OCI_INDEX) not in types.INDEXES:
        raise InvalidManifestError("it is no index")
    return _descriptors(document["manifests"], "manifests", most=None)


def _media_type(document: Mapping[str, object], served_as: str) -> str:
    own = _text(document, "mediaType") or ""
    if types.is_manifest(served_as) and own and served_as != own:
        raise InvalidManifestError(f"served as {served_as} but says it is {own}")
    if document.get("schemaVersion") == 1 or own in types.SCHEMA1 or (not own and served_as in types.SCHEMA1):
        raise UnsupportedManifestError("Docker schema 1, which regsync reports and does not copy")
    if own == types.OCI_ARTIFACT or served_as == types.OCI_ARTIFACT:
        raise UnsupportedManifestError("the withdrawn OCI artifact manifest, which regsync does not copy")
    if document.get("schemaVersion") != 2:
        raise InvalidManifestError(f"schemaVersion is {document.get('schemaVersion')!r:.40}, expected 2")
    as_index, as_manifest = "manifests" in document, "layers" in document or "config" in document
    if as_index and as_manifest:
        raise InvalidManifestError("ambiguous: it has 'manifests' and also 'layers' or 'config'")
    if not as_index and not as_manifest:
        raise InvalidManifestError("it has neither 'manifests' nor 'layers'")
    fallback = types.OCI_INDEX if as_index else types.OCI_MANIFEST
    kind = own or (served_as if served_as in types.SUPPORTED else fallback)
    if kind not in types.SUPPORTED:
        raise UnsupportedManifestError(f"media type {kind[:120]!r}")
    if (kind in types.INDEXES) != as_index:
        raise InvalidManifestError(f"its media type is {kind}, its fields are those of another kind")
    return kind


def _manifest(raw: bytes, descriptor: Descriptor, document: Mapping[str, object]) -> Manifest:
    if "config" not in document:
        raise InvalidManifestError("it has no 'config'")
    return Manifest(
        raw,
        descriptor,
        _descriptor(document["config"], "config"),
        _descriptors(document.get("layers"), "layers"),
        _subject(document),
        _text(document, "artifactType"),
        _annotations(document, "annotations"),
    )


def _index(raw: bytes, descriptor: Descriptor, document: Mapping[str, object]) -> Index:
    return Index(
        raw,
        descriptor,
        _descriptors(document["manifests"], "manifests"),
        _subject(document),
        _text(document, "artifactType"),
        _annotations(document, "annotations"),
    )


def _subject(document: Mapping[str, object]) -> Descriptor | None:
    subject = document.get("subject")
    return None if subject is None else _descriptor(subject, "subject")


def _descriptors(value: object, where: str, *, most: int | None = MAX_CHILDREN) -> tuple[Descriptor, ...]:
    if value is None:  # what Go writes for an empty list
        return ()
    if not isinstance(value, list):
        raise InvalidManifestError(f"{where} is not a list")
    if most is not None and len(value) > most:
        raise InvalidManifestError(f"{where} has {len(value)} entries, at most {most} are read")
    return tuple(_descriptor(entry, f"{where}[{number}]") for number, entry in enumerate(value))


def _descriptor(value: object, where: str) -> Descriptor:
    if not isinstance(value, dict):
        raise InvalidManifestError(f"{where} is not an object")
    digest_text, size = value.get("digest"), value.get("size")
    if not isinstance(digest_text, str):
        raise InvalidManifestError(f"{where}.digest is missing or no string")
    try:
        digest = Digest.parse(digest_text)
    except InvalidDigestError as cause:
        raise InvalidManifestError(f"{where}: {cause}") from cause
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_BLOB_SIZE:
        raise InvalidManifestError(f"{where}.size is {size!r:.40}, expected a number of bytes")
    kind = _text(value, "mediaType", where)
    urls = value.get("urls")
    urls = [] if urls is None else urls
    if not isinstance(urls, list) or not all(isinstance(url, str) for url in urls):
        raise InvalidManifestError(f"{where}.urls is not a list of strings")
    return Descriptor(
        kind or types.OCTET_STREAM,
        digest,
        size,
        _platform(value.get("platform"), where),
        _text(value, "artifactType", where),
        _annotations(value, f"{where}.annotations"),
        tuple(urls),
    )


def _platform(value: object, where: str) -> Platform | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise InvalidManifestError(f"{where}.platform is not an object")
    parts = [_text(value, key, where) or "" for key in ("os", "architecture", "variant", "os.version")]
    return Platform.of(*parts)


def _annotations(holder: Mapping[str, object], where: str) -> Mapping[str, str]:
    value = holder.get("annotations")
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise InvalidManifestError(f"{where} is not an object of strings")
    return value


def _text(holder: Mapping[str, object], key: str, where: str = "") -> str | None:
    value = holder.get(key)
    if value is None or isinstance(value, str):
        return value
    raise InvalidManifestError(f"{where + '.' if where else ''}{key} is no string")


def _distinct(descriptors: "Iterator[Descriptor] | tuple[Descriptor, ...]") -> tuple[Descriptor, ...]:
    found: dict[Digest, Descriptor] = {}
    for descriptor in descriptors:
        found.setdefault(descriptor.digest, descriptor)
    return tuple(found.values())
