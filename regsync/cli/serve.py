"""`regsync serve`: the built-in registry."""

from datetime import timedelta
from pathlib import Path

import click

from regsync.cli.durations import duration
from regsync.cli.options import log_format_option, paths_argument, set_manner


@click.command("serve")
@paths_argument
@click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The store's directory, made if it is not there. Default: that of the Server document, else data.",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Default: that of the Server document, else 127.0.0.1:5000. Port 0 takes a free one.",
)
@click.option(
    "--anonymous",
    type=click.Choice(("none", "pull", "push", "all")),
    help="What anyone may do, without a Server document: push adds push and overwrite to pull, all adds "
    "delete. Default: pull, from this host alone.",
)
@click.option(
    "--drain",
    default="25s",
    show_default=True,
    callback=duration,
    metavar="DURATION",
    help="How long requests in flight may take after SIGTERM.",
)
@log_format_option
def command(
    paths: tuple[Path, ...],
    store: Path | None,
    listen: str | None,
    anonymous: str | None,
    drain: timedelta,
    log_format: str,
) -> int:
    """Serve a built-in store as a registry.

    PATHs are files or directories with a Server document; without any, regsync.yaml or the directory
    regsync is looked into if it is there. SIGTERM and SIGINT end it once requests in flight are
    answered; a second one ends it at once. It exits with 0 when all were, else with 1. A change of the
    documents is taken up within seconds, or at SIGHUP.
    """
    from regsync.cli import streams
    from regsync.cli.exit_codes import DONE, FAILED
    from regsync.cli.failures import note, show
    from regsync.cli.server_configuration import Flags, ServerConfiguration
    from regsync.cli.server_log import StoryHandler
    from regsync.cli.signals import Stop, run_until_signal
    from regsync.cli.story import lines
    from regsync.clock import SystemClock
    from regsync.server.access_log import LogFormat
    from regsync.server.configured import Story
    from regsync.server.service import Service

    manner = set_manner(log_format, no_color=False)
    story = Story(
        write=streams.tell,
        show=lambda error: show(error, manner),
        note=lambda word, text: note(word, text, manner),
        log_format=LogFormat(log_format),
    )
    StoryHandler(story).install()
    _allow_files()
    clock = SystemClock()
    configuration = ServerConfiguration(Flags(paths, store, listen, anonymous), clock, lines(manner, clock))
    service = Service(configuration, story, clock)

    async def serve(stop: Stop) -> bool:
        try:
            return await service.run(
                stop.event, drain=drain, ready=lambda url: streams.answer([f"listening on {url}\n"])
            )
        finally:
            await configuration.close()

    drained, _ = run_until_signal(serve)
    if not drained:
        note("interrupted", "requests were still in flight when the time to end was over", manner)
    return DONE if drained else FAILED


def _allow_files() -> None:
    """As many open files as the system lets this process have: each connection is one, each pull another."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
