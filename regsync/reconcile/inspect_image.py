"""What one image is made of and what refers to it, read with few requests: for `regsync inspect`."""

from collections.abc import Iterable, Mapping

from regsync.content import image_config
from regsync.content.concurrently import for_each
from regsync.content.errors import ContentNotFoundError
from regsync.content.evidence import MAX_DEPTH as MAX_EVIDENCE_DEPTH
from regsync.content.evidence import Evidence, Shelf
from regsync.content.manifests import Manifests
from regsync.content.protocol import Store
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.inspection import Attached, Inspection, Part, Referrer
from regsync.oci.manifest import Index, Manifest
from regsync.oci.media_type import IMAGE_CONFIGS
from regsync.oci.platform import Platform
from regsync.oci.reference import Tag
from regsync.reconcile.absent import check_repository

MAX_DEPTH = 8  # levels of indexes in indexes
MAX_SUBJECTS = 500  # manifests whose referrers are asked for, a request each
ASKED_AT_ONCE = 8


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
    evidence = await _evidence(store, top, nodes)
    tree = _Tree(evidence)
    attached = tree.below(top.descriptor.digest)
    if isinstance(top, Manifest):
        parts = [_part(top.descriptor, top, image_config.platform(config))]
    else:
        parts = [_part(desc, node, attached=tree.below(digest)) for digest, (desc, node) in nodes.items()]
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
        attached=attached,
        unasked=tree.unasked,
    )


async def _top(manifests: Manifests, store: Store, name: Tag | Digest) -> Manifest | Index:
    try:
        if isinstance(name, Digest):
            return await manifests.read((store,), await store.resolve(name))
        return await manifests.at_tag(store, name)
    except ContentNotFoundError:
        await check_repository(store)
        raise


async def _evidence(
    store: Store, top: Manifest | Index, below: Iterable[Digest]
) -> Mapping[Digest, Evidence]:
    """What stands beside each manifest of an image, and beside that in turn, within bounds."""
    shelf = await Shelf.listing(store) if isinstance(top, Index) else Shelf(store, None)
    found: dict[Digest, Evidence] = {}
    waiting = dict.fromkeys([top.descriptor.digest, *below])
    for _ in range(MAX_EVIDENCE_DEPTH):
        asked = list(waiting)[: MAX_SUBJECTS - len(found)]
        answers = await for_each(lambda one: shelf.find(one, lambda _: True), asked, at_once=ASKED_AT_ONCE)
        found.update(zip(asked, answers, strict=True))
        waiting = dict.fromkeys(
            one.digest for answer in answers for one in answer.referrers if one.digest not in found
        )
    return found


class _Tree:
    """Evidence as a tree. What a lying registry lists at two places has its own evidence at the first."""

    def __init__(self, evidence: Mapping[Digest, Evidence]) -> None:
        self._left = dict(evidence)
        self._asked = frozenset(evidence)
        self._unasked: set[Digest] = set()

    @property
    def unasked(self) -> int:
        """How many manifests nobody was asked about."""
        return len(self._unasked)

    def below(self, subject: Digest) -> Attached:
        """What refers to `subject`."""
        if subject not in self._asked:
            self._unasked.add(subject)
        found = self._left.pop(subject, Evidence())
        referrers = tuple(Referrer(one, self.below(one.digest)) for one in found.referrers)
        return Attached(referrers, found.tags)


def _part(
    desc: Descriptor,
    node: Manifest | Index,
    platform: Platform | None = None,
    attached: Attached = Attached(),  # noqa: B008 - frozen and empty
) -> Part:
    return Part(
        descriptor=node.descriptor,
        platform=desc.platform or platform,
        layers=len(node.layers) if isinstance(node, Manifest) else 0,
        size=_distinct_size([node]),
        artifact_type=_artifact_type(node),
        attached=attached,
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
