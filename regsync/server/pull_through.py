"""Repositories of upstreams: what is not here is fetched, then answered like anything else."""

from bisect import bisect_right
from collections.abc import Mapping

from anyio import create_task_group, sleep_forever

from regsync.clock import Clock
from regsync.oci.reference import RepositoryName
from regsync.server import blobs
from regsync.server.blobs import Blobs
from regsync.server.failures import ApiError
from regsync.server.listings import Listings, referrers_page, tags_page
from regsync.server.manifests import Manifests
from regsync.server.message import Request, Response
from regsync.server.pull import HERE, Outcome, Prepared, Pull
from regsync.server.routes import Endpoint, Route
from regsync.server.upstream_blobs import UpstreamBlobs
from regsync.server.upstream_listings import UpstreamListings
from regsync.server.upstream_manifests import UpstreamManifests
from regsync.server.values import page_of, parse_digest, parse_reference
from regsync.store.builtin import BuiltinStore

_Answer = tuple[Response, Prepared]
_WARNING_SIZE = 1000  # characters; clients have to read 4096 bytes of warnings (distribution-spec)


class PullThrough:
    """Answers what only reads a repository of an upstream. Blobs are fetched while `run` runs."""

    def __init__(self, store: BuiltinStore, clock: Clock) -> None:
        self._manifests, self._blobs, self._listings = Manifests(store), Blobs(store), Listings(store)
        self._upstream_manifests = UpstreamManifests(store, clock)
        self._upstream_blobs = UpstreamBlobs(store)
        self._upstream_listings = UpstreamListings(clock)

    @property
    def verdicts(self) -> Mapping[tuple[str, str], int]:
        """How often each policy said what, by its name and the result."""
        return self._upstream_manifests.verdicts.counts

    @property
    def downloads(self) -> int:
        """How many blobs are being fetched."""
        return len(self._upstream_blobs)

    async def run(self) -> None:
        """Fetch what is asked for, until this is cancelled: then what is not whole is dropped."""
        async with create_task_group() as group:
            self._upstream_blobs.group = group
            await sleep_forever()

    async def answer(self, request: Request, found: Route, asked: RepositoryName, pull: Pull) -> _Answer:
        """The answer; `asked` is what the client calls the repository. Raises ApiError."""
        if found.endpoint is Endpoint.MANIFEST:
            response, done = await self._manifest(request, found.reference, pull)
        elif found.endpoint is Endpoint.BLOB:
            response, done = await self._blob(request, found.reference, pull)
        elif found.endpoint is Endpoint.TAGS:
            response, done = await self._tags(request, asked, pull)
        elif found.endpoint is Endpoint.REFERRERS:
            response, done = await self._referrers(request, asked, found.reference, pull)
        else:
            raise ApiError(404, "UNSUPPORTED", "there is no such endpoint")
        return response.add(b"oci-namespace", pull.upstream.namespace), done

    async def _manifest(self, request: Request, reference: str, pull: Pull) -> _Answer:
        prepared = await self._upstream_manifests.prepare(pull, parse_reference(reference))
        get = self._manifests.head if request.method == "HEAD" else self._manifests.get
        response = await get(request, pull.name, reference, prepared.digest)
        return _warned(response, prepared.warning), prepared

    async def _blob(self, request: Request, reference: str, pull: Pull) -> _Answer:
        digest = parse_digest(reference)
        if request.method == "HEAD":
            desc = await self._upstream_blobs.describe(pull, digest)
            if desc is not None:
                return blobs.shown(request, desc), Prepared(Outcome.CHECKED)
        else:
            found = await self._upstream_blobs.find(pull, digest)
            if isinstance(found, Outcome):
                return await self._blobs.get(request, pull.name, reference), Prepared(found)
            return blobs.shown(request, found.desc, read=found.read), Prepared(Outcome.FETCHED)
        return await self._blobs.get(request, pull.name, reference), HERE

    async def _tags(self, request: Request, asked: RepositoryName, pull: Pull) -> _Answer:
        listing = await self._upstream_listings.tags(pull)
        if listing.entries is None:
            response = await self._listings.tags(request, pull.name, asked)
            return _warned(response, listing.warning), Prepared(listing.outcome)
        limit, last = page_of(request)
        start = bisect_right(listing.entries, last)
        page = listing.entries[start : start + limit + 1]
        return tags_page(request, asked, page, limit), Prepared(listing.outcome)

    async def _referrers(
        self, request: Request, asked: RepositoryName, reference: str, pull: Pull
    ) -> _Answer:
        subject = parse_digest(reference)
        listing = await self._upstream_listings.referrers(pull, subject)
        if listing.entries is None:
            response = await self._listings.referrers(request, pull.name, reference, asked)
            return _warned(response, listing.warning), Prepared(listing.outcome)
        return referrers_page(request, asked, subject, listing.entries), Prepared(listing.outcome)


def _warned(response: Response, warning: str | None) -> Response:
    if warning is None:
        return response
    text = warning.encode("ascii", "replace").decode()[:_WARNING_SIZE]
    text = text.replace("\\", "/").replace('"', "'")
    return response.add(b"warning", f'299 - "{text}"')
