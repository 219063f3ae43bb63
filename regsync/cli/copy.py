"""`regsync copy`: one image with all that belongs to it."""

from typing import TYPE_CHECKING

import click

from regsync.cli.options import color_option, log_format_option, output_option, set_manner

if TYPE_CHECKING:
    from regsync.cli.references import ImageReference
    from regsync.oci.digest import Digest
    from regsync.oci.reference import Tag


@click.command("copy")
@click.argument("source")
@click.argument("target")
@output_option(("text", "json"))
@log_format_option
@color_option
def command(source: str, target: str, output: str, log_format: str, no_color: bool) -> int:  # noqa: FBT001
    """Copy one image with all that belongs to it, without a spec.

    All platforms, referrers and cosign's digest tags come along, and the tag is set last. SOURCE and
    TARGET are host/repository:tag, http://host:port/repository:tag, oci:PATH[:tag],
    store:PATH/repository:tag or, for a new store, store:PATH//repository:tag; each may end with
    @sha256:…. A TARGET without a tag gets that of SOURCE; what SOURCE names by digest alone is then
    copied without a tag.
    """
    from regsync.cli import images, streams
    from regsync.cli.signals import Stop, run_until_signal
    from regsync.cli.story import told
    from regsync.clock import SystemClock
    from regsync.reconcile.copy_image import CopyReport, copy_image
    from regsync.report.copied import as_json, as_text

    clock, manner = SystemClock(), set_manner(log_format, no_color=no_color)
    here, there = images.reference(source), images.reference(target)

    async def work(_: Stop) -> CopyReport:
        async with images.open_images(clock, emit, read=[here], written=[there]) as opened:
            origin, destination = opened.open(here), opened.open(there)
            name = await images.only_tag(here, origin)
            await images.check_digest(origin, name, there)
            tag = target_tag(here, there, name)
            return await copy_image(origin, name, destination, tag, emit=emit)

    with told(manner, clock) as emit:
        report, _ = run_until_signal(work)
    render = as_json if output == "json" else as_text
    streams.answer(render(source, target, report))
    return 0


def target_tag(source: "ImageReference", target: "ImageReference", name: "Tag | Digest") -> "Tag | None":
    """The tag that the copy gets: the target's own, else the source's, else none."""
    if target.tag is not None:
        return target.tag
    return name if isinstance(name, str) else source.tag
