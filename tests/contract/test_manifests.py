"""What every Store does with manifests, tags and referrers."""

import contextlib
from collections.abc import Mapping

import pytest

from regsync.content.errors import ContentNotFoundError, DigestMismatchError, SizeMismatchError
from regsync.content.protocol import Deletes, ListsReferrers, ListsTags, Store
from regsync.content.references import MissingReferencesError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import MAX_MANIFEST_SIZE
from regsync.oci.reference import Tag
from tests.contract.places import Place, blob, described, put, read, stream
from tests.support.images import Content, artifact, as_json, image, index, referrer

pytestmark = pytest.mark.anyio

V1, V2 = Tag("v1"), Tag("v2")


async def listed(store: Store) -> Mapping[Tag, Descriptor | None]:
    """Every tag, and none of those that hold referrers."""
    assert isinstance(store, ListsTags)
    async with store.tags() as tags:
        return {tag: desc async for tag, desc in tags if not tag.startswith("sha256-")}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(image("plain"), id="an image"),
        pytest.param(image("docker", docker=True), id="a Docker schema 2 image"),
        pytest.param(image("no layers", layers=0), id="an image without layers"),
        pytest.param(index(image("a"), image("a", arch="arm64")), id="an index"),
        pytest.param(index(index(image("nested"))), id="an index in an index"),
        pytest.param(index(), id="an index of nothing"),
        pytest.param(artifact("application/vnd.acme.thing"), id="an artifact"),
    ],
)
async def test_a_manifest_comes_back_byte_for_byte(store: Store, content: Content) -> None:
    desc = await put(store, content, "v1")
    assert await store.manifest(V1) == (desc, content.data)
    assert await store.manifest(desc.digest) == (desc, content.data)
    assert await store.resolve(V1) == desc
    assert await store.resolve(desc.digest) == desc
    assert await store.exists(desc)


async def test_odd_but_valid_json_is_kept_as_it_is(store: Store) -> None:
    plain = image("odd")
    raw = (
        b" \n"
        + plain.data.replace(b'{"schemaVersion"', b'{ "unknown" : [1.50, "\\u00e9"],\n"schemaVersion"')
        + b"\n"
    )
    await put(store, plain)
    odd = Content(plain.media_type, raw, plain.blobs)
    desc = await put(store, odd, "v1")
    assert await store.manifest(V1) == (desc, raw)


async def test_a_manifest_of_four_mebibytes_is_taken(store: Store) -> None:
    small = image("large").document
    small["annotations"] = {"padding": ""}
    small["annotations"]["padding"] = "x" * (MAX_MANIFEST_SIZE - len(as_json(small)))
    large = Content(image().media_type, as_json(small), image("large").blobs)
    assert large.size == MAX_MANIFEST_SIZE
    desc = await put(store, large, "v1")
    assert await store.manifest(V1) == (desc, large.data)


async def test_sha512_names_a_manifest_like_sha256(store: Store, place: Place) -> None:
    if "name a manifest by sha512" in place.cannot:
        pytest.skip("this place names manifests by sha256 alone")
    content = image("named by sha512")
    for data in content.blobs:
        await store.push(blob(data), stream(data))
    desc = Descriptor(content.media_type, Digest.of(content.data, "sha512"), content.size)
    await store.push_manifest(desc, content.data)
    assert await store.manifest(desc.digest) == (desc, content.data)
    assert await store.resolve(desc.digest) == desc
    await store.tag(desc, V1)
    assert (await store.manifest(V1))[1] == content.data


async def test_a_manifest_put_by_digest_has_no_tag(store: Store) -> None:
    desc = await put(store, image("untagged"))
    assert await store.resolve(desc.digest) == desc
    with pytest.raises(ContentNotFoundError):
        await store.resolve(V1)


async def test_a_manifest_of_another_digest_than_its_descriptor_says_is_refused(
    store: Store, place: Place
) -> None:
    if "verify a manifest before sending it" in place.cannot:
        pytest.skip("this place leaves that to the registry")
    content = image("lie")
    for data in content.blobs:
        await store.push(blob(data), stream(data))
    true = described(content)
    wrong = Descriptor(true.media_type, Digest.of(b"other"), true.size)
    with pytest.raises(DigestMismatchError):
        await store.push_manifest(wrong, content.data, tag=V1)
    with pytest.raises(ContentNotFoundError):
        await store.resolve(V1)


async def test_a_manifest_of_another_size_than_its_descriptor_says_is_refused(
    store: Store, place: Place
) -> None:
    if "verify a manifest before sending it" in place.cannot:
        pytest.skip("this place leaves that to the registry")
    content = image("lie")
    for data in content.blobs:
        await store.push(blob(data), stream(data))
    true = described(content)
    longer = Descriptor(true.media_type, true.digest, true.size + 1)
    with pytest.raises(SizeMismatchError):
        await store.push_manifest(longer, content.data, tag=V1)
    with pytest.raises(ContentNotFoundError):
        await store.resolve(V1)


async def test_a_manifest_whose_content_is_missing_is_refused_and_all_of_it_named(
    store: Store, place: Place
) -> None:
    if "refuse missing references" in place.cannot:
        pytest.skip("this place takes a manifest before its content")
    content = image("incomplete", layers=3)
    await store.push(blob(content.blobs[1]), stream(content.blobs[1]))
    with pytest.raises(MissingReferencesError) as caught:
        await store.push_manifest(described(content), content.data, tag=V1)
    missing = {blob(data).digest for number, data in enumerate(content.blobs) if number != 1}
    assert set(caught.value.missing) == missing
    assert all(str(digest) in str(caught.value) for digest in missing)
    with pytest.raises(ContentNotFoundError):
        await store.resolve(V1)


async def test_a_missing_manifest_is_not_found(store: Store) -> None:
    await put(store, image("there"), "v1")
    missing = described(image("missing"))
    with pytest.raises(ContentNotFoundError):
        await store.resolve(V2)
    with pytest.raises(ContentNotFoundError):
        await store.manifest(V2)
    with pytest.raises(ContentNotFoundError):
        await store.resolve(missing.digest)
    with pytest.raises(ContentNotFoundError):
        await store.manifest(missing.digest)
    with pytest.raises(ContentNotFoundError):
        await store.tag(missing, V2)
    assert not await store.exists(missing)
    assert set(await listed(store)) == {V1}


async def test_a_tag_is_put_on_what_is_there(store: Store) -> None:
    desc = await put(store, image("once"))
    await store.tag(desc, V1)
    await store.tag(desc, V2)
    assert await store.resolve(V1) == await store.resolve(V2) == desc


async def test_a_tag_moves_and_what_it_pointed_to_stays(store: Store) -> None:
    old = await put(store, image("old"), "v1")
    new = await put(store, image("new"), "v1")
    assert await store.resolve(V1) == new
    assert await store.resolve(old.digest) == old
    await store.tag(old, V1)
    assert await store.resolve(V1) == old
    assert await store.resolve(new.digest) == new


async def test_every_tag_is_listed_with_what_it_points_to_where_the_listing_shows_it(store: Store) -> None:
    wanted = {
        Tag(f"v{number}"): await put(store, image(f"{number % 3}"), f"v{number}") for number in range(12)
    }
    found = await listed(store)
    assert set(found) == set(wanted)
    assert all(desc in (None, wanted[tag]) for tag, desc in found.items())


async def test_the_tags_of_a_repository_that_is_not_there_are_not_found_or_none(store: Store) -> None:
    with contextlib.suppress(ContentNotFoundError):
        assert await listed(store) == {}


async def test_referrers_are_listed_as_they_come(store: Store) -> None:
    assert isinstance(store, ListsReferrers)
    subject = image("subject")
    desc = await put(store, subject, "v1")
    assert list(await store.referrers(desc.digest)) == []
    sbom = referrer(subject, annotations={"org.example.note": "ünïcode"})
    report = referrer(subject, artifact_type="application/vnd.acme.report", data=b"{}")
    of_index = index(image("evidence"), subject=subject, artifact_type="application/vnd.acme.index")
    for content in (sbom, report, of_index):
        await put(store, content)
    found = {one.digest: one for one in await store.referrers(desc.digest)}
    assert set(found) == {described(one).digest for one in (sbom, report, of_index)}
    shown = found[described(sbom).digest]
    assert shown == described(sbom)
    assert shown.artifact_type == "application/spdx+json"
    assert shown.annotations["org.example.note"] == "ünïcode"
    assert found[described(report).digest].artifact_type == "application/vnd.acme.report"


async def test_referrers_may_come_before_their_subject_and_refer_to_referrers(store: Store) -> None:
    assert isinstance(store, ListsReferrers)
    subject = image("late")
    signature = referrer(subject, artifact_type="application/vnd.acme.signature")
    of_signature = referrer(signature, artifact_type="application/vnd.acme.timestamp")
    await put(store, of_signature)
    await put(store, signature)
    await put(store, subject, "v1")
    assert [one.digest for one in await store.referrers(described(subject).digest)] == [
        described(signature).digest
    ]
    assert [one.digest for one in await store.referrers(described(signature).digest)] == [
        described(of_signature).digest
    ]


async def test_a_referrer_that_is_put_again_is_listed_once(store: Store) -> None:
    assert isinstance(store, ListsReferrers)
    subject = image("subject")
    await put(store, subject, "v1")
    for _ in range(2):
        await put(store, referrer(subject))
    assert len(await store.referrers(described(subject).digest)) == 1


async def test_untagging_takes_one_tag_and_no_sibling(store: Store) -> None:
    assert isinstance(store, Deletes)
    desc = await put(store, image("shared"), "v1", "v2", "v3")
    await store.untag(V1)
    with pytest.raises(ContentNotFoundError):
        await store.resolve(V1)
    assert set(await listed(store)) == {V2, Tag("v3")}
    assert await store.resolve(V2) == desc
    assert await store.manifest(desc.digest) == (desc, image("shared").data)


async def test_deleting_a_manifest_takes_its_tags_and_no_other(store: Store) -> None:
    assert isinstance(store, Deletes)
    gone = await put(store, image("gone"), "v1", "v2")
    kept = await put(store, image("kept"), "v3")
    await store.delete(gone)
    assert not await store.exists(gone)
    for name in (V1, V2, gone.digest):
        with pytest.raises(ContentNotFoundError):
            await store.resolve(name)
    assert set(await listed(store)) == {Tag("v3")}
    assert await store.resolve(Tag("v3")) == kept
    assert await read(store, blob(image("kept").blobs[1])) == image("kept").blobs[1]


async def test_a_deleted_referrer_is_listed_no_more(store: Store) -> None:
    assert isinstance(store, Deletes)
    assert isinstance(store, ListsReferrers)
    subject = image("subject")
    await put(store, subject, "v1")
    one, other = referrer(subject, data=b"1"), referrer(subject, data=b"2")
    for content in (one, other):
        await put(store, content)
    await store.delete(described(one))
    assert [found.digest for found in await store.referrers(described(subject).digest)] == [
        described(other).digest
    ]


async def test_deleting_what_is_not_there_changes_nothing(store: Store) -> None:
    assert isinstance(store, Deletes)
    desc = await put(store, image("there"), "v1")
    with contextlib.suppress(
        ContentNotFoundError
    ):  # registries answer a deletion that was done before as done
        await store.delete(described(image("missing")))
    with contextlib.suppress(ContentNotFoundError):
        await store.untag(V2)
    assert await listed(store) in ({V1: desc}, {V1: None})


async def test_what_was_deleted_can_be_pushed_again(store: Store) -> None:
    assert isinstance(store, Deletes)
    desc = await put(store, image("again"), "v1")
    await store.delete(desc)
    assert await put(store, image("again"), "v1") == desc
    assert await store.manifest(V1) == (desc, image("again").data)
