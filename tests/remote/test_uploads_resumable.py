"""Uploads of long blobs that a later process goes on with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import pytest

from regsync.content import transfers
from regsync.content.destination import Destination
from regsync.content.errors import (
    ContentNotFoundError,
    DigestMismatchError,
    InterruptedStreamError,
    SizeMismatchError,
)
from regsync.errors import RegsyncError, TemporaryError
from regsync.oci.descriptor import Descriptor
from regsync.remote import pieces, resumable
from regsync.remote.errors import UnexpectedAnswerError
from regsync.remote.providers.detection import load
from regsync.remote.providers.provider import Known, Provider
from regsync.remote.resumable import SavedUpload
from regsync.remote.running_check import RunningCheck
from regsync.remote.upload import UploadLostError
from tests.content.places import Repository
from tests.remote.repositories import blob, methods, opened, read, stream
from tests.support import fake_registry as fake
from tests.support.fake_registry import FakeRegistry
from tests.support.images import noise

pytestmark = pytest.mark.anyio

DATA = noise("resumable", 5_000_000)
DESC = blob(DATA)
UPLOADS = r"/v2/team/app/blobs/uploads/.*"
PIECE = 2_000_000  # bytes
PLAIN = Provider("plain", single_post=Known.NO)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumable, "RESUMABLE_FROM", 1_000_000)
    monkeypatch.setattr(pieces, "PIECE", PIECE)


class Memory:
    """What the ledger would hold."""

    def __init__(self) -> None:
        self.saved: dict[Descriptor, SavedUpload] = {}
        self.puts: list[int] = []

    def get(self, desc: Descriptor) -> SavedUpload | None:
        return self.saved.get(desc)

    async def put(self, desc: Descriptor, saved: SavedUpload) -> None:
        self.saved[desc] = saved
        self.puts.append(saved.offset)

    def drop(self, desc: Descriptor) -> None:
        self.saved.pop(desc, None)


class Killed(Exception):  # noqa: N818 - it is no error
    """What a test throws in the place of kill -9: nothing in the package catches it."""


class Reading:
    """A source that is read from offsets, and can break off once or each time."""

    def __init__(self, data: bytes = DATA, *, breaks_at: list[int] | None = None) -> None:
        self.data, self.breaks_at = data, breaks_at or []
        self.offsets: list[int] = []
        self.error: BaseException = InterruptedStreamError(DESC, 0, where="source")

    @asynccontextmanager
    async def at(self, offset: int) -> AsyncIterator[AsyncIterator[bytes]]:
        self.offsets.append(offset)
        yield self._chunks(offset)

    async def _chunks(self, offset: int) -> AsyncIterator[bytes]:
        end = self.breaks_at.pop(0) if self.breaks_at else len(self.data)
        async for chunk in stream(self.data[offset:end]):
            yield chunk
        if end < len(self.data):
            raise self.error


class Lying(Repository):
    """Gives other bytes under the blob's name than its own."""

    def __init__(self, name: str, given: bytes) -> None:
        super().__init__(name)
        self._given = given

    @asynccontextmanager
    async def fetch_from(self, desc: Descriptor, offset: int) -> AsyncIterator[AsyncIterator[bytes]]:
        yield stream(self._given[offset:])


def held(registry: FakeRegistry) -> bool:
    return registry.repositories["team/app"].blobs.get(str(DESC.digest)) == DATA


async def test_a_long_blob_goes_in_pieces_and_each_is_remembered(fake_registry: FakeRegistry) -> None:
    memory = Memory()
    async with opened(fake_registry, upload_sessions=memory) as repository:
        await repository.push_resumable(DESC, Reading().at)
    assert held(fake_registry)
    assert methods(fake_registry.requests) == ["POST", "PATCH", "PATCH", "PATCH", "PUT"]
    assert memory.puts == [0, 2_000_000, 4_000_000, 5_000_000]
    assert memory.saved == {}


@pytest.mark.parametrize("why", ["short", "no memory", "no chunks"])
async def test_others_are_sent_in_the_ordinary_way(fake_registry: FakeRegistry, why: str) -> None:
    data = DATA[:900_000] if why == "short" else DATA
    sessions = None if why == "no memory" else Memory()
    provider = load("ghcr") if why == "no chunks" else load("dockerhub")
    async with opened(fake_registry, provider=provider, upload_sessions=sessions) as repository:
        await repository.push_resumable(blob(data), Reading(data).at)
    assert str(blob(data).digest) in fake_registry.repositories["team/app"].blobs
    assert not any("content-range" in one.headers for one in fake_registry.requests)


async def test_a_later_process_goes_on_where_the_registry_is(fake_registry: FakeRegistry) -> None:
    """The first is killed in the middle of its second piece; the registry kept part of that."""
    memory = Memory()

    def cut_second(request: fake.Request, proceed: fake.Proceed) -> fake.Answer:
        second = request.headers["content-range"].startswith("2000000-")
        return fake.cut_upload_after(500_000)(request, proceed) if second else proceed()

    fake_registry.on("PATCH", UPLOADS, cut_second)
    fake_registry.on("(GET|DELETE)", UPLOADS, fake.drop())
    async with opened(fake_registry, upload_sessions=memory) as repository:
        with pytest.raises(TemporaryError):
            await repository.push_resumable(DESC, Reading().at)
    assert [saved.offset for saved in memory.saved.values()] == [2_000_000]

    fake_registry.behave()
    fake_registry.forget()
    reading = Reading()
    async with opened(fake_registry, upload_sessions=memory) as repository:
        await repository.push_resumable(DESC, reading.at)
    assert held(fake_registry)
    assert reading.offsets == [2_500_000]
    assert fake_registry.requests[1].headers["content-range"] == "2500000-4499999"
    assert methods(fake_registry.requests) == ["GET", "PATCH", "PATCH", "PUT", "HEAD"]
    assert memory.saved == {}


async def test_a_session_that_is_gone_by_then_begins_anew(fake_registry: FakeRegistry) -> None:
    memory = Memory()
    memory.saved[DESC] = SavedUpload(f"{fake_registry.url}/v2/team/app/blobs/uploads/gone", 2_000_000)
    reading = Reading()
    async with opened(fake_registry, upload_sessions=memory) as repository:
        await repository.push_resumable(DESC, reading.at)
    assert held(fake_registry)
    assert reading.offsets == [0]


@pytest.mark.parametrize("status", [400, 401, 403, 405, 416])
async def test_a_session_that_is_refused_begins_anew(fake_registry: FakeRegistry, status: int) -> None:
    memory = Memory()
    memory.saved[DESC] = SavedUpload(f"{fake_registry.url}/v2/team/app/blobs/uploads/old", 2_000_000)
    fake_registry.on("GET", UPLOADS, fake.respond(status))
    async with opened(fake_registry, upload_sessions=memory) as repository:
        await repository.push_resumable(DESC, Reading().at)
    assert held(fake_registry)


async def test_a_registry_that_is_down_keeps_its_session_for_later(fake_registry: FakeRegistry) -> None:
    memory = Memory()
    saved = memory.saved[DESC] = SavedUpload(f"{fake_registry.url}/v2/team/app/blobs/uploads/x", 2_000_000)
    fake_registry.on("GET", UPLOADS, fake.respond(503))
    async with opened(fake_registry, upload_sessions=memory) as repository:
        with pytest.raises(TemporaryError):
            await repository.push_resumable(DESC, Reading().at)
    assert memory.saved == {DESC: saved}


async def test_a_cut_piece_goes_on_in_the_same_process_and_all_is_hashed(fake_registry: FakeRegistry) -> None:
    fake_registry.on("PATCH", UPLOADS, fake.cut_upload_after(700_000), times=2)
    reading = Reading()
    async with opened(fake_registry, upload_sessions=Memory()) as repository:
        await repository.push_resumable(DESC, reading.at)
    assert held(fake_registry)
    assert reading.offsets == [0, 700_000, 1_400_000]
    assert fake_registry.count("HEAD") == 0  # hashed as a whole, so nothing more has to be asked


async def test_a_source_that_breaks_off_is_read_on_from_the_registrys_offset(
    fake_registry: FakeRegistry,
) -> None:
    reading = Reading(breaks_at=[3_000_000])
    async with opened(fake_registry, upload_sessions=Memory(), pause=anyio.sleep) as repository:
        await repository.push_resumable(DESC, reading.at)
    assert held(fake_registry)
    assert reading.offsets[0] == 0
    assert min(reading.offsets[1:]) >= 2_000_000


async def test_a_registry_that_wrote_something_twice_makes_it_begin_anew(fake_registry: FakeRegistry) -> None:
    """It had not seen the old connection end when the new one came."""
    memory = Memory()

    def twice(request: fake.Request, proceed: fake.Proceed) -> fake.Answer:
        fake.cut_upload_after(500_000)(request, proceed)
        session = next(iter(fake_registry.repositories["team/app"].uploads.values()))
        session.extend(bytes(2_000_000))
        return fake.Answer(0, cut=0, reset=True)

    fake_registry.on("PATCH", UPLOADS, twice, times=1)
    async with opened(fake_registry, upload_sessions=memory) as repository:
        with pytest.raises(UploadLostError, match="the registry is at byte 2500000"):
            await repository.push_resumable(DESC, Reading().at)
    assert memory.saved == {}
    assert not fake_registry.repositories["team/app"].uploads


async def test_a_source_that_always_breaks_off_ends_it_and_keeps_the_session(
    fake_registry: FakeRegistry,
) -> None:
    memory = Memory()
    async with opened(fake_registry, upload_sessions=memory) as repository:
        with pytest.raises(RegsyncError):
            await repository.push_resumable(DESC, Reading(breaks_at=[2_000_000] * 20).at)
    assert memory.saved[DESC].offset == 2_000_000


async def test_a_source_that_lacks_it_leaves_the_session_to_another(fake_registry: FakeRegistry) -> None:
    @asynccontextmanager
    async def absent(offset: int) -> AsyncIterator[AsyncIterator[bytes]]:
        raise ContentNotFoundError(DESC, where="source")
        yield stream(DATA)

    memory = Memory()
    async with opened(fake_registry, upload_sessions=memory) as repository:
        with pytest.raises(ContentNotFoundError):
            await repository.push_resumable(DESC, absent)
        assert DESC in memory.saved
        await repository.push_resumable(DESC, Reading().at)
    assert held(fake_registry)
    assert fake_registry.count("POST") == 1


async def test_a_wrong_blob_is_never_complete_and_leaves_no_session(fake_registry: FakeRegistry) -> None:
    memory = Memory()
    async with opened(fake_registry, upload_sessions=memory) as repository:
        with pytest.raises(DigestMismatchError):
            await repository.push_resumable(DESC, Reading(DATA[:-1] + b"!").at)
        with pytest.raises(SizeMismatchError):
            await repository.push_resumable(DESC, Reading(DATA + b"!").at)
    assert fake_registry.count("PUT") == 0
    assert memory.saved == {}
    assert not fake_registry.repositories["team/app"].uploads


async def test_a_resumed_blob_that_the_registry_finds_wrong_is_sent_anew(fake_registry: FakeRegistry) -> None:
    """The bytes before the offset were not those: only the registry can see that."""
    memory = Memory()
    async with opened(fake_registry, upload_sessions=memory) as repository:
        wrong = Reading(b"!" + DATA[1:], breaks_at=[2_500_000])
        wrong.error = Killed()
        with pytest.raises(Killed):
            await repository.push_resumable(DESC, wrong.at)
    async with opened(fake_registry, upload_sessions=memory) as repository:
        reading = Reading()
        await repository.push_resumable(DESC, reading.at)
    began_at, anew = reading.offsets
    assert (began_at > 0, anew) == (True, 0)
    assert held(fake_registry)
    assert memory.saved == {}


@pytest.mark.parametrize("chunks", ["taken", "refused"])
@pytest.mark.parametrize(
    ("given", "kind"),
    [
        pytest.param(DATA[:-1] + b"!", DigestMismatchError, id="another last byte"),
        pytest.param(b"!" + DATA[1:], DigestMismatchError, id="another first byte"),
        pytest.param(DATA + b"!", SizeMismatchError, id="more bytes"),
        pytest.param(DATA[:-1], InterruptedStreamError, id="fewer bytes"),
    ],
)
async def test_a_source_that_lies_is_followed_by_the_next(
    fake_registry: FakeRegistry,
    monkeypatch: pytest.MonkeyPatch,
    given: bytes,
    kind: type[RegsyncError],
    chunks: str,
) -> None:
    monkeypatch.setattr(transfers, "RESUMABLE_FROM", 1_000_000)
    if chunks == "refused":
        fake_registry.on("PATCH", UPLOADS, fake.error(405, "UNSUPPORTED"))
    lying, honest = Lying("liar", given), Repository("honest")
    honest.add(DATA)
    async with (
        opened(fake_registry, provider=PLAIN, upload_sessions=Memory()) as repository,
        anyio.create_task_group() as group,
    ):
        copies = transfers.Transfers(group)
        target = Destination(repository, may_have_content=False)
        with pytest.raises(kind, match=r"^liar: "):
            await copies.want(DESC, (lying,), target).arrived()
        await copies.want(DESC, (lying, honest), target).arrived()
        group.cancel_scope.cancel()
    assert held(fake_registry)
    assert lying.calls["fetch"] == 0  # it was read from offsets


async def test_a_resumed_blob_is_asked_for_at_the_end(fake_registry: FakeRegistry) -> None:
    memory = Memory()
    async with opened(fake_registry, upload_sessions=memory) as repository:
        killed = Reading(breaks_at=[2_500_000])
        killed.error = Killed()
        with pytest.raises(Killed):
            await repository.push_resumable(DESC, killed.at)
    fake_registry.on("PUT", UPLOADS, fake.respond(201))
    async with opened(fake_registry, upload_sessions=memory) as repository:
        with pytest.raises(UnexpectedAnswerError, match="does not have it"):
            await repository.push_resumable(DESC, Reading().at)


@pytest.mark.parametrize("status", [400, 405, 411, 415, 416])
async def test_a_registry_that_takes_no_chunks_gets_one_body_and_is_remembered(
    fake_registry: FakeRegistry, status: int
) -> None:
    fake_registry.on("PATCH", UPLOADS, fake.error(status, "UNSUPPORTED"))
    memory = Memory()
    other = noise("another", 3_000_000)
    async with opened(fake_registry, provider=PLAIN, upload_sessions=memory) as repository:
        await repository.push_resumable(DESC, Reading().at)
        assert held(fake_registry)
        fake_registry.forget()
        await repository.push_resumable(blob(other), Reading(other).at)
    assert methods(fake_registry.requests) == ["POST", "PUT"]
    assert memory.saved == {}


async def test_a_registry_that_keeps_only_the_last_chunk_gets_one_body(fake_registry: FakeRegistry) -> None:
    """GHCR behind a name of one's own."""

    def last_wins(request: fake.Request, proceed: fake.Proceed) -> fake.Answer:
        for session in fake_registry.repositories["team/app"].uploads.values():
            session.clear()
        request.headers.pop("content-range", None)
        return proceed().with_headers(range=None)

    fake_registry.on("PATCH", UPLOADS, last_wins)
    memory = Memory()
    async with opened(fake_registry, provider=PLAIN, upload_sessions=memory) as repository:
        await repository.push_resumable(DESC, Reading().at)
    assert held(fake_registry)
    assert memory.saved == {}


async def test_a_lost_answer_to_the_last_put_is_found_to_be_success(fake_registry: FakeRegistry) -> None:
    fake_registry.on("PUT", UPLOADS, fake.drop_after_done(), times=1)
    memory = Memory()
    async with opened(fake_registry, upload_sessions=memory) as repository:
        with pytest.raises(TemporaryError):
            await repository.push_resumable(DESC, Reading().at)
        fake_registry.forget()
        await repository.push_resumable(DESC, Reading().at)
    assert methods(fake_registry.requests) == ["GET", "HEAD"]
    assert memory.saved == {}


async def test_a_last_put_that_failed_is_repeated_without_the_bytes(fake_registry: FakeRegistry) -> None:
    fake_registry.on("PUT", UPLOADS, fake.respond(503), times=1)
    memory = Memory()
    async with opened(fake_registry, upload_sessions=memory) as repository:
        with pytest.raises(TemporaryError):
            await repository.push_resumable(DESC, Reading().at)
        fake_registry.forget()
        await repository.push_resumable(DESC, Reading().at)
    assert held(fake_registry)
    assert methods(fake_registry.requests) == ["GET", "PUT", "HEAD"]


async def test_a_session_that_vanishes_meanwhile_makes_it_begin_anew(fake_registry: FakeRegistry) -> None:
    def gone(request: fake.Request, proceed: fake.Proceed) -> fake.Answer:
        fake_registry.repositories["team/app"].uploads.clear()
        return proceed()

    fake_registry.on("PATCH", UPLOADS, gone)
    memory = Memory()
    async with opened(fake_registry, upload_sessions=memory) as repository:
        with pytest.raises(UploadLostError):
            await repository.push_resumable(DESC, Reading().at)
    assert memory.saved == {}


async def test_a_token_that_ran_out_under_a_piece_is_no_end(fake_registry: FakeRegistry) -> None:
    fake_registry.on("PATCH", UPLOADS, fake.respond(401), times=1)
    async with opened(fake_registry, upload_sessions=Memory()) as repository:
        await repository.push_resumable(DESC, Reading().at)
    assert held(fake_registry)


async def test_a_saved_session_shows_no_location() -> None:
    assert "secret" not in repr(SavedUpload("https://host/upload?_state=secret", 5))


async def test_bytes_that_come_twice_are_hashed_once() -> None:
    check = RunningCheck(DESC, began_at=0, where="here")
    with pytest.raises(InterruptedStreamError):
        await read(check.watched(stream(DATA[:3_000_000]), 0))
    again = [chunk async for chunk in check.watched(stream(DATA[1_000_000:]), 1_000_000)]
    check.finish()
    assert b"".join(again) == DATA[1_000_000:]
    assert check.is_whole


async def test_a_gap_makes_the_hash_worthless_and_says_so() -> None:
    check = RunningCheck(replace(DESC), began_at=2_000_000, where="here")
    assert [chunk async for chunk in check.watched(stream(DATA[2_000_000:]), 2_000_000)]
    check.finish()
    assert not check.is_whole
