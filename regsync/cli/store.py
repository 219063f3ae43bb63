"""`regsync store`: the storage layer itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from regsync.cli.options import output_option

if TYPE_CHECKING:
    from regsync.store.queries import StoreStats


@click.group("store")
def command() -> None:
    """Look into the built-in storage layer."""


@command.command("stats")
@click.argument("store", metavar="STORE")
@click.option(
    "--spec",
    "paths",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="PATH",
    help="Where the Registry that STORE names is declared; default regsync.yaml, else regsync/.",
)
@output_option(("text", "json"))
def stats(store: str, paths: tuple[Path, ...], output: str) -> int:
    """Show how much a store holds.

    STORE is a directory, or the name of a Registry of the spec.
    """
    from regsync.cli import streams
    from regsync.cli.signals import Stop, run_until_signal
    from regsync.cli.store_paths import find_store
    from regsync.clock import SystemClock
    from regsync.plan.document import API_VERSION, encode
    from regsync.store.builtin import BuiltinStore

    path = find_store(store, paths)

    async def count(_: Stop) -> "StoreStats":
        async with BuiltinStore.open(path, clock=SystemClock()) as opened:
            return await opened.stats()

    found, _ = run_until_signal(count)
    if output == "json":
        head = {"apiVersion": API_VERSION, "kind": "StoreStats", "store": str(path)}
        streams.answer(encode({**head, **_document(found)}))
    else:
        streams.answer(_text(path, found))
    return 0


def _document(stats: "StoreStats") -> dict[str, object]:
    return {
        "repositories": stats.repositories,
        "tags": stats.tags,
        "manifests": stats.manifests,
        "blobs": stats.blobs,
        "bytes": stats.bytes,
        "logicalBytes": stats.logical_bytes,
    }


def _text(path: Path, stats: "StoreStats") -> Iterator[str]:
    from regsync.report.escape import visible
    from regsync.report.units import human_bytes

    saved = stats.logical_bytes - stats.bytes
    yield f"{visible(str(path))}\n"
    yield f"  repositories  {stats.repositories}\n"
    yield f"  tags          {stats.tags}\n"
    yield f"  manifests     {stats.manifests}\n"
    yield f"  blobs         {stats.blobs}\n"
    yield f"  size          {human_bytes(stats.bytes)}\n"
    yield f"  shared        {human_bytes(max(0, saved))} more, if every repository had its own copy\n"
