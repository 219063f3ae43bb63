"""What the config of an image says: a blob that outsiders wrote, so anything may be missing or wrong."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from regsync.content.errors import ContentNotFoundError, ContentTooLargeError
from regsync.content.protocol import Source
from regsync.content.verified import verified
from regsync.errors import RegsyncError
from regsync.oci.descriptor import Descriptor
from regsync.oci.manifest import Index, Manifest
from regsync.oci.media_type import IMAGE_CONFIGS
from regsync.oci.platform import Platform
from regsync.oci.strict_json import InvalidJSONError, loads

MAX_CONFIG_SIZE = 4 * 1024 * 1024  # bytes

_MAX_WORD = 1024  # characters; what is longer is neither a time nor a part of a platform
_PLATFORM = ("os", "architecture", "variant", "os.version")

Config = Mapping[str, object]


@runtime_checkable
class TellsConfigs(Protocol):
    """Can say what a config says without its bytes. A `Source` without it is asked for the blob."""

    async def config(self, desc: Descriptor) -> Config:
        """The config, or what is needed of it. Raises ContentNotFoundError."""
        ...


async def read_config(sources: Sequence[Source], top: Manifest | Index) -> Config:
    """The config of an image, from the first source that has it; empty for all that has none, or no JSON.

    Raises ContentTooLargeError, and what the last source raised.
    """
    if isinstance(top, Index) or top.config.media_type not in IMAGE_CONFIGS:
        return {}
    if top.config.size > MAX_CONFIG_SIZE:
        raise ContentTooLargeError(f"config {top.config.digest}", MAX_CONFIG_SIZE, where=sources[0].name)
    failure: RegsyncError = ContentNotFoundError(top.config.digest, where="no source")
    for source in sources:
        try:
            return await read_from(source, top.config)
        except RegsyncError as error:
            failure = error
    raise failure


async def read_from(source: Source, desc: Descriptor) -> Config:
    """The config at one place, empty if it is no JSON; raises what reading raises."""
    if isinstance(source, TellsConfigs):
        return await source.config(desc)
    async with source.fetch(desc) as chunks:
        raw = b"".join([chunk async for chunk in verified(chunks, desc, where=source.name)])
    try:
        document = loads(raw)
    except InvalidJSONError:
        return {}
    return document if isinstance(document, dict) else {}


def needed(config: Config) -> Config:
    """What of a config is ever asked for: its age, platform and labels; not what may be secret in it."""
    texts = {key: text(config, key) for key in ("created", *_PLATFORM)}
    texts = {key: found for key, found in texts.items() if 0 < len(found) <= _MAX_WORD}
    said = labels(config)
    return {**texts, **({"config": {"Labels": said}} if said else {})}


def text(config: Config, key: str) -> str:
    """A text in it, empty if there is none."""
    found = config.get(key)
    return found if isinstance(found, str) else ""


def platform(config: Config) -> Platform | None:
    """Where the image runs; None where it does not say, or says what is no platform."""
    parts = (text(config, key) for key in _PLATFORM)
    found = Platform.of(*parts)
    return found if found.is_well_formed else None


def labels(config: Config) -> Mapping[str, str]:
    """The image's labels."""
    settings = config.get("config")
    found = settings.get("Labels") if isinstance(settings, dict) else None
    texts = found.items() if isinstance(found, dict) else ()
    return {key: value for key, value in texts if isinstance(value, str)}
