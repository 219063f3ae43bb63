"""Evidence as `gather` hands it over, made of content that no store has to hold, or read out of a layout."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from regsync.content.pieces import Piece
from regsync.errors import RegsyncError
from regsync.oci.digest import Digest
from regsync.oci.manifest import Manifest, parse_manifest
from tests.support.images import Content

SIGNING = Path(__file__).resolve().parents[1] / "data" / "signing"
FIXTURE_SUBJECT = "sha256:3b0523e210a3186b571718ccbca97b4fde092716eca735a287e40d11f198519f"


def piece_of(
    content: Content,
    subject: str,
    location: str = "referrers",
    *,
    layers: Mapping[Digest, bytes | RegsyncError] | None = None,
) -> Piece:
    """A manifest beside `subject` with all of its layers, or with those that are given."""
    manifest = parse_manifest(content.data, content.media_type)
    assert isinstance(manifest, Manifest)
    found = {Digest.parse(digest): data for digest, data in content.all_blobs().items()}
    return Piece(
        manifest.descriptor.digest,
        Digest.parse(subject),
        "hub/acme/app",
        location,
        manifest,
        found if layers is None else layers,
    )


def pieces_in(layout: str) -> Iterator[Piece]:
    """The evidence in a layout of tests/data/signing, of the image that all of them hold."""
    directory = SIGNING / layout
    for entry in json.loads((directory / "index.json").read_bytes())["manifests"]:
        content = _content(directory, entry["digest"])
        tag = entry.get("annotations", {}).get("org.opencontainers.image.ref.name", "")
        suffix = tag.rpartition(".")[2] if tag.startswith("sha256-") else None
        if suffix is not None or "subject" in content.document:
            yield piece_of(content, FIXTURE_SUBJECT, f"tag:.{suffix}" if suffix else "referrers")


def _content(directory: Path, digest: str) -> Content:
    def blob(named: str) -> bytes:
        return (directory / "blobs" / named.replace(":", "/")).read_bytes()

    data = blob(digest)
    document = json.loads(data)
    layers = [blob(layer["digest"]) for layer in document.get("layers", ())]
    return Content(document["mediaType"], data, tuple(layers))
