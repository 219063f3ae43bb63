"""Writing a part of a store into an archive: an OCI image layout in a tar, index and manifests first.

So a reader of a stream knows what every blob is for before it comes.
"""

from dataclasses import dataclass

from anyio.to_thread import run_sync

from regsync.content.archive import member_name
from regsync.content.archive_names import entry_of
from regsync.content.archive_output import Output
from regsync.content.layout_files import INDEX_FILE, MARKER, MARKER_FILE
from regsync.content.layout_index import LayoutIndex
from regsync.content.verified import verified
from regsync.oci import media_type as types
from regsync.oci.descriptor import Descriptor
from regsync.oci.reference import RepositoryName
from regsync.store.builtin import BuiltinStore
from regsync.store.selection import Selection


@dataclass(slots=True)
class Exported:
    """What an export has written so far."""

    images: int = 0  # roots: tags, and manifests listed by themselves
    manifests: int = 0
    blobs: int = 0
    total: int = 0  # blobs to write
    copied: int = 0  # bytes of blobs, read from the store and hashed
    reused: int = 0  # bytes of blobs, taken over from the earlier archive

    @property
    def bytes(self) -> int:
        """Of blobs."""
        return self.copied + self.reused


async def export(store: BuiltinStore, selection: Selection, output: Output, done: Exported) -> None:
    """Write all of `selection`, in an order that its content alone decides; `done` says how far it is.

    Raises what reading raises, DigestMismatchError for bit rot among it, and StorageError.
    """
    done.images, done.total = len(selection.roots), len(selection.blobs)
    await run_sync(_small, output, MARKER_FILE, MARKER)
    await run_sync(_small, output, INDEX_FILE, _index(selection))
    for digest, repository in selection.manifests.items():
        _, raw = await store.repository(repository).manifest(digest)
        await run_sync(_small, output, member_name(digest), raw)
        done.manifests += 1
    for digest in sorted(selection.blobs):
        desc, repository = selection.blobs[digest]
        if await run_sync(output.reuse, member_name(digest), desc.size):
            done.reused += desc.size
        else:
            await _blob(store, repository, desc, output)
            done.copied += desc.size
        done.blobs += 1
    await run_sync(output.finish)


def _index(selection: Selection) -> bytes:
    roots = sorted(selection.roots, key=lambda one: (one.repository, one.tag or "", one.desc.digest))
    several = len({one.repository for one in roots}) > 1
    entries = tuple(entry_of(one.desc, one.repository, one.tag, several=several) for one in roots)
    return LayoutIndex({"schemaVersion": 2, "mediaType": types.OCI_INDEX}, entries).encode()


async def _blob(store: BuiltinStore, repository: RepositoryName, desc: Descriptor, output: Output) -> None:
    source = store.repository(repository)
    async with source.fetch(desc) as chunks:
        await run_sync(output.begin, member_name(desc.digest), desc.size)
        async for chunk in verified(chunks, desc, where=source.name):
            await run_sync(output.write, chunk)
        await run_sync(output.end)


def _small(output: Output, name: str, data: bytes) -> None:
    output.begin(name, len(data))
    output.write(data)
    output.end()
