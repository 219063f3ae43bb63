"""What a repository holds, for deletions: listed now, and digests that a listing does not show."""

from collections.abc import Iterable

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


class CannotListError(UnsupportedError):
    """A place does not list its tags."""

    usual_hint = "without a list of all tags nothing is known to be unused: take the repository out"

    def __init__(self, location: Location) -> None:
        super().__init__(f"{location}: its tags cannot be listed, so nothing is deleted there")


async def list_tags(run: Run, location: Location) -> Listing:
    """Every tag; none where there is no such repository. Raises CannotListError, and what listing raises."""
    store = run.engine.places.connect(location)
    if not isinstance(store, ListsTags):
        raise CannotListError(location)
    try:
        async with store.tags() as tags:
            return {tag: desc async for tag, desc in tags}
    except ContentNotFoundError:
        return {}


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
