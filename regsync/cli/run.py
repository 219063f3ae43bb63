"""`regsync run`: the daemon."""

from datetime import timedelta

import click

from regsync.cli.durations import duration
from regsync.cli.options import RunOptions, story_options


@click.command("run")
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Serve /healthz, /readyz, /metrics and webhooks there. Without it nothing listens.",
)
@click.option(
    "--hook-secret",
    "hook_secrets",
    multiple=True,
    metavar="env:NAME|file:PATH",
    help="What requests to /hooks/MIRROR are signed with; may be given twice while it is changed.",
)
@click.option(
    "--jitter",
    default="30s",
    show_default=True,
    callback=duration,
    metavar="DURATION",
    help="Spread runs that are due at once over so long; a mirror always has the same place in it.",
)
@click.option(
    "--at-once",
    type=click.IntRange(1, 256),
    default=8,
    show_default=True,
    help="How many runs may be under way at a time.",
)
@story_options
def command(
    run: RunOptions,
    listen: str | None,
    hook_secrets: tuple[str, ...],
    jitter: timedelta,
    at_once: int,
) -> int:
    """Keep the targets as the spec says, by the schedules in it, until SIGTERM or SIGINT.

    Each mirror with a `schedule` runs as `regsync sync` would run it, and so does retention. Edits of the
    spec are taken up within seconds, or at SIGHUP; a wrong one is refused, and the spec before goes on.
    Of several daemons over one ledger one works at a time. It exits with 0 once the steps in hand are
    finished or undone; a second signal ends it at once.
    """
    from regsync.cli.daemon_service import Offered, serve

    return serve(run, Offered(listen, hook_secrets), spread=jitter.total_seconds(), at_once=at_once)
