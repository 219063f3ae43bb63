"""Makes docs/commands.md from the commands: `python -m regsync.cli.reference > docs/commands.md`."""

import sys
from collections.abc import Iterator

import click

from regsync.cli.exit_codes import table
from regsync.cli.main import HELP_OPTIONS, VERBS, root

WIDTH = 100  # columns of the help texts


def document() -> str:
    """The whole page."""
    return "".join(_pieces())


def _pieces() -> Iterator[str]:
    yield "# Commands\n\n"
    yield "Made from the commands by `python -m regsync.cli.reference`; a test says that it is current.\n\n"
    yield "| command | does |\n|---|---|\n"
    yield from (f"| [`regsync {name}`](#regsync-{name}) | {verb.help} |\n" for name, verb in VERBS.items())
    yield "\n## Exit codes\n\n| exit code | means |\n|---|---|\n"
    yield from (f"| {code} | {meaning} |\n" for code, meaning in table())
    yield "\nWhen several apply: 64 or 65, then 3, then 1, then 75, then 2.\n"
    top = click.Context(root, info_name="regsync", terminal_width=WIDTH, help_option_names=HELP_OPTIONS)
    for name in VERBS:
        command = root.get_command(top, name)
        if command is not None:
            yield from _section(command, name, top)


def _section(command: click.Command, name: str, parent: click.Context) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=parent, terminal_width=WIDTH)
    yield f"\n## {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            if found is not None:
                yield from _section(found, below, context)


if __name__ == "__main__":
    sys.stdout.write(document())
