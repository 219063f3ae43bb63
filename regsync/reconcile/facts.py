"""Facts about tags that a listing does not show: when an image was made, and its labels."""

from regsync.content import image_config
from regsync.content.manifests import Manifests
from regsync.content.protocol import Source
from regsync.oci.manifest import Index, Manifest
from regsync.oci.platform import Platform
from regsync.oci.reference import Tag
from regsync.reconcile.engine import Run
from regsync.reconcile.repositories import SourceView
from regsync.spec.facts import TagFacts, parse_timestamp

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
    config: image_config.Config = {}
    if image is not None:
        annotations = {**image.annotations, **annotations}
        config = await run.manifests.config((source.store,), image)
    created = parse_timestamp(image_config.text(config, "created"))
    return TagFacts(digest, seen, created, image_config.labels(config), annotations)


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
