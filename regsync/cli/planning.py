"""The body of `plan` and of `sync --dry-run`."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from regsync.cli.engines import reading_engine
from regsync.cli.exit_codes import FAILED, worse
from regsync.cli.failures import note
from regsync.cli.options import RunOptions, manner
from regsync.cli.output import render, write_or_tell
from regsync.cli.running import Open, forgive_pending, load_spec, present_plan, run_to_read
from regsync.clock import SystemClock
from regsync.plan.change import Side, change
from regsync.plan.decide import plan
from regsync.plan.document import encode, timestamp
from regsync.reconcile.engine import Engine
from regsync.reconcile.recording import Recording
from regsync.reconcile.run import Explain, observe
from regsync.spec.model import Spec


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """How a plan is made, and where it goes beside the answer."""

    explain: Explain = Explain.NO
    out: Path | None = None
    exit_zero: bool = False
    locked: bool = False
    base: str | None = None  # a git revision; then only what the change since causes is planned
    record: Path | None = None  # a file for what is seen
    observation: Path | None = None  # a file with what was seen, instead of asking


def plan_over(run: RunOptions, options: PlanOptions) -> int:
    """Plan, answer, and return the exit code."""
    spec = load_spec(run, locked=options.locked)
    looking = _Looking(run, options)
    with ExitStack() as stack:
        if options.base is None:
            made = looking.side(spec, options.explain).plan
        else:
            from regsync.cli.base_spec import base_spec

            base = stack.enter_context(base_spec(options.base, run, locked=options.locked))
            head = looking.side(spec, options.explain)
            before = None
            if base.spec is not None:
                note("note", f"now the spec at {base.revision}, from the same look", manner())
                before = looking.side(base.spec)
            made = change(head, before, revision=base.revision, commit=base.commit)
            if base.is_unlocked:
                text = f"the lock file at {base.revision} does not cover the spec there: taken without it"
                made = replace(made, warnings=(*made.warnings, text))
    made = replace(made, warnings=(*made.warnings, *looking.warnings()))
    code = present_plan(made, run, spec)
    if looking.missing:
        code = worse(code, FAILED)
    if options.out is not None and not write_or_tell(options.out, render(made, "json"), manner()):
        code = worse(code, FAILED)
    if not looking.write():
        code = worse(code, FAILED)
    return forgive_pending(code) if options.exit_zero else code


@dataclass(slots=True)
class _Looking:
    """Where a plan looks: at the places, each asked once if it matters, or at what was recorded."""

    run: RunOptions
    options: PlanOptions
    missing: dict[str, None] = field(default_factory=dict)  # what a recording lacks
    _recording: Recording | None = None

    def __post_init__(self) -> None:
        if self.options.observation is not None:
            from regsync.cli.observation_file import read_observation, told_of

            self._recording = read_observation(self.options.observation)
            told = told_of(self._recording.taken, SystemClock().now())
            note("note", f"planning from {told}; nothing is asked", manner())
        elif self.options.record is not None or self.options.base is not None:
            self._recording = Recording(SystemClock().now())

    def side(self, spec: Spec, explain: Explain = Explain.NO) -> Side:
        """Look at what `spec` needs, and plan."""

        async def look(engine: Engine) -> Side:
            seen, now = await observe(spec, engine, explain=explain)
            self._note_missing(engine)
            return Side(spec, seen, plan(spec.digest, seen, now=now))

        return run_to_read(spec, self._engine(), look)

    def warnings(self) -> Iterator[str]:
        """What people have to know of where the plan looked."""
        if self.options.observation is not None and self._recording is not None:
            from regsync.cli.observation_file import lacks

            taken = timestamp(self._recording.taken)
            yield f"planned from what was observed at {taken}, not from what is there now"
            yield from lacks(list(self.missing))

    def write(self) -> bool:
        """Write what was seen, if that was asked for; whether it could be."""
        if self.options.record is None or self._recording is None:
            return True
        from regsync.reconcile.recording_json import recording_document

        return write_or_tell(self.options.record, encode(recording_document(self._recording)), manner())

    def _engine(self) -> Open:
        run, recording = self.run, self._recording
        if recording is None:
            return lambda spec, clock, emit: reading_engine(spec, run, clock, emit)
        from regsync.cli.observation_file import looking_engine, recorded_engine, recording_engine

        if self.options.observation is not None:
            return lambda spec, clock, emit: recorded_engine(spec, recording, clock, emit)
        if self.options.record is not None:
            return lambda spec, clock, emit: recording_engine(spec, run, clock, emit, recording)
        return lambda spec, clock, emit: looking_engine(spec, run, clock, emit, recording)

    def _note_missing(self, engine: Engine) -> None:
        from regsync.reconcile.observed import ObservedPlaces

        if isinstance(engine.places, ObservedPlaces):
            self.missing |= engine.places.missing
