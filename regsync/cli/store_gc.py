"""`regsync store gc`: delete what nothing leads to."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from regsync.cli.durations import duration
from regsync.cli.options import output_option, store_argument

if TYPE_CHECKING:
    from regsync.store.gc_report import Decision, GarbageReport, Rules


@click.command("gc")
@store_argument
@click.option("--dry-run", is_flag=True, help="Change nothing; show what would be deleted.")
@click.option("--explain", is_flag=True, help="Show of every digest what becomes of it, and why.")
@click.option(
    "--grace",
    default="1h",
    show_default=True,
    callback=duration,
    metavar="DURATION",
    help="How long a blob that no manifest needs is kept, from when it was first seen so.",
)
@click.option(
    "--untagged",
    default="7d",
    show_default=True,
    callback=duration,
    metavar="DURATION",
    help="How long a manifest that nothing leads to is kept, from when it was first seen so and from its "
    "last pull.",
)
@click.option(
    "--uploads",
    default="1d",
    show_default=True,
    callback=duration,
    metavar="DURATION",
    help="How long an upload is kept that does not come further.",
)
@output_option(("text", "json"))
def command(  # noqa: PLR0913 - click gives each option so
    store: str,
    paths: tuple[Path, ...],
    dry_run: bool,  # noqa: FBT001 - click gives flags so
    explain: bool,  # noqa: FBT001
    grace: timedelta,
    untagged: timedelta,
    uploads: timedelta,
    output: str,
) -> int:
    """Delete what nothing leads to any more; the store may be served and synced to meanwhile.

    A manifest is kept by a tag, an index, its subject, or a tagged referrer of its own; a blob by a
    manifest. What nothing keeps is marked when it is first seen so, and deleted by a later run, when the
    mark is old enough and no push that began before it is under way. So the first run mostly marks;
    with `--untagged 0s --grace 0s` one run does both, and still takes nothing from a push.

    STORE is a directory, or the name of a Registry of the spec.
    """
    from regsync.cli import streams
    from regsync.cli.signals import Stop, run_until_signal
    from regsync.cli.store_paths import find_store
    from regsync.clock import SystemClock
    from regsync.store.builtin import BuiltinStore
    from regsync.store.gc_report import Rules, Run

    path, clock = find_store(store, paths), SystemClock()
    rules = Rules(_microseconds(grace), _microseconds(untagged), _microseconds(uploads))
    decisions: list[Decision] | None = [] if explain else None

    async def work(_: Stop) -> "GarbageReport":
        opened = BuiltinStore.look(path, clock=clock) if dry_run else BuiltinStore.open(path, clock=clock)
        async with opened as one:
            told = decisions.append if decisions is not None else None
            return await one.collect_garbage(rules, Run.DRY if dry_run else Run.FOR_REAL, told)

    report, _ = run_until_signal(work)
    show = _json if output == "json" else _text
    streams.answer(show(path, report, decisions))
    return 0


def _microseconds(length: timedelta) -> int:
    return length // timedelta(microseconds=1)


def _json(path: Path, report: "GarbageReport", decisions: "Sequence[Decision] | None") -> Iterator[str]:
    from regsync.plan.document import API_VERSION, encode

    document: dict[str, object] = {
        "apiVersion": API_VERSION,
        "kind": "GarbageReport",
        "store": str(path),
        "dryRun": report.is_dry_run,
        "rules": _seconds(report.rules),
        "repositories": report.repositories,
        "freed": report.freed,
        "summary": {
            f"{kind.value}s": {"kept": one.kept, "waiting": one.waiting, "deleted": one.deleted}
            for kind, one in report.counts.items()
        },
        "run": {"seconds": round(report.seconds, 3)},
    }
    if decisions is not None:
        document["decisions"] = (_decision(one) for one in sorted(decisions, key=_order))
    return encode(document)


def _seconds(rules: "Rules") -> dict[str, int]:
    return {
        "grace": rules.grace // 1_000_000,
        "untagged": rules.untagged // 1_000_000,
        "uploads": rules.uploads // 1_000_000,
    }


def _decision(one: "Decision") -> dict[str, object]:
    return {
        "kind": one.kind.value,
        "repository": one.repository,
        "name": one.name,
        "fate": one.fate.value,
        "reason": one.reason,
        "size": one.size,
    }


def _order(one: "Decision") -> tuple[str, str, str]:
    return (one.repository or "", one.kind.value, one.name)


def _text(path: Path, report: "GarbageReport", decisions: "Sequence[Decision] | None") -> Iterator[str]:
    from regsync.report.escape import message, visible
    from regsync.report.units import human_bytes
    from regsync.store.gc_report import Kind

    names = {
        Kind.MANIFEST: "manifests",
        Kind.LINK: "blobs of repositories",
        Kind.BLOB: "blobs, bytes",
        Kind.UPLOAD: "uploads",
        Kind.PART: "files of dead processes",
    }
    yield f"{visible(str(path))}{'  (dry run: nothing was changed)' if report.is_dry_run else ''}\n"
    for one in sorted(decisions or (), key=_order):
        where = f"{visible(one.repository)} " if one.repository is not None else ""
        yield f"  {one.fate.value:8} {one.kind.value:8} {where}{visible(one.name)}: {message(one.reason)}\n"
    would = "would be deleted" if report.is_dry_run else "deleted"
    yield f"  {'':24}{would:>17}{'waiting':>10}{'kept':>10}\n"
    for kind, name in names.items():
        count = report.counts[kind]
        yield f"  {name:24}{count.deleted:17}{count.waiting:10}{count.kept:10}\n"
    yield f"  {human_bytes(report.freed)} {'would be ' if report.is_dry_run else ''}freed\n"
