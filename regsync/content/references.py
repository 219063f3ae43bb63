"""What a manifest needs to be there before it may be put."""

from collections.abc import Iterable
from enum import Enum

from regsync.content.errors import ContentNotFoundError
from regsync.errors import RefusedError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import Index, Manifest
from regsync.oci.media_type import is_foreign_layer

_NAMED = 10  # missing digests that a message shows


class Children(Enum):
    """Whether a place takes an index whose manifests it does not all hold."""

    REQUIRED = "required"
    OPTIONAL = "optional"  # an original index of which only some platforms are mirrored
    ON_DEMAND = "on-demand"  # neither manifests nor blobs: what is not there is fetched when it is asked for


class MissingReferencesError(ContentNotFoundError):
    """A manifest refers to content that is not there; `missing` has all of it."""

    def __init__(self, manifest: Digest, missing: Iterable[Digest], *, where: str) -> None:
        self.missing = tuple(missing)
        shown = ", ".join(str(digest) for digest in self.missing[:_NAMED])
        more = len(self.missing) - _NAMED
        super().__init__(f"{shown}{f' and {more} more' if more > 0 else ''}", where=where)
        self.args = (f"{where}: manifest {manifest} refers to what is not there: {self.thing}",)


def required(manifest: Manifest | Index, children: Children) -> tuple[Descriptor, ...]:
    """What has to be there, each digest once. Foreign layers, and a subject, need not be."""
    if children is Children.ON_DEMAND:
        return ()
    if isinstance(manifest, Manifest):
        return tuple(
            blob for blob in manifest.blobs if not blob.urls and not is_foreign_layer(blob.media_type)
        )
    if children is Children.OPTIONAL:
        return ()
    return (*manifest.blobs, *manifest.manifests)


class ContentInUseError(RefusedError):
    """A manifest leads to the content: deleting it would break that image."""

    def __init__(self, digest: Digest, by: Digest, *, where: str) -> None:
        super().__init__(f"{where}: {digest} is part of {by}; delete that first")
        self.digest, self.by = digest, by
