"""What an upstream lists: its tags and referrers, asked for at most once in `max_age`.

Where the upstream cannot say, what is here is listed.
"""

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from anyio import fail_after

from regsync.clock import Clock
from regsync.content.errors import ContentError, ContentNotFoundError
from regsync.content.protocol import ListsReferrers, ListsTags
from regsync.content.single_flight import SingleFlight
from regsync.errors import RegsyncError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName
from regsync.server.failures import ApiError
from regsync.server.pull import Outcome, Pull
from regsync.server.upstream_manifests import UpstreamSlowError

_log = logging.getLogger(__name__)

LIST_WITHIN = 20.0  # seconds
MAX_TAGS = 200_000  # of one repository
MAX_KEPT = 500_000  # entries of all listings that are remembered

Key = TypeVar("Key", bound=Hashable)
Entry = TypeVar("Entry")


class TooManyTagsError(ContentError):
    """More than a listing is passed on with."""

    def __init__(self, where: str) -> None:
        super().__init__(f"{where}: more than {MAX_TAGS} tags, the most that are passed on")


@dataclass(frozen=True, slots=True)
class Listing(Generic[Entry]):
    """What an upstream lists; None: what is here has to do, with a warning if it should not have to."""

    entries: Sequence[Entry] | None = None
    warning: str | None = None

    @property
    def outcome(self) -> Outcome:
        """What was done at the upstream, now or a moment ago."""
        if self.entries is not None:
            return Outcome.CHECKED
        return Outcome.HERE if self.warning is None else Outcome.STALE


class UpstreamListings:
    """Asks, and remembers for a while."""

    def __init__(self, clock: Clock) -> None:
        self._tags: _Remembered[RepositoryName, str] = _Remembered(clock)
        self._referrers: _Remembered[tuple[RepositoryName, Digest], Descriptor] = _Remembered(clock)

    async def tags(self, pull: Pull) -> Listing[str]:
        """All tags in the order of their bytes; raises NAME_UNKNOWN where there is no such repository."""
        source = pull.upstream.source(pull.name)
        if not pull.may_fetch or not isinstance(source, ListsTags):
            return Listing()
        try:
            ask = partial(_tags, source, source.name)
            return Listing(await self._tags.get(pull.name, pull.upstream.max_age, ask))
        except ContentNotFoundError:
            message = f"{pull.upstream.namespace} has no repository {pull.name}"
            raise ApiError(404, "NAME_UNKNOWN", message) from None
        except RegsyncError as error:
            return _local(pull, "tags", error)

    async def referrers(self, pull: Pull, subject: Digest) -> Listing[Descriptor]:
        """The referrers of a digest in the order of their own."""
        source = pull.upstream.source(pull.name)
        if not pull.may_fetch or not isinstance(source, ListsReferrers):
            return Listing()
        try:
            ask = partial(_referrers, source, subject, source.name)
            return Listing(await self._referrers.get((pull.name, subject), pull.upstream.max_age, ask))
        except RegsyncError as error:
            return _local(pull, "referrers", error)


def _local(pull: Pull, what: str, error: RegsyncError) -> Listing[Any]:
    _log.warning("%s: the %s that are here are listed: %s", pull.name, what, error)
    return Listing(None, f"{pull.upstream.namespace} cannot be asked now; these are the {what} here: {error}")


class _Remembered(Generic[Key, Entry]):
    """Listings by key, each for its time; the oldest leave when there are too many entries."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._flights: SingleFlight[Key, Sequence[Entry]] = SingleFlight()
        self._kept: OrderedDict[Key, tuple[float, Sequence[Entry]]] = OrderedDict()
        self._entries = 0

    async def get(
        self, key: Key, max_age: float, ask: Callable[[], Awaitable[Sequence[Entry]]]
    ) -> Sequence[Entry]:
        """What was heard less than `max_age` seconds ago, or is heard now."""
        kept = self._kept.get(key)
        if kept is not None and self._clock.monotonic() - kept[0] < max_age:
            return kept[1]
        found = await self._flights.run(key, ask)
        self._keep(key, found)
        return found

    def _keep(self, key: Key, found: Sequence[Entry]) -> None:
        if key in self._kept:
            self._entries -= len(self._kept.pop(key)[1]) + 1
        self._kept[key] = (self._clock.monotonic(), found)
        self._entries += len(found) + 1
        while self._entries > MAX_KEPT:
            _, (_, gone) = self._kept.popitem(last=False)
            self._entries -= len(gone) + 1


async def _tags(source: ListsTags, where: str) -> Sequence[str]:
    names: set[str] = set()
    try:
        with fail_after(LIST_WITHIN):
            async with source.tags() as listed:
                async for tag, _ in listed:
                    names.add(str(tag))
                    if len(names) > MAX_TAGS:
                        raise TooManyTagsError(where)
    except TimeoutError:
        raise UpstreamSlowError(where, LIST_WITHIN) from None
    return sorted(names)


async def _referrers(source: ListsReferrers, subject: Digest, where: str) -> Sequence[Descriptor]:
    try:
        with fail_after(LIST_WITHIN):
            found = await source.referrers(subject)
    except TimeoutError:
        raise UpstreamSlowError(where, LIST_WITHIN) from None
    return sorted(found, key=lambda one: str(one.digest))
