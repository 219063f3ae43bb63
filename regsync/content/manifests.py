"""Manifests of a run, read once: parsed, checked against what led to them, kept while there is room."""

from collections import OrderedDict
from collections.abc import Sequence

import anyio

from regsync.content import image_config
from regsync.content.errors import ContentNotFoundError, SizeMismatchError
from regsync.content.image_config import Config
from regsync.content.protocol import Source
from regsync.errors import RegsyncError
from regsync.oci.descriptor import UNKNOWN_SIZE, Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import Index, Manifest, parse_manifest
from regsync.oci.platform import Platform
from regsync.oci.reference import Tag

MIB = 1024 * 1024
CACHE_SIZE = 8 * MIB  # bytes of raw manifests; parsed they take about three times that
CONFIGS_SIZE = 2 * MIB  # bytes of raw configs


class Manifests:
    """Reads manifests by digest, each once while it stays in the cache, and by tag."""

    def __init__(self, *, capacity: int = CACHE_SIZE) -> None:
        self._capacity, self._held = capacity, 0
        self._kept: OrderedDict[Digest, Manifest | Index] = OrderedDict()
        self._reading: dict[Digest, anyio.Event] = {}
        self._configs: OrderedDict[tuple[Digest, str], tuple[Config, int]] = OrderedDict()
        self._configs_held = 0

    async def at_tag(self, source: Source, tag: Tag) -> Manifest | Index:
        """What `tag` points to now, in one request. Raises as `Source.manifest` and `parse_manifest` do."""
        desc, raw = await source.manifest(tag)
        return self._keep(_parsed(raw, desc))

    async def read(self, sources: Sequence[Source], desc: Descriptor) -> Manifest | Index:
        """The manifest that `desc` names, from the first source that has it.

        Raises SizeMismatchError when the descriptor lies about the length, and what the last source raised.
        """
        while (kept := self._kept.get(desc.digest)) is None:
            reading = self._reading.get(desc.digest)
            if reading is not None:
                await reading.wait()
                continue
            event = self._reading[desc.digest] = anyio.Event()
            try:
                kept = await self._fetch(sources, desc)
                break
            finally:
                del self._reading[desc.digest]
                event.set()
        else:
            self._kept.move_to_end(desc.digest)
        if desc.size not in (kept.descriptor.size, UNKNOWN_SIZE):
            raise SizeMismatchError(desc, kept.descriptor.size, where=sources[0].name)
        return kept

    async def platform(self, sources: Sequence[Source], image: Manifest) -> Platform | None:
        """The platform that the config of a single image says, if any. Raises as `read_config`."""
        return image_config.platform(await self.config(sources, image))

    async def config(self, sources: Sequence[Source], image: Manifest) -> Config:
        """The config of a single image, read once while it is kept. Raises as `read_config`."""
        desc = image.config
        key = (desc.digest, desc.media_type)
        if (kept := self._configs.get(key)) is not None:
            self._configs.move_to_end(key)
            return kept[0]
        config = await image_config.read_config(sources, image)
        self._configs_held += desc.size if key not in self._configs else 0
        self._configs[key] = (config, desc.size)
        while self._configs_held > CONFIGS_SIZE and len(self._configs) > 1:
            _, (_, size) = self._configs.popitem(last=False)
            self._configs_held -= size
        return config

    async def _fetch(self, sources: Sequence[Source], desc: Descriptor) -> Manifest | Index:
        failure: RegsyncError = ContentNotFoundError(desc.digest, where="no source")
        for source in sources:
            try:
                _, raw = await source.manifest(desc.digest)
                return self._keep(_parsed(raw, desc))
            except RegsyncError as error:
                failure = error
        raise failure

    def keep(self, manifest: Manifest | Index) -> None:
        """Remember a manifest that was made here, such as a trimmed index."""
        self._keep(manifest)

    def _keep(self, manifest: Manifest | Index) -> Manifest | Index:
        digest = manifest.descriptor.digest
        if digest not in self._kept:
            self._held += len(manifest.raw)
        self._kept[digest] = manifest
        while self._held > self._capacity and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._held -= len(dropped.raw)
        return manifest


def _parsed(raw: bytes, desc: Descriptor) -> Manifest | Index:
    return parse_manifest(raw, desc.media_type, algorithm=desc.digest.algorithm)
