"""Repositories of which what manifests lead to may come later: the store knows them for good."""

from pathlib import Path

import pytest

from regsync.clock import SystemClock
from regsync.content.references import Children, MissingReferencesError
from regsync.oci.digest import Digest
from regsync.oci.manifest import parse_manifest
from regsync.oci.reference import RepositoryName, Tag
from regsync.store.builtin import BuiltinStore
from regsync.store.fsck import Check
from regsync.store.rebuild import rebuild
from tests.remote.repositories import blob, read, stream
from tests.support.clock import FrozenClock
from tests.support.images import image, index, sha256

pytestmark = pytest.mark.anyio
NAME = RepositoryName("hub/app")
CHILD = image("app")
MULTI = index(CHILD, image("app", arch="arm64"))
PARSED = parse_manifest(CHILD.data, CHILD.media_type)
PARSED_INDEX = parse_manifest(MULTI.data, MULTI.media_type)


async def test_a_manifest_is_put_before_what_it_leads_to(tmp_path: Path, clock: FrozenClock) -> None:
    async with BuiltinStore.open(tmp_path, clock=clock) as store:
        repository = store.repository(NAME, children=Children.ON_DEMAND)
        await repository.put_manifest(PARSED_INDEX, [Tag("v1")])
        await repository.put_manifest(PARSED, [])
        assert (await repository.manifest(Tag("v1")))[1] == MULTI.data
        assert (await repository.manifest(Digest.parse(CHILD.digest)))[1] == CHILD.data


async def test_who_needs_all_of_an_image_is_refused_one_of_which_parts_are_missing(
    tmp_path: Path, clock: FrozenClock
) -> None:
    async with BuiltinStore.open(tmp_path, clock=clock) as store:
        await store.repository(NAME, children=Children.ON_DEMAND).put_manifest(PARSED, [Tag("v1")])
        whole = store.repository(NAME)
        with pytest.raises(MissingReferencesError):
            await whole.put_manifest(PARSED, [Tag("v2")])  # that it is there says nothing of its blobs
        for data in CHILD.blobs:
            await whole.push(blob(data), stream(data))
        await whole.put_manifest(PARSED, [Tag("v2")])


async def test_a_blob_is_known_by_the_manifests_that_name_it(tmp_path: Path, clock: FrozenClock) -> None:
    async with BuiltinStore.open(tmp_path, clock=clock) as store:
        repository = store.repository(NAME, children=Children.ON_DEMAND)
        await repository.put_manifest(PARSED, [])
        layer = CHILD.blobs[-1]
        found = await repository.named_blob(Digest.of(layer))
        assert found is not None
        assert (found.digest, found.size) == (Digest.of(layer), len(layer))
        assert await repository.blob(Digest.of(layer)) is None
        assert await repository.named_blob(Digest.of(b"another")) is None
        other = store.repository(RepositoryName("hub/other"), children=Children.ON_DEMAND)
        assert await other.named_blob(Digest.of(layer)) is None


async def test_a_blob_is_read_while_it_comes_and_kept_when_it_is_whole(
    tmp_path: Path, clock: FrozenClock
) -> None:
    desc = blob(b"first, second")
    async with BuiltinStore.open(tmp_path, clock=clock) as store:
        repository = store.repository(NAME, children=Children.ON_DEMAND)
        incoming = repository.incoming(desc)
        await incoming.append([b"first, "])
        reading = incoming.reading()
        assert await reading.read(0, 100) == b"first, "
        assert await repository.blob(desc.digest) is None
        await incoming.append([b"sec", b"ond"])
        await repository.keep(incoming, desc)
        await incoming.close()
        assert await reading.read(7, 100) == b"second"  # also under its new name
        reading.close()
        async with repository.fetch(desc) as chunks:
            assert await read(chunks) == b"first, second"
    assert list((tmp_path / "parts").iterdir()) == []


async def test_what_is_not_kept_leaves_nothing(tmp_path: Path, clock: FrozenClock) -> None:
    async with BuiltinStore.open(tmp_path, clock=clock) as store:
        incoming = store.repository(NAME).incoming(blob(b"half"))
        await incoming.append([b"ha"])
        assert len(list((tmp_path / "parts").iterdir())) == 1
        await incoming.close()
        assert list((tmp_path / "parts").iterdir()) == []


async def test_a_rebuilt_store_knows_them_too(tmp_path: Path, clock: FrozenClock) -> None:
    async with BuiltinStore.open(tmp_path, clock=clock) as store:
        await store.repository(NAME, children=Children.ON_DEMAND).put_manifest(PARSED, [Tag("v1")])
    (tmp_path / "catalogue.db").unlink()
    rebuild(tmp_path, SystemClock())
    async with BuiltinStore.open(tmp_path, clock=clock) as store:
        assert (await store.repository(NAME).resolve(Tag("v1"))).digest == Digest.parse(CHILD.digest)
        with pytest.raises(MissingReferencesError, match=sha256(CHILD.blobs[0])):
            await store.repository(NAME).put_manifest(PARSED, [Tag("v2")])


async def test_a_damaged_blob_is_no_reason_not_to_give_out_the_manifest_it_may_come_with_again(
    tmp_path: Path, clock: FrozenClock
) -> None:
    async with BuiltinStore.open(tmp_path, clock=clock) as store:
        repository = store.repository(NAME, children=Children.ON_DEMAND)
        await repository.put_manifest(PARSED, [Tag("v1")])
        layer = CHILD.blobs[-1]
        await repository.push(blob(layer), stream(layer))
        path = repository.blob_path(Digest.of(layer))
        assert path is not None
        path.write_bytes(b"x" * len(layer))
        assert [one.digest for one in (await Check(store, clock).run()).lost] == [Digest.of(layer)]
        assert (await repository.manifest(Tag("v1")))[1] == CHILD.data
        assert (await repository.resolve(Tag("v1"))).digest == Digest.parse(CHILD.digest)
        await repository.push(blob(layer), stream(layer))
        assert (await Check(store, clock).run()).is_sound
