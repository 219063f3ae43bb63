"""Opening single images that the command line names, without a spec."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from regsync.cli.places import SpecPlaces
from regsync.cli.references import BadReferenceError, ImageReference, parse
from regsync.clock import Clock
from regsync.content.layout import LayoutRepository
from regsync.content.protocol import ListsTags, Store
from regsync.errors import RefusedError, UsageError
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.reconcile.events import Emit
from regsync.reconcile.ledger_memory import MemoryLedger
from regsync.spec.model import LayoutPlace, Location, Place, Registry, RemotePlace, Settings, Spec, StorePlace
from regsync.store.place import is_store


class NoSuchStoreError(UsageError):
    """The command line names a store that is not there, to read from."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path}: there is no built-in store")


class OtherDigestError(RefusedError):
    """The target names a digest, and the source is another."""

    def __init__(self, target: ImageReference, found: Digest) -> None:
        super().__init__(f"{target.text}: the source is {found}; nothing was copied")


def reference(text: str) -> ImageReference:
    """Read a reference of the command line; raises BadReferenceError."""
    return parse(text, is_store)


class Images:
    """The repositories of some references, each opened once."""

    def __init__(self, places: SpecPlaces) -> None:
        self.places = places

    def open(self, image: ImageReference) -> Store:
        """The repository that `image` is in."""
        if isinstance(image.place, LayoutPlace):
            return LayoutRepository(image.place.path)
        assert image.repository is not None  # noqa: S101 - only layouts have none
        return self.places.connect(Location(place_name(image.place), image.repository))


@asynccontextmanager
async def open_images(
    clock: Clock, emit: Emit, *, read: Sequence[ImageReference], written: Sequence[ImageReference] = ()
) -> AsyncIterator[Images]:
    """Open the places of `read`, which must exist, and of `written`, whose stores are made.

    Raises NoSuchStoreError and what opening a store raises.
    """
    stores = [one.place.path for one in written if isinstance(one.place, StorePlace)]
    for one in read:
        if isinstance(one.place, StorePlace):
            if not is_store(one.place.path) and one.place.path not in stores:
                raise NoSuchStoreError(one.place.path)
            stores.append(one.place.path)
    async with SpecPlaces.open(
        _spec([*read, *written]), clock, MemoryLedger(), dict.fromkeys(stores), emit
    ) as places:
        yield Images(places)


async def only_tag(image: ImageReference, store: Store) -> Tag | Digest:
    """What an image reference means; of a layout without a tag in it, the one tag that there is.

    Raises BadReferenceError where that is not one.
    """
    if not isinstance(image.place, LayoutPlace) or image.tag is not None or image.digest is not None:
        return image.wanted
    assert isinstance(store, ListsTags)  # noqa: S101 - layouts do
    async with store.tags() as listed:
        tags = [tag async for tag, _ in listed if not tag.startswith("sha256-")]
    if len(tags) == 1:
        return tags[0]
    known = ", ".join(tags[:10]) or "none"
    raise BadReferenceError(image.text, f"the layout does not hold exactly one tag, so name one: {known}")


async def check_digest(store: Store, name: Tag | Digest, target: ImageReference) -> None:
    """See, before anything is written, that a target which names a digest gets that one.

    Raises OtherDigestError.
    """
    if target.digest is None:
        return
    found = await store.resolve(name)
    if found.digest != target.digest:
        raise OtherDigestError(target, found.digest)


def place_name(place: Place) -> str:
    """The name under which `open_images` declares a place."""
    return place.host if isinstance(place, RemotePlace) else place.key


def _spec(references: Sequence[ImageReference]) -> Spec:
    """A spec that declares nothing but the places, so that they are built like those of a real one."""
    registries = {place_name(one.place): Registry(place_name(one.place), one.place) for one in references}
    nothing = Digest.of(b"")
    return Spec(registries, (), Settings(Path()), nothing, Path(), ())
