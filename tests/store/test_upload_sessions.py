"""Uploads that come in several requests: what came is kept, nothing is lost or taken for another."""

import fcntl
import hashlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import pytest

from regsync.content.durable import StorageFullError
from regsync.content.errors import ContentNotFoundError, DigestMismatchError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import SHA512, Digest
from regsync.oci.media_type import OCTET_STREAM
from regsync.oci.reference import RepositoryName
from regsync.store.builtin import BuiltinStore
from regsync.store.errors import StoreBusyError
from regsync.store.sessions import HOP_SIZE, OutOfOrderError, UploadBusyError, UploadUnknownError
from tests.support.images import noise

pytestmark = pytest.mark.anyio

APP, OTHER = RepositoryName("team/app"), RepositoryName("team/other")


class CutError(Exception):
    """The client is gone."""


async def given(*chunks: bytes, cut: bool = False) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
    if cut:
        raise CutError


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[BuiltinStore]:
    async with BuiltinStore.open(tmp_path / "store") as opened:
        yield opened


async def read(store: BuiltinStore, digest: Digest, size: int) -> bytes:
    async with store.repository(APP).fetch(Descriptor(OCTET_STREAM, digest, size)) as chunks:
        return b"".join([chunk async for chunk in chunks])


@pytest.mark.parametrize("algorithm", ["sha256", SHA512])
@pytest.mark.parametrize("sizes", [(), (0,), (7,), (1000, 1), (HOP_SIZE, HOP_SIZE + 3, 5)], ids=str)
async def test_chunks_become_the_blob_that_their_digest_names(
    store: BuiltinStore, algorithm: str, sizes: tuple[int, ...]
) -> None:
    parts = [noise(f"{number}", size) for number, size in enumerate(sizes)]
    whole = b"".join(parts)
    session = await store.sessions.start(APP)
    for part in parts:
        await store.sessions.append(APP, session, given(part), at=None)
    digest = Digest.of(whole, algorithm)
    desc = await store.repository(APP).finish_upload(session, digest)
    assert (desc.digest, desc.size) == (digest, len(whole))
    assert await read(store, digest, len(whole)) == whole
    with pytest.raises(UploadUnknownError):
        await store.sessions.size(APP, session)


async def test_what_came_before_a_cut_is_kept_and_the_upload_goes_on_from_there(store: BuiltinStore) -> None:
    whole = noise("blob", 9000)
    session = await store.sessions.start(APP)
    with pytest.raises(CutError):
        await store.sessions.append(APP, session, given(whole[:5000], cut=True), at=0)
    assert await store.sessions.size(APP, session) == 5000
    assert await store.sessions.append(APP, session, given(whole[5000:]), at=5000) == 9000
    await store.repository(APP).finish_upload(session, Digest.of(whole))
    assert await read(store, Digest.of(whole), 9000) == whole


async def test_a_session_goes_on_in_another_process(store: BuiltinStore, tmp_path: Path) -> None:
    whole = noise("blob", 3 * HOP_SIZE + 11)
    session = await store.sessions.start(APP)
    await store.sessions.append(APP, session, given(whole[:HOP_SIZE]), at=0)
    async with BuiltinStore.open(tmp_path / "store") as other:  # as another process would
        await other.sessions.append(APP, session, given(whole[HOP_SIZE : 2 * HOP_SIZE]), at=HOP_SIZE)
    await store.sessions.append(APP, session, given(whole[2 * HOP_SIZE :]), at=2 * HOP_SIZE)
    await store.repository(APP).finish_upload(session, Digest.of(whole))
    assert await read(store, Digest.of(whole), len(whole)) == whole


@pytest.mark.parametrize("at", [0, 4, 6, 2**62])
async def test_a_chunk_out_of_order_changes_nothing(store: BuiltinStore, at: int) -> None:
    session = await store.sessions.start(APP)
    await store.sessions.append(APP, session, given(b"12345"), at=0)
    with pytest.raises(OutOfOrderError) as refused:
        await store.sessions.append(APP, session, given(b"678"), at=at)
    assert refused.value.offset == 5
    assert await store.sessions.size(APP, session) == 5


async def test_two_requests_do_not_write_to_one_upload_at_once(store: BuiltinStore) -> None:
    session = await store.sessions.start(APP)

    async def interfering() -> AsyncIterator[bytes]:
        yield b"first"
        with pytest.raises(UploadBusyError):
            await store.sessions.append(APP, session, given(b"second"), at=None)
        with pytest.raises(UploadBusyError):
            await store.sessions.cancel(APP, session)

    assert await store.sessions.append(APP, session, interfering(), at=0) == 5


async def test_a_wrong_digest_ends_the_upload_and_leaves_no_blob(store: BuiltinStore, tmp_path: Path) -> None:
    session = await store.sessions.start(APP)
    await store.sessions.append(APP, session, given(b"good"), at=0)
    claimed = Digest.of(b"evil")
    with pytest.raises(DigestMismatchError):
        await store.repository(APP).finish_upload(session, claimed)
    assert await store.repository(APP).blob(claimed) is None
    assert [path for path in (tmp_path / "store/uploads").rglob("*") if path.is_file()] == []


async def test_a_blob_that_is_there_already_is_still_checked(store: BuiltinStore) -> None:
    held = Digest.of(b"held")
    await store.repository(OTHER).push(Descriptor(OCTET_STREAM, held, 4), given(b"held"))
    session = await store.sessions.start(APP)
    await store.sessions.append(APP, session, given(b"none"), at=0)
    with pytest.raises(DigestMismatchError):
        await store.repository(APP).finish_upload(session, held)
    with pytest.raises(ContentNotFoundError):
        await read(store, held, 4)


@pytest.mark.parametrize(
    "session", ["", "..", "../" * 9 + "etc/passwd", "A" * 32, "f" * 31, "f" * 32, "f/" * 16]
)
async def test_a_name_that_no_upload_has_reaches_no_file(store: BuiltinStore, session: str) -> None:
    with pytest.raises(UploadUnknownError):
        await store.sessions.size(APP, session)
    with pytest.raises(UploadUnknownError):
        await store.sessions.append(APP, session, given(b"x"), at=None)


async def test_an_upload_belongs_to_its_repository(store: BuiltinStore) -> None:
    session = await store.sessions.start(APP)
    with pytest.raises(UploadUnknownError):
        await store.sessions.append(OTHER, session, given(b"x"), at=None)


async def test_a_full_disk_ends_the_upload_and_gives_its_space_back(small_disk: Path) -> None:
    async with BuiltinStore.open(small_disk / "store") as store:
        session = await store.sessions.start(APP)
        with pytest.raises(StorageFullError):
            await store.sessions.append(APP, session, given(*[bytes(HOP_SIZE)] * 5), at=0)
        with pytest.raises(UploadUnknownError):
            await store.sessions.size(APP, session)
        small = await store.sessions.start(APP)
        await store.sessions.append(APP, small, given(b"fits"), at=0)
        await store.repository(APP).finish_upload(small, Digest.of(b"fits"))


async def test_nobody_can_guess_an_upload(store: BuiltinStore) -> None:
    names = {await store.sessions.start(APP) for _ in range(50)}
    assert len(names) == 50
    assert all(len(name) == 32 and int(name, 16) >= 0 for name in names)
    assert not any(name in hashlib.sha256(APP.encode()).hexdigest() for name in names)


async def test_a_process_that_is_late_with_a_chunk_does_not_write_it_into_the_blob(
    store: BuiltinStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has opened the upload, and does not hold its lock yet, when another one finishes it."""
    whole, flock = noise("blob", 5000), fcntl.flock
    session = await store.sessions.start(APP)
    await store.sessions.append(APP, session, given(whole), at=0)

    async def finish() -> None:
        async with BuiltinStore.open(tmp_path / "store") as other:
            await other.repository(APP).finish_upload(session, Digest.of(whole))

    def held_up(fd: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        with ThreadPoolExecutor(1) as threads:
            threads.submit(anyio.run, finish).result()
        flock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", held_up)
    with pytest.raises(UploadUnknownError):
        await store.sessions.append(APP, session, given(b"late"), at=None)
    assert await read(store, Digest.of(whole), 5000) == whole


@pytest.mark.parametrize("step", ["_take", "_link"])
@pytest.mark.parametrize("had", [None, 0, 700])
async def test_an_upload_that_a_busy_store_could_not_end_can_be_ended_again(
    store: BuiltinStore, monkeypatch: pytest.MonkeyPatch, step: str, had: int | None
) -> None:
    """With the same request, which sends the same bytes as the first time."""
    whole, app = noise("blob", 2 * HOP_SIZE + 5), store.repository(APP)
    session = await store.sessions.start(APP)
    await store.sessions.append(APP, session, given(whole), at=0)

    async def busy(*_: object) -> None:
        raise StoreBusyError("store", "database is locked")

    with monkeypatch.context() as held:
        held.setattr(app, step, busy)
        with pytest.raises(StoreBusyError):
            await app.finish_upload(session, Digest.of(whole), had=had)
    left = len(whole) if had is None else had
    assert await store.sessions.size(APP, session) == left
    await store.sessions.append(APP, session, given(whole[left:]), at=left)
    await app.finish_upload(session, Digest.of(whole), had=had)
    assert await read(store, Digest.of(whole), len(whole)) == whole
    with pytest.raises(UploadUnknownError):
        await store.sessions.size(APP, session)
