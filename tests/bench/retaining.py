"""The row of retention: what a policy of three rules keeps of 100,000 tags, and why the others go.

Run as a module it is the process that is measured; it prints how long the decision took.
"""

import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName, Tag
from regsync.plan.retention import RetentionSeen, TagState, decide_retention
from regsync.spec.model import Location, SemverMatch, TagRule
from regsync.spec.pruning import DeletionLimits
from regsync.spec.retention import KeepRule, RepositoryGlob, RetentionPolicy
from tests.bench import contenders, measure
from tests.bench.rows import Goal, Outcome, Result, Run, Settings

TAGS = 100_000
NOW = datetime(2026, 11, 24, tzinfo=UTC)


def decision(settings: Settings) -> Outcome:
    """Decide, each time in a new process; its peak is that of the whole process."""
    result = Result("regsync")
    with tempfile.TemporaryDirectory(dir=settings.directory) as name:
        directory = Path(name)
        command = [sys.executable, "-m", "tests.bench.retaining"]
        env = {**contenders.our_environment(), "PYTHONPATH": str(Path(__file__).parents[2])}
        for _ in range(settings.rounds):
            usage = measure.run(command, directory=directory, env=env)
            seconds = float((directory / "output.log").read_text())
            result.runs.append(
                Run(measure.Usage(seconds, usage.cpu_seconds, usage.peak_bytes, usage.exit_code))
            )
    title = f"retention: {TAGS:,} tags decided, with the reason of each that goes"
    outcome = Outcome("retention", title, [result], (Goal(2.0),), tags=TAGS)
    outcome.notes.append(f"peak of the process {result.peak_bytes / 2**20:.0f} MiB; goal 200 MiB")
    return outcome


def _seen() -> RetentionSeen:
    """Versions, builds of pull requests, and a signature beside every tenth."""
    tags: dict[Tag, TagState] = {}
    for number in range(TAGS):
        name = (
            f"{number % 7}.{number // 7 % 50}.{number // 350}"
            if number % 3
            else f"pr-{number % 400}-{number}"
        )
        if number % 10 == 9:
            name = f"sha256-{number:064x}.sig"
        pulled = NOW - timedelta(minutes=2 * number) if number % 2 else None
        state = TagState(Digest("sha256", f"{number:064x}"), NOW - timedelta(minutes=number), pulled)
        tags[Tag(name)] = state
    return RetentionSeen(Location("local", RepositoryName("team/app")), tags)


def _policy() -> RetentionPolicy:
    keep = (
        KeepRule(TagRule(semver=SemverMatch("*"), newest=10, per="minor")),
        KeepRule(TagRule(glob="pr-*"), pushed_within=timedelta(days=14)),
        KeepRule(pulled_within=timedelta(days=30)),
    )
    protect, limits = ("latest", "release-*"), DeletionLimits(TAGS, 100)
    return RetentionPolicy("bench", (RepositoryGlob("local", "**"),), keep, protect=protect, limits=limits)


if __name__ == "__main__":
    there, rules = _seen(), _policy()
    began = time.perf_counter()
    decided = decide_retention(rules, there, now=NOW)
    reasons = decided.fates(decided.going)
    took = time.perf_counter() - began
    assert len(reasons) == len(decided.going) > TAGS // 10
    print(took)
