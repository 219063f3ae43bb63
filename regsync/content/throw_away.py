"""Manifests that exist to be deleted: how one tag goes where a registry deletes manifests only.

A tag that is moved to such a manifest goes with it, and what it pointed to before stays, with every other
tag. Each is unique to its tag and to what that pointed to, so that no other tag can ever share it, and so
that whoever finds one after a kill knows what was going on.

Source: DESIGN.md, section 6, rule 9.
"""

import json
from dataclasses import dataclass

from regsync.oci import media_type as types
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import InvalidManifestError, parse_manifest
from regsync.oci.reference import Tag

PURPOSE = "dev.regsync.throw-away"  # the annotation that says what one is for
CONFIG = b'{"architecture":"amd64","config":{},"os":"linux","rootfs":{"diff_ids":[],"type":"layers"}}'
CONFIG_DESCRIPTOR = Descriptor(types.OCI_CONFIG, Digest.of(CONFIG), len(CONFIG))


@dataclass(frozen=True, slots=True)
class ThrowAway:
    """One of them, its bytes included. It refers to CONFIG and to nothing else."""

    desc: Descriptor
    raw: bytes

    @classmethod
    def to(cls, purpose: str) -> "ThrowAway":
        """The one for this purpose: the same bytes for the same words."""
        document = {
            "schemaVersion": 2,
            "mediaType": types.OCI_MANIFEST,
            "config": {
                "mediaType": CONFIG_DESCRIPTOR.media_type,
                "digest": str(CONFIG_DESCRIPTOR.digest),
                "size": CONFIG_DESCRIPTOR.size,
            },
            "layers": [],
            "annotations": {PURPOSE: purpose},
        }
        raw = json.dumps(document, separators=(",", ":")).encode()
        return cls(Descriptor(types.OCI_MANIFEST, Digest.of(raw), len(raw)), raw)

    @classmethod
    def for_tag(cls, tag: Tag, digest: Digest) -> "ThrowAway":
        """The one that takes `tag` along, which pointed to `digest`."""
        return cls.to(f"delete tag {tag} of {digest}")


def is_throw_away(raw: bytes) -> bool:
    """Whether a manifest is one of these."""
    if PURPOSE.encode() not in raw:
        return False
    try:
        return PURPOSE in parse_manifest(raw).annotations
    except InvalidManifestError:
        return False
