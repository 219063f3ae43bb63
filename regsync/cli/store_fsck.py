"""`regsync store fsck`: find what is missing or damaged, and heal it."""

from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from regsync.cli.options import log_format_option, output_option, set_manner, store_argument

if TYPE_CHECKING:
    from regsync.oci.digest import Digest
    from regsync.store.fsck import Checked
    from regsync.store.inventory import Lost


def _rate(context: click.Context, option: click.Parameter, value: str | None) -> int | None:
    from regsync.spec.scalars import size

    if value is None:
        return None
    try:
        rate = size(value)
    except ValueError as cause:
        raise click.BadParameter(str(cause), context, option) from cause
    if rate <= 0:
        raise click.BadParameter("expected more than nothing", context, option)
    return rate


def _digest(context: click.Context, option: click.Parameter, value: str | None) -> "Digest | None":
    from regsync.oci.digest import Digest, InvalidDigestError

    try:
        return Digest.parse(value) if value is not None else None
    except InvalidDigestError as cause:
        raise click.BadParameter(str(cause), context, option) from cause


@click.command("fsck")
@store_argument
@click.option(
    "--rate", callback=_rate, metavar="SIZE", help="Read at most this much a second, such as 50MiB."
)
@click.option(
    "--after",
    callback=_digest,
    metavar="DIGEST",
    help="Go on behind this blob, which an interrupted check has named; the catalogue is not checked again.",
)
@click.option(
    "--heal-from",
    "sources",
    multiple=True,
    metavar="REPOSITORY",
    help="Take what is lost from here, a reference without a tag; {repository} in it stands for the name of "
    "the store's repository. May be given several times.",
)
@output_option(("text", "json"))
@log_format_option
def command(
    store: str,
    paths: tuple[Path, ...],
    rate: int | None,
    after: "Digest | None",
    sources: tuple[str, ...],
    output: str,
    log_format: str,
) -> int:
    """Check a store: its catalogue, and every byte against its digest. It may be served meanwhile.

    Damaged bytes are moved to `quarantine/` in the store, so that nobody is given them; whoever pushes
    or syncs such an image again is asked for them. Exits 0 when nothing that was acknowledged is missing
    or damaged, else 1; bytes that no record explains are only told. SIGINT and SIGTERM end it with a
    report of what was checked.

    STORE is a directory, or the name of a Registry of the spec.
    """
    from regsync.cli import streams
    from regsync.cli.exit_codes import DONE, FAILED
    from regsync.cli.healing import Healing
    from regsync.cli.signals import Stop, run_until_signal
    from regsync.cli.store_paths import find_store
    from regsync.cli.store_progress import watched
    from regsync.cli.story import lines
    from regsync.clock import SystemClock
    from regsync.plan.document import API_VERSION, encode
    from regsync.store.builtin import BuiltinStore
    from regsync.store.fsck import Check

    manner = set_manner(log_format, no_color=False)
    path, clock, healing = find_store(store, paths), SystemClock(), Healing(sources)

    async def work(stop: Stop) -> "Checked":
        async with AsyncExitStack() as stack:
            opened = await stack.enter_async_context(BuiltinStore.open(path, clock=clock))
            found_in = await stack.enter_async_context(healing.open(clock, lines(manner, clock)))
            check = Check(opened, clock, rate=rate, after=after, sources=found_in, stop=stop.event)
            async with watched(check.found.progress, manner, "checking"):
                return await check.run()

    found, interrupted = run_until_signal(work)
    if output == "json":
        head = {"apiVersion": API_VERSION, "kind": "StoreCheckReport", "store": str(path)}
        streams.answer(encode({**head, **_document(found, path)}))
    else:
        streams.answer(_text(found, path))
    if interrupted is not None:
        return 128 + interrupted
    return DONE if found.is_sound else FAILED


def _document(found: "Checked", path: Path) -> dict[str, object]:
    return {
        "sound": found.is_sound,
        "finished": found.is_finished,
        "last": str(found.last) if found.last is not None else None,
        "manifests": found.progress.manifests,
        "blobs": found.progress.blobs,
        "bytes": found.progress.bytes,
        "contradictions": list(found.contradictions),
        "lost": _losses(found.lost),
        "unlinked": _losses(found.unlinked),
        "healed": [{"digest": str(one.digest), "source": one.source} for one in found.healed],
        "orphans": [{"path": str(one.path.relative_to(path)), "size": one.size} for one in found.orphans],
    }


def _losses(losses: "Sequence[Lost]") -> list[dict[str, object]]:
    return [{"digest": str(one.digest), "size": one.size, "cause": one.cause} for one in losses]


def _text(found: "Checked", path: Path) -> Iterator[str]:
    from regsync.report.escape import message, visible
    from regsync.report.units import counted, human_bytes

    done = found.progress
    yield f"{visible(str(path))}\n"
    yield f"  checked {counted(done.manifests, 'manifest')}, {counted(done.blobs, 'blob')}, "
    yield f"{human_bytes(done.bytes)}\n"
    for text in found.contradictions:
        yield f"  contradiction: {message(text)}\n"
    for one in found.lost:
        yield f"  lost: {one.digest} ({human_bytes(one.size)}): {message(one.cause)}\n"
    for one in found.unlinked:
        yield f"  lost, of no repository: {one.digest}: {message(one.cause)}\n"
    for healed in found.healed:
        yield f"  healed: {healed.digest} from {visible(healed.source)}\n"
    for orphan in found.orphans:
        yield f"  in no record: {visible(str(orphan.path.relative_to(path)))} ({human_bytes(orphan.size)})\n"
    if not found.is_finished:
        again = f"go on with --after {found.last}" if found.last is not None else "begin again"
        yield f"Interrupted: {again}.\n"
    elif found.is_sound:
        yield "Sound: nothing that was acknowledged is missing or damaged.\n"
    else:
        yield "Damaged: sync or push the images again that need what is lost, or run with --heal-from.\n"
