"""What every ledger remembers, whatever it is made of."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from regsync.oci.digest import SHA512, Digest
from regsync.oci.platform import Platform
from regsync.oci.reference import Tag
from regsync.plan.absence import Absence
from regsync.reconcile.lease import LeaseRow
from regsync.reconcile.lease_owner import Owner
from regsync.reconcile.ledger import Deletion, OpenUpload, PassedVerdict, Sighting, Spot
from regsync.reconcile.ledger_file import LedgerFile
from regsync.reconcile.ledger_journal import Journal
from regsync.reconcile.ledger_memory import MemoryLedger
from regsync.reconcile.ledger_sqlite import SqliteLedger, open_ledger
from tests.support.clock import START, FrozenClock

AnyLedger = MemoryLedger | SqliteLedger

SPOT = Spot("https://registry.example:443", "team/app")
OTHER = Spot("https://registry.example:443", "team/other")
ONE, TWO = Digest.of(b"one"), Digest.of(b"two")
LATEST = Tag("latest")
AMD, ARM = Platform.parse("linux/amd64"), Platform.parse("linux/arm64")
MINUTE = timedelta(minutes=1)
OLD = Tag("v1")
DELETION = Deletion("run-1", SPOT, OLD, ONE, START)
UPLOAD = OpenUpload("https://registry.example/v2/team/app/blobs/uploads/1?_state=s3cr3t", 1024, START)


@pytest.fixture(
    params=["memory", "sqlite", "sqlite, flushed after every fact", "network file system, flushed"],
)
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyLedger]:
    opened: AbstractContextManager[AnyLedger]
    if request.param == "memory":
        opened = nullcontext(MemoryLedger())
    elif "network" in request.param:
        file = LedgerFile.open(tmp_path / "ledger.db", journal=Journal.ROLLBACK)
        opened = SqliteLedger(file, FrozenClock())
    else:
        opened = open_ledger(tmp_path / "ledger.db", FrozenClock())
    with opened as ledger:
        yield ledger


@pytest.fixture
def settles(request: pytest.FixtureRequest) -> bool:
    """Whether facts go to the disk one by one, so that the tables do the merging."""
    return "flushed" in request.node.callspec.params["ledger"]


class Steps:
    """Brings a ledger's facts to disk after each step, where the test's variant asks for that."""

    def __init__(self, ledger: AnyLedger, *, settles: bool) -> None:
        self._ledger, self._settles = ledger, settles

    async def done(self) -> None:
        if self._settles:
            await self._ledger.flush()


@pytest.fixture
def step(ledger: AnyLedger, settles: bool) -> Steps:
    return Steps(ledger, settles=settles)


@pytest.mark.anyio
async def test_a_new_ledger_knows_nothing(ledger: AnyLedger) -> None:
    assert dict(ledger.sightings(SPOT)) == {}
    assert dict(ledger.ours(SPOT)) == {}
    assert ledger.known_blobs(SPOT, START) == {}
    assert ledger.known_graph(ONE, (AMD,)) is None
    assert ledger.open_upload(SPOT, ONE) is None
    assert ledger.read_lease() is None
    await ledger.flush()


@pytest.mark.anyio
async def test_the_earliest_sight_counts(ledger: AnyLedger, step: Steps) -> None:
    for when in (START, START + MINUTE, START - MINUTE):
        ledger.saw(SPOT, ONE, when)
        await step.done()
    assert dict(ledger.sightings(SPOT)) == {ONE: Sighting(START - MINUTE, None)}


@pytest.mark.anyio
async def test_the_last_comparison_counts_even_when_a_clock_was_set_back(
    ledger: AnyLedger, step: Steps
) -> None:
    ledger.saw(SPOT, ONE, START - MINUTE)
    for when in (START + MINUTE, START):
        ledger.compared(SPOT, ONE, when)
        await step.done()
    ledger.saw(SPOT, ONE, START + MINUTE)
    await step.done()
    assert ledger.sightings(SPOT)[ONE] == Sighting(START - MINUTE, START)


@pytest.mark.anyio
async def test_a_comparison_is_a_sight(ledger: AnyLedger, step: Steps) -> None:
    ledger.compared(SPOT, ONE, START)
    await step.done()
    assert ledger.sightings(SPOT)[ONE] == Sighting(START, START)


@pytest.mark.anyio
async def test_times_are_kept_to_the_microsecond_and_in_utc(ledger: AnyLedger, step: Steps) -> None:
    when = START + timedelta(microseconds=1)
    ledger.saw(SPOT, ONE, when)
    await step.done()
    seen = ledger.sightings(SPOT)[ONE].first_seen
    assert (seen, seen.utcoffset()) == (when, timedelta(0))


@pytest.mark.anyio
async def test_spots_do_not_mix(ledger: AnyLedger, step: Steps) -> None:
    ledger.saw(SPOT, ONE, START)
    ledger.wrote(SPOT, LATEST, ONE, START)
    ledger.knows_blob(SPOT, ONE, 1, START)
    await ledger.keep_upload(SPOT, ONE, UPLOAD)
    await step.done()
    assert ONE not in ledger.sightings(OTHER)
    assert LATEST not in ledger.ours(OTHER)
    assert ledger.known_blobs(OTHER, START - MINUTE) == {}
    assert ledger.open_upload(OTHER, ONE) is None


@pytest.mark.anyio
async def test_sha512_comes_back_as_itself(ledger: AnyLedger, step: Steps) -> None:
    digest = Digest.of(b"one", SHA512)
    ledger.saw(SPOT, digest, START)
    ledger.wrote(SPOT, LATEST, digest, START)
    await step.done()
    assert list(ledger.sightings(SPOT)) == [digest]
    assert ledger.ours(SPOT)[LATEST] == digest


@pytest.mark.anyio
async def test_a_tag_is_ours_with_the_digest_written_last(ledger: AnyLedger, step: Steps) -> None:
    for digest in (ONE, TWO):
        ledger.wrote(SPOT, LATEST, digest, START)
        await step.done()
    assert dict(ledger.ours(SPOT)) == {LATEST: TWO}


@pytest.mark.anyio
async def test_where_a_tag_came_from_is_remembered_with_it(ledger: AnyLedger, step: Steps) -> None:
    ledger.wrote(SPOT, LATEST, ONE, START, OTHER)
    ledger.wrote(SPOT, OLD, ONE, START)
    await step.done()
    assert dict(ledger.origins(SPOT)) == {LATEST: OTHER}
    ledger.wrote(SPOT, LATEST, TWO, START)
    await step.done()
    assert dict(ledger.origins(SPOT)) == {}


@pytest.mark.anyio
async def test_the_places_of_our_tags_are_known(ledger: AnyLedger, step: Steps) -> None:
    assert list(ledger.spots_of_ours()) == []
    ledger.wrote(OTHER, LATEST, ONE, START, SPOT)
    ledger.wrote(SPOT, OLD, ONE, START)
    await step.done()
    assert list(ledger.spots_of_ours()) == [SPOT, OTHER]
    ledger.deleted(DELETION, START)
    await step.done()
    assert list(ledger.spots_of_ours()) == [OTHER]


@pytest.mark.anyio
async def test_an_absence_is_remembered_until_something_keeps_the_tag_again(
    ledger: AnyLedger, step: Steps
) -> None:
    first = Absence.seen(START, None)
    for absence in (first, second := Absence.seen(START + MINUTE, first)):
        ledger.absent(SPOT, OLD, absence)
        await step.done()
    assert dict(ledger.absences(SPOT)) == {OLD: second} == {OLD: Absence(START, START + MINUTE, 2)}
    assert dict(ledger.absences(OTHER)) == {}
    ledger.absent(SPOT, OLD, None)
    await step.done()
    assert dict(ledger.absences(SPOT)) == {}


@pytest.mark.anyio
async def test_a_deletion_is_open_until_it_is_known_to_have_happened(ledger: AnyLedger, step: Steps) -> None:
    ledger.wrote(SPOT, OLD, ONE, START, OTHER)
    ledger.absent(SPOT, OLD, Absence.seen(START, None))
    await ledger.begin_deletions([DELETION])
    assert list(ledger.open_deletions(SPOT)) == [DELETION] == list(ledger.deletions("run-1"))
    assert dict(ledger.ours(SPOT)) == {OLD: ONE}
    ledger.deleted(DELETION, START + MINUTE)
    await step.done()
    assert list(ledger.open_deletions(SPOT)) == []
    assert list(ledger.deletions("run-1")) == [replace(DELETION, done=START + MINUTE)]
    assert dict(ledger.ours(SPOT)) == {} == dict(ledger.absences(SPOT))


@pytest.mark.anyio
async def test_a_deletion_that_did_not_happen_is_forgotten_and_the_tag_stays_ours(
    ledger: AnyLedger, step: Steps
) -> None:
    ledger.wrote(SPOT, OLD, ONE, START)
    await ledger.begin_deletions([DELETION, replace(DELETION, spot=OTHER)])
    ledger.not_deleted(DELETION)
    await step.done()
    assert list(ledger.open_deletions(SPOT)) == []
    assert [one.spot for one in ledger.deletions("run-1")] == [OTHER]
    assert dict(ledger.ours(SPOT)) == {OLD: ONE}


@pytest.mark.anyio
async def test_where_a_deleted_tag_had_come_from_is_remembered(ledger: AnyLedger, step: Steps) -> None:
    origin = Spot("https://source.example", "app")
    known = replace(DELETION, origin=origin)
    await ledger.begin_deletions([known, replace(DELETION, tag=LATEST)])
    await step.done()
    assert [one.origin for one in ledger.open_deletions(SPOT)] == [None, origin]
    ledger.deleted(known, START + MINUTE)
    await step.done()
    assert [one.origin for one in ledger.deletions("run-1")] == [None, origin]


@pytest.mark.anyio
async def test_a_tag_that_is_written_again_after_its_deletion_is_ours(ledger: AnyLedger, step: Steps) -> None:
    ledger.wrote(SPOT, OLD, ONE, START)
    ledger.deleted(DELETION, START)
    await step.done()
    ledger.wrote(SPOT, OLD, TWO, START)
    await step.done()
    assert dict(ledger.ours(SPOT)) == {OLD: TWO}
    assert [one.digest for one in ledger.deletions("run-1")] == [ONE]


@pytest.mark.anyio
async def test_there_is_history_once_a_run_or_a_tag_was_remembered(ledger: AnyLedger, step: Steps) -> None:
    assert not ledger.has_history
    ledger.saw(SPOT, ONE, START)
    await step.done()
    assert not ledger.has_history
    ledger.record_run("run-1", "sync", START, START, "{}")
    await step.done()
    assert ledger.has_history


@pytest.mark.anyio
async def test_tags_differ_by_case(ledger: AnyLedger, step: Steps) -> None:
    ledger.wrote(SPOT, Tag("V1"), ONE, START)
    ledger.wrote(SPOT, Tag("v1"), TWO, START)
    await step.done()
    assert dict(ledger.ours(SPOT)) == {Tag("V1"): ONE, Tag("v1"): TWO}


@pytest.mark.anyio
async def test_what_an_index_became_does_not_depend_on_the_order_of_platforms(
    ledger: AnyLedger, step: Steps
) -> None:
    ledger.remember_graph(ONE, (AMD, ARM), (TWO, ONE))
    await step.done()
    assert ledger.known_graph(ONE, (ARM, AMD)) == (TWO, ONE)
    assert ledger.known_graph(ONE, (ARM,)) is None


@pytest.mark.anyio
async def test_that_an_image_fits_no_platform_is_remembered_and_not_unknown(
    ledger: AnyLedger, step: Steps
) -> None:
    ledger.remember_graph(ONE, (AMD,), ())
    await step.done()
    assert ledger.known_graph(ONE, (AMD,)) == ()


@pytest.mark.anyio
async def test_a_pass_is_remembered_until_it_expires(ledger: AnyLedger, step: Steps) -> None:
    passed = PassedVerdict(START + MINUTE, ("ops-key", 'a "quoted" name'))
    ledger.remember_verdict(ONE, PassedVerdict(START - MINUTE, ()))
    ledger.remember_verdict(ONE, passed)
    await step.done()
    assert ledger.passed_verdict(ONE, START) == passed
    assert ledger.passed_verdict(ONE, START + MINUTE) is None
    assert ledger.passed_verdict(TWO, START) is None


@pytest.mark.anyio
async def test_blobs_are_known_since_a_moment(ledger: AnyLedger, step: Steps) -> None:
    ledger.knows_blob(SPOT, ONE, 1, START - MINUTE)
    ledger.knows_blob(SPOT, TWO, 2, START)
    await step.done()
    assert ledger.known_blobs(SPOT, START - MINUTE) == {TWO: 2}
    assert ledger.known_blobs(SPOT, START - 2 * MINUTE) == {ONE: 1, TWO: 2}


@pytest.mark.anyio
async def test_forgotten_blobs_stay_forgotten_until_seen_again(ledger: AnyLedger, step: Steps) -> None:
    ledger.knows_blob(SPOT, ONE, 1, START)
    ledger.knows_blob(OTHER, ONE, 1, START)
    await step.done()
    ledger.forget_blobs(SPOT)
    assert ledger.known_blobs(SPOT, START - MINUTE) == {}
    await step.done()
    assert ledger.known_blobs(SPOT, START - MINUTE) == {}
    assert ledger.known_blobs(OTHER, START - MINUTE) == {ONE: 1}
    ledger.knows_blob(SPOT, TWO, 2, START)
    await step.done()
    assert ledger.known_blobs(SPOT, START - MINUTE) == {TWO: 2}


@pytest.mark.anyio
async def test_an_upload_is_kept_moved_on_and_dropped(ledger: AnyLedger, step: Steps) -> None:
    further = replace(UPLOAD, offset=2048)
    await ledger.keep_upload(SPOT, ONE, UPLOAD)
    await ledger.keep_upload(SPOT, ONE, further)
    assert ledger.open_upload(SPOT, ONE) == further
    ledger.drop_upload(SPOT, ONE)
    assert ledger.open_upload(SPOT, ONE) is None
    await step.done()
    assert ledger.open_upload(SPOT, ONE) is None
    await ledger.keep_upload(SPOT, ONE, UPLOAD)
    assert ledger.open_upload(SPOT, ONE) == UPLOAD


def test_the_address_of_an_upload_stays_out_of_messages() -> None:
    assert "s3cr3t" not in repr(UPLOAD)


@pytest.mark.anyio
async def test_a_lease_changes_hands_only_by_swapping_what_is_there(ledger: AnyLedger) -> None:
    first = LeaseRow(1, Owner.current("a", "sync"), START, START + MINUTE)
    renewed = replace(first, expires=START + 2 * MINUTE)
    second = LeaseRow(2, Owner.current("b", "sync"), START, START + MINUTE)
    assert ledger.swap_lease(None, first)
    assert not ledger.swap_lease(None, second)
    assert ledger.swap_lease(first, renewed)
    assert not ledger.swap_lease(first, second)
    assert ledger.swap_lease(renewed, second)
    assert ledger.read_lease() == second
