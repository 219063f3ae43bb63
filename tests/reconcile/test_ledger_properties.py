"""Over any sequence of operations the ledger on disk and the one in memory say the same."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from regsync.oci.digest import SHA512, Digest
from regsync.oci.platform import Platform
from regsync.oci.reference import Tag
from regsync.plan.absence import Absence
from regsync.reconcile.ledger import Deletion, LedgerError, OpenUpload, PassedVerdict, Spot
from regsync.reconcile.ledger_file import Durability, LedgerFile
from regsync.reconcile.ledger_memory import MemoryLedger
from regsync.reconcile.ledger_sqlite import SqliteLedger
from tests.support.clock import START, FrozenClock

T = TypeVar("T")

SPOTS = (Spot("https://a.example:443", "app"), Spot("/srv/store", "app"))
DIGESTS = (Digest.of(b"1"), Digest.of(b"2"), Digest.of(b"3", SHA512))
PLATFORMS = (Platform.parse("linux/amd64"), Platform.parse("linux/arm64"))
SINCE = START - timedelta(minutes=3)


@dataclass(frozen=True)
class Call:
    """One call of a ledger's method."""

    method: str
    arguments: tuple[object, ...]


@dataclass(frozen=True)
class Flush:
    """Facts go to the disk."""


@dataclass(frozen=True)
class FlushOntoFullDisk:
    """Facts stay where they are."""


@dataclass(frozen=True)
class Reopen:
    """The process ends, another begins."""


Step = Call | Flush | FlushOntoFullDisk | Reopen


class FillingFile(LedgerFile):
    """A file on a disk that can be full."""

    full = False

    def write(self, work: Callable[[sqlite3.Connection], T], durability: Durability) -> T:
        if self.full:
            raise LedgerError(self.path, "cannot be written: database or disk is full")
        return super().write(work, durability)


spots, digests = st.sampled_from(SPOTS), st.sampled_from(DIGESTS)
tags = st.sampled_from((Tag("latest"), Tag("v1")))
whens = st.integers(-5, 5).map(lambda minutes: START + timedelta(minutes=minutes))
platforms = st.lists(st.sampled_from(PLATFORMS), min_size=1, max_size=2).map(tuple)
verdicts = st.builds(PassedVerdict, whens, st.tuples(st.text('aé"', max_size=3)))
uploads = st.builds(OpenUpload, st.just("https://a.example/upload"), st.integers(0, 2**40), whens)

absences = st.builds(Absence, whens, whens, st.integers(1, 9))
RUNS = ("run-1", "run-2")
deletions = st.builds(Deletion, st.sampled_from(RUNS), spots, tags, digests, st.just(START))


def calls(method: str, *arguments: st.SearchStrategy[object]) -> st.SearchStrategy[Call]:
    return st.tuples(*arguments).map(lambda values: Call(method, values))


operations = st.one_of(
    calls("saw", spots, digests, whens),
    calls("compared", spots, digests, whens),
    calls("wrote", spots, tags, digests, whens),
    calls("wrote", spots, tags, digests, whens, spots),
    calls("absent", spots, tags, st.none() | absences),
    calls("begin_deletions", st.lists(deletions, max_size=3)),
    calls("deleted", deletions, whens),
    calls("not_deleted", deletions),
    calls("remember_graph", digests, platforms, st.tuples(digests)),
    calls("remember_verdict", digests, verdicts),
    calls("knows_blob", spots, digests, st.integers(0, 2**40), whens),
    calls("forget_blobs", spots),
    calls("keep_upload", spots, digests, uploads),
    calls("drop_upload", spots, digests),
    st.just(Flush()),
    st.just(FlushOntoFullDisk()),
    st.just(Reopen()),
)


def everything(ledger: MemoryLedger | SqliteLedger) -> list[object]:
    """All that a ledger can be asked."""
    return [
        *(dict(ledger.sightings(spot)) for spot in SPOTS),
        *(dict(ledger.ours(spot)) for spot in SPOTS),
        *(dict(ledger.origins(spot)) for spot in SPOTS),
        *(dict(ledger.absences(spot)) for spot in SPOTS),
        *(list(ledger.open_deletions(spot)) for spot in SPOTS),
        *(list(ledger.deletions(run)) for run in RUNS),
        list(ledger.spots_of_ours()),
        *(ledger.known_blobs(spot, SINCE) for spot in SPOTS),
        *(ledger.open_upload(spot, digest) for spot in SPOTS for digest in DIGESTS),
        *(ledger.known_graph(digest, (p,)) for digest in DIGESTS for p in PLATFORMS),
        *(ledger.passed_verdict(digest, START) for digest in DIGESTS),
        *(ledger.known_graph(digest, PLATFORMS) for digest in DIGESTS),
    ]


async def carry_out(steps: Sequence[Step], path: Path) -> None:
    model, clock = MemoryLedger(), FrozenClock()
    file = FillingFile.open(path)
    ledger = SqliteLedger(file, clock)
    try:
        for step in steps:
            match step:
                case Call("keep_upload", arguments):
                    await model.keep_upload(*arguments)  # type: ignore[arg-type]
                    await ledger.keep_upload(*arguments)  # type: ignore[arg-type]
                case Call("begin_deletions", arguments):
                    await model.begin_deletions(*arguments)  # type: ignore[arg-type]
                    await ledger.begin_deletions(*arguments)  # type: ignore[arg-type]
                case Call(method, arguments):
                    getattr(model, method)(*arguments)
                    getattr(ledger, method)(*arguments)
                case Flush():
                    await ledger.flush()
                case FlushOntoFullDisk():
                    file.full = True
                    with suppress(LedgerError):
                        await ledger.flush()
                    file.full = False
                case Reopen():
                    ledger.close()
                    file = FillingFile.open(path)
                    ledger = SqliteLedger(file, clock)
            assert everything(ledger) == everything(model)
    finally:
        ledger.close()


@settings(max_examples=60, deadline=None)
@given(st.lists(operations, max_size=25))
def test_the_disk_and_the_model_agree(steps: Sequence[Step]) -> None:
    with TemporaryDirectory() as directory:
        anyio.run(carry_out, steps, Path(directory) / "ledger.db")
