"""Evidence: found beside its image, compared, brought with its own evidence, never in doubt."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.lowlevel import checkpoint

from regsync.content.destination import Destination
from regsync.content.digest_tags import DigestTag
from regsync.content.durable import StorageFullError
from regsync.content.evidence import KeptShelf, Shelf, Shelves, Takes, lacking
from regsync.content.evidence_copy import EvidenceCopy
from regsync.content.manifests import Manifests
from regsync.content.transfers import Transfers
from regsync.errors import RegsyncError
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from tests.content.places import BusyError, NoError, Repository
from tests.support.images import (
    OCI_EMPTY,
    OCI_INDEX,
    Content,
    artifact,
    as_json,
    cosign_signature,
    cosign_tag,
    fallback_index,
    fallback_tag,
    image,
    index,
    referrer,
)

pytestmark = pytest.mark.anyio

APP = image("app")
SUBJECT = Digest.parse(APP.digest)


def everything(artifact_type: str | None) -> bool:
    return True


@pytest.fixture
def source() -> Repository:
    return Repository("source")


@pytest.fixture
def target() -> Repository:
    return Repository("target")


async def shelf(store: Repository) -> Shelf:
    async with store.tags() as tags:
        return Shelf(store, {tag: desc async for tag, desc in tags})


@asynccontextmanager
async def bringing(
    source: Repository | Shelves, target: Repository, takes: Takes = everything
) -> AsyncIterator[EvidenceCopy]:
    looked_at = source if isinstance(source, Shelves) else await shelf(source)
    async with anyio.create_task_group() as group:
        transfers = Transfers(group, pause=lambda attempt: checkpoint())
        yield EvidenceCopy(transfers, Manifests(), looked_at, Destination(target), takes)
        group.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        pytest.param("sha256-" + "a" * 64 + ".sig", "sig", id="a signature"),
        pytest.param("sha256-" + "a" * 64 + ".cosign2", "cosign2", id="a suffix nobody knows"),
        pytest.param("sha256-" + "a" * 64, None, id="a fallback index"),
        pytest.param("sha256-" + "a" * 63 + ".sig", None, id="too short"),
        pytest.param("sha256-" + "A" * 64 + ".sig", None, id="upper case"),
        pytest.param("v1.sig", None, id="a tag that ends like it"),
    ],
)
def test_a_digest_tag_is_known_by_its_form(tag: str, expected: str | None) -> None:
    found = DigestTag.parse(Tag(tag))

    assert (found.suffix if found else None) == expected


async def test_what_the_target_has_is_not_brought(source: Repository, target: Repository) -> None:
    both, only_here = referrer(APP), referrer(APP, data=b"other")
    for one in (APP, both, only_here):
        await source.add_image(one)
    for one in (APP, both):
        await target.add_image(one)

    found = await lacking(await shelf(source), await shelf(target), SUBJECT, everything)

    assert [str(one.digest) for one in found.referrers] == [only_here.digest]


async def test_a_target_that_signed_as_well_lacks_nothing_once_it_has_both(
    source: Repository, target: Repository
) -> None:
    await source.add_image(cosign_signature(APP, "alice"), cosign_tag(APP))
    await target.add_image(cosign_signature(APP, "bob"), cosign_tag(APP))
    found = await lacking(await shelf(source), await shelf(target), SUBJECT, everything)

    async with bringing(source, target) as evidence:
        await evidence.bring(found)

    _, raw = await target.manifest(Tag(cosign_tag(APP)))
    assert b"alice" in raw
    assert b"bob" in raw
    assert not await lacking(await shelf(source), await shelf(target), SUBJECT, everything)


async def test_evidence_of_evidence_comes_along_and_ends_somewhere(
    source: Repository, target: Repository
) -> None:
    chain = [APP]
    for _ in range(8):
        chain.append(referrer(chain[-1]))
    for one in chain:
        await source.add_image(one)

    async with bringing(source, target) as evidence:
        await evidence.bring_all([SUBJECT])

    assert not evidence.refused
    assert evidence.brought == 4


async def test_an_index_as_a_referrer_is_brought_whole(source: Repository, target: Repository) -> None:
    await source.add_image(APP)
    proof = index(image("proof"), subject=APP, artifact_type="application/vnd.proof")
    await source.add_image(proof)

    async with bringing(source, target) as evidence:
        await evidence.bring_all([SUBJECT])

    assert Digest.parse(proof.children[0].digest) in target._manifests


async def test_only_wanted_types_travel(source: Repository, target: Repository) -> None:
    sbom = referrer(APP)
    for one in (APP, sbom, referrer(APP, artifact_type="text/plain", data=b"note")):
        await source.add_image(one)
    await source.add_image(cosign_signature(APP), cosign_tag(APP))

    async with bringing(source, target, lambda kind: kind == "application/spdx+json") as evidence:
        await evidence.bring_all([SUBJECT])

    assert set(target._manifests) == {Digest.parse(sbom.digest)}
    assert not target._tags


async def test_a_refusal_is_kept_and_the_rest_goes_on(source: Repository, target: Repository) -> None:
    for one in (APP, referrer(APP), referrer(APP, data=b"other")):
        await source.add_image(one)
    target.fails("push_manifest", NoError("405"), times=1)

    async with bringing(source, target) as evidence:
        await evidence.bring_all([SUBJECT])

    assert [str(one) for one in evidence.refused] == ["405"]
    assert evidence.brought == 1


@pytest.mark.parametrize("place", ["source", "target"])
async def test_what_fails_for_a_while_is_no_refusal(
    source: Repository, target: Repository, place: str
) -> None:
    for one in (APP, referrer(APP)):
        await source.add_image(one)
    if place == "source":
        source.fails("manifest", BusyError("503"))
    else:
        target.fails("push_manifest", BusyError("503"))
    raised: list[RegsyncError] = []

    async with bringing(source, target) as evidence:
        try:
            await evidence.bring_all([SUBJECT])
        except BusyError as error:
            raised.append(error)

    assert len(raised) == 1
    assert not evidence.refused


async def test_a_full_disk_is_no_refusal(source: Repository, target: Repository) -> None:
    for one in (APP, referrer(APP)):
        await source.add_image(one)
    target.fails("push_manifest", StorageFullError("parts/1", "No space left on device"))
    raised: list[RegsyncError] = []

    async with bringing(source, target) as evidence:
        try:
            await evidence.bring_all([SUBJECT])
        except StorageFullError as error:
            raised.append(error)

    assert len(raised) == 1
    assert not evidence.refused


async def test_a_digest_tag_that_is_an_index_is_refused_and_not_followed(
    source: Repository, target: Repository
) -> None:
    odd: Content = index(image("odd"))
    await source.add_image(odd, cosign_tag(APP))

    async with bringing(source, target) as evidence:
        await evidence.bring_all([SUBJECT])

    assert "is an index" in str(evidence.refused[0])
    assert not target._tags


# fallback tags


async def list_by_tag_alone(store: Repository, listed: Content) -> None:
    """As it is where the API came later than what the index at the fallback tag lists."""
    await store.add_image(listed, fallback_tag(APP))
    for child in listed.children:
        store._referrers[SUBJECT].pop(Digest.parse(child.digest), None)


async def test_what_a_fallback_tag_alone_lists_is_brought(source: Repository, target: Repository) -> None:
    old = artifact("application/vnd.old", {"text/plain": b"old"}, subject=APP)
    for one in (APP, referrer(APP)):
        await source.add_image(one)
    await list_by_tag_alone(source, fallback_index(old))

    async with bringing(source, target) as evidence:
        await evidence.bring_all([SUBJECT])

    assert not evidence.refused
    assert Digest.parse(old.digest) in target._manifests
    assert evidence.brought == 2
    assert not await lacking(await shelf(source), await shelf(target), SUBJECT, everything)


@pytest.fixture(params=["gone", "of no subject"])
async def useless(source: Repository, request: pytest.FixtureRequest) -> Content:
    """What a fallback tag lists, and somebody deleted; or which names no subject."""
    useless = artifact("application/vnd.old", subject=APP if request.param == "gone" else None)
    await source.add_image(APP)
    await list_by_tag_alone(source, fallback_index(useless))
    if request.param == "gone":
        await source.delete(await source.resolve(Digest.parse(useless.digest)))
    return useless


async def test_what_is_listed_for_nothing_is_neither_refused_nor_lacking_for_ever(
    source: Repository, target: Repository, useless: Content
) -> None:
    await source.add_image(referrer(APP))

    async with bringing(source, target) as evidence:
        await evidence.bring_all([SUBJECT])

    assert not evidence.refused
    assert evidence.brought == 1
    assert not await lacking(await shelf(source), await shelf(target), SUBJECT, everything)


async def test_where_all_that_is_listed_is_for_nothing_that_is_told(
    source: Repository, target: Repository, useless: Content
) -> None:
    async with bringing(source, target) as evidence:
        await evidence.bring_all([SUBJECT])

    assert useless.digest in str(evidence.refused[0])


@pytest.mark.parametrize("kind", [OCI_EMPTY, None])
async def test_a_type_that_a_fallback_tag_has_wrong_is_read_from_the_manifest(
    source: Repository, target: Repository, kind: str | None
) -> None:
    bundle, note = artifact("application/vnd.bundle", subject=APP), artifact("text/plain", subject=APP)
    more = {"artifactType": kind} if kind else {}
    document = {"schemaVersion": 2, "manifests": [one.descriptor(**more) for one in (bundle, note)]}
    await source.add_image(APP)
    await list_by_tag_alone(source, Content(OCI_INDEX, as_json(document), children=(bundle, note)))

    async with bringing(source, target, lambda kind: kind == "application/vnd.bundle") as evidence:
        await evidence.bring_all([SUBJECT])

    assert set(target._manifests) == {Digest.parse(bundle.digest)}


async def test_a_fallback_tag_that_a_listing_does_not_show_is_not_asked_for(source: Repository) -> None:
    await source.add_image(APP)
    looked_at = Shelf(source, {})

    await looked_at.find(SUBJECT, everything)

    assert source.calls["manifest"] == 0
    assert not looked_at.has_digest_tags


async def test_a_listing_shows_that_there_are_fallback_tags(source: Repository) -> None:
    await source.add_image(fallback_index(referrer(APP)), fallback_tag(APP))
    looked_at = await shelf(source)

    assert looked_at.has_digest_tags
    assert looked_at.has_digest_tags_of(SUBJECT)
    assert not looked_at.has_digest_tags_of(Digest.parse(image("other").digest))


async def test_a_kept_shelf_asks_once_and_again_after_a_failure(source: Repository) -> None:
    await source.add_image(APP)
    await source.add_image(fallback_index(referrer(APP)), fallback_tag(APP))
    source.fails("manifest", BusyError("503"), times=1)
    looked_at = KeptShelf(source, (await shelf(source)).listed)

    with pytest.raises(BusyError):
        await looked_at.find(SUBJECT, everything)
    found = [await looked_at.find(SUBJECT, everything) for _ in range(3)]

    assert [len(one.referrers) for one in found] == [1, 1, 1]
    assert source.calls["manifest"] == 2


# evidence in several repositories


async def test_evidence_in_another_repository_is_brought_beside_the_image(
    source: Repository, target: Repository
) -> None:
    elsewhere = Repository("signatures")
    here, there, both = (referrer(APP, data=data) for data in (b"here", b"there", b"both"))
    for one in (APP, here, both):
        await source.add_image(one)
    for one in (there, both):
        await elsewhere.add_image(one)
    await elsewhere.add_image(cosign_signature(APP, "bob"), cosign_tag(APP))
    shelves = Shelves([await shelf(source), await shelf(elsewhere)])

    missing = await lacking(shelves, await shelf(target), SUBJECT, everything)
    async with bringing(shelves, target) as evidence:
        await evidence.bring(missing)

    assert not evidence.refused
    assert evidence.brought == 4
    assert {Digest.parse(one.digest) for one in (here, there, both)} <= set(target._manifests)
    assert not await lacking(shelves, await shelf(target), SUBJECT, everything)


async def test_a_digest_tag_in_several_repositories_is_one_at_the_target(
    source: Repository, target: Repository
) -> None:
    elsewhere, third = Repository("signatures"), Repository("others")
    await source.add_image(cosign_signature(APP, "alice"), cosign_tag(APP))
    await elsewhere.add_image(cosign_signature(APP, "bob"), cosign_tag(APP))
    await target.add_image(cosign_signature(APP, "carol"), cosign_tag(APP))
    shelves = Shelves([await shelf(source), await shelf(elsewhere), Shelf(third, None)])

    async with bringing(shelves, target) as evidence:
        await evidence.bring(await lacking(shelves, await shelf(target), SUBJECT, everything))

    assert not evidence.refused
    _, raw = await target.manifest(Tag(cosign_tag(APP)))
    assert all(name in raw for name in (b"alice", b"bob", b"carol"))
    assert not await lacking(shelves, await shelf(target), SUBJECT, everything)


async def test_another_repository_that_fails_is_never_one_without_evidence(source: Repository) -> None:
    elsewhere = Repository("signatures")
    await elsewhere.add_image(fallback_index(referrer(APP)), fallback_tag(APP))
    elsewhere.fails("manifest", BusyError("503"))
    shelves = Shelves([await shelf(source), await shelf(elsewhere)])

    with pytest.raises(BusyError):
        await shelves.find(SUBJECT, everything)
