"""The body of `regsync lock --export`."""

from regsync.cli import streams
from regsync.cli.exit_codes import DONE
from regsync.cli.options import RunOptions
from regsync.cli.running import load_spec
from regsync.clock import SystemClock
from regsync.spec.lock_export import Format, exported, render


def export_locks(run: RunOptions, wanted: str, target: str) -> int:
    """Print where each locked image is at `target`; asks nobody."""
    spec = load_spec(run, locked=True)
    images = exported(spec, target, now=SystemClock().now())
    streams.answer(render(images, Format(wanted)))
    return DONE
