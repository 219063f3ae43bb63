"""Which directories are stores; asked before anything of a store is imported."""

from pathlib import Path

CATALOGUE = "catalogue.db"


def is_store(path: Path) -> bool:
    """Whether there is a built-in store at `path`."""
    return (path / CATALOGUE).is_file()
