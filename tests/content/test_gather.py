"""Gathering evidence keeps within bounds, in one order, and tells none from unknown."""

import pytest

from regsync.content.errors import BoundHitError, ContentNotFoundError, DigestMismatchError, OtherSubjectError
from regsync.content.evidence import KeptShelf, Shelf
from regsync.content.gather import Bounds, gather
from regsync.content.manifests import Manifests
from regsync.content.pieces import Looked, Piece
from regsync.content.references import Children
from regsync.errors import DeniedError
from regsync.oci.digest import Digest
from regsync.oci.manifest import InvalidManifestError
from regsync.oci.reference import Tag
from tests.content.places import BusyError, Repository
from tests.support.images import (
    OCI_INDEX,
    OCI_MANIFEST,
    Content,
    artifact,
    as_json,
    blob_descriptor,
    cosign_signature,
    cosign_tag,
    fallback_index,
    fallback_tag,
    image,
    index,
)
from tests.support.taken_pieces import Taken

pytestmark = pytest.mark.anyio

APP = image("app")
SUBJECT = Digest.parse(APP.digest)
WANTED = "application/vnd.wanted"


def wanted(media_type: str) -> bool:
    return media_type == WANTED


@pytest.fixture
def store() -> Repository:
    return Repository("store")


async def listed(store: Repository) -> Shelf:
    async with store.tags() as tags:
        return Shelf(store, {tag: desc async for tag, desc in tags})


async def gathered(
    store: Repository, bounds: Bounds | None = None, shelf: Shelf | None = None
) -> tuple[list[Piece], dict[str, Looked]]:
    pieces = Taken()
    shelf = shelf or await listed(store)
    looked = await gather(shelf, SUBJECT, wants=wanted, take=pieces.take, bounds=bounds or Bounds())
    return pieces, {one.location: one for one in looked}


def proof(*layers: bytes, name: str = "proof", subject: Content = APP) -> Content:
    """A referrer with these layers, each of the wanted type."""
    document = artifact("application/vnd.proof", name=name, subject=subject).document
    document["layers"] = [blob_descriptor(WANTED, layer) for layer in layers]
    return Content(OCI_MANIFEST, as_json(document), (b"{}", *layers))


async def test_only_layers_of_wanted_types_are_read(store: Repository) -> None:
    both = artifact("application/vnd.proof", {WANTED: b"yes", "text/plain": b"no"}, subject=APP)
    await store.add_image(both)

    (piece,), _ = await gathered(store)

    assert list(piece.layers.values()) == [b"yes"]
    assert store.calls["fetch"] == 1


async def test_pieces_come_in_the_order_of_the_lists(store: Repository) -> None:
    await store.add_image(cosign_signature(APP), cosign_tag(APP))
    await store.add_image(cosign_signature(APP, "YQ=="), cosign_tag(APP, "att"))
    many = [proof(b"%d" % number) for number in range(40)]
    for one in many:
        await store.add_image(one)

    pieces, looked = await gathered(store)

    assert [piece.location for piece in pieces] == ["tag:.sig", "tag:.att"] + ["referrers"] * 40
    assert [str(piece.digest) for piece in pieces[2:]] == sorted(one.digest for one in many)
    assert list(looked) == ["tag:.sig", "tag:.att", "tag:.sbom", "referrers", "fallback-tag"]
    assert [one.found for one in looked.values()] == [1, 1, 0, 40, 0]


async def test_more_referrers_than_are_read_is_a_problem_that_names_the_bound(store: Repository) -> None:
    for number in range(12):
        await store.add_image(proof(b"%d" % number))
    await store.add_image(cosign_signature(APP), cosign_tag(APP))

    pieces, looked = await gathered(store, Bounds(referrers=10))

    assert [piece.location for piece in pieces] == ["tag:.sig"] + ["referrers"] * 10
    problem = looked["referrers"].problem
    assert isinstance(problem, BoundHitError)
    assert "12 referrers" in str(problem)
    assert "at most 10 are read" in str(problem)
    assert problem.hint is not None
    assert looked["fallback-tag"].problem is None


async def test_as_many_as_are_read_are_no_problem(store: Repository) -> None:
    for number in range(10):
        await store.add_image(proof(b"%d" % number))

    pieces, looked = await gathered(store, Bounds(referrers=10))

    assert len(pieces) == 10
    assert looked["referrers"].problem is None


async def test_a_gigabyte_of_attestation_is_not_read(store: Repository) -> None:
    document = proof(b"small").document
    document["layers"].append({"mediaType": WANTED, "digest": image("x").digest, "size": 10**9})
    huge = Content(OCI_MANIFEST, as_json(document), (b"{}", b"small"))
    store._children = Children.ON_DEMAND
    await store.add_image(huge)

    (piece,), _ = await gathered(store)

    small, large = piece.layers.values()
    assert small == b"small"
    assert isinstance(large, BoundHitError)
    assert str(32 * 1024 * 1024) in str(large)
    assert store.calls["fetch"] == 1


async def test_a_manifest_that_says_it_is_too_long_is_not_read(store: Repository) -> None:
    one = proof(b"layer")
    document = fallback_index(one).document
    document["manifests"][0]["size"] = 5_000_000
    store._children = Children.ON_DEMAND
    await store.add_image(Content(OCI_INDEX, as_json(document)), fallback_tag(APP))

    (piece,), looked = await gathered(store)

    assert isinstance(piece.failed, BoundHitError)
    assert piece.manifest is None
    assert looked["fallback-tag"].found == 1
    assert ("manifest", one.digest) not in store.log


async def test_layers_of_one_manifest_are_bounded_in_number_and_bytes(store: Repository) -> None:
    await store.add_image(proof(b"11", b"22", b"33", b"44"))

    (by_number,), _ = await gathered(store, Bounds(layers=2))
    (by_bytes,), _ = await gathered(store, Bounds(in_flight=5))

    for piece in (by_number, by_bytes):
        contents = list(piece.layers.values())
        assert contents[:2] == [b"11", b"22"]
        assert all(isinstance(one, BoundHitError) for one in contents[2:])


async def test_no_more_bytes_are_held_than_may_be(store: Repository) -> None:
    for number in range(20):
        await store.add_image(proof(b"%010d" % number))
    taken, most = 0, 0

    async def take(piece: Piece) -> None:
        nonlocal taken, most
        most = max(most, store.given - taken)
        taken += sum(len(one) for one in piece.layers.values() if isinstance(one, bytes))

    await gather(await listed(store), SUBJECT, wants=wanted, take=take, bounds=Bounds(in_flight=35))

    assert taken == 200
    assert most == 30


async def test_beside_one_digest_no_more_bytes_are_read_than_may_be(store: Repository) -> None:
    for number in range(40):
        await store.add_image(proof(b"%010d" % number))

    pieces, _ = await gathered(store, Bounds(total=200))

    read = [piece for piece in pieces if all(isinstance(one, bytes) for one in piece.layers.values())]
    left = [piece for piece in pieces if piece not in read]
    assert (store.given, len(pieces)) == (160, 40)  # a group of sixteen and what still fits
    assert all(isinstance(one, BoundHitError) for piece in left for one in piece.layers.values())


async def test_a_layer_that_is_not_what_its_digest_names_is_an_error_beside_the_others(
    store: Repository,
) -> None:
    await store.add_image(proof(b"right", b"wrong"))
    store._blobs[Digest.of(b"wrong")] = b"WRONG"

    (piece,), _ = await gathered(store)

    right, wrong = piece.layers.values()
    assert right == b"right"
    assert isinstance(wrong, DigestMismatchError)


async def test_a_lying_list_is_found_out(store: Repository) -> None:
    other = proof(b"layer", subject=image("other"))
    await store.add_image(other)
    await store.add_image(fallback_index(other), fallback_tag(APP))

    (piece,), _ = await gathered(store)

    assert isinstance(piece.failed, OtherSubjectError)
    assert image("other").digest in str(piece.failed)
    assert (piece.manifest, piece.layers) == (None, {})
    assert store.calls["fetch"] == 0


async def test_what_is_listed_and_gone_is_a_piece_that_failed(store: Repository) -> None:
    one = proof(b"layer")
    await store.add_image(one)
    await store.add_image(fallback_index(one), fallback_tag(APP))
    await store.delete(await store.resolve(Digest.parse(one.digest)))

    (piece,), _ = await gathered(store)

    assert isinstance(piece.failed, ContentNotFoundError)


async def test_an_index_is_no_evidence_that_can_be_read(store: Repository) -> None:
    await store.add_image(index(image("a"), subject=APP, artifact_type="application/vnd.proof"))
    await store.add_image(index(image("b")), cosign_tag(APP))

    pieces, _ = await gathered(store)

    assert [piece.location for piece in pieces] == ["tag:.sig", "referrers"]
    assert all(isinstance(piece.failed, InvalidManifestError) for piece in pieces)


class ForbiddenHereError(DeniedError):
    """403."""


@pytest.mark.parametrize("error", [ForbiddenHereError("403"), BusyError("503")])
async def test_what_cannot_be_asked_is_told_and_the_rest_is_read(store: Repository, error: Exception) -> None:
    await store.add_image(proof(b"layer"))

    async def fails() -> None:
        if store.log[-1][1].endswith(".sig") or store.log[-1][1] == fallback_tag(APP):
            raise error

    store.hooks["manifest"] = fails

    shown = [cosign_tag(APP), cosign_tag(APP, "att"), cosign_tag(APP, "sbom"), fallback_tag(APP)]
    pieces, looked = await gathered(store, shelf=Shelf(store, {Tag(tag): None for tag in shown}))

    assert len(pieces) == 1
    assert {place: one.problem for place, one in looked.items()} == {
        "tag:.sig": error,
        "tag:.att": None,
        "tag:.sbom": None,
        "referrers": None,
        "fallback-tag": error,
    }
    assert looked["tag:.sig"].found == 0


async def test_a_sha512_has_no_tags_of_cosigns(store: Repository) -> None:
    subject = Digest.of(APP.data, "sha512")
    pieces = Taken()

    looked = await gather(Shelf(store, None), subject, wants=wanted, take=pieces.take)

    assert [one.location for one in looked] == ["referrers", "fallback-tag"]


async def test_one_run_lists_and_reads_once_whoever_asks(store: Repository) -> None:
    await store.add_image(proof(b"layer"))
    await store.add_image(cosign_signature(APP), cosign_tag(APP))
    shelf, manifests = KeptShelf(store, (await listed(store)).listed), Manifests()
    pieces = Taken()

    for _ in range(2):
        await gather(shelf, SUBJECT, wants=wanted, take=pieces.take, manifests=manifests)
    evidence = await shelf.find(SUBJECT, lambda _: True)
    for one in evidence.referrers:
        await manifests.read(shelf.stores, one)
    await shelf.signatures(manifests, evidence.tags[0])

    assert store.calls["manifest"] == 2


async def test_what_a_digest_tag_was_when_it_was_looked_at_is_what_is_copied(store: Repository) -> None:
    seen = await store.add_image(cosign_signature(APP), cosign_tag(APP))
    shelf, manifests = KeptShelf(store, None), Manifests()
    await gather(shelf, SUBJECT, wants=wanted, take=Taken().take, manifests=manifests)
    await store.add_image(cosign_signature(APP, "ZXZpbA=="), cosign_tag(APP))

    copied = await shelf.signatures(manifests, Tag(cosign_tag(APP)))

    assert copied.descriptor.digest == seen.digest
