"""The places of a spec, built: what `reconcile` gets to connect with and knows nothing more about."""

import os
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from anyio.to_thread import run_sync

from regsync.clock import Clock
from regsync.content.protocol import Store
from regsync.content.references import Children
from regsync.content.tags_state import FEW_REPOSITORIES, TagsState
from regsync.errors import RegsyncError
from regsync.oci.reference import RepositoryName
from regsync.reconcile.events import Emit
from regsync.reconcile.ledger import Ledger
from regsync.spec.model import IndexForm, LayoutPlace, Location, RemotePlace, Spec, StorePlace
from regsync.store.place import is_store

if TYPE_CHECKING:
    from regsync.cli.remotes import Remotes
    from regsync.content.layout_place import LayoutPlace as Layouts
    from regsync.content.memory import MemoryPlace
    from regsync.remote.limits import Limiters
    from regsync.spec.in_use import RunningImage
    from regsync.store.builtin import BuiltinStore


class Missing(Enum):
    """What becomes of a built-in store that a mirror writes to and that is not there yet."""

    CREATE = "create"
    EMPTY = "empty"  # planned against as an empty one
    UNUSED = "unused"  # empty too; those that no mirror uses any more are opened if they are there


class UnwritableDirectoryError(RegsyncError):
    """A store or layout cannot be made or written where the spec wants it."""

    def __init__(self, path: Path, denied: Path) -> None:
        super().__init__(f"{path}: may not be written: permission denied for {denied}")

    @property
    def hint(self) -> str:
        """What to do next."""
        return "run as a user who may write there, or name another directory in the Registry"


class SpecPlaces:
    """Implements reconcile's `Places`. Stores are open from the start, registries when first asked for."""

    def __init__(
        self,
        spec: Spec,
        clock: Clock,
        ledger: Ledger,
        stores: Mapping[Path, "BuiltinStore"],
        emit: Emit,
        guard: Callable[[], None] | None = None,
        limiters: "Limiters | None" = None,
    ) -> None:
        self._spec, self._clock, self._ledger, self._stores = spec, clock, ledger, stores
        self._emit, self._guard, self._limiters = emit, guard, limiters
        self._layouts: dict[Path, Layouts] = {}
        self._absent: dict[Path, MemoryPlace] = {}  # stores that are not there
        self._connected: dict[Location, Store] = {}
        self._sparse = _sparse_targets(spec)
        self._remotes: Remotes | None = None

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        spec: Spec,
        clock: Clock,
        ledger: Ledger,
        stores: Collection[Path],
        emit: Emit,
        *,
        guard: Callable[[], None] | None = None,
        limiters: "Limiters | None" = None,
    ) -> AsyncIterator[Self]:
        """Open `stores`, made if need be, and close everything at the end. Raises StoreError.

        `guard` is what registries ask before each attempt to make something visible; `limiters` are shared
        with other runs of this process.
        """
        async with AsyncExitStack() as stack:
            opened = {path: await stack.enter_async_context(_open_store(path, clock)) for path in stores}
            places = cls(spec, clock, ledger, opened, emit, guard, limiters)
            stack.push_async_callback(places._close)
            yield places

    def connect(self, location: Location) -> Store:
        """The repository at `location`; the same object for the same location."""
        store = self._connected.get(location)
        if store is None:
            store = self._connected[location] = self._connect(location)
        return store

    async def repositories(self, registry: str) -> Sequence[RepositoryName]:
        """The repositories that a registry lists, sorted."""
        match self._spec.registries[registry].place:
            case StorePlace(path):
                store = self._stores.get(path)
                return await store.repositories() if store is not None else ()
            case LayoutPlace(path):
                return await run_sync(lambda: list(self._layout(path).repositories()))
            case RemotePlace():
                return await self._remote().repositories(registry)

    async def states(
        self, registry: str, wanted: Collection[RepositoryName]
    ) -> Mapping[RepositoryName, TagsState] | None:
        """What repositories hold, of our own stores and servers; None of others."""
        match self._spec.registries[registry].place:
            case StorePlace(path):
                return await _states_of(self._stores.get(path), wanted)
            case RemotePlace():
                return await self._remote().states(registry, wanted)
        return None

    async def running(self, context: str) -> "Sequence[RunningImage]":
        """What the pods of a Kubernetes cluster run."""
        from regsync.cli.clusters import running_images  # brings an HTTP client, which stores do without

        return await running_images(context)

    async def may_push(self, location: Location) -> None:
        """Ask whether `location` may be written, without writing."""
        match self._spec.place(location):
            case StorePlace(path):
                await run_sync(_check_writable, path)
            case LayoutPlace(path):
                await run_sync(_check_writable, path / location.repository)
            case RemotePlace():
                await self._remote().may_push(location)

    def requests(self) -> Mapping[str, Mapping[str, int]]:
        """Requests made so far, by registry and kind."""
        return self._remotes.requests() if self._remotes is not None else {}

    def warnings(self) -> Sequence[str]:
        """What registries asked to be told to people, each once."""
        return self._remotes.warnings() if self._remotes is not None else ()

    def _connect(self, location: Location) -> Store:
        match self._spec.place(location):
            case StorePlace(path):
                return self._store(path, location)
            case LayoutPlace(path):
                return self._layout(path).repository(location.repository)
            case RemotePlace():
                return self._remote().connect(location)

    def _store(self, path: Path, location: Location) -> Store:
        store = self._stores.get(path)
        if store is None:
            return self._empty(path).repository(location.repository)
        children = Children.OPTIONAL if location.registry in self._sparse else Children.REQUIRED
        return store.repository(location.repository, children=children)

    def _empty(self, path: Path) -> "MemoryPlace":
        if path not in self._absent:
            from regsync.content.memory import MemoryPlace

            self._absent[path] = MemoryPlace(str(path))
        return self._absent[path]

    def _layout(self, path: Path) -> "Layouts":
        if path not in self._layouts:
            from regsync.content.layout_place import LayoutPlace as Layouts

            self._layouts[path] = Layouts(path)
        return self._layouts[path]

    def _remote(self) -> "Remotes":
        if self._remotes is None:
            from regsync.cli.remotes import Remotes

            self._remotes = Remotes(
                self._spec, self._clock, self._ledger, self._emit, self._guard, self._limiters
            )
        return self._remotes

    async def _close(self) -> None:
        if self._remotes is not None:
            await self._remotes.close()


def stores_of(spec: Spec, missing: Missing) -> Sequence[Path]:
    """The stores that a run uses: those that exist, and targets that are to be made; never another."""
    targets = {template.registry for mirror in spec.mirrors for template in mirror.targets}
    sources = {template.registry for mirror in spec.mirrors for template in mirror.sources}
    sources |= {location.registry for mirror in spec.mirrors for location, _ in mirror.images}
    sources |= {location.registry for policy in spec.policies.values() for location in policy.evidence}
    sources |= {glob.registry for policy in spec.retention for glob in policy.repositories}
    paths: dict[Path, None] = {}
    for name in sorted(spec.registries if missing is Missing.UNUSED else targets | sources):
        place = spec.registries[name].place
        if isinstance(place, StorePlace):
            made = name in targets and missing is Missing.CREATE
            if made or is_store(place.path):
                paths[place.path] = None
    return list(paths)


async def _states_of(
    store: "BuiltinStore | None", wanted: Collection[RepositoryName]
) -> Mapping[RepositoryName, TagsState]:
    if store is None:
        return {}
    from regsync.store.states import state_of, states_below

    queries = [partial(state_of, name=one) for one in wanted]
    if len(wanted) > FEW_REPOSITORIES:
        queries = [partial(states_below, name="")]
    found = [state for query in queries for state in await store.scan(query)]
    return {one.name: TagsState(one.digest, one.referrers, one.tags) for one in found}


def _open_store(path: Path, clock: Clock) -> AbstractAsyncContextManager["BuiltinStore"]:
    from regsync.store.builtin import BuiltinStore  # brings SQLAlchemy, which no other place needs

    return BuiltinStore.open(path, clock=clock)


def _sparse_targets(spec: Spec) -> frozenset[str]:
    """Registries that a mirror gives original indexes whose other platforms are left out."""
    return frozenset(
        template.registry
        for mirror in spec.mirrors
        if mirror.platforms is not None and mirror.index is IndexForm.ORIGINAL
        for template in mirror.targets
    )


def _check_writable(path: Path) -> None:
    nearest = next(parent for parent in (path, *path.parents) if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise UnwritableDirectoryError(path, nearest)
