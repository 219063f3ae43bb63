"""Digest tags on a target are merged, never overwritten: others may have signed there."""

import json

from regsync.content.protocol import Source
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import Index, InvalidManifestError, Manifest, parse_manifest
from regsync.oci.reference import Tag
from regsync.oci.strict_json import loads


async def signatures(source: Source, tag: Tag) -> Manifest:
    """The manifest behind a digest tag, whose layers are the signatures or attestations."""
    desc, raw = await source.manifest(tag)
    manifest = parse_manifest(raw, desc.media_type, algorithm=desc.digest.algorithm)
    return list_of_signatures(manifest, tag, where=source.name)


def list_of_signatures(found: Manifest | Index, tag: Tag, *, where: str) -> Manifest:
    """What was found behind a digest tag; raises InvalidManifestError for an index."""
    if not isinstance(found, Manifest):
        raise InvalidManifestError(f"tag {tag} at {where} is an index, not a list of signatures")
    return found


def has_more(ours: Manifest, theirs: Manifest) -> bool:
    """Whether one has layers that the other lacks."""
    return not _pieces(ours) <= _pieces(theirs)


def merged(at_source: Manifest, at_target: Manifest) -> Manifest:
    """The target's manifest with the layers that only the source has appended.

    The source's own manifest when it has all that the target has, so that its digest is kept.
    """
    if _pieces(at_target) <= _pieces(at_source):
        return at_source
    document, addition = loads(at_target.raw), loads(at_source.raw)
    assert isinstance(document, dict)  # noqa: S101 - it was parsed as a manifest
    assert isinstance(addition, dict)  # noqa: S101 - so was it
    present = _pieces(at_target)
    document["layers"] = [
        *document["layers"],
        *(
            written
            for written, layer in zip(addition.get("layers") or [], at_source.layers, strict=True)
            if _piece(layer) not in present
        ),
    ]
    raw = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    manifest = parse_manifest(raw, at_target.descriptor.media_type)
    assert isinstance(manifest, Manifest)  # noqa: S101 - the same fields as before
    return manifest


Piece = tuple[Digest, frozenset[tuple[str, str]]]


def _pieces(manifest: Manifest) -> set[Piece]:
    return {_piece(layer) for layer in manifest.layers}


def _piece(layer: Descriptor) -> Piece:
    # Two people who sign the same image sign the same payload: only the annotations differ.
    return layer.digest, frozenset(layer.annotations.items())
