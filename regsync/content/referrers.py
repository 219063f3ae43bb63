"""Referrers as descriptors, and the fallback tag that carries them where nothing lists them.

Source: distribution-spec 1.1, "Listing Referrers" and "Referrers Tag Schema".
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence

from regsync.content.errors import ContentNotFoundError
from regsync.oci import media_type as types
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import Index, Manifest, parse_manifest
from regsync.oci.reference import Tag

_MAX_ALGORITHM, _MAX_ENCODED = 32, 64  # characters; a sha512 is cut ("Referrers Tag Schema")


def as_referrer(manifest: Manifest | Index, desc: Descriptor) -> Descriptor:
    """`desc` as a referrers list shows it: with the artifact type and all annotations.

    Without an artifact type of its own, a manifest has its config's media type, an index none.
    """
    artifact_type = manifest.artifact_type
    if not artifact_type and isinstance(manifest, Manifest):
        artifact_type = manifest.config.media_type
    return Descriptor(
        desc.media_type,
        desc.digest,
        desc.size,
        artifact_type=artifact_type or None,
        annotations=manifest.annotations,
    )


def fallback_tag(subject: Digest) -> Tag:
    """The tag under which the referrers of `subject` are listed: `sha256-<64 hex>`."""
    return Tag.parse(f"{subject.algorithm[:_MAX_ALGORITHM]}-{subject.encoded[:_MAX_ENCODED]}")


def as_referrers(found: Manifest | Index, subject: Digest) -> Index | None:
    """`found` if it is a list of referrers: an OCI index without a subject, not naming `subject` itself,
    whose entries are no platforms of an image.
    """
    if not isinstance(found, Index) or found.descriptor.media_type != types.OCI_INDEX:
        return None
    if found.subject is not None or found.descriptor.digest == subject:
        return None
    for entry in found.entries:
        if entry.digest == subject or (entry.platform is not None and entry.artifact_type is None):
            return None
    return found


ReadsTag = Callable[[Tag], Awaitable[tuple[Descriptor, bytes]]]  # as `Source.manifest`


async def read_fallback(read: ReadsTag, subject: Digest) -> Sequence[Descriptor]:
    """What the fallback tag of `subject` lists; nothing where there is no such tag, or it holds no list."""
    try:
        desc, raw = await read(fallback_tag(subject))
    except ContentNotFoundError:
        return ()
    if desc.digest == subject:  # as GitLab answers, and the bytes may be those of an index
        return ()
    found = as_referrers(parse_manifest(raw, desc.media_type), subject)
    return found.entries if found is not None else ()


def fallback_index(referrers: Iterable[Descriptor]) -> bytes:
    """The bytes of an index that lists `referrers`; it must not have a subject itself."""
    document = {
        "schemaVersion": 2,
        "mediaType": types.OCI_INDEX,
        "manifests": [_document(one) for one in referrers],
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _document(desc: Descriptor) -> dict[str, object]:
    document: dict[str, object] = {
        "mediaType": desc.media_type,
        "digest": str(desc.digest),
        "size": desc.size,
    }
    if desc.artifact_type:
        document["artifactType"] = desc.artifact_type
    if desc.annotations:
        document["annotations"] = dict(desc.annotations)
    return document
