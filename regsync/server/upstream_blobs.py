"""Blobs of upstreams: where they come from when they are not in the repository yet."""

from anyio import fail_after
from anyio.abc import TaskGroup

from regsync.content.references import Children
from regsync.errors import RegsyncError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName
from regsync.server.downloads import Download
from regsync.server.failures import ApiError
from regsync.server.pull import Pull
from regsync.server.upstream_manifests import ASK_WITHIN, FETCH_WITHIN, UpstreamSlowError
from regsync.store.builtin import BuiltinStore
from regsync.store.repository import BuiltinRepository


class UpstreamBlobs:
    """Finds blobs, and fetches each once for all who wait.

    Only what a manifest of the repository names is fetched: so its size is known before it is read, and
    nobody has the server fetch what no image needs. Downloads run in `group`, which ends them.
    """

    def __init__(self, store: BuiltinStore) -> None:
        self._store = store
        self.group: TaskGroup | None = None
        self._downloads: dict[tuple[RepositoryName, Digest], Download] = {}

    def __len__(self) -> int:
        return len(self._downloads)

    async def find(self, pull: Pull, digest: Digest) -> Download | None:
        """The blob on its way, of which there is something to read; None when it is in the repository.

        Raises ApiError where it cannot be had.
        """
        repository = self._store.repository(pull.name, children=Children.ON_DEMAND)
        if await repository.blob(digest) is not None:
            return None
        download = self._downloads.get((pull.name, digest))
        if download is None:
            desc = await self._named(pull, repository, digest)
            try:
                if await self._is_linked(pull, repository, desc):
                    return None
            except RegsyncError as error:
                raise pull.failure(error, "blob", digest) from error
            download = self._downloads.get((pull.name, digest)) or self._start(pull, repository, desc)
        try:
            with fail_after(FETCH_WITHIN):
                await download.begun()
        except TimeoutError:
            raise pull.failure(
                UpstreamSlowError(pull.upstream.namespace, FETCH_WITHIN), "blob", digest
            ) from None
        except RegsyncError as error:
            raise pull.failure(error, "blob", digest) from error
        return download

    async def describe(self, pull: Pull, digest: Digest) -> Descriptor | None:
        """What a HEAD tells of a blob that is not in the repository; None when it is there."""
        repository = self._store.repository(pull.name, children=Children.ON_DEMAND)
        if await repository.blob(digest) is not None:
            return None
        desc = await self._named(pull, repository, digest)
        source = pull.upstream.source(pull.name)
        try:
            with fail_after(ASK_WITHIN):
                is_there = await source.exists(desc)
        except TimeoutError:
            raise pull.failure(UpstreamSlowError(source.name, ASK_WITHIN), "blob", digest) from None
        except RegsyncError as error:
            raise pull.failure(error, "blob", digest) from error
        if not is_there:
            raise pull.missing("blob", digest)
        return desc

    async def _named(self, pull: Pull, repository: BuiltinRepository, digest: Digest) -> Descriptor:
        if pull.refusal is not None:
            raise pull.refusal
        desc = await repository.named_blob(digest)
        if desc is None:
            raise pull.missing("blob", digest)
        return desc

    async def _is_linked(self, pull: Pull, repository: BuiltinRepository, desc: Descriptor) -> bool:
        """Take it from a repository of the store that the client may pull from, if one has it."""
        for name in await self._store.repositories_with(desc.digest):
            if pull.may_pull(name) and await repository.mount(desc, self._store.repository(name)):
                return True
        # It may have been stored while others were looked at.
        return await repository.blob(desc.digest) is not None

    def _start(self, pull: Pull, repository: BuiltinRepository, desc: Descriptor) -> Download:
        if self.group is None:
            raise ApiError(503, "UNAVAILABLE", "nothing is fetched while the server starts or stops")
        download = Download(pull.upstream.source(pull.name), repository, desc)
        key = (pull.name, desc.digest)
        self._downloads[key] = download

        async def run() -> None:
            try:
                await download.run()
            finally:
                del self._downloads[key]

        self.group.start_soon(run)
        return download
