"""Streams that are hashed and counted while they flow, once, whoever needs them checked."""

from collections.abc import AsyncIterable, AsyncIterator

from regsync.content.errors import DigestMismatchError, InterruptedStreamError, SizeMismatchError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import Index, Manifest, parse_manifest


class VerifiedChunks:
    """Chunks that end with an error unless they were exactly what `desc` names.

    Raises SizeMismatchError at the first byte too many, InterruptedStreamError at an early end,
    DigestMismatchError after the last byte. The last chunk is given only after its check, so that a
    consumer never holds all of a wrong blob.
    """

    def __init__(self, chunks: AsyncIterable[bytes], desc: Descriptor, *, where: str) -> None:
        self._chunks, self.desc, self._where = chunks, desc, where

    async def __aiter__(self) -> AsyncIterator[bytes]:
        desc, where = self.desc, self._where
        hasher = desc.digest.hasher()
        received = 0
        held: bytes | None = None
        async for chunk in self._chunks:
            if held is not None:
                yield held
            received += len(chunk)
            if received > desc.size:
                raise SizeMismatchError(desc, received, where=where)
            hasher.update(chunk)
            held = chunk
        if received < desc.size:
            raise InterruptedStreamError(desc, received, where=where)
        actual = Digest.from_hasher(hasher, desc.digest.algorithm)
        if actual != desc.digest:
            raise DigestMismatchError(desc.digest, actual, where=where)
        if held is not None:
            yield held


def verified(chunks: AsyncIterable[bytes], desc: Descriptor, *, where: str) -> VerifiedChunks:
    """`chunks`, checked against `desc` while they flow; as they are if they already are so checked."""
    if (
        isinstance(chunks, VerifiedChunks)
        and chunks.desc.digest == desc.digest
        and chunks.desc.size == desc.size  # else one of the two lies, and the stream must show it
    ):
        return chunks
    return VerifiedChunks(chunks, desc, where=where)


def verified_manifest(raw: bytes, desc: Descriptor, *, where: str) -> Manifest | Index:
    """Read the manifest that `desc` names from `raw`, which has to be exactly that.

    Raises SizeMismatchError, DigestMismatchError, or InvalidManifestError.
    """
    if len(raw) != desc.size:
        raise SizeMismatchError(desc, len(raw), where=where)
    actual = Digest.of(raw, desc.digest.algorithm)
    if actual != desc.digest:
        raise DigestMismatchError(desc.digest, actual, where=where)
    return parse_manifest(raw, desc.media_type)
