"""Streams that are hashed and counted while they flow, once, whoever needs them checked."""

from collections.abc import AsyncIterable, AsyncIterator, Callable

from regsync.content.errors import DigestMismatchError, InterruptedStreamError, SizeMismatchError
from regsync.errors import RegsyncError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import Index, Manifest, parse_manifest


class VerifiedChunks:
    """Chunks that end with an error unless they were exactly what `desc` names.

    Raises SizeMismatchError at the first byte too many, InterruptedStreamError at an early end,
    DigestMismatchError after the last byte. The last chunk is given only after its check, so that a
    consumer never holds all of a wrong blob. `failure` is what went wrong on this side of the stream,
    for a consumer that sees only that its own request broke.
    """

    def __init__(
        self,
        chunks: AsyncIterable[bytes],
        desc: Descriptor,
        *,
        where: str,
        watch: Callable[[int], None] | None = None,
    ) -> None:
        self._chunks, self.desc, self._where, self._watch = chunks, desc, where, watch
        self.failure: RegsyncError | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._checked():
                yield chunk
                if self._watch is not None:
                    self._watch(len(chunk))
        except RegsyncError as error:
            self.failure = error
            raise

    async def _checked(self) -> AsyncIterator[bytes]:
        desc, where = self.desc, self._where
        hasher = desc.digest.hasher()
        received = 0
        held: bytes | None = None
        async for chunk in self._chunks:
            if not chunk:
                continue  # it would let the last bytes out before their check
            received += len(chunk)
            if received > desc.size:
                raise SizeMismatchError(desc, received, where=where)
            hasher.update(chunk)
            if held is not None:
                yield held
            held = chunk
        if received < desc.size:
            raise InterruptedStreamError(desc, received, where=where)
        actual = Digest.from_hasher(hasher, desc.digest.algorithm)
        if actual != desc.digest:
            raise DigestMismatchError(desc.digest, actual, where=where)
        if held is not None:
            yield held


class AlreadyVerified(VerifiedChunks):
    """One branch of a stream that was checked where it forked."""

    async def _checked(self) -> AsyncIterator[bytes]:
        async for chunk in self._chunks:
            yield chunk


def verified(
    chunks: AsyncIterable[bytes],
    desc: Descriptor,
    *,
    where: str,
    watch: Callable[[int], None] | None = None,
) -> VerifiedChunks:
    """`chunks`, checked against `desc` while they flow; as they are if they already are so checked.

    `watch` is told the length of each chunk after the consumer took it.
    """
    # Of two sizes for one digest one is a lie, and the stream must show which.
    if isinstance(chunks, VerifiedChunks) and (chunks.desc.digest, chunks.desc.size) == (
        desc.digest,
        desc.size,
    ):
        return chunks
    return VerifiedChunks(chunks, desc, where=where, watch=watch)


def verified_manifest(raw: bytes, desc: Descriptor, *, where: str) -> Manifest | Index:
    """Read the manifest that `desc` names from `raw`, which has to be exactly that.

    Raises SizeMismatchError, DigestMismatchError, or InvalidManifestError.
    """
    if len(raw) != desc.size:
        raise SizeMismatchError(desc, len(raw), where=where)
    actual = Digest.of(raw, desc.digest.algorithm)
    if actual != desc.digest:
        raise DigestMismatchError(desc.digest, actual, where=where)
    return parse_manifest(raw, desc.media_type, algorithm=desc.digest.algorithm)
