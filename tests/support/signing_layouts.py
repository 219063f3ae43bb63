"""What cosign and notation made (tests/data/signing), as content that a registry can be given."""

import json
from collections.abc import Iterator
from pathlib import Path

from tests.support.images import Content

SIGNING = Path(__file__).resolve().parents[1] / "data" / "signing"
SIGNED = "sha256:3b0523e210a3186b571718ccbca97b4fde092716eca735a287e40d11f198519f"
"""The index that all of them are about, tagged `v1`."""
_TAG = "org.opencontainers.image.ref.name"


def contents(layout: str) -> Iterator[tuple[Content, list[str]]]:
    """Every manifest of a layout with its tags, those below an index before it."""
    directory = SIGNING / layout
    entries = json.loads((directory / "index.json").read_bytes())["manifests"]
    for entry in sorted(entries, key=lambda one: "index" in one["mediaType"]):
        yield (
            _content(directory, entry["digest"]),
            [entry["annotations"][_TAG]] if _TAG in entry.get("annotations", {}) else [],
        )


def image_alone(layout: str = "legacy") -> Iterator[tuple[Content, list[str]]]:
    """The same without all evidence."""
    for content, tags in contents(layout):
        if "subject" not in content.document and not any(tag.startswith("sha256-") for tag in tags):
            yield content, tags


def evidence_alone(layout: str) -> Iterator[tuple[Content, list[str]]]:
    """The evidence alone."""
    without = {content.digest for content, _ in image_alone(layout)}
    yield from ((content, tags) for content, tags in contents(layout) if content.digest not in without)


def _content(directory: Path, digest: str) -> Content:
    def blob(named: str) -> bytes:
        return (directory / "blobs" / named.replace(":", "/")).read_bytes()

    data = blob(digest)
    document = json.loads(data)
    below = [document[key] for key in ("config",) if key in document] + document.get("layers", [])
    return Content(document["mediaType"], data, tuple(blob(one["digest"]) for one in below))
