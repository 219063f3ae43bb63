"""How alike a drifted tag is to what it should be: manifests are read only where digests differ."""

from collections.abc import Sequence

from regsync.content.graph import subjects_below
from regsync.content.manifests import Manifests
from regsync.content.protocol import Source
from regsync.errors import RegsyncError
from regsync.oci.descriptor import UNKNOWN_SIZE, Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import Index, Manifest
from regsync.plan.likeness import Likeness, is_same_image, likeness, pairs
from regsync.reconcile.look import Found
from regsync.reconcile.observe import Observer
from regsync.reconcile.repositories import TargetView


async def likeness_at(
    observer: Observer, found: Found, target: TargetView, actual: Digest
) -> Likeness | None:
    """What the target has instead of `found`; None where it could not be read, which is not told apart."""
    if actual == found.desc.digest:
        return Likeness.OTHER_PLATFORMS  # the whole of what should be trimmed
    manifests, sources = observer.run.manifests, observer.stores
    store = target.destination.store
    try:
        whole = await manifests.read(sources, found.desc)
        expected = whole
        if found.digest != found.desc.digest:  # trimmed: made here, and kept
            await subjects_below(manifests, sources, found.desc, shape=observer.shape)
            expected = await manifests.read(sources, Descriptor("", found.digest, UNKNOWN_SIZE))
        there = await manifests.read((store,), Descriptor("", actual, UNKNOWN_SIZE))
        below = await _below(manifests, sources, store, expected, there)
    except RegsyncError:
        return None
    return likeness(expected, there, whole=whole, below=below)


async def _below(
    manifests: Manifests,
    sources: Sequence[Source],
    store: Source,
    expected: Manifest | Index,
    there: Manifest | Index,
) -> dict[Digest, Manifest | Index]:
    """The children that decide; no more are read after the first that differs."""
    found: dict[Digest, Manifest | Index] = {}
    for mine, theirs in pairs(expected, there):
        one = found[mine.digest] = await manifests.read(sources, mine)
        other = found[theirs.digest] = await manifests.read((store,), theirs)
        if not (isinstance(one, Manifest) and isinstance(other, Manifest) and is_same_image(one, other)):
            break
    return found
