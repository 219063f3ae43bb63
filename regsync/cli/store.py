"""`regsync store`: the storage layer itself."""

import click

from regsync.cli.lazy import LazyGroup, Verb

VERBS = {
    "stats": Verb("regsync.cli.store_stats", "Show how much a store holds."),
    "gc": Verb("regsync.cli.store_gc", "Delete what nothing leads to."),
    "fsck": Verb("regsync.cli.store_fsck", "Find what is missing or damaged, and heal it."),
    "export": Verb("regsync.cli.store_export", "Write images of a store into an archive."),
    "import": Verb("regsync.cli.store_import", "Bring the images of an archive to a store or registry."),
    "rebuild": Verb("regsync.cli.store_rebuild", "Restore the catalogue from journal and blobs."),
}


@click.group("store", cls=LazyGroup, verbs=VERBS)
def command() -> None:
    """Look into the built-in storage layer, check, restore and carry it."""
