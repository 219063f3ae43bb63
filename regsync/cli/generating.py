"""The body of `regsync generate`: find the places, look up every tag, write documents and lock file."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from regsync.cli import streams
from regsync.cli.failures import note
from regsync.cli.options import manner
from regsync.cli.output import write_file
from regsync.cli.places import SpecPlaces
from regsync.cli.running import run_to_read
from regsync.clock import Clock
from regsync.errors import UsageError
from regsync.oci.reference import (
    InvalidReferenceError,
    RepositoryName,
    is_host,
    may_hold_a_password,
    parse_host,
)
from regsync.plan.model import exit_code
from regsync.reconcile.engine import Engine
from regsync.reconcile.events import Emit
from regsync.reconcile.ledger_memory import MemoryLedger
from regsync.reconcile.locking import Looked, look_up
from regsync.spec.files import DEFAULT_FILE
from regsync.spec.generated import generate, looking_spec
from regsync.spec.load import load
from regsync.spec.lock import LOCK_FILE, LockEntry
from regsync.spec.lock_writing import lock_text
from regsync.spec.model import Location, Registry, RemotePlace, Spec, StorePlace
from regsync.spec.problems import nearest
from regsync.store.place import is_store

DIRECTORY_NAME = "source"  # of a store that is named by its directory


class BadSourceError(UsageError):
    """The text names nothing that a spec could be made from."""

    usual_hint = (
        "forms: docker.io/library/nginx, http://127.0.0.1:5000/app, REGISTRY/REPOSITORY, REGISTRY, a store"
    )

    def __init__(self, text: str, cause: str) -> None:
        super().__init__(f"source {text[:200]!r}: {cause}")


class FileThereError(UsageError):
    """`--out` would replace what somebody wrote."""

    usual_hint = "name another directory, or move the file away"

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is there already")


@dataclass(slots=True)
class _Sources:
    """Registries by name, and what was asked of each; None: all of it."""

    paths: tuple[Path, ...]
    registries: dict[str, Registry] = field(default_factory=dict)
    declared: set[str] = field(default_factory=set)
    wanted: dict[tuple[str, str | None], None] = field(default_factory=dict)
    _spec: Spec | None = None

    def add(self, text: str) -> None:
        """Take one source of the command line; raises BadSourceError."""
        if may_hold_a_password(text):
            raise BadSourceError("…", "credentials do not stand in a source: declare a Registry with auth")
        if is_store(Path(text)):
            name = f"{DIRECTORY_NAME}-{len(self.registries) + 1}" if self.registries else DIRECTORY_NAME
            self.registries[name] = Registry(name, StorePlace(Path(text).absolute()))
            self.wanted[(name, None)] = None
            return
        scheme, separator, rest = text.rpartition("://")
        first, slash, path = rest.partition("/")
        try:
            name = self._remote(scheme, first) if separator or is_host(first) else self._named(text, first)
            repository = str(RepositoryName.parse(path)) if slash else None
        except InvalidReferenceError as cause:
            raise BadSourceError(text, str(cause)) from cause
        self.wanted[(name, repository)] = None

    def _remote(self, scheme: str, first: str) -> str:
        if scheme not in ("", "https", "http"):
            raise BadSourceError(f"{scheme}://", "expected a host, https:// or http://")
        registry = Registry(first, RemotePlace(scheme or "https", parse_host(first)))
        self.registries.setdefault(first, registry)
        return first

    def _named(self, text: str, first: str) -> str:
        self._spec = self._spec or load(self.paths)
        if first not in self._spec.registries:
            near = nearest(first, self._spec.registries)
            guess = f"; did you mean {near}?" if near else ""
            raise BadSourceError(text, f"neither a store, a host nor a Registry of the spec{guess}")
        self.registries[first] = self._spec.registries[first]
        self.declared.add(first)
        return first


@dataclass(frozen=True, slots=True)
class _Found:
    locations: tuple[Location, ...]
    looked: Looked

    @property
    def entries(self) -> dict[str, list[LockEntry]]:
        """What is at each mirror's source."""
        return {one.mirror: [current.entry for current in one.current] for one in self.looked.units}


def generate_spec(
    texts: Sequence[str], paths: tuple[Path, ...], *, target: str | None, out: Path | None
) -> int:
    """Look, write, and tell what could not be read; the exit code says whether there was any."""
    sources = _Sources(paths)
    for text in texts:
        sources.add(text)
    files = [out / name for name in (DEFAULT_FILE, LOCK_FILE)] if out is not None else []
    for path in files:
        if path.exists():
            raise FileThereError(path)
    spec = looking_spec(sources.registries, (), Path.cwd() / "ledger.db")
    found = run_to_read(spec, _engine, lambda engine: _look(sources, engine))
    directory = (out or Path()).absolute()
    documents, lock = generate(
        sources.registries,
        frozenset(sources.declared),
        found.locations,
        found.entries,
        target=target,
        directory=directory,
    )
    texts_of = [documents, "".join(lock_text(lock))]
    if files:
        directory.mkdir(parents=True, exist_ok=True)
        for path, text in zip(files, texts_of, strict=True):
            write_file(path, [text])
    else:
        streams.answer([f"# {DEFAULT_FILE}\n{texts_of[0]}\n# {LOCK_FILE}\n{texts_of[1]}"])
    for problem in found.looked.problems:
        note("warning", problem.message, manner())
    return exit_code(found.looked.problems)


async def _look(sources: _Sources, engine: Engine) -> _Found:
    locations: dict[Location, None] = {}
    for registry, repository in sources.wanted:
        names = [RepositoryName(repository)] if repository is not None else None
        listed = names if names is not None else await engine.places.repositories(registry)
        locations.update(dict.fromkeys(Location(registry, one) for one in listed))
    spec = looking_spec(sources.registries, tuple(locations), Path.cwd() / "ledger.db")
    return _Found(tuple(locations), await look_up(spec, engine))


@asynccontextmanager
async def _engine(spec: Spec, clock: Clock, emit: Emit) -> AsyncIterator[Engine]:
    """An engine that remembers nothing."""
    ledger = MemoryLedger()
    stores = [
        one.place.path
        for one in spec.registries.values()
        if isinstance(one.place, StorePlace) and is_store(one.place.path)
    ]
    async with SpecPlaces.open(spec, clock, ledger, stores, emit) as places:
        yield Engine(places, ledger, clock, emit)
