"""When tags were pushed and pulled: of a repository, and of all places that mirrors keep the same.

A place that does not tell makes the pulls of a tag unknown which it has too, and what is unknown keeps. Of
sources only those count that tell: nobody here pulls from the others.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from regsync.content.tag_times import TagTimes, TellsTimes
from regsync.errors import RegsyncError
from regsync.oci.reference import Tag
from regsync.plan.retention import TagState
from regsync.reconcile.engine import Run
from regsync.reconcile.ledger import Spot
from regsync.reconcile.repositories import Listing
from regsync.reconcile.retention_listing import list_tags
from regsync.spec.model import Location, Unit
from regsync.spec.retention import RetentionPolicy

Times = Mapping[Tag, TagTimes]


@dataclass(slots=True)
class PlaceTimes:
    """The times of repositories, each asked once in a run."""

    run: Run
    _known: dict[Spot, Times | None] = field(default_factory=dict)
    _listed: dict[Spot, Listing | None] = field(default_factory=dict)

    async def states(
        self, policy: RetentionPolicy, location: Location, listed: Listing, units: Iterable[Unit]
    ) -> dict[Tag, TagState]:
        """What is known of each tag; `units` are all that write there."""
        digests = {tag: desc.digest if desc is not None else None for tag, desc in listed.items()}
        pushes = any(rule.pushed_within is not None for rule in policy.keep)
        pulls = any(rule.pulled_within is not None for rule in policy.keep)
        if not pushes and not pulls:
            return {tag: TagState(digest) for tag, digest in digests.items()}
        own = await self._of(location)
        if own is None:
            verb = " and ".join(["pushed"] * pushes + ["pulled"] * pulls)
            self.run.warn(f"{location} does not tell when tags were {verb}: rules by that keep them all")
            return {tag: TagState(digest) for tag, digest in digests.items()}
        peers = await self._peers(location, units) if pulls else ()
        return {
            tag: TagState(digest, own.get(tag, _NOT_KNOWN).pushed, _last_pull(tag, own, peers))
            for tag, digest in digests.items()
        }

    async def _peers(self, location: Location, units: Iterable[Unit]) -> "tuple[_Peer, ...]":
        spot = self.run.spot(location)
        found: dict[Spot, _Peer] = {}
        for unit in units:
            for other in unit.targets:
                if (there := self.run.spot(other)) != spot and there not in found:
                    found[there] = await self._peer(location, other)
            for other in unit.sources:
                times = await self._of(other)
                if times is not None and self.run.spot(other) not in (spot, *found):
                    found[self.run.spot(other)] = _Peer(times, None)
        return tuple(found.values())

    async def _peer(self, location: Location, other: Location) -> "_Peer":
        times = await self._of(other)
        if times is not None:
            return _Peer(times, None)
        self.run.warn(
            f"{other} does not tell when tags were pulled: at {location}, which holds the same, "
            "rules by pulledWithin keep what is in both"
        )
        spot = self.run.spot(other)
        if spot not in self._listed:
            try:
                self._listed[spot] = await list_tags(self.run, other)
            except RegsyncError:
                self._listed[spot] = None
        return _Peer(None, self._listed[spot])

    async def _of(self, location: Location) -> Times | None:
        spot = self.run.spot(location)
        if spot not in self._known:
            store = self.run.engine.places.connect(location)
            try:
                self._known[spot] = await store.times() if isinstance(store, TellsTimes) else None
            except RegsyncError as error:
                self.run.warn(f"{location}: when its tags were pulled could not be read: {error}")
                self._known[spot] = None
        return self._known[spot]


_NOT_KNOWN = TagTimes()


@dataclass(frozen=True, slots=True)
class _Peer:
    """Another place that holds the same: its times, or (None) the tags that it has, if these are known."""

    times: Times | None
    listed: Listing | None

    def pulled(self, tag: Tag) -> tuple[bool, datetime | None]:
        """Whether pulls there are known, and the last one."""
        if self.times is None:
            return self.listed is not None and tag not in self.listed, None
        known = self.times.get(tag)
        return known is None or known.pulled is not None, known.pulled if known is not None else None


def _last_pull(tag: Tag, own: Times, peers: Iterable[_Peer]) -> datetime | None:
    """The last pull at any place; None where any place has the tag and knows of no pull."""
    last = own.get(tag, _NOT_KNOWN).pulled
    if last is None:
        return None
    for peer in peers:
        is_known, pulled = peer.pulled(tag)
        if not is_known:
            return None
        last = max(last, pulled) if pulled is not None else last
    return last
