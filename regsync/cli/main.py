"""The root command and the border at which every exception becomes a message and an exit code."""

from collections.abc import Sequence

import click

from regsync import __version__
from regsync.cli import streams
from regsync.cli.exit_codes import DONE, INTERRUPTED, USAGE
from regsync.cli.failures import Manner, handle, note
from regsync.cli.interrupted import Interrupted
from regsync.cli.lazy import LazyGroup, Verb
from regsync.errors import UsageError

VERBS = {
    "validate": Verb("regsync.cli.validate", "Check the spec alone, without any network."),
    "schema": Verb("regsync.cli.schema", "Print the JSON Schema of the spec, for editors."),
    "import": Verb("regsync.cli.import_spec", "Make a spec from another tool's file."),
    "generate": Verb("regsync.cli.generate", "Make a spec and its lock file from what is there."),
    "plan": Verb("regsync.cli.plan", "Show what a sync would change; write nothing."),
    "apply": Verb("regsync.cli.apply", "Carry out exactly a saved plan."),
    "sync": Verb("regsync.cli.sync", "Plan and apply in one pass."),
    "check": Verb("regsync.cli.check", "Compare all places of every mirror; write to none of them."),
    "lock": Verb("regsync.cli.lock", "Write the lock file: every selected tag with its digest."),
    "rollback": Verb("regsync.cli.rollback", "Have every run keep a tag at an earlier digest."),
    "prune": Verb("regsync.cli.prune", "Delete what mirrors and retention no longer keep, and nothing else."),
    "adopt": Verb("regsync.cli.adopt", "Take tags that equal their source as ours, for pruning."),
    "copy": Verb("regsync.cli.copy", "Copy one image with all that belongs to it."),
    "inspect": Verb("regsync.cli.inspect", "Show an image's manifest, platforms, sizes and referrers."),
    "verify": Verb("regsync.cli.verify", "Show what policies say of images, and why."),
    "run": Verb("regsync.cli.run", "The daemon: mirrors by their schedules, health, metrics, webhooks."),
    "history": Verb("regsync.cli.history", "List earlier runs, from the ledger."),
    "show": Verb("regsync.cli.show", "Show what an earlier run did."),
    "serve": Verb("regsync.cli.serve", "Serve a built-in store as a registry."),
    "trust": Verb("regsync.cli.trust", "Look after the roots that signatures are verified by."),
    "store": Verb("regsync.cli.store", "Look into the built-in storage layer, check, restore and carry it."),
}
PROGRAM = "regsync"
HELP_OPTIONS = ["-h", "--help"]


class MisuseError(UsageError):
    """The command line does not fit its grammar: an unknown option, a missing argument, a wrong value."""

    def __init__(self, cause: click.ClickException) -> None:
        message = cause.format_message().removesuffix(".")
        super().__init__(f"{message[:1].lower()}{message[1:]}")
        context = cause.ctx if isinstance(cause, click.UsageError) else None
        self._command = context.command_path if context is not None else PROGRAM

    @property
    def hint(self) -> str:
        """Where the grammar is."""
        return f"`{self._command} --help` shows what it takes"


@click.group(
    cls=LazyGroup,
    verbs=VERBS,
    context_settings={"help_option_names": HELP_OPTIONS, "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 failed, 2 changes pending, 3 refused by a rule, 64 misuse, 65 invalid "
    "spec, 75 try later, 130 and 143 interrupted.",
)
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
def root() -> None:
    """Keep container images consistent across registries, from YAML in git."""


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; nothing but a signal gets past it."""
    streams.prepare()
    manner = Manner()
    try:
        result = root.main(list(arguments), prog_name=PROGRAM, standalone_mode=False, obj=manner)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.exceptions.NoArgsIsHelpError as help_:
        help_.show()
        return USAGE
    except click.ClickException as error:
        return handle(MisuseError(error), manner)
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except Interrupted as interrupted:
        if isinstance(interrupted.__cause__, Exception):
            handle(interrupted.__cause__, manner)
        else:
            note("interrupted", "there is nothing to report yet", manner)
        return interrupted.exit_code
    except Exception as error:  # noqa: BLE001 - the border: whatever comes here becomes a message
        return handle(error, manner)
    return result if isinstance(result, int) else DONE
