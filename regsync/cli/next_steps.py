"""What to try next, said once: after the first run over a ledger that was not there before."""

import shlex
import sys
from pathlib import Path

from regsync.cli import streams
from regsync.cli.options import RunOptions
from regsync.plan.model import Report
from regsync.spec.model import LayoutPlace, Location, RemotePlace, Spec, StorePlace


def suggest(spec: Spec, run: RunOptions, report: Report) -> None:
    """Write three lines to stderr: the same run again, the plan, a look at what was copied."""
    program = _program()
    paths = " ".join(shlex.quote(str(path)) for path in run.paths)
    lines = [
        (f"{program} plan {paths}", "compares again: nothing is left to do, so it exits with 0"),
        (f"{program} plan --explain {paths}", "says why each tag was chosen or not"),
    ]
    shown = next((one.action for one in report.results if one.action.tag is not None), None)
    if shown is not None:
        reference = f"{_reference(spec, shown.target)}:{shown.tag}"
        lines.append((f"{program} inspect {shlex.quote(reference)}", "shows an image where it is now"))
    streams.tell("What to try next:\n")
    for command, why in lines:
        streams.tell(f"  {command.rstrip()}\n      {why}\n")


def _program() -> str:
    """The command as it was called, so that the lines can be copied from a virtual environment too."""
    called = sys.argv[0]
    return shlex.quote(called) if Path(called).name == "regsync" else "regsync"


def _reference(spec: Spec, location: Location) -> str:
    match spec.place(location):
        case StorePlace(path):
            return f"store:{_shown(path)}//{location.repository}"
        case LayoutPlace(path):
            return f"oci:{_shown(path / location.repository)}"
        case RemotePlace(scheme, host):
            prefix = "" if scheme == "https" else f"{scheme}://"
            return f"{prefix}{host}/{location.repository}"


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
