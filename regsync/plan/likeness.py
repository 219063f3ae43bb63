"""How alike two manifests of different digests are: what kind of a difference a drifted tag has.

Who copies with other tools gets images of the same layers in other words (Docker's media types for the
OCI's, other keys, other whitespace), or some platforms of an index alone. Both are drift, and neither is
other software.
"""

from collections.abc import Iterator, Mapping
from enum import Enum

from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import Index, Manifest
from regsync.oci.platform import Platform

MAX_PAIRS = 64  # children of an index that are compared by what is in them
Pair = tuple[Descriptor, Descriptor]


class Likeness(Enum):
    """What two contents of different digests have in common, at best."""

    SAME_CONTENT = "same-content"  # the same config and layers, or children, in other bytes
    OTHER_PLATFORMS = "other-platforms"  # another choice of the platforms of one index
    OTHER = "other"


def likeness(
    expected: Manifest | Index,
    actual: Manifest | Index,
    *,
    whole: Manifest | Index,
    below: Mapping[Digest, Manifest | Index],
) -> Likeness:
    """What `actual` is to `expected`, which was made of `whole` or is it.

    `below` holds the children that `pairs` of the two named, as far as they could be read.
    """
    if _is_same(expected, actual, below):
        return Likeness.SAME_CONTENT
    if _is_part(actual, of=whole) or _is_part(expected, of=actual):
        return Likeness.OTHER_PLATFORMS
    return Likeness.OTHER


def pairs(expected: Manifest | Index, actual: Manifest | Index) -> Iterator[Pair]:
    """The children of two indexes that differ and are to be compared, platform by platform.

    None where another look is idle: the indexes are not for the same platforms.
    """
    if not isinstance(expected, Index) or not isinstance(actual, Index):
        return
    mine, theirs = _by_platform(expected), _by_platform(actual)
    if mine.keys() == theirs.keys() and len(mine) <= MAX_PAIRS:
        for platform, child in mine.items():
            if child.digest != theirs[platform].digest:
                yield child, theirs[platform]


def is_same_image(one: Manifest, other: Manifest) -> bool:
    """Whether two images have the same config and the same layers in the same order."""
    return _digests(one) == _digests(other)


def _is_same(
    expected: Manifest | Index, actual: Manifest | Index, below: Mapping[Digest, Manifest | Index]
) -> bool:
    if isinstance(expected, Manifest) and isinstance(actual, Manifest):
        return is_same_image(expected, actual)
    if not isinstance(expected, Index) or not isinstance(actual, Index):
        return False
    if _children(expected) == _children(actual):
        return True
    compared = [(below.get(one.digest), below.get(other.digest)) for one, other in pairs(expected, actual)]
    return bool(compared) and all(
        isinstance(one, Manifest) and isinstance(other, Manifest) and is_same_image(one, other)
        for one, other in compared
    )


def _is_part(node: Manifest | Index, *, of: Manifest | Index) -> bool:
    """Whether an index lists all that is in `node`, or what it is."""
    mine = _children(node) if isinstance(node, Index) else frozenset({node.descriptor.digest})
    return bool(mine) and mine <= _children(of)


def _children(node: Manifest | Index) -> frozenset[Digest]:
    return frozenset(child.digest for child in node.manifests)


def _by_platform(index: Index) -> dict[Platform | None, Descriptor]:
    """Images alone: an attestation names its image's digest, so where that changes it changes too."""
    return {
        child.platform: child
        for child in index.manifests
        if child.platform is None or not child.platform.is_unknown
    }


def _digests(image: Manifest) -> tuple[Digest, ...]:
    return (image.config.digest, *(layer.digest for layer in image.layers))
