"""Options that several verbs have, gathered into one value each."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from regsync.cli.failures import Manner

FORMATS = ("text", "json", "markdown")
REPORT_FORMATS = (*FORMATS, "html", "junit", "sarif")
_SUFFIXES = {
    **{".json": "json", ".md": "markdown", ".html": "html"},
    **{".junit.xml": "junit", ".sarif": "sarif"},
}
_F = TypeVar("_F", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a run over a spec is narrowed, and where its story and its answer go."""

    paths: tuple[Path, ...]
    output: str  # one of REPORT_FORMATS
    report: tuple[Path, ...]  # each with a suffix that `format_of` knows
    label: Mapping[str, str]
    mirror: tuple[str, ...]
    state: Path | None
    lock: Path | None  # None: those beside the files of the mirrors
    log_format: str  # text | json
    no_color: bool


def run_options(function: _F) -> Callable[..., object]:
    """Give a command the options of RunOptions, and its function one of those as `run`."""
    return log_format_option(color_option(_output(_report(_narrowing(_paths(_gather(function)))))))


def own_answer_options(formats: tuple[str, ...]) -> Callable[[_F], Callable[..., object]]:
    """The same for a verb that answers with something of its own, in `formats`, and writes no reports."""

    def decorate(function: _F) -> Callable[..., object]:
        @wraps(function)
        def without_reports(**values: Any) -> object:
            return _gather(function)(report=(), **values)

        return log_format_option(color_option(output_option(formats)(_narrowing(_paths(without_reports)))))

    return decorate


def one_mirror_options(formats: tuple[str, ...]) -> Callable[[_F], Callable[..., object]]:
    """The same for a verb whose arguments say which mirror is meant."""

    def decorate(function: _F) -> Callable[..., object]:
        @wraps(function)
        def not_narrowed(**values: Any) -> object:
            return _gather(function)(report=(), mirror=(), label={}, **values)

        return log_format_option(
            color_option(output_option(formats)(state_option(lock_option(_paths(not_narrowed)))))
        )

    return decorate


def story_options(function: _F) -> Callable[..., object]:
    """The same for a verb that tells its story and has no answer."""

    @wraps(function)
    def without_answer(**values: Any) -> object:
        return _gather(function)(output="text", report=(), **values)

    return log_format_option(color_option(_narrowing(_paths(without_answer))))


def _gather(function: _F) -> Callable[..., object]:
    @wraps(function)
    def command(**values: Any) -> object:
        run = RunOptions(**{field.name: values.pop(field.name) for field in fields(RunOptions)})
        set_manner(run.log_format, no_color=run.no_color)
        return function(run=run, **values)

    return command


def set_manner(log_format: str, *, no_color: bool) -> Manner:
    """Have the rest of the command, errors included, speak as its options ask."""
    wanted = manner()
    wanted.json_log, wanted.no_color = log_format == "json", no_color
    return wanted


def manner() -> Manner:
    """How the command line that is running wants to be spoken to."""
    return click.get_current_context().ensure_object(Manner)


def paths_argument(function: _F) -> _F:
    """`PATH…`: files or directories with spec documents."""
    return _paths(function)


def store_argument(function: _F) -> _F:
    """`STORE`, a directory or the name of a Registry, and `--spec`, where that is declared."""
    text = "Where the Registry that STORE names is declared; default regsync.yaml, else regsync/."
    return click.argument("store", metavar="STORE")(spec_option(text)(function))


def spec_option(text: str) -> Callable[[_F], _F]:
    """`--spec PATH…` for a verb whose arguments are no spec; `text` is its help."""
    return click.option(
        "--spec", "paths", type=click.Path(path_type=Path), multiple=True, metavar="PATH", help=text
    )


def output_option(formats: tuple[str, ...]) -> Callable[[_F], _F]:
    """`-o`, for a verb that has some of the formats."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(formats),
        default="text",
        show_default=True,
        help="Format on stdout.",
    )


def _labels(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for text in values:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise click.BadParameter(f"{text[:80]!r}: expected KEY=VALUE, such as team=web")
        if found.setdefault(key, value) != value:
            raise click.BadParameter(f"{key!r} is asked to be {found[key]!r} and {value!r}")
    return found


def _reports(context: click.Context, option: click.Parameter, values: tuple[Path, ...]) -> tuple[Path, ...]:
    for path in values:
        if format_of(path) is None:
            known = ", ".join(_SUFFIXES)
            raise click.BadParameter(f"{str(path)[:200]!r}: the suffix names the format, one of {known}")
        _refuse_unwritable(path)
    return values


def format_of(path: Path) -> str | None:
    """The format that a report's file is written in, by how its name ends; None: it names none."""
    return next((form for suffix, form in _SUFFIXES.items() if path.name.endswith(suffix)), None)


def writable_file(context: click.Context, option: click.Parameter, value: Path | None) -> Path | None:
    """A file that is written when all work is done: whether it can be is asked before any is begun."""
    if value is not None:
        _refuse_unwritable(value)
    return value


def _refuse_unwritable(path: Path) -> None:
    """Raise BadParameter where no file can be put: it is written beside its place, then renamed."""
    shown = f"{str(path)[:200]!r} cannot be written"
    if path.is_dir():
        raise click.BadParameter(f"{shown}: it is a directory")
    if path.exists() and not path.is_file():
        place, needed = path, os.W_OK
    else:
        place, needed = Path(os.path.realpath(path)).parent, os.W_OK | os.X_OK
        if not place.is_dir():
            raise click.BadParameter(f"{shown}: there is no directory {str(place)[:200]!r}")
    if not os.access(place, needed):
        raise click.BadParameter(f"{shown}: permission denied, or a file system that is read-only")


_paths = click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")
_output = output_option(REPORT_FORMATS)
_report = click.option(
    "--report",
    type=click.Path(path_type=Path),
    multiple=True,
    callback=_reports,
    metavar="FILE",
    help="Also write the report to FILE, as .json, .md, .html, .junit.xml or .sarif; may be given several "
    "times.",
)
color_option = click.option("--no-color", is_flag=True, help="No colours, as with NO_COLOR set.")
log_format_option = click.option(
    "--log-format",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="Format of the story on stderr; json is one event a line.",
)


state_option = click.option(
    "--state",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The ledger, instead of Settings.state or .regsync/ledger.db beside the spec.",
)


lock_option = click.option(
    "--lock",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The lock file, instead of regsync.lock beside the files that hold mirrors.",
)


def _narrowing(function: Callable[..., object]) -> Callable[..., object]:
    options = (
        state_option,
        lock_option,
        click.option(
            "--mirror", multiple=True, metavar="NAME", help="Only this mirror; may be given several times."
        ),
        click.option(
            "-l",
            "--label",
            multiple=True,
            callback=_labels,
            metavar="KEY=VALUE",
            help="Only mirrors with this label; several must all match.",
        ),
    )
    for option in options:
        function = option(function)
    return function


locked_option = click.option(
    "--locked",
    is_flag=True,
    help="Keep to the lock file: its tags at its digests, and no others moved or deleted.",
)
exit_zero_option = click.option("--exit-zero", is_flag=True, help="Exit with 0 when changes are pending.")
