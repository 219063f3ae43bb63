"""What one image is made of, read with few requests: for `regsync inspect`."""

from regsync.content import image_config
from regsync.content.errors import ContentNotFoundError
from regsync.content.evidence import Shelf
from regsync.content.manifests import Manifests
from regsync.content.protocol import Store
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.inspection import Inspection, Part
from regsync.oci.manifest import Index, Manifest
from regsync.oci.media_type import IMAGE_CONFIGS
from regsync.oci.platform import Platform
from regsync.oci.reference import Tag

MAX_DEPTH = 8  # levels of indexes in indexes


async def inspect_image(store: Store, name: Tag | Digest, reference: str) -> Inspection:
    """Read all manifests of an image and what refers to it. Raises ContentError and what reading raises."""
    manifests = Manifests()
    top = await _top(manifests, store, name)
    nodes: dict[Digest, tuple[Descriptor, Manifest | Index]] = {}
    missing: list[Descriptor] = []
    waiting = [(child, 1) for child in top.manifests]
    while waiting:
        desc, depth = waiting.pop(0)
        if desc.digest in nodes or depth > MAX_DEPTH:
            continue
        try:
            node = await manifests.read((store,), desc)
        except ContentNotFoundError:
            missing.append(desc)
            continue
        nodes[desc.digest] = (desc, node)
        waiting += [(child, depth + 1) for child in node.manifests]
    config = await image_config.read_config((store,), top)
    evidence = await Shelf(store, None).find(top.descriptor.digest, lambda _: True)
    parts = [_part(desc, node) for desc, node in nodes.values() if isinstance(node, Manifest)]
    if isinstance(top, Manifest):
        parts = [_part(top.descriptor, top, image_config.platform(config))]
    return Inspection(
        reference=reference,
        descriptor=top.descriptor,
        kind=_kind(top),
        size=_distinct_size([top, *(node for _, node in nodes.values())]),
        parts=tuple(parts),
        missing=tuple(missing),
        artifact_type=_artifact_type(top),
        annotations=top.annotations,
        labels=image_config.labels(config),
        created=image_config.text(config, "created") or None,
        subject=top.subject.digest if top.subject is not None else None,
        referrers=evidence.referrers,
        digest_tags=evidence.tags,
    )


async def _top(manifests: Manifests, store: Store, name: Tag | Digest) -> Manifest | Index:
    if isinstance(name, Digest):
        return await manifests.read((store,), await store.resolve(name))
    return await manifests.at_tag(store, name)


def _part(desc: Descriptor, node: Manifest, platform: Platform | None = None) -> Part:
    return Part(
        descriptor=node.descriptor,
        platform=desc.platform or platform,
        layers=len(node.layers),
        size=_distinct_size([node]),
        artifact_type=_artifact_type(node),
    )


def _distinct_size(nodes: list[Manifest | Index]) -> int:
    sizes = {node.descriptor.digest: len(node.raw) for node in nodes}
    for node in nodes:
        sizes.update((blob.digest, blob.size) for blob in node.blobs)
    return sum(sizes.values())


def _kind(top: Manifest | Index) -> str:
    if isinstance(top, Index):
        return "index"
    return "image" if top.config.media_type in IMAGE_CONFIGS else "artifact"


def _artifact_type(node: Manifest | Index) -> str | None:
    if node.artifact_type is not None:
        return node.artifact_type
    if isinstance(node, Manifest) and node.config.media_type not in IMAGE_CONFIGS:
        return node.config.media_type
    return None
