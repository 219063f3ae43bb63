"""Where plans and reports go: stdout in the format asked for, and files by their suffix."""

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from regsync.cli import streams
from regsync.cli.failures import Manner, show
from regsync.cli.options import format_of
from regsync.errors import RegsyncError
from regsync.plan.check import CheckReport
from regsync.plan.model import Plan, Report
from regsync.report.style import COLOUR, PLAIN, Style
from regsync.spec.model import Spec

Document = Plan | Report | CheckReport


class UnwritableFileError(RegsyncError):
    """A file that the command line names cannot be written."""

    def __init__(self, path: Path, cause: OSError) -> None:
        super().__init__(f"{path}: cannot be written: {cause.strerror or cause}")


def present(document: Document, output: str, manner: Manner, spec: Spec | None = None) -> None:
    """Write the answer to stdout. `spec` says where in it findings stand."""
    streams.answer(render(document, output, spec, colours=manner))


def write_reports(
    document: Document, paths: Sequence[Path], manner: Manner, spec: Spec | None = None
) -> bool:
    """Write every `--report`, and tell of those that cannot be; whether all were written."""
    written = [
        write_or_tell(path, render(document, format_of(path) or "text", spec), manner) for path in paths
    ]
    return all(written)


def write_or_tell(path: Path, pieces: Iterable[str], manner: Manner) -> bool:
    """Write a file; one that cannot be written is told of, since the answer has been given by then."""
    try:
        write_file(path, pieces)
    except UnwritableFileError as error:
        show(error, manner)
        return False
    return True


def render(
    document: Document, output: str, spec: Spec | None = None, *, colours: Manner | None = None
) -> Iterator[str]:
    """The document in a format, with colours only where text goes to a terminal."""
    match output:
        case "junit":
            from regsync.report import junit

            return junit.render(document)
        case "sarif":
            from regsync.plan.sites import Sites
            from regsync.report import sarif

            return sarif.render(document, Sites.of(spec, Path.cwd()) if spec is not None else None)
    wanted = colours is not None and streams.wants_colour(sys.stdout, forbidden=colours.no_color)
    style = COLOUR if wanted else PLAIN
    if isinstance(document, CheckReport):
        return _render_check(document, output, style)
    return _render_run(document, output, style)


def _render_run(document: Plan | Report, output: str, style: Style) -> Iterator[str]:
    match output:
        case "json":
            from regsync.report import json_report

            return json_report.render(document)
        case "markdown":
            from regsync.report import markdown

            return markdown.render(document)
        case "html":
            from regsync.report import html

            return html.render(document)
    from regsync.report import text

    return text.render(document, style)


def _render_check(report: CheckReport, output: str, style: Style) -> Iterator[str]:
    match output:
        case "json":
            from regsync.report import check_json

            return check_json.render(report)
        case "markdown":
            from regsync.report import check_markdown

            return check_markdown.render(report)
        case "html":
            from regsync.report import check_html

            return check_html.render(report)
    from regsync.report import check_text

    return check_text.render(report, style)


def write_file(path: Path, pieces: Iterable[str]) -> None:
    """Write a file in one step: whoever looks sees the old one or all of the new one.

    Something that is no regular file, such as /dev/stdout, is written to as it is. Raises
    UnwritableFileError.
    """
    try:
        if path.exists() and not path.is_file():
            with path.open("w", encoding="utf-8") as stream:
                stream.writelines(pieces)
            return
        _replace(path.resolve(), pieces)
    except OSError as cause:
        raise UnwritableFileError(path, cause) from cause


def _replace(path: Path, pieces: Iterable[str]) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "w", encoding="utf-8") as stream:
            stream.writelines(pieces)
            os.fchmod(stream.fileno(), 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
