"""The body of `regsync rollback`: find the digest, write the entry, say what is to come."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from regsync.cli import streams
from regsync.cli.engines import ledger_path, reading_engine
from regsync.cli.exit_codes import DONE
from regsync.cli.locking import write_lock
from regsync.cli.narrow import narrow
from regsync.cli.options import RunOptions
from regsync.cli.recorded_runs import PAGE
from regsync.cli.running import load_spec, run_to_read
from regsync.clock import SystemClock
from regsync.oci.digest import Digest
from regsync.plan.decide import NOT_AS_HELD
from regsync.plan.document import API_VERSION, encode
from regsync.plan.model import Outcome, Verb
from regsync.plan.record import DamagedRecordError, record_of, report_of
from regsync.reconcile.ledger_sqlite import open_ledger
from regsync.reconcile.ledger_tasks import RunRow
from regsync.reconcile.rollback import Moved, Rollback, find_rollback
from regsync.report.escape import visible
from regsync.spec.lock import LockFile
from regsync.spec.lock_reading import read_lock_file
from regsync.spec.model import Spec
from regsync.spec.problems import Problems

MAX_RUNS = 2_000  # that are looked through for an earlier move


def roll_back(run: RunOptions, mirror: str, tag: str, to: Digest | None) -> int:
    """Write the entry, and say what it does."""
    spec = narrow(load_spec(run), [mirror], {})
    moved = list(_moved(spec, run, mirror)) if to is None else []
    found = run_to_read(
        spec,
        lambda spec, clock, emit: reading_engine(spec, run, clock, emit),
        lambda engine: find_rollback(spec, engine, spec.mirrors[0], tag, to, moved),
    )
    path = spec.lock.paths[mirror]
    _write(path, found)
    streams.answer(_json(path, found) if run.output == "json" else _text(path, found))
    return DONE


def _write(path: Path, found: Rollback) -> None:
    """Put the entry in the place of the one before; all others stay as they are."""
    problems = Problems()
    file = read_lock_file(path, problems) if path.exists() else LockFile(path)
    problems.raise_any()
    assert file is not None  # noqa: S101 - there would be a problem
    replaced = {found.entry.key} | ({found.before.key} if found.before is not None else set())
    others = (entry for entry in file.entries if entry.key not in replaced)
    write_lock(path, replace(file, entries=(*others, found.entry)))


def _moved(spec: Spec, run: RunOptions, mirror: str) -> Iterator[Moved]:
    """What earlier runs moved, the newest first; a record that cannot be read is passed over."""
    path = ledger_path(spec, run)
    if not path.exists():
        return
    with open_ledger(path, SystemClock()) as ledger:
        for offset in range(0, MAX_RUNS, PAGE):
            rows = ledger.read_runs(PAGE, offset)
            for row in rows:
                yield from _moves_of(row, mirror)
            if len(rows) < PAGE:
                return


def _moves_of(row: RunRow, mirror: str) -> Iterator[Moved]:
    """The moves of one run, but for those that a rollback made: going back from there is going forth."""
    try:
        record = record_of(*row)
        results = report_of(record, row.summary).results
    except DamagedRecordError:
        return
    for one in results:
        action, former, digest = one.action, one.action.replaces, one.action.digest
        done = one.outcome in (Outcome.DONE, Outcome.DEGRADED) and action.reason != NOT_AS_HELD
        if not done or action.verb is not Verb.UPDATE or action.mirror != mirror or action.tag is None:
            continue
        if former is not None and digest is not None and former != digest:
            yield Moved(str(action.target), action.tag, former, digest, record.ended, record.id)


def _text(path: Path, found: Rollback) -> Iterator[str]:
    yield f"{visible(str(path))}: {visible(found.entry.image)}, hold: true\n"
    yield f"  {visible(found.why)}\n"
    for target, digest in found.now_at.items():
        state = "there already" if digest == found.entry.digest else f"now {digest or 'absent'}"
        yield f"  {target}:{found.tag}  {state}\n"
    yield "Nothing was copied yet: the next run moves the tag; `regsync lock --update` releases it.\n"


def _json(path: Path, found: Rollback) -> Iterator[str]:
    return encode(
        {
            "apiVersion": API_VERSION,
            "kind": "Rollback",
            "file": str(path),
            "image": found.entry.image,
            "mirror": found.unit.mirror,
            "tag": found.tag,
            "before": str(found.before.digest) if found.before is not None else None,
            "why": found.why,
            "targets": [
                {"target": str(target), "digest": str(digest) if digest is not None else None}
                for target, digest in found.now_at.items()
            ],
        }
    )
