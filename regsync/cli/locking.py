"""The body of `regsync lock`: look at sources, merge, write the files; or say what an update would do."""

import os
import sys
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from functools import partial
from pathlib import Path

from regsync.cli import streams
from regsync.cli.engines import reading_engine, writing_engine
from regsync.cli.options import RunOptions
from regsync.cli.output import write_file
from regsync.cli.places import Missing
from regsync.cli.running import forgive_pending, load_spec, run_to_read
from regsync.clock import Clock, SystemClock
from regsync.plan.model import Cause, Outcome, Problem, exit_code
from regsync.reconcile.engine import Engine
from regsync.reconcile.events import Emit
from regsync.reconcile.locking import Looked, look_up
from regsync.regular_file import STDIN
from regsync.report.lock_changes import LockChanges, render_json, render_text
from regsync.report.style import COLOUR, PLAIN
from regsync.spec.files import yaml_files
from regsync.spec.lock import LockFile
from regsync.spec.lock_merge import Change, Kind, Merged, Moves, Rules, merge, pending
from regsync.spec.lock_reading import read_lock_file
from regsync.spec.lock_writing import lock_text
from regsync.spec.model import Spec
from regsync.spec.problems import Problems


def check_locks(run: RunOptions, *, min_age: timedelta, exit_zero: bool) -> int:
    """Say what `lock --update` would change, and write nothing anywhere."""
    spec, clock = load_spec(run), SystemClock()
    looked = run_to_read(spec, partial(_reading, run), partial(look_up, spec))
    # What an update would take is told by a plain merge too: it calls it behind.
    merged = _merged(spec, run, looked, Rules(clock.now(), Moves.NONE, min_age))
    code = _answer(run, merged, looked, written=False)
    return forgive_pending(code) if exit_zero else code


def write_locks(run: RunOptions, moves: Moves, *, min_age: timedelta, wait: timedelta) -> int:
    """Bring the lock files up to date."""
    spec, clock = load_spec(run), SystemClock()
    looked = run_to_read(spec, partial(_writing, run, wait), partial(look_up, spec))
    merged = _merged(spec, run, looked, Rules(clock.now(), moves, min_age))
    for path, one in merged.items():
        write_lock(path, one.file)
    return _answer(run, merged, looked, written=True)


def write_lock(path: Path, file: LockFile) -> None:
    """Write a lock file in one step, unless it is what is there; raises UnwritableFileError."""
    text = "".join(lock_text(file))
    if not path.exists() and not file.entries:
        return
    if not path.exists() or path.read_bytes() != text.encode("utf-8"):
        write_file(path, [text])


def _reading(run: RunOptions, spec: Spec, clock: Clock, emit: Emit) -> AbstractAsyncContextManager[Engine]:
    return reading_engine(spec, run, clock, emit)


def _writing(
    run: RunOptions, wait: timedelta, spec: Spec, clock: Clock, emit: Emit
) -> AbstractAsyncContextManager[Engine]:
    """What it learns is remembered: `--min-age` counts from first sights."""
    return writing_engine(spec, run, clock, emit, command="lock", wait=wait, missing=Missing.EMPTY)


def _merged(spec: Spec, run: RunOptions, looked: Looked, rules: Rules) -> dict[Path, Merged]:
    """Every file with what was seen; read again, since a person may have edited it meanwhile."""
    problems = Problems()
    result: dict[Path, Merged] = {}
    for path in sorted({spec.lock.paths[mirror.name] for mirror in spec.mirrors}):
        file = read_lock_file(path, problems) if path.exists() else LockFile(path)
        problems.raise_any()
        assert file is not None  # noqa: S101 - there would be a problem
        own = [unit for unit in looked.units if spec.lock.paths[unit.mirror] == path]
        alone = run.lock is not None or _is_whole(spec, path.parent)
        here = Rules(rules.now, rules.moves, rules.min_age, alone)
        result[path] = merge(file, own, here, mirrors=spec.lock.paths.keys())
    return result


def _is_whole(spec: Spec, directory: Path) -> bool:
    """Whether all that could declare mirrors in a directory was read, so that other entries are nobody's."""
    if STDIN in spec.files:
        return True
    read = {os.path.abspath(path) for path in spec.files}
    return all(os.path.abspath(path) in read for path in yaml_files(directory))


def _answer(run: RunOptions, merged: dict[Path, Merged], looked: Looked, *, written: bool) -> int:
    found = LockChanges(
        {str(path): one.changes for path, one in merged.items()},
        sum(len(one.file.entries) for one in merged.values()),
        written,
        looked.problems,
        looked.warnings,
    )
    if run.output == "json":
        streams.answer(render_json(found))
    else:
        wanted = streams.wants_colour(sys.stdout, forbidden=run.no_color)
        streams.answer(render_text(found, COLOUR if wanted else PLAIN))
    left = 0 if written else len(list(pending(found.changes)))
    return exit_code((*looked.problems, *map(_immutable, found.changes)), pending=left)


def _immutable(change: Change) -> Problem:
    """A tag that was never to move, and did, is a rule's no; every other change is none."""
    cause = Cause.POLICY if change.kind is Kind.IMMUTABLE else None
    return Problem(Outcome.BLOCKED, cause, change.name)
