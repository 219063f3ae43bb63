"""`regsync store stats`: how much a store holds."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from regsync.cli.options import output_option, store_argument

if TYPE_CHECKING:
    from regsync.store.queries import StoreStats


@click.command("stats")
@store_argument
@output_option(("text", "json"))
def command(store: str, paths: tuple[Path, ...], output: str) -> int:
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
