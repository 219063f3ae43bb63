"""The spec of the daemon, read again when its files change; an edit that is wrong is refused."""

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from anyio.to_thread import run_sync

from regsync.cli.options import RunOptions
from regsync.cli.policies import understood
from regsync.cli.running import load_spec
from regsync.cli.server_requirements import material_files
from regsync.clock import Clock
from regsync.errors import RegsyncError
from regsync.reconcile.daemon import Story
from regsync.reconcile.scheduled import Scheduled
from regsync.server.reloading import FileStates, Reloading, states_of
from regsync.spec.files import default_paths, find_files, parent_directories, yaml_files
from regsync.spec.lock import LOCK_FILE
from regsync.spec.model import Spec
from regsync.spec.problems import NoSpecError

EVERY = 5.0  # seconds between two looks at the files
Take = Callable[[Scheduled], Awaitable[None]]


class DaemonFiles:
    """The files of a spec. `is_current`: whether what they say now is in force."""

    def __init__(self, run: RunOptions, spread: float, story: Story, clock: Clock) -> None:
        self._run, self._spread, self._story, self._clock = run, spread, story, clock
        self._paths = run.paths or default_paths(Path())
        self._read_from: frozenset[Path] = frozenset()
        self._states: FileStates = frozenset()
        self.is_current = True
        self.taken = clock.now()

    def read(self) -> Scheduled:
        """The spec as the files have it. Blocking. Raises SpecError, UsageError."""
        self._states = states_of(self._files())
        spec = load_spec(self._run)
        understood(spec)
        found = Scheduled.of(spec, self._spread)
        self._read_from = frozenset(_named_by(spec))
        self._states |= states_of(self._read_from)
        return found

    def reloading(self, take: Take) -> Reloading:
        """Whoever calls its `run` with `states` has edits taken up by `take`."""

        async def reload() -> None:
            try:
                found = await run_sync(self.read)
            except RegsyncError as error:
                self.is_current = False
                self._story.show(error)
                self._story.note("reload", "refused; the spec that was in force goes on")
                return
            await take(found)
            self.is_current, self.taken = True, self._clock.now()
            self._story.note("reload", f"taken up: {described(found)}")

        return Reloading(self._files, reload, every=EVERY)

    @property
    def states(self) -> FileStates:
        """How the files were when they were read."""
        return self._states

    def _files(self) -> Iterable[Path]:
        """Every file that a change of the spec may be in, lock files and those above the paths included."""
        try:
            files = find_files(self._paths)
        except NoSpecError:
            return []  # reading them tells why
        own = {file.absolute for file in files}
        locks = {directory / LOCK_FILE for directory in {path.parent for path in own}}
        above = {path for directory in parent_directories(files) for path in yaml_files(directory)}
        named = {self._run.lock} if self._run.lock is not None else set()
        return own | locks | above | named | self._read_from


def described(scheduled: Scheduled) -> str:
    """How much there is to do."""
    mirrors = len(scheduled.spec.mirrors)
    idle = scheduled.unscheduled
    text = f"{mirrors} mirror{'' if mirrors == 1 else 's'}, {mirrors - len(idle)} of them scheduled"
    if not idle:
        return text
    names = ", ".join(idle[:5]) + (f" and {len(idle) - 5} more" if len(idle) > 5 else "")
    return f"{text}; without a schedule, so run only by webhook or by hand: {names}"


def _named_by(spec: Spec) -> Iterable[Path]:
    yield from material_files(spec)
