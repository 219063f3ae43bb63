"""The index at a fallback tag: what is one, and how it is changed without losing what others put there.

Source: distribution-spec 1.1, "Referrers Tag Schema"; GitLab shows the subject itself at such a tag
(REGISTRIES.md, 51).
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from regsync.content.referrers import fallback_index
from regsync.errors import RefusedError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import MAX_MANIFEST_SIZE
from regsync.oci.reference import Tag
from regsync.oci.strict_json import loads
from regsync.remote.errors import RegistryError


class FallbackTagTakenError(RegistryError, RefusedError):
    """The tag that should list referrers holds something else, which is not ours to overwrite."""

    def __init__(self, tag: Tag, found: Digest, *, where: str) -> None:
        super().__init__(
            f"{where}: tag {tag} should list referrers, but {found} there is no such list; it is left alone",
            hint="find out who writes that tag; remove it, if nobody needs it",
        )


class FallbackTagFullError(RegistryError):
    """The list of referrers has grown past what a manifest may be."""

    def __init__(self, size: int) -> None:
        super().__init__(
            f"the list of referrers would be {size} bytes long, at most {MAX_MANIFEST_SIZE} are allowed",
            hint="remove referrers that nobody needs, or use a registry with a referrers API",
        )


class Change(Protocol):
    """What to do to a list of referrers."""

    def applied(self, raw: bytes | None) -> bytes | None:
        """The changed index for the present one (None: there is none); None: nothing to write."""
        ...


@dataclass(frozen=True, slots=True)
class Adding:
    """List one more referrer."""

    referrer: Descriptor

    def applied(self, raw: bytes | None) -> bytes | None:
        """With the referrer at the end; entries of others stay as they are, unknown keys included.

        An entry of its own is put right: clients leave annotations out, and write wrong artifact types.
        """
        fresh = fallback_index([self.referrer])
        if raw is None:
            return fresh
        document = _document(raw)
        (right,) = json.loads(fresh)["manifests"]
        own = [entry for entry in document["manifests"] if entry.get("digest") == right["digest"]]
        if own and all(entry == _corrected(entry, right) for entry in own):
            return None
        for entry in own:
            entry.update(_corrected(entry, right))
        if not own:
            document["manifests"].append(right)
        return _encoded(document)


@dataclass(frozen=True, slots=True)
class Removing:
    """List one referrer less. An empty list stays: its digest is that of every other empty one."""

    digest: Digest

    def applied(self, raw: bytes | None) -> bytes | None:
        """Without the referrer."""
        return None if raw is None else without(raw, [self.digest])


def without(raw: bytes, digests: Collection[Digest]) -> bytes | None:
    """The index less the entries of `digests`; None when it has none of them."""
    document = _document(raw)
    gone = {str(digest) for digest in digests}
    kept = [entry for entry in document["manifests"] if entry.get("digest") not in gone]
    if len(kept) == len(document["manifests"]):
        return None
    document["manifests"] = kept
    return _encoded(document)


def _corrected(entry: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    """An entry with what its manifest says; what somebody else noted besides stays."""
    notes = {**(entry.get("annotations") or {}), **right.get("annotations", {})}
    return {**entry, **right, **({"annotations": notes} if notes else {})}


def _document(raw: bytes) -> dict[str, Any]:
    """The index as JSON. It was parsed as an index before, so that its shape is known."""
    document = loads(raw)
    assert isinstance(document, dict)  # noqa: S101 - see above
    document["manifests"] = document.get("manifests") or []
    return document


def _encoded(document: dict[str, Any]) -> bytes:
    raw = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    if len(raw) > MAX_MANIFEST_SIZE:
        raise FallbackTagFullError(len(raw))
    return raw
