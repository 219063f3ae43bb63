"""Facts about tags that a listing does not show: when an image was made, and its labels."""

from collections.abc import Mapping
from datetime import datetime

from regsync.content.errors import ContentTooLargeError
from regsync.content.manifests import Manifests
from regsync.content.protocol import Source
from regsync.content.verified import verified
from regsync.oci.descriptor import Descriptor
from regsync.oci.manifest import Index, Manifest
from regsync.oci.media_type import IMAGE_CONFIGS
from regsync.oci.platform import Platform
from regsync.oci.reference import Tag
from regsync.oci.strict_json import InvalidJSONError, loads
from regsync.reconcile.engine import Run
from regsync.reconcile.repositories import SourceView
from regsync.spec.facts import TagFacts, parse_timestamp

MAX_CONFIG_SIZE = 4 * 1024 * 1024  # bytes
_PREFERRED = Platform.of("linux", "amd64")
_MAX_DEPTH = 4  # indexes in indexes on the way to an image


async def read_facts(run: Run, source: SourceView, tag: Tag) -> TagFacts:
    """What selection needs to know of `tag`. Raises what reading raises."""
    listed = source.listed.get(tag) if source.listed is not None else None
    if listed is not None:
        top = await run.manifests.read((source.store,), listed)
    else:
        top = await run.manifests.at_tag(source.store, tag)
    digest = top.descriptor.digest
    sightings = run.engine.ledger.sightings(source.spot)
    seen = sightings[digest].first_seen if digest in sightings else run.now
    run.engine.ledger.saw(source.spot, digest, run.now)
    annotations = dict(top.annotations)
    image = await _image(run.manifests, source.store, top)
    created: datetime | None = None
    labels: Mapping[str, str] = {}
    if image is not None:
        annotations = {**image.annotations, **annotations}
        if image.config.media_type in IMAGE_CONFIGS:
            created, labels = _read_config(await _config(source.store, image.config))
    return TagFacts(digest, seen, created, labels, annotations)


async def _image(manifests: Manifests, source: Source, top: Manifest | Index) -> Manifest | None:
    """An image under `top`: linux/amd64 where there is one, else the first with a platform."""
    node = top
    for _ in range(_MAX_DEPTH):
        if isinstance(node, Manifest):
            return node
        children = [one for one in node.manifests if one.platform is None or not one.platform.is_unknown]
        if not children:
            return None
        preferred = [one for one in children if one.platform is not None and one.platform.matches(_PREFERRED)]
        node = await manifests.read((source,), (preferred or children)[0])
    return None


async def _config(source: Source, desc: Descriptor) -> bytes:
    if desc.size > MAX_CONFIG_SIZE:
        raise ContentTooLargeError(f"config {desc.digest}", MAX_CONFIG_SIZE, where=source.name)
    async with source.fetch(desc) as chunks:
        return b"".join([chunk async for chunk in verified(chunks, desc, where=source.name)])


def _read_config(raw: bytes) -> tuple[datetime | None, Mapping[str, str]]:
    """`created` and the labels; a config that is no JSON object has neither."""
    try:
        document = loads(raw)
    except InvalidJSONError:
        return None, {}
    if not isinstance(document, dict):
        return None, {}
    settings = document.get("config")
    labels = settings.get("Labels") if isinstance(settings, dict) else None
    texts = labels.items() if isinstance(labels, dict) else ()
    created = document.get("created")
    return (
        parse_timestamp(created if isinstance(created, str) else None),
        {key: value for key, value in texts if isinstance(value, str)},
    )
