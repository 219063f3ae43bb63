"""Compare regsync with other tools, side by side on this machine.

    python -m tests.bench.bench                           # every row: about half an hour
    python -m tests.bench.bench --row cold-loopback --row large --rounds 5
    python -m tests.bench.bench --list
    python -m tests.bench.bench --row nothing-20ms --keys '{"referrers": "none"}' --markdown report.md

Needs distribution's registry, regclient's regsync, crane and toxiproxy (`.ci/run` installs them); ocync
competes where it is on PATH. Starts its own registries on free ports and ends them. Nothing else should run
meanwhile.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.bench import checking, idling, judging, retaining, rows, startup, tables
from tests.bench.measure import RunFailedError
from tests.bench.rows import Outcome, Settings
from tests.support import tools

Row = Callable[[Settings], Outcome]

ROWS: Mapping[str, Row] = {
    "version": startup.version,
    "validate": startup.validate,
    **{one.name: one for one in rows.COPYING},
    "plan-newest": startup.plan_newest,
    "plan-all": startup.plan_all,
    "condition": judging.condition,
    "retention": retaining.decision,
    "idle": idling.daemon,
    "check-distribution": checking.against_distribution,
    "check-ours": checking.of_our_own,
    "check-registries": checking.of_whole_registries,
}
NEEDED = ("registry", "regclient-regsync", "crane", "toxiproxy-server")


def main() -> int:
    """Run the chosen rows; 1 when a contender failed, 0 also when a goal was missed."""
    arguments = _arguments()
    if arguments.list:
        print("\n".join(ROWS))
        return 0
    if missing := [name for name in NEEDED if tools.find(name) is None]:
        print(f"not installed: {', '.join(missing)}; .ci/run installs them", file=sys.stderr)
        return 1
    failed = False
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="regsync-bench-", dir=arguments.directory) as name:
        settings = Settings(
            Path(name),
            arguments.rounds,
            min(arguments.slow_rounds, arguments.rounds),
            json.loads(arguments.keys),
            tuple(arguments.only),
        )
        for row in arguments.row or ROWS:
            try:
                outcome = ROWS[row](settings)
            except (RunFailedError, AssertionError) as error:
                failed = True
                print(f"{row}: FAILED: {error}", file=sys.stderr)
                continue
            outcomes.append(outcome)
            failed = failed or any(result.failure for result in outcome.results)
            print(tables.one_line(outcome), file=sys.stderr, flush=True)
    report = tables.markdown(outcomes, _machine())
    print(report)
    if arguments.markdown:
        arguments.markdown.write_text(report)
    return int(failed)


def _arguments() -> argparse.Namespace:
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_written)
    add = parser.add_argument
    add("--row", action="append", choices=list(ROWS), help="only this row; may be repeated")
    add("--list", action="store_true", help="print the rows and end")
    add("--rounds", type=int, default=3, help="runs of each contender, in turn (default 3)")
    add("--slow-rounds", type=int, default=1, help="runs of those that take minutes (default 1, 0: none)")
    add("--only", action="append", default=[], metavar="NAME", help="only contenders whose name begins so")
    add("--keys", default="{}", metavar="JSON", help="further keys of our Mirror")
    add("--markdown", type=Path, metavar="FILE", help="also write the report there")
    add("--directory", type=Path, help="where data goes: 8 GiB free; by default a temporary one")
    return parser.parse_args()


def _machine() -> str:
    system = f"{platform.system()} {platform.machine()}"
    return f"{os.cpu_count()} cores, {system}, Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
