"""`regsync store rebuild`: restore the catalogue."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from regsync.cli.options import color_option, output_option, set_manner, store_argument

if TYPE_CHECKING:
    from regsync.store.rebuild import Rebuilt


@click.command("rebuild")
@store_argument
@output_option(("text", "json"))
@color_option
def command(store: str, paths: tuple[Path, ...], output: str, no_color: bool) -> int:  # noqa: FBT001
    """Restore the catalogue of a store from its journal and its blobs.

    For a catalogue that is lost, damaged, or older than the journal because it was restored from a
    backup. No server or run may have the store open. Nothing is destroyed: the old database is moved
    to `replaced/` in the store. Exits 0 when everything that was acknowledged is there, else 1.

    STORE is a directory, or the name of a Registry of the spec.
    """
    from anyio.to_thread import run_sync

    from regsync.cli import streams
    from regsync.cli.exit_codes import DONE, FAILED
    from regsync.cli.signals import Stop, run_until_signal
    from regsync.cli.store_paths import find_store
    from regsync.clock import SystemClock
    from regsync.plan.document import API_VERSION, encode
    from regsync.store.rebuild import rebuild

    set_manner("text", no_color=no_color)
    path, clock = find_store(store, paths), SystemClock()

    async def work(_: Stop) -> "Rebuilt":
        return await run_sync(rebuild, path, clock)

    done, _ = run_until_signal(work)
    if output == "json":
        head = {"apiVersion": API_VERSION, "kind": "StoreRebuildReport", "store": str(path)}
        streams.answer(encode({**head, **_document(done, path)}))
    else:
        streams.answer(_text(done, path))
    return DONE if done.is_sound else FAILED


def _document(done: "Rebuilt", path: Path) -> dict[str, object]:
    return {
        "sound": done.is_sound,
        "wholeHistory": done.whole,
        "records": done.records,
        "unusableRecords": list(done.unusable),
        "repositories": done.stats.repositories,
        "tags": done.stats.tags,
        "manifests": done.stats.manifests,
        "blobs": done.stats.blobs,
        "lost": [{"digest": str(one.digest), "size": one.size, "cause": one.cause} for one in done.lost],
        "orphans": [{"path": str(one.path.relative_to(path)), "size": one.size} for one in done.orphans],
        "replaced": str(done.replaced.relative_to(path)) if done.replaced is not None else None,
    }


def _text(done: "Rebuilt", path: Path) -> Iterator[str]:
    from regsync.report.escape import visible
    from regsync.report.units import counted, human_bytes

    yield f"{visible(str(path))}: the catalogue was rebuilt from {counted(done.records, 'record')}\n"
    yield (
        f"  {counted(done.stats.repositories, 'repository', 'repositories')}, "
        f"{counted(done.stats.tags, 'tag')}, {counted(done.stats.manifests, 'manifest')}, "
        f"{counted(done.stats.blobs, 'blob')}\n"
    )
    if not done.whole:
        yield "  the journal does not go back to the first day: what was stored before is not known\n"
    for place in done.unusable:
        yield f"  unusable record: {visible(place)}\n"
    for one in done.lost:
        yield f"  lost: {one.digest} ({human_bytes(one.size)}): {visible(one.cause)}\n"
    for orphan in done.orphans:
        yield f"  in no record: {visible(str(orphan.path.relative_to(path)))} ({human_bytes(orphan.size)})\n"
    if done.replaced is not None:
        yield f"  the old database is in {visible(str(done.replaced))}\n"
    if done.lost:
        yield "Push or sync the images again that need what is lost; `regsync store fsck` heals, too.\n"
