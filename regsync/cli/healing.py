"""Where `fsck` takes from what a store has lost: repositories of any registry, store or layout."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from regsync.cli import images
from regsync.cli.references import BadReferenceError, ImageReference
from regsync.clock import Clock
from regsync.content.protocol import Source
from regsync.oci.reference import RepositoryName
from regsync.reconcile.events import Emit
from regsync.store.fsck import Sources

PLACEHOLDER = "{repository}"
_ANY = RepositoryName("repository")  # for the placeholder, while only the place matters


class Healing:
    """The sources that the command line names."""

    def __init__(self, templates: Sequence[str]) -> None:
        """Raises BadReferenceError."""
        self._templates = templates
        self._places = [_reference(one, _ANY) for one in templates]

    @asynccontextmanager
    async def open(self, clock: Clock, emit: Emit) -> AsyncIterator[Sources]:
        """The sources for each repository, in the order given; raises what opening a place raises."""
        async with images.open_images(clock, emit, read=self._places) as opened:

            def sources(repository: RepositoryName) -> Sequence[Source]:
                return [opened.open(_reference(one, repository)) for one in self._templates]

            yield sources


def _reference(template: str, repository: RepositoryName) -> ImageReference:
    found = images.reference(template.replace(PLACEHOLDER, repository))
    if found.tag is not None or found.digest is not None:
        raise BadReferenceError(template, "expected a repository, without a tag or digest")
    return found
