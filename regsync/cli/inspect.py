"""`regsync inspect`: one image as a person reads it."""

import click

from regsync.cli.options import color_option, output_option, set_manner


@click.command("inspect")
@click.argument("reference")
@output_option(("text", "json"))
@color_option
def command(reference: str, output: str, no_color: bool) -> int:  # noqa: FBT001
    """Show what an image is: manifests, platforms, sizes, annotations, and all that refers to it.

    Referrers stand at what they refer to: the image, one of its platforms, or another referrer.

    REFERENCE is host/repository:tag, with @sha256:… if you like, http://host:port/repository:tag,
    oci:PATH[:tag] or store:PATH/repository:tag.
    """
    import sys

    from regsync.cli import images, streams
    from regsync.cli.signals import Stop, run_until_signal
    from regsync.cli.story import told
    from regsync.clock import SystemClock
    from regsync.oci.inspection import Inspection
    from regsync.reconcile.inspect_image import inspect_image
    from regsync.report.inspection import as_json, as_text
    from regsync.report.style import COLOUR, PLAIN

    clock, manner = SystemClock(), set_manner("text", no_color=no_color)
    image = images.reference(reference)

    async def look(_: Stop) -> Inspection:
        async with images.open_images(clock, emit, read=[image]) as opened:
            store = opened.open(image)
            return await inspect_image(store, await images.only_tag(image, store), reference)

    with told(manner, clock) as emit:
        found, _ = run_until_signal(look)
    style = COLOUR if streams.wants_colour(sys.stdout, forbidden=no_color) else PLAIN
    streams.answer(as_json(found) if output == "json" else as_text(found, style))
    return 0
