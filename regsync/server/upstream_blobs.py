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
from regsync.server.pull import Outcome, Pull
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

    async def find(self, pull: Pull, digest: Digest) -> Download | Outcome:
        """The blob on its way, of which there is something to read; once it is in the repository, how come.

        Raises ApiError where it cannot be had.
        """
        repository = self._store.repository(pull.name, children=Children.ON_DEMAND)
        if await repository.blob(digest) is not None:
            return Outcome.HERE
        download = self._downloads.get((pull.name, digest))
        if download is None:
            desc = await self._named(pull, repository, digest)
            try:
                if await self._is_linked(pull, repository, desc):
                    return Outcome.FETCHED
            except RegsyncError as error:
                raise pull.failure(error, "blob", digest) from error
            if await repository.blob(digest) is not None:  # stored while others were looked at
                return Outcome.HERE
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
        if not await _is_upstream(pull, desc):
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
        """Take it from another repository of the upstream that the client may pull from, if one has it.

        A manifest may name what its repository does not have, and who pulls it may pull what others may not:
        so the upstream has to say that it is there. It can lie, and so gets back only what it gave itself.
        """
        names = await self._store.repositories_with(desc.digest)
        known = [name for name in names if pull.upstream.has(name) and pull.may_pull(name)]
        if not known or not await _is_upstream(pull, desc):
            return False
        for name in known:
            if await repository.mount(desc, self._store.repository(name)):
                return True
        return False

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


async def _is_upstream(pull: Pull, desc: Descriptor) -> bool:
    """Whether the upstream's repository has a blob. Raises ApiError where it does not say."""
    source = pull.upstream.source(pull.name)
    try:
        with fail_after(ASK_WITHIN):
            return await source.exists(desc)
    except TimeoutError:
        raise pull.failure(UpstreamSlowError(source.name, ASK_WITHIN), "blob", desc.digest) from None
    except RegsyncError as error:
        raise pull.failure(error, "blob", desc.digest) from error
