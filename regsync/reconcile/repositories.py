"""Repositories as one level of a run sees them: listed once, whoever needs them."""

from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import anyio

from regsync.content.destination import Destination
from regsync.content.errors import ContentNotFoundError
from regsync.content.evidence import KeptShelf, Shelf
from regsync.content.protocol import ListsTags, Store
from regsync.errors import DeniedError, RegsyncError, UnsupportedError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.reconcile.engine import Run
from regsync.reconcile.ledger import Sighting, Spot
from regsync.spec.model import Location

Listing = Mapping[Tag, Descriptor | None]


class CannotListTagsError(RegsyncError):
    """The tags of a source are needed and cannot be listed."""

    def __init__(self, location: Location) -> None:
        super().__init__(f"{location}: its tags cannot be listed, and a rule is a pattern")

    @property
    def hint(self) -> str:
        """What to do next."""
        return "name the tags in the spec, or read from a registry that lists them"


@dataclass(frozen=True, slots=True)
class SourceView:
    """A source repository. `listed` is None where its tags were not listed."""

    location: Location
    spot: Spot
    store: Store
    listed: Listing | None
    shelf: Shelf

    def may_have(self, tag: Tag) -> bool:
        """Whether it is worth asking for `tag`."""
        return self.listed is None or tag in self.listed


@dataclass(frozen=True, slots=True)
class TargetView:
    """A target repository. `listed` is None where its tags cannot be listed."""

    location: Location
    spot: Spot
    destination: Destination
    listed: Listing | None
    shelf: Shelf
    sightings: Mapping[Digest, Sighting]
    ours: Mapping[Tag, Digest]


@dataclass(slots=True)
class Repositories:
    """The repositories of one level of mirrors; later levels look again, since tags moved."""

    run: Run
    _listings: dict[Location, Listing | RegsyncError | None] = field(default_factory=dict)
    _listing: dict[Location, anyio.Event] = field(default_factory=dict)
    _shelves: dict[Location, Shelf] = field(default_factory=dict)
    _pushes: dict[Location, RegsyncError | None] = field(default_factory=dict)
    _asking: defaultdict[Location, anyio.Lock] = field(default_factory=lambda: defaultdict(anyio.Lock))

    async def source(self, location: Location, *, needs_tags: bool) -> SourceView:
        """A source; raises why its tags cannot be had when they are needed."""
        store = self.run.engine.places.connect(location)
        listed: Listing | None = None
        if needs_tags:
            listed = await self._tags(location, store)
            if listed is None:
                raise CannotListTagsError(location)
        spot = self.run.spot(location)
        going = self.run.pruning.going(spot) if self.run.pruning is not None else None
        shelf = KeptShelf(store, listed)
        if going and listed is not None:  # an earlier mirror of a chain deletes them in this run
            listed = {tag: desc for tag, desc in listed.items() if tag not in going}
        return SourceView(location, spot, store, listed, shelf)

    async def evidence(self, location: Location) -> Shelf:
        """A repository where a policy keeps evidence; what cannot be listed is asked for one by one."""
        shelf = self._shelves.get(location)
        if shelf is None:
            store = self.run.engine.places.connect(location)
            listed: Listing | None = None
            with suppress(RegsyncError):  # whoever looks for evidence there meets it again, and says so
                listed = await self._tags(location, store)
            shelf = self._shelves[location] = KeptShelf(store, listed)
        return shelf

    async def target(self, location: Location) -> TargetView:
        """A target; raises why it could not be looked at.

        One that cannot list its tags is asked for each tag instead. Registries hide what is not there
        yet: a refusal to list means that only if pushing is not refused as well.
        """
        try:
            return await self.look(location)
        except DeniedError:
            if (error := await self.may_not_push(location)) is not None:
                raise error from None
            return self._view(location, None)

    async def look(self, location: Location) -> TargetView:
        """A target for who only reads: a refusal to list is one. Raises why it could not be looked at."""
        listed: Listing | None = None
        try:
            listed = await self._tags(location, self.run.engine.places.connect(location))
        except ContentNotFoundError:
            listed = {}
        except UnsupportedError:
            listed = None
        return self._view(location, listed)

    def assume(self, location: Location, listed: Listing) -> None:
        """Have a repository that is known to be like another listed without asking."""
        self._listings[location] = listed

    def _view(self, location: Location, listed: Listing | None) -> TargetView:
        store = self.run.engine.places.connect(location)
        spot, ledger = self.run.spot(location), self.run.engine.ledger
        return TargetView(
            location,
            spot,
            self.run.destination(location, may_have_content=listed is None or bool(listed)),
            listed,
            Shelf(store, listed),
            ledger.sightings(spot),
            ledger.ours(spot),
        )

    async def may_not_push(self, location: Location) -> RegsyncError | None:
        """Why `location` could not be written, asked once and without writing."""
        async with self._asking[location]:
            if location not in self._pushes:
                try:
                    await self.run.engine.places.may_push(location)
                    self._pushes[location] = None
                except RegsyncError as error:
                    self._pushes[location] = error
        return self._pushes[location]

    async def _tags(self, location: Location, store: Store) -> Listing | None:
        if location not in self._listings:
            if location in self._listing:
                await self._listing[location].wait()
            else:
                event = self._listing[location] = anyio.Event()
                try:
                    self._listings[location] = await _list_tags(store)
                except RegsyncError as error:
                    self._listings[location] = error
                finally:
                    event.set()
        found = self._listings[location]
        if isinstance(found, RegsyncError):
            raise found
        return found


async def _list_tags(store: Store) -> Listing | None:
    if not isinstance(store, ListsTags):
        return None
    async with store.tags() as tags:
        return {tag: desc async for tag, desc in tags}
