"""A click group whose commands are imported when they are called, so that help and start-up are quick."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click


@dataclass(frozen=True, slots=True)
class Verb:
    """Where a command lives: `module` has a click command under the name `command`."""

    module: str
    help: str  # one line, for the list of commands


class LazyGroup(click.Group):
    """Lists its verbs without loading them."""

    def __init__(self, *args: Any, verbs: Mapping[str, Verb], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._verbs = verbs

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(self._verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a verb."""
        verb = self._verbs.get(cmd_name)
        if verb is None:
            return None
        command: click.Command = import_module(verb.module).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb that `args` begin with; an unknown one gets the nearest known name."""
        if args and not args[0].startswith("-") and args[0] not in self._verbs:
            from regsync.spec.problems import nearest

            near = nearest(args[0], self._verbs)
            suggestion = f" Did you mean {near!r}?" if near else ""
            raise click.UsageError(f"No such command {args[0][:80]!r}.{suggestion}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.help) for name, verb in self._verbs.items()])
