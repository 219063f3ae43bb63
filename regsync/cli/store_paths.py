"""STORE on the command line: a directory, or the name of a Registry (DESIGN.md, section 4)."""

from collections.abc import Sequence
from pathlib import Path

from regsync.errors import UsageError
from regsync.spec.load import load
from regsync.spec.model import StorePlace
from regsync.spec.problems import nearest
from regsync.store.place import is_store


class NoStoreError(UsageError):
    """What the command line names is no built-in store."""

    def __init__(self, text: str, cause: str) -> None:
        super().__init__(f"store {text[:300]!r}: {cause}")


def find_store(text: str, paths: Sequence[Path]) -> Path:
    """The directory of the store; raises NoStoreError, and SpecError when a spec has to be read."""
    directory = Path(text)
    if is_store(directory):
        return directory.absolute()
    if directory.exists() or "/" in text:
        raise NoStoreError(text, "there is no built-in store in this directory")
    spec = load(tuple(paths))
    registry = spec.registries.get(text)
    if registry is None:
        near = nearest(text, spec.registries)
        guess = f"; did you mean {near}?" if near else ""
        raise NoStoreError(text, f"neither a directory nor a Registry of the spec{guess}")
    if not isinstance(registry.place, StorePlace):
        raise NoStoreError(text, "this Registry is no built-in store")
    if not is_store(registry.place.path):
        raise NoStoreError(text, f"nothing was stored in {registry.place.path} yet")
    return registry.place.path
