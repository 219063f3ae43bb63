"""Which directories are stores, and what is where in one; asked before anything of a store is imported."""

from pathlib import Path

CATALOGUE = "catalogue.db"
JOURNAL = "journal"
BLOBS = "blobs"
PARTS = "parts"
QUARANTINE = "quarantine"  # bytes that are not what their name says, moved out of the way


def is_store(path: Path) -> bool:
    """Whether there is a built-in store at `path`, be it one whose catalogue is lost."""
    return (path / CATALOGUE).is_file() or has_journal(path)


def has_journal(path: Path) -> bool:
    """Whether something was ever stored there."""
    return (path / JOURNAL).is_dir() and any((path / JOURNAL).glob("*.jsonl"))
