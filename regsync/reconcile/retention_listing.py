"""What a repository holds, for deletions: listed now, and digests that a listing does not show."""

from collections.abc import Iterable
from contextlib import suppress

from regsync.content.concurrently import for_each
from regsync.content.errors import ContentNotFoundError
from regsync.content.protocol import ListsTags
from regsync.errors import RegsyncError, UnsupportedError
from regsync.oci.descriptor import Descriptor
from regsync.oci.reference import Tag
from regsync.reconcile.engine import Run
from regsync.reconcile.repositories import Listing
from regsync.spec.model import Location

LOOKS_AT_ONCE = 16  # tags of one repository
SAMPLES = 10  # tags of ours that a listing does not show and that are asked for


class CannotListError(UnsupportedError):
    """A place does not list its tags."""

    usual_hint = "without a list of all tags nothing is known to be unused: take the repository out"

    def __init__(self, location: Location) -> None:
        super().__init__(f"{location}: its tags cannot be listed, so nothing is deleted there")


class ShortListingError(RegsyncError):
    """A listing leaves out tags that are there: what it hides might be all that leads to something."""

    usual_hint = "run again; if it stays so, ask who runs the registry, or a proxy before it"

    def __init__(self, location: Location, tag: Tag) -> None:
        super().__init__(f"{location}: its list of tags leaves out {tag}, which is there: nothing is deleted")


async def list_tags(run: Run, location: Location) -> Listing:
    """Every tag; none where there is no such repository.

    Raises CannotListError, ShortListingError where tags that are known to be ours are left out, and what
    listing raises.
    """
    store = run.engine.places.connect(location)
    if not isinstance(store, ListsTags):
        raise CannotListError(location)
    listed: dict[Tag, Descriptor | None] = {}
    try:
        async with store.tags() as tags:
            listed.update([one async for one in tags])
    except ContentNotFoundError:
        return {}
    ours = run.engine.ledger.ours(run.spot(location))
    for tag in sorted(ours.keys() - listed.keys())[:SAMPLES]:
        with suppress(ContentNotFoundError):  # somebody deleted it
            await store.resolve(tag)
            raise ShortListingError(location, tag)
    return listed


async def look_up(
    run: Run, location: Location, listed: Listing, tags: Iterable[Tag]
) -> tuple[dict[Tag, Descriptor], dict[Tag, RegsyncError]]:
    """What each of `tags` points to, and why some could not be looked at; those of neither are gone."""
    store = run.engine.places.connect(location)
    found: dict[Tag, Descriptor] = {}
    failed: dict[Tag, RegsyncError] = {}

    async def look(tag: Tag) -> None:
        shown = listed.get(tag)
        try:
            found[tag] = shown if shown is not None else await store.resolve(tag)
        except ContentNotFoundError:
            return
        except RegsyncError as error:
            failed[tag] = error

    await for_each(look, tags, at_once=LOOKS_AT_ONCE)
    return found, failed
