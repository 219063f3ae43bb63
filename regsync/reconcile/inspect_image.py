"""What one image is made of, read with few requests: for `regsync inspect`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from regsync.content.errors import ContentNotFoundError, ContentTooLargeError
from regsync.content.evidence import Shelf
from regsync.content.manifests import Manifests
from regsync.content.protocol import Store
from regsync.content.verified import verified
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.inspection import Inspection, Part
from regsync.oci.manifest import Index, Manifest
from regsync.oci.media_type import IMAGE_CONFIGS
from regsync.oci.platform import Platform
from regsync.oci.reference import Tag
from regsync.oci.strict_json import InvalidJSONError, loads

MAX_CONFIG_SIZE = 4 * 1024 * 1024  # bytes
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
    config = await _config(store, top)
    evidence = await Shelf(store, None).find(top.descriptor.digest, lambda _: True)
    parts = [_part(desc, node) for desc, node in nodes.values() if isinstance(node, Manifest)]
    if isinstance(top, Manifest):
        parts = [_part(top.descriptor, top, config.platform)]
    return Inspection(
        reference=reference,
        descriptor=top.descriptor,
        kind=_kind(top),
        size=_distinct_size([top, *(node for _, node in nodes.values())]),
        parts=tuple(parts),
        missing=tuple(missing),
        artifact_type=_artifact_type(top),
        annotations=top.annotations,
        labels=config.labels,
        created=config.created,
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


@dataclass(frozen=True, slots=True)
class _Config:
    created: str | None = None
    platform: Platform | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


async def _config(store: Store, top: Manifest | Index) -> _Config:
    """What the config of a single image says; nothing for anything else, or for one that makes no sense."""
    if not isinstance(top, Manifest) or top.config.media_type not in IMAGE_CONFIGS:
        return _Config()
    if top.config.size > MAX_CONFIG_SIZE:
        raise ContentTooLargeError(f"config {top.config.digest}", MAX_CONFIG_SIZE, where=store.name)
    async with store.fetch(top.config) as chunks:
        raw = b"".join([chunk async for chunk in verified(chunks, top.config, where=store.name)])
    try:
        document = loads(raw)
    except InvalidJSONError:
        return _Config()
    return _read_config(document) if isinstance(document, dict) else _Config()


def _read_config(document: Mapping[str, object]) -> _Config:
    texts = {key: value for key, value in document.items() if isinstance(value, str)}
    platform = None
    if "os" in texts and "architecture" in texts:
        platform = Platform.of(
            texts["os"], texts["architecture"], texts.get("variant", ""), texts.get("os.version", "")
        )
    settings = document.get("config")
    labels = settings.get("Labels") if isinstance(settings, dict) else None
    found = labels.items() if isinstance(labels, dict) else ()
    return _Config(
        texts.get("created"), platform, {key: value for key, value in found if isinstance(value, str)}
    )
