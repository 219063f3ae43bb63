"""`regsync adopt`: what equals its source becomes ours, for the ledger alone."""

from datetime import timedelta

import click

from regsync.cli.options import RunOptions, run_options
from regsync.cli.sync import wait_option


@click.command("adopt")
@wait_option
@run_options
def command(run: RunOptions, wait: timedelta) -> int:
    """Take tags that equal their source into the ledger as ours; write nothing else anywhere.

    After a migration, or when a ledger was lost: only what is ours is ever pruned. A tag that differs
    from its source is told and left alone. PATH is a file or a directory of spec documents; without one
    it is regsync.yaml, else the directory regsync/.
    """
    from regsync.cli.engines import writing_engine
    from regsync.cli.failures import note
    from regsync.cli.options import manner
    from regsync.cli.running import load_spec, run_to_report
    from regsync.reconcile.adopt import adopt

    spec = load_spec(run)
    report, code = run_to_report(
        spec,
        run,
        lambda spec, clock, emit: writing_engine(spec, run, clock, emit, command="adopt", wait=wait),
        lambda engine, stop: adopt(spec, engine, stop=stop),
    )
    taken = sum(result.was_there for result in report.results)
    note("adopted", f"{taken} tag{'' if taken == 1 else 's'}, {report.unchanged} were ours before", manner())
    return code
