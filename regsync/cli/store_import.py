"""`regsync store import`: bring the images of an archive to a store or registry."""

from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import click

from regsync.cli.options import color_option, log_format_option, output_option, set_manner

if TYPE_CHECKING:
    from regsync.reconcile.import_archive import Imported, ImportReport


@click.command("import")
@click.argument("archive")
@click.argument("target")
@output_option(("text", "json"))
@log_format_option
@color_option
def command(archive: str, target: str, output: str, log_format: str, no_color: bool) -> int:  # noqa: FBT001
    """Bring the images of an archive to a store or to any registry, every byte verified.

    ARCHIVE is an OCI image layout in a tar, plain or zstd, as `regsync store export`, skopeo
    (oci-archive:), regctl, oras, docker buildx and ctr write it; - is stdin. One that is compressed or comes
    from stdin has to begin with its index and manifests, as our exports do. What `docker save` of old wrote
    is not read.

    TARGET is store:PATH, store:PATH//PREFIX, HOST or HOST/PREFIX; each repository is put below the
    prefix, under the name that the archive gives it. Images that name no repository go to the prefix
    itself. Tags come last; an archive that is damaged or made to do harm leaves none behind.
    """
    from regsync.cli import streams
    from regsync.cli.archive_input import opened_archive
    from regsync.cli.exit_codes import DONE, code_of_all
    from regsync.cli.import_target import ImportTarget
    from regsync.cli.signals import Stop, run_until_signal
    from regsync.cli.story import told
    from regsync.clock import SystemClock
    from regsync.plan.document import API_VERSION, encode
    from regsync.reconcile.import_archive import ImportReport, import_archive

    clock, manner = SystemClock(), set_manner(log_format, no_color=no_color)
    to = ImportTarget(target)

    async def work(_: Stop) -> ImportReport:
        async with AsyncExitStack() as stack:
            content, index = await stack.enter_async_context(opened_archive(archive))
            connect = await stack.enter_async_context(to.open(clock, emit))
            return await import_archive(content, index, connect, emit)

    with told(manner, clock) as emit:
        report, _ = run_until_signal(work)
    if output == "json":
        head = {"apiVersion": API_VERSION, "kind": "StoreImportReport", "archive": archive, "target": target}
        streams.answer(encode({**head, **_document(report)}))
    else:
        streams.answer(_text(archive, report))
    failed = [one.error for one in report.images if one.error is not None]
    return code_of_all(failed) if failed else DONE


def _document(report: "ImportReport") -> dict[str, object]:
    return {
        "bytes": {"copied": report.copied, "reused": report.reused},
        "images": [
            {
                "repository": one.repository,
                "name": str(one.name),
                "target": one.target,
                "outcome": _outcome(one),
                "messages": [str(error) for error in ([one.error] if one.error else one.refused)],
            }
            for one in report.images
        ],
    }


def _outcome(one: "Imported") -> str:
    return "failed" if one.error is not None else "degraded" if one.refused else "done"


def _text(archive: str, report: "ImportReport") -> Iterator[str]:
    from regsync.report.escape import message, visible
    from regsync.report.units import counted, human_bytes

    for one in report.images:
        mark = "@" if ":" in str(one.name) else ":"
        yield f"{_outcome(one):8}  {visible(one.target)}{mark}{one.name}\n"
        for error in [one.error] if one.error else one.refused:
            yield f"    {message(str(error))}\n"
    failed = sum(one.error is not None for one in report.images)
    yield f"{visible(archive)}: {counted(len(report.images), 'image')}, {human_bytes(report.copied)} copied, "
    yield f"{human_bytes(report.reused)} reused{f', {failed} failed' if failed else ''}\n"
