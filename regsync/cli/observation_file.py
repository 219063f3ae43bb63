"""Observations in files: `plan --record` and `plan --observation`."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from regsync.cli.engines import reading_engine
from regsync.cli.input_files import read_input
from regsync.cli.options import RunOptions
from regsync.cli.policies import understood
from regsync.clock import Clock
from regsync.plan.document import timestamp
from regsync.reconcile.engine import Engine
from regsync.reconcile.events import Emit
from regsync.reconcile.observed import ObservedPlaces
from regsync.reconcile.recorded_ledger import RecordedLedger, UnsparingLedger, keep_facts
from regsync.reconcile.recording import Recording
from regsync.reconcile.recording_reading import MAX_SIZE, recording_from_json
from regsync.report.units import counted, human_seconds
from regsync.spec.model import Spec

SHOWN = 20  # things that an observation lacks, by name


def read_observation(path: Path) -> Recording:
    """Read an observation, or stdin for `-`; raises UnreadableFileError, InvalidObservationError."""
    return recording_from_json(read_input(path, MAX_SIZE), path)


@asynccontextmanager
async def recorded_engine(
    spec: Spec, recording: Recording, clock: Clock, emit: Emit
) -> AsyncIterator[Engine]:
    """An engine that asks nobody: it reads no secret and makes no request."""
    places, ledger = ObservedPlaces(recording, spec, None), RecordedLedger(recording, spec)
    yield Engine(places, ledger, clock, emit, spec.settings.concurrency, policies=understood(spec))


@asynccontextmanager
async def looking_engine(
    spec: Spec, run: RunOptions, clock: Clock, emit: Emit, recording: Recording
) -> AsyncIterator[Engine]:
    """An engine that reads, and asks nothing that `recording` knows; what it sees goes there."""
    async with reading_engine(spec, run, clock, emit) as engine:
        yield replace(engine, places=ObservedPlaces(recording, spec, engine.places))


@asynccontextmanager
async def recording_engine(
    spec: Spec, run: RunOptions, clock: Clock, emit: Emit, recording: Recording
) -> AsyncIterator[Engine]:
    """The same, and nothing that the ledger knows spares a look, so that `recording` needs no ledger."""
    async with reading_engine(spec, run, clock, emit) as engine:
        places = ObservedPlaces(recording, spec, engine.places)
        ledger = UnsparingLedger(engine.ledger)
        yield replace(engine, places=places, ledger=ledger)
        keep_facts(recording, places, ledger)


def told_of(taken: datetime, now: datetime) -> str:
    """How old an observation is, for people."""
    age = (now - taken).total_seconds()
    if age < 0:
        return f"what was observed at {timestamp(taken)}, which is yet to come: one of the clocks is wrong"
    days = f"{counted(int(age // 86_400), 'day')}" if age >= 2 * 86_400 else human_seconds(age)
    return f"what was observed {days} ago"


def lacks(missing: Sequence[str]) -> Sequence[str]:
    """Warnings that name what an observation does not cover."""
    lines = [f"the observation does not cover the spec: {one}" for one in missing[:SHOWN]]
    if len(missing) > SHOWN:
        lines.append(f"the observation does not cover the spec: {len(missing) - SHOWN} more things")
    return lines
