"""What is answered from memory is never older than the catalogue."""

from pathlib import Path

import pytest

from regsync.content.errors import ContentNotFoundError, DigestMismatchError
from regsync.oci.reference import RepositoryName, Tag
from regsync.store.builtin import BuiltinStore
from regsync.store.recent import ENTRY, LARGEST, Recent
from tests.contract.places import put
from tests.support.images import image

APP, V1 = RepositoryName("app"), Tag("v1")


@pytest.mark.anyio
async def test_a_tag_that_this_process_moves_or_deletes_is_new_at_once(tmp_path: Path) -> None:
    async with BuiltinStore.open(tmp_path) as store:
        repository = store.repository(APP)
        first = await put(repository, image("first"), "v1")
        assert (await repository.manifest(V1))[0] == first
        second = await put(repository, image("second"), "v1")
        assert (await repository.manifest(V1))[0] == second
        await repository.untag(V1)
        with pytest.raises(ContentNotFoundError):
            await repository.manifest(V1)


@pytest.mark.anyio
async def test_a_tag_that_another_process_moves_is_new_at_once(tmp_path: Path) -> None:
    async with BuiltinStore.open(tmp_path) as store, BuiltinStore.open(tmp_path) as other:
        first = await put(other.repository(APP), image("first"), "v1")
        assert (await store.repository(APP).manifest(V1))[0] == first
        second = await put(other.repository(APP), image("second"), "v1")
        assert (await store.repository(APP).manifest(V1))[0] == second
        await other.repository(APP).delete(second)
        with pytest.raises(ContentNotFoundError):
            await store.repository(APP).manifest(second.digest)


@pytest.mark.anyio
async def test_damaged_bytes_are_never_remembered(tmp_path: Path) -> None:
    async with BuiltinStore.open(tmp_path) as store:
        desc = await put(store.repository(APP), image("good"), "v1")
        await store._catalogue.change(
            lambda one: one.connection.exec_driver_sql("UPDATE manifests SET raw = x'00'") and None
        )
        for _ in range(2):
            with pytest.raises(DigestMismatchError):
                await store.repository(APP).manifest(desc.digest)


def test_it_holds_no_more_than_it_may_and_lets_go_of_the_longest_unused() -> None:
    recent: Recent[str] = Recent(capacity=2 * (ENTRY + 10))
    recent.get("a", 1)
    recent.put("a", 1, "A", 10)
    recent.put("b", 1, "B", 10)
    assert recent.get("a", 1) == "A"
    recent.put("c", 1, "C", 10)
    assert [recent.get(key, 1) for key in "abc"] == ["A", None, "C"]


def test_it_keeps_nothing_of_another_version_and_nothing_large() -> None:
    recent: Recent[str] = Recent()
    recent.get("a", 1)
    recent.put("a", 1, "A", 1)
    recent.put("large", 1, "L", LARGEST + 1)
    assert recent.get("large", 1) is None
    assert recent.get("a", 2) is None
    recent.put("late", 1, "read before the change", 1)
    assert recent.get("late", 2) is None
