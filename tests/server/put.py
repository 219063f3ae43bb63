"""Content put into the store of a registry in this process, without requests."""

from regsync.oci.manifest import parse_manifest
from regsync.oci.reference import RepositoryName, Tag
from tests.remote.repositories import blob, stream
from tests.server.asgi import Served
from tests.support.images import Content


async def put(server: Served, name: str, content: Content, *tags: str) -> None:
    """Put an image with its blobs, and point `tags` to it."""
    repository = server.store.repository(RepositoryName(name))
    for data in content.blobs:
        await repository.push(blob(data), stream(data))
    await repository.put_manifest(
        parse_manifest(content.data, content.media_type), [Tag(tag) for tag in tags]
    )
