"""`regsync validate`: the spec alone."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from regsync.cli.options import FORMATS, color_option, output_option, paths_argument

if TYPE_CHECKING:
    from regsync.report.expanded import Expanded, Flaw
    from regsync.spec.model import Spec, Unit


@click.command("validate")
@click.option(
    "--expand", is_flag=True, help="Print every mirror with defaults, groups and placeholders resolved."
)
@output_option(FORMATS)
@color_option
@paths_argument
def command(paths: tuple[Path, ...], output: str, expand: bool, no_color: bool) -> int:  # noqa: FBT001
    """Check the spec, without any network.

    All problems are shown, each with file, line and column. Exits with 65 when there is one. PATH is
    a file or a directory of spec documents, or `-` for stdin, where paths are relative to the
    current directory; without one it is regsync.yaml, else the directory regsync/.
    """
    from regsync.cli import streams
    from regsync.cli.exit_codes import DONE, SPEC
    from regsync.cli.options import set_manner
    from regsync.cli.policies import understood
    from regsync.spec.load import load
    from regsync.spec.problems import InvalidSpecError

    set_manner("text", no_color=no_color)
    try:
        spec = load(paths)
        understood(spec)
        expanded = _expanded(spec) if expand else None
    except InvalidSpecError as error:
        if output == "text":
            raise
        streams.answer(_invalid(error.problems, output))
        return SPEC
    streams.answer(_valid(spec, expanded, output, no_color=no_color))
    return DONE


def _expanded(spec: "Spec") -> Sequence["Expanded"]:
    from regsync.report.expanded import Expanded
    from regsync.spec.expand import needs_listing, units

    return [
        Expanded(
            mirror,
            None if needs_listing(mirror) else [_with_policies(spec, unit) for unit in units(mirror)],
        )
        for mirror in spec.mirrors
    ]


def _with_policies(spec: "Spec", unit: "Unit") -> "Unit":
    """The unit with the names of all policies that apply to it, by its mirror or by their globs."""
    from dataclasses import replace

    from regsync.spec.applying import policies_for

    found = {
        policy.name
        for target in unit.targets
        for policy in policies_for(spec, unit.sources, target, unit.verify)
    }
    return replace(unit, verify=tuple(sorted(found)))


def _valid(
    spec: "Spec", expanded: Sequence["Expanded"] | None, output: str, *, no_color: bool
) -> Iterator[str]:
    import sys

    from regsync.cli import streams
    from regsync.report import expanded as views
    from regsync.report.style import COLOUR, PLAIN

    match output:
        case "json":
            return views.valid_json(spec, expanded)
        case "markdown":
            return views.valid_markdown(spec, expanded)
    style = COLOUR if streams.wants_colour(sys.stdout, forbidden=no_color) else PLAIN
    return views.valid_text(spec, expanded, style)


def _invalid(problems: Sequence["Flaw"], output: str) -> Iterator[str]:
    from regsync.report.expanded import invalid_json, invalid_markdown

    return invalid_json(problems) if output == "json" else invalid_markdown(problems)
