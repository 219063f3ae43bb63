"""The store in memory beyond the contract."""

import pytest

from regsync.content.memory import MemoryPlace, MemoryRepository
from regsync.content.references import Children, MissingReferencesError
from regsync.oci.reference import Tag
from tests.contract.places import blob, described, put, stream
from tests.support.images import image, index

pytestmark = pytest.mark.anyio


async def test_a_repository_without_a_place_mounts_from_none() -> None:
    one, other = MemoryRepository("one"), MemoryRepository("other")
    await other.push(blob(b"x"), stream(b"x"))
    assert not one.can_mount_from(other)


def test_repositories_of_different_places_do_not_mount_from_each_other() -> None:
    one, other = MemoryPlace("one").repository("a"), MemoryPlace("other").repository("a")
    assert not one.can_mount_from(other)
    assert one.name == "one:a"


async def test_an_index_is_taken_with_some_of_its_children_only_where_that_was_asked_for() -> None:
    whole = index(image("a"), image("b"))
    strict, lenient = MemoryRepository(), MemoryRepository(children=Children.OPTIONAL)
    for store in (strict, lenient):
        await put(store, image("a"))
    with pytest.raises(MissingReferencesError) as caught:
        await strict.push_manifest(described(whole), whole.data, tag=Tag("v1"))
    assert caught.value.missing == (described(image("b")).digest,)
    await lenient.push_manifest(described(whole), whole.data, tag=Tag("v1"))
    assert await lenient.resolve(Tag("v1")) == described(whole)


async def test_even_there_an_image_needs_its_blobs() -> None:
    store = MemoryRepository(children=Children.OPTIONAL)
    with pytest.raises(MissingReferencesError):
        await store.push_manifest(described(image("a")), image("a").data)


async def test_foreign_layers_and_the_subject_need_not_be_there() -> None:
    store = MemoryRepository()
    document = image("windows").document
    document["layers"][0]["urls"] = ["https://example.com/layer"]
    document["subject"] = image("elsewhere").descriptor()
    from tests.support.images import Content, as_json

    content = Content(image().media_type, as_json(document))
    for data in (image("windows").blobs[0], *image("windows").blobs[2:]):
        await store.push(blob(data), stream(data))
    await store.push_manifest(described(content), content.data, tag=Tag("v1"))
    assert len(await store.referrers(described(image("elsewhere")).digest)) == 1
