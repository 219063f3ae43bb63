"""What every Store does with blobs."""

import contextlib
from collections.abc import AsyncIterator

import anyio
import pytest

from regsync.content.errors import (
    ContentNotFoundError,
    DigestMismatchError,
    InterruptedStreamError,
    SizeMismatchError,
)
from regsync.content.protocol import Mounts, ResumesFetch, Store
from regsync.content.verified import verified
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from tests.contract.places import OCTETS, StallsAfter, blob, put, read, stream
from tests.support.images import image, noise

pytestmark = pytest.mark.anyio

LARGE = noise("a large blob", 3 * 1024 * 1024 + 17)  # more than any store takes in one piece


@pytest.mark.parametrize(
    "data", [b"", b"x", b"a layer" * 1000, LARGE], ids=["no bytes", "one", "some", "several MiB"]
)
async def test_a_blob_comes_back_as_it_was_pushed(store: Store, data: bytes) -> None:
    desc = blob(data)
    assert not await store.exists(desc)
    await store.push(desc, stream(data))
    assert await store.exists(desc)
    assert await read(store, desc) == data


async def test_sha512_names_a_blob_like_sha256(store: Store) -> None:
    desc = blob(b"named by sha512", "sha512")
    await store.push(desc, stream(b"named by sha512"))
    assert await store.exists(desc)
    assert await read(store, desc) == b"named by sha512"


@pytest.mark.parametrize("size", [100, len(LARGE)], ids=["a small one", "several MiB"])
async def test_bytes_that_the_digest_does_not_name_are_never_visible(store: Store, size: int) -> None:
    wanted = Descriptor(OCTETS, Digest.of(b"something else"), size)
    with pytest.raises(DigestMismatchError) as caught:
        await store.push(wanted, stream(noise("other bytes", size)))
    assert str(wanted.digest) in str(caught.value)
    assert store.name in str(caught.value)
    assert not await store.exists(wanted)
    assert not await store.exists(Descriptor(OCTETS, wanted.digest, len(b"something else")))


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        pytest.param(b"a lay", InterruptedStreamError, id="short"),
        pytest.param(b"a layer and more", SizeMismatchError, id="long"),
        pytest.param(b"", InterruptedStreamError, id="nothing"),
    ],
)
async def test_a_body_of_another_length_is_never_visible(
    store: Store, sent: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await store.push(blob(b"a layer"), stream(sent))
    assert not await store.exists(blob(b"a layer"))


async def test_a_stream_checked_for_another_size_is_checked_again(store: Store) -> None:
    true = blob(b"a layer")
    lie = Descriptor(OCTETS, true.digest, true.size + 1)
    with pytest.raises((SizeMismatchError, InterruptedStreamError)):
        await store.push(lie, verified(stream(b"a layer"), true, where="elsewhere"))
    assert not await store.exists(true)


@pytest.mark.parametrize("size", [10, len(LARGE)], ids=["at its start", "after some MiB"])
async def test_a_cancelled_push_leaves_nothing_visible(store: Store, size: int) -> None:
    desc = Descriptor(OCTETS, Digest.of(b"never whole"), size * 2)
    body = StallsAfter(noise("half", size))
    async with anyio.create_task_group() as group:
        group.start_soon(store.push, desc, body)
        await body.stalled.wait()
        group.cancel_scope.cancel()
    assert not await store.exists(desc)
    await store.push(blob(b"next"), stream(b"next"))
    assert await store.exists(blob(b"next"))


async def test_an_error_of_the_source_comes_through_and_leaves_nothing(store: Store) -> None:
    class BrokenSourceError(Exception):
        pass

    async def breaks() -> AsyncIterator[bytes]:
        yield b"a la"
        raise BrokenSourceError

    with pytest.raises(BrokenSourceError):
        await store.push(blob(b"a layer"), breaks())
    assert not await store.exists(blob(b"a layer"))
    await store.push(blob(b"a layer"), stream(b"a layer"))
    assert await read(store, blob(b"a layer")) == b"a layer"


async def test_pushing_what_is_there_is_no_error(store: Store) -> None:
    for _ in range(2):
        await store.push(blob(b"twice"), stream(b"twice"))
    assert await read(store, blob(b"twice")) == b"twice"


async def test_two_pushes_of_one_blob_at_once_both_succeed(store: Store) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(store.push, blob(LARGE), stream(LARGE))
    assert await read(store, blob(LARGE)) == LARGE


async def test_a_blob_that_is_missing_is_not_found(store: Store) -> None:
    await put(store, image("there"), "v1")  # so that the repository is there
    with pytest.raises(ContentNotFoundError) as caught:
        await read(store, blob(b"missing"))
    assert str(blob(b"missing").digest) in str(caught.value)
    assert store.name in str(caught.value)


async def test_nothing_exists_in_a_repository_that_was_never_pushed_to(store: Store) -> None:
    assert not await store.exists(blob(b"missing"))
    with pytest.raises(ContentNotFoundError):
        await read(store, blob(b"missing"))
    with pytest.raises(ContentNotFoundError):
        await store.resolve(Tag("v1"))
    with pytest.raises(ContentNotFoundError):
        await store.manifest(blob(b"missing").digest)


async def test_a_descriptor_that_lies_about_the_size_of_what_is_there_is_not_believed(store: Store) -> None:
    await store.push(blob(b"a layer"), stream(b"a layer"))
    lie = Descriptor(OCTETS, blob(b"a layer").digest, 3)
    with contextlib.suppress(SizeMismatchError):  # a place that knows the true size may say so
        assert not await store.exists(lie)
    with pytest.raises((SizeMismatchError, InterruptedStreamError)):
        await store.push(lie, stream(b"a layer"))
    assert await read(store, blob(b"a layer")) == b"a layer"


@pytest.mark.parametrize("offset", [0, 1, 1024 * 1024, len(LARGE) - 1])
async def test_a_blob_can_be_read_from_an_offset(store: Store, offset: int) -> None:
    assert isinstance(store, ResumesFetch)
    await store.push(blob(LARGE), stream(LARGE))
    async with store.fetch_from(blob(LARGE), offset) as chunks:
        assert b"".join([chunk async for chunk in chunks]) == LARGE[offset:]


async def test_a_reader_may_leave_early(store: Store) -> None:
    await store.push(blob(LARGE), stream(LARGE))
    async with store.fetch(blob(LARGE)) as chunks:
        async for chunk in chunks:
            assert LARGE.startswith(chunk)
            break
    assert await read(store, blob(LARGE)) == LARGE


async def test_a_blob_is_mounted_from_another_repository_of_the_place(store: Store, sibling: Store) -> None:
    assert isinstance(store, Mounts)
    assert store.can_mount_from(sibling)
    await put(sibling, image("mounted"), "v1")
    data = image("mounted").blobs[1]
    if await store.mount(blob(data), sibling):
        assert await store.exists(blob(data))
        assert await read(store, blob(data)) == data
    else:
        assert not await store.exists(blob(data))


async def test_what_the_other_repository_lacks_is_not_mounted(store: Store, sibling: Store) -> None:
    assert isinstance(store, Mounts)
    await put(sibling, image("mounted"), "v1")
    with contextlib.suppress(ContentNotFoundError):
        assert not await store.mount(blob(b"missing"), sibling)
    assert not await store.exists(blob(b"missing"))


async def test_repositories_do_not_see_each_others_blobs(store: Store, sibling: Store) -> None:
    await put(sibling, image("theirs"), "v1")
    assert not await store.exists(blob(image("theirs").blobs[1]))
