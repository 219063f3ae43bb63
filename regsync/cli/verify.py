"""`regsync verify`: evidence and verdicts for images, wherever they are."""

from pathlib import Path

import click

from regsync.cli.options import color_option, log_format_option, output_option, set_manner, spec_option


@click.command("verify")
@click.argument("references", nargs=-1, required=True, metavar="REFERENCE...")
@spec_option("Where policies, trust roots and registries are declared; default regsync.yaml, else regsync/.")
@click.option(
    "--policy",
    "policies",
    multiple=True,
    metavar="NAME",
    help="Ask this policy, may be given several times; default: all whose images or targets match.",
)
@output_option(("text", "json"))
@log_format_option
@color_option
def command(
    references: tuple[str, ...],
    paths: tuple[Path, ...],
    policies: tuple[str, ...],
    output: str,
    log_format: str,
    no_color: bool,  # noqa: FBT001
) -> int:
    """Show what policies say of images, and why: every requirement, piece of evidence and check.

    Exits with 3 when a policy refuses an image, with 1 when it cannot be told (75 where it may be told
    later), and with 0 when all pass, or a policy only warns. REFERENCE is REGISTRY/repository:tag with
    a Registry of the spec, host/repository:tag, http://host:port/repository:tag, oci:PATH[:tag] or
    store:PATH/repository:tag; each may end with @sha256:….
    """
    import sys

    from regsync.cli import streams
    from regsync.cli.verifying import verify
    from regsync.report.style import COLOUR, PLAIN
    from regsync.report.verdicts import as_json, as_text

    set_manner(log_format, no_color=no_color)
    found, code = verify(references, paths, policies)
    style = COLOUR if streams.wants_colour(sys.stdout, forbidden=no_color) else PLAIN
    streams.answer(as_json(found) if output == "json" else as_text(found, style))
    return code
