"""Evidence is found in the same way wherever it is: real signatures, brought to every kind of place."""

import json
from pathlib import Path

import pytest

from regsync.content.errors import OtherSubjectError
from regsync.content.evidence import Shelf
from regsync.content.gather import gather
from regsync.content.layout import LayoutRepository
from regsync.content.pieces import Looked, Piece
from regsync.content.protocol import Store
from regsync.oci.digest import Digest
from regsync.oci.manifest import parse_manifest
from regsync.oci.reference import Tag
from regsync.reconcile.copy_image import copy_image
from tests.contract.places import put
from tests.support.images import (
    artifact,
    buildkit_index,
    cosign_signature,
    cosign_tag,
    fallback_index,
    fallback_tag,
    image,
    referrer,
)
from tests.support.taken_pieces import Taken

pytestmark = pytest.mark.anyio

SIGNED = Path(__file__).parents[1] / "data" / "signing"
V1 = Tag("v1")
SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
DSSE = "application/vnd.dsse.envelope.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
APP = image("app")
SUBJECT = Digest.parse(APP.digest)


def anything(media_type: str) -> bool:
    return True


async def gathered(shelf: Shelf, subject: Digest = SUBJECT) -> tuple[list[Piece], dict[str, Looked]]:
    """The pieces, and where they were looked for."""
    pieces = Taken()
    looked = await gather(shelf, subject, wants=anything, take=pieces.take)
    return pieces, {one.location: one for one in looked}


def layer_types(pieces: list[Piece]) -> list[str]:
    """The media types of the layers that were read, each verified against its digest."""
    found = []
    for piece in pieces:
        assert piece.manifest is not None, piece.failed
        for layer in piece.manifest.layers:
            content = piece.layers[layer.digest]
            assert isinstance(content, bytes)
            assert Digest.of(content) == layer.digest
            found.append(layer.media_type)
    return sorted(found)


async def both_shelves(store: Store) -> list[Shelf]:
    """With a listing and without one."""
    return [await Shelf.listing(store), Shelf(store, None)]


@pytest.mark.parametrize(
    ("fixture", "expected"),
    [
        pytest.param("legacy", [SIMPLE_SIGNING, DSSE, DSSE, DSSE], id="cosign's tags"),
        pytest.param("newfmt", [BUNDLE] * 4, id="cosign's bundles"),
        pytest.param("attonly", [BUNDLE], id="one attestation"),
        pytest.param("notation2", ["application/cose", "application/jose+json"], id="notation"),
    ],
)
async def test_what_real_tools_signed_is_found_after_it_was_copied(
    store: Store, fixture: str, expected: list[str]
) -> None:
    report = await copy_image(LayoutRepository(SIGNED / fixture), V1, store, V1)

    for shelf in await both_shelves(store):
        pieces, looked = await gathered(shelf, report.digest)
        assert layer_types(pieces) == sorted(expected)
        assert {piece.subject for piece in pieces} == {report.digest}
        assert {one.problem for one in looked.values()} == {None}
        assert sum(one.found for one in looked.values()) >= len(pieces)


async def test_none_is_none_and_each_place_is_named(store: Store) -> None:
    await put(store, APP, "v1")

    for shelf in await both_shelves(store):
        pieces, looked = await gathered(shelf)
        assert pieces == []
        assert {"tag:.sig", "tag:.att", "tag:.sbom", "fallback-tag"} <= looked.keys()
        assert all((one.found, one.problem) == (0, None) for one in looked.values())
        assert {one.repository for one in looked.values()} == {store.name}


async def test_a_fallback_tag_is_read_beside_whatever_else_lists(store: Store) -> None:
    """As registries have it that learnt the API later. What names no subject is evidence of nothing."""
    await put(store, APP, "v1")
    nameless = artifact("application/vnd.example.old", {"text/plain": b"old"})
    await put(store, nameless)
    await put(store, fallback_index(nameless), fallback_tag(APP))

    for shelf in await both_shelves(store):
        (piece,), _ = await gathered(shelf)
        assert (str(piece.digest), piece.layers) == (nameless.digest, {})
        assert isinstance(piece.failed, OtherSubjectError)
        found = await shelf.find(SUBJECT, lambda _: True)
        assert [str(one.digest) for one in found.referrers] == [nameless.digest]


async def test_a_manifest_in_two_lists_is_one_piece(store: Store) -> None:
    await put(store, APP, "v1")
    sbom = await put(store, referrer(APP))
    await put(store, fallback_index(referrer(APP)), fallback_tag(APP))

    pieces, _ = await gathered(await Shelf.listing(store))

    assert [piece.digest for piece in pieces] == [sbom.digest]


async def test_evidence_of_evidence_is_not_followed(store: Store) -> None:
    await put(store, APP, "v1")
    sbom = referrer(APP)
    await put(store, sbom)
    await put(store, referrer(sbom, data=b"signature of the SBOM"))
    await put(store, cosign_signature(sbom), cosign_tag(sbom))

    pieces, _ = await gathered(await Shelf.listing(store))

    assert [str(piece.digest) for piece in pieces] == [sbom.digest]


async def test_what_buildkit_puts_into_an_index_is_evidence_of_its_platforms(store: Store) -> None:
    built = buildkit_index("app")
    await put(store, built, "v1")
    top = parse_manifest(built.data)
    shelf = await Shelf.listing(store)
    images = [Digest.parse(entry["digest"]) for entry in json.loads(built.data)["manifests"][::2]]

    for subject in images:
        pieces = Taken()
        looked = await gather(shelf, subject, wants=anything, take=pieces.take, top=top)

        assert [(piece.subject, piece.location) for piece in pieces] == [(subject, "index")]
        assert layer_types(pieces) == ["application/vnd.in-toto+json"]
        assert (looked[-1].location, looked[-1].found) == ("index", 1)
