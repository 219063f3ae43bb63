"""Where an import goes: a store or a registry, and the name that all repositories are put below."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from regsync.cli import images
from regsync.cli.references import BadReferenceError
from regsync.clock import Clock
from regsync.content.protocol import Store
from regsync.content.references import Children
from regsync.errors import UsageError
from regsync.oci.reference import RepositoryName
from regsync.reconcile.events import Emit
from regsync.spec.model import LayoutPlace, Location, StorePlace
from regsync.store.builtin import BuiltinStore

_REST = "a/b"  # in the place of a repository, while only what stands before it matters


class UnnamedImagesError(UsageError):
    """The archive has images without a repository's name, and the target gives them none."""

    def __init__(self, target: str) -> None:
        super().__init__(
            f"the archive has images that name no repository, and {target[:300]!r} names none either"
        )

    @property
    def hint(self) -> str:
        """What to do next."""
        return "write the repository behind the store or registry: store:PATH//team/app or host/team/app"


class ImportTarget:
    """`store:PATH`, `store:PATH/prefix`, `store:PATH//prefix`, `host` or `host/prefix`."""

    def __init__(self, text: str) -> None:
        """Raises BadReferenceError."""
        self._text = text
        try:
            found = images.reference(text + (_REST if text.endswith("/") else f"/{_REST}"))
        except BadReferenceError as error:
            raise BadReferenceError(text, error.cause) from None  # without what was put behind it
        if isinstance(found.place, LayoutPlace) or found.repository is None:
            raise BadReferenceError(text, "expected a store or a registry")
        self._reference = found
        self._prefix = found.repository.removesuffix(_REST).removesuffix("/")

    @asynccontextmanager
    async def open(self, clock: Clock, emit: Emit) -> AsyncIterator[Callable[[RepositoryName | None], Store]]:
        """What gives the target of each repository; a store is made if it is not there.

        Raises what opening raises; the function UnnamedImagesError and InvalidReferenceError.
        """
        place = self._reference.place
        if isinstance(place, StorePlace):
            async with BuiltinStore.open(place.path, clock=clock) as store:
                yield lambda name: store.repository(self._name(name), children=Children.OPTIONAL)
            return
        async with images.open_images(clock, emit, read=(), written=[self._reference]) as opened:
            registry = images.place_name(place)
            yield lambda name: opened.places.connect(Location(registry, self._name(name)))

    def _name(self, name: RepositoryName | None) -> RepositoryName:
        parts = [part for part in (self._prefix, name) if part]
        if not parts:
            raise UnnamedImagesError(self._text)
        return RepositoryName.parse("/".join(parts))
