"""The daemon as a process: its files, its listener, its signals."""

import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from anyio import TASK_STATUS_IGNORED, create_task_group, open_signal_receiver
from anyio.abc import TaskStatus

from regsync.cli import streams
from regsync.cli.daemon_files import DaemonFiles, described
from regsync.cli.daemon_listener import DaemonListener
from regsync.cli.daemon_outside import DaemonStory, Poster, RunsOutside
from regsync.cli.exit_codes import DONE
from regsync.cli.options import RunOptions, manner
from regsync.cli.signals import Stop, run_until_signal
from regsync.cli.story import lines
from regsync.clock import SystemClock
from regsync.errors import UsageError
from regsync.reconcile.daemon import Daemon
from regsync.reconcile.lease import Terms
from regsync.reconcile.notifying import Notifier
from regsync.reconcile.scheduled import Scheduled
from regsync.regular_file import STDIN
from regsync.server.reloading import Reloading
from regsync.spec.secret import SecretRef
from regsync.spec.server import Listen, parse_listen

TERMS = Terms()


class RunUsageError(UsageError):
    """Options of `regsync run` that do not go together, or mean nothing."""


@dataclass(frozen=True, slots=True)
class Offered:
    """What is offered over HTTP, as the command line says it."""

    listen: str | None
    hook_secrets: Sequence[str]

    @property
    def address(self) -> Listen | None:
        """Where to listen. Raises RunUsageError."""
        if self.listen is None:
            return None
        try:
            return parse_listen(self.listen)
        except ValueError as cause:
            raise RunUsageError(f"--listen: {cause}") from cause

    def secrets(self) -> tuple[SecretRef, ...]:
        """Where the secrets are. Raises RunUsageError."""
        if self.hook_secrets and self.listen is None:
            raise RunUsageError("--hook-secret is for requests that come in: it needs --listen")
        return tuple(_secret(text) for text in self.hook_secrets)


def serve(run: RunOptions, offered: Offered, *, spread: float, at_once: int) -> int:
    """Run the daemon until a signal; the exit code."""
    if STDIN in run.paths:
        raise RunUsageError("run reads its spec again when it changes: that needs files, not stdin")
    clock = SystemClock()
    speaking = manner()
    emit = lines(speaking, clock)
    story = DaemonStory(speaking, emit)
    secrets, where = offered.secrets(), offered.address
    files = DaemonFiles(run, spread, story, clock)
    scheduled = files.read()
    outside, poster = RunsOutside(run.state, clock, story.emit), Poster()
    notifier = Notifier(poster.post, clock, story.show)
    daemon = Daemon(scheduled, outside, story, notifier, clock, at_once=at_once, terms=TERMS)

    async def take(found: Scheduled) -> None:
        outside.begin_anew()
        await daemon.replace(found)

    async def work(stop: Stop) -> None:
        ending = stop.event  # from now on a signal lets everything come to its end
        await daemon.prepare()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(poster.close)
            listener = DaemonListener(daemon, files, outside, notifier, clock)
            address = await stack.enter_async_context(listener.open(where, secrets))
            group = await stack.enter_async_context(create_task_group())
            await group.start(_reload, files.reloading(take), files)
            group.start_soon(listener.drain_at, ending)
            if address is not None:
                streams.answer([f"listening on {address}\n"])
            story.note("run", described(scheduled))
            await daemon.run(ending)
            group.cancel_scope.cancel()

    run_until_signal(work)
    return DONE


async def _reload(
    reloading: Reloading, files: DaemonFiles, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED
) -> None:
    with open_signal_receiver(signal.SIGHUP) as signals:
        task_status.started()
        async with create_task_group() as group:
            group.start_soon(_hear, signals, reloading)
            await reloading.run(files.states)


async def _hear(signals: AsyncIterator[signal.Signals], reloading: Reloading) -> None:
    async for _ in signals:
        reloading.ask()


def _secret(text: str) -> SecretRef:
    kind, _, rest = text.partition(":")
    if rest and kind == "env":
        return SecretRef.from_env(rest, "--hook-secret")
    if rest and kind == "file":
        return SecretRef.from_file(Path(rest).absolute(), "--hook-secret")
    raise RunUsageError("--hook-secret: expected env:NAME or file:PATH, never the secret itself")
