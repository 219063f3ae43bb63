"""Descriptors: type, digest and size of content held elsewhere (image-spec, "Content Descriptors")."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from regsync.oci.digest import Digest
from regsync.oci.media_type import is_index, is_manifest
from regsync.oci.platform import Platform

UNKNOWN_SIZE = 0  # bytes; what a listing gives for a manifest of which it shows the digest alone


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What names content. Two are equal when type, digest and size are; the rest is a remark."""

    media_type: str
    digest: Digest
    size: int  # bytes
    platform: Platform | None = field(default=None, compare=False)
    artifact_type: str | None = field(default=None, compare=False)
    annotations: Mapping[str, str] = field(default_factory=dict, compare=False)
    urls: tuple[str, ...] = field(default=(), compare=False)

    @property
    def is_manifest(self) -> bool:
        """Whether it lives under `/manifests/`: a manifest or an index."""
        return is_manifest(self.media_type)

    @property
    def is_index(self) -> bool:
        """Whether it lists other manifests."""
        return is_index(self.media_type)

    def __str__(self) -> str:
        return f"{self.digest} ({self.size} bytes)"
