"""What an upstream lists: its tags and referrers, asked for at most once in `max_age`.

Where the upstream cannot say, what is here is listed.
"""

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from sys import getsizeof
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
from regsync.server.pull import Outcome, Pull, told
from regsync.server.upstream_manifests import UpstreamSlowError

_log = logging.getLogger(__name__)

LIST_WITHIN = 20.0  # seconds
MAX_TAGS = 200_000  # of one repository
MAX_REFERRER = 64 * 1024  # bytes of what one referrer says of itself
MAX_LISTING = 32 * 1024 * 1024  # bytes in memory of the referrers of one digest
MAX_KEPT = 64 * 1024 * 1024  # bytes of all listings of one kind that are remembered, about
_ENTRY = 64  # bytes for each entry besides its words
_DESCRIPTOR = 1000  # the same of a descriptor: its objects, digest and platform

Key = TypeVar("Key", bound=Hashable)
Entry = TypeVar("Entry")


class TooManyTagsError(ContentError):
    """More than a listing is passed on with."""

    def __init__(self, where: str) -> None:
        super().__init__(f"{where}: more than {MAX_TAGS} tags, the most that are passed on")


class ReferrersTooLargeError(ContentError):
    """More than is passed on, in one referrer or in all."""

    def __init__(self, where: str, what: str, limit: int) -> None:
        super().__init__(f"{where}: {what} more than {limit} bytes, the most that are passed on")


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
        self._tags: Remembered[RepositoryName, str] = Remembered(clock, _tag_size)
        self._referrers: Remembered[tuple[RepositoryName, Digest], Descriptor] = Remembered(
            clock, _referrer_size
        )

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
    return Listing(
        None, f"{pull.upstream.namespace} cannot be asked now; these are the {what} here: {told(error)}"
    )


@dataclass(frozen=True, slots=True)
class _Kept(Generic[Entry]):
    entries: Sequence[Entry]
    until: float  # seconds, on the clock's monotonic
    size: int  # bytes


class Remembered(Generic[Key, Entry]):
    """Listings by key, each for its time; the oldest leave when there are too many bytes."""

    def __init__(self, clock: Clock, size_of: Callable[[Entry], int]) -> None:
        self._clock, self._size_of = clock, size_of
        self._flights: SingleFlight[Key, Sequence[Entry]] = SingleFlight()
        self._kept: OrderedDict[Key, _Kept[Entry]] = OrderedDict()
        self.size = 0  # bytes of all, about

    async def get(
        self, key: Key, max_age: float, ask: Callable[[], Awaitable[Sequence[Entry]]]
    ) -> Sequence[Entry]:
        """What was heard less than `max_age` seconds ago, or is heard now."""
        self._forget_old()
        kept = self._kept.get(key)
        if kept is not None and self._clock.monotonic() < kept.until:
            return kept.entries
        found = await self._flights.run(key, ask)
        self._keep(key, max_age, found)
        return found

    def _keep(self, key: Key, max_age: float, found: Sequence[Entry]) -> None:
        self._drop(key)
        size = sum(map(self._size_of, found)) + _DESCRIPTOR
        self._kept[key] = _Kept(found, self._clock.monotonic() + max_age, size)
        self.size += size
        while self.size > MAX_KEPT:
            self._drop(next(iter(self._kept)))

    def _forget_old(self) -> None:
        """Those of one upstream end in the order in which they came; behind longer ones they wait."""
        now = self._clock.monotonic()
        while self._kept:
            key, first = next(iter(self._kept.items()))
            if now < first.until:
                return
            self._drop(key)

    def _drop(self, key: Key) -> None:
        gone = self._kept.pop(key, None)
        if gone is not None:
            self.size -= gone.size


def _tag_size(tag: str) -> int:
    return getsizeof(tag) + _ENTRY


def _referrer_size(desc: Descriptor) -> int:
    words = [
        desc.media_type,
        desc.artifact_type or "",
        *desc.annotations,
        *desc.annotations.values(),
        *desc.urls,
    ]
    return sum(map(getsizeof, words)) + _ENTRY * len(words) + _DESCRIPTOR


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
    sizes = [_referrer_size(one) for one in found]
    if max(sizes, default=0) > MAX_REFERRER:
        raise ReferrersTooLargeError(where, "a referrer describes itself with", MAX_REFERRER)
    if sum(sizes) > MAX_LISTING:
        raise ReferrersTooLargeError(where, f"the referrers of {subject} take", MAX_LISTING)
    return sorted(found, key=lambda one: str(one.digest))
