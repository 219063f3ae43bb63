"""Gathering evidence over HTTP: how many requests it takes, and what registries do to whoever asks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from regsync.content.errors import BoundHitError
from regsync.content.evidence import Shelf
from regsync.content.gather import gather
from regsync.content.pieces import Looked, Piece
from regsync.errors import DeniedError, TemporaryError
from regsync.oci.digest import Digest
from regsync.remote.referrers import BrokenListError
from tests.remote.repositories import at, opened, session_of
from tests.support import fake_registry as fake
from tests.support.fake_registry import FakeRegistry
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
    push,
)
from tests.support.servers import RegistryServer
from tests.support.taken_pieces import Taken

pytestmark = pytest.mark.anyio

APP = image("app")
SUBJECT = Digest.parse(APP.digest)
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
REFERRERS = r"/v2/team/app/referrers/.*"


def bundle(number: int = 0, subject: Content = APP) -> Content:
    """A signature as cosign 3 writes it, shaped alike."""
    return artifact(
        BUNDLE,
        {BUNDLE: b'{"number":%d}' % number},
        subject=subject,
        annotations={"dev.sigstore.bundle.content": "dsse-envelope"},
    )


def anything(media_type: str) -> bool:
    return True


@asynccontextmanager
async def listed(registry: FakeRegistry) -> AsyncIterator[Shelf]:
    """A shelf whose repository was listed, which is not counted, and of which nothing else is known."""
    async with opened(registry) as repository:
        shelf = await Shelf.listing(repository)
        registry.forget()
        yield shelf


async def gathered(shelf: Shelf, subject: Digest = SUBJECT) -> tuple[list[Piece], dict[str, Looked]]:
    pieces = Taken()
    looked = await gather(shelf, subject, wants=anything, take=pieces.take)
    return pieces, {one.location: one for one in looked}


def problems(looked: dict[str, Looked]) -> dict[str, str]:
    return {place: str(one.problem) for place, one in looked.items() if one.problem is not None}


# how many requests


@pytest.mark.parametrize("has_api", [True, False])
async def test_a_legacy_signature_takes_three_requests(fake_registry: FakeRegistry, has_api: bool) -> None:
    fake_registry.referrers_api = has_api
    fake_registry.add("team/app", APP, "v1")
    fake_registry.add("team/app", cosign_signature(APP), cosign_tag(APP))
    async with listed(fake_registry) as shelf:
        pieces, looked = await gathered(shelf)

    assert [piece.location for piece in pieces] == ["tag:.sig"]
    assert not problems(looked)
    assert len(fake_registry.requests) == 3  # referrers, which are none, the manifest, its layer


async def test_a_bundle_takes_three_requests_with_the_api(fake_registry: FakeRegistry) -> None:
    fake_registry.add("team/app", APP, "v1")
    fake_registry.add("team/app", bundle())
    async with listed(fake_registry) as shelf:
        pieces, _ = await gathered(shelf)

    assert [piece.location for piece in pieces] == ["referrers"]
    assert len(fake_registry.requests) == 3


async def test_a_bundle_takes_three_requests_without_the_api_once_that_is_known(
    fake_registry: FakeRegistry,
) -> None:
    other = image("other")
    fake_registry.referrers_api = False
    for one in (APP, other):
        fake_registry.add("team/app", one, "v1")
        fake_registry.add("team/app", fallback_index(bundle(subject=one)), fallback_tag(one))
    async with listed(fake_registry) as shelf:
        await gathered(shelf, Digest.parse(other.digest))
        assert len(fake_registry.requests) == 4  # the API was asked for, once
        fake_registry.forget()
        pieces, looked = await gathered(shelf)

    assert [piece.location for piece in pieces] == ["fallback-tag"]
    assert "referrers" not in looked
    assert len(fake_registry.requests) == 3


@pytest.mark.parametrize("has_api", [True, False])
async def test_an_image_without_any_takes_one_request_or_none(
    fake_registry: FakeRegistry, has_api: bool
) -> None:
    fake_registry.referrers_api = has_api
    fake_registry.add("team/app", APP, "v1")
    async with listed(fake_registry) as shelf:
        await gathered(shelf)
        assert len(fake_registry.requests) == 1
        pieces, looked = await gathered(shelf)

    assert pieces == []
    assert looked["fallback-tag"].found == 0
    assert len(fake_registry.requests) == (2 if has_api else 1)


# what registries do


async def test_ghcrs_fallback_index_hides_no_signature(fake_registry: FakeRegistry) -> None:
    """No API, no annotations, and the type of the empty config (docker/buildx#4010)."""
    signature = bundle()
    entry = signature.descriptor(artifactType=OCI_EMPTY)
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
    fake_registry.on("GET", REFERRERS, fake.respond(404, "404 page not found\n", "text/plain"))
    fake_registry.add("team/app", APP, "v1")
    fake_registry.add("team/app", Content(OCI_INDEX, as_json(document), (), (signature,)), fallback_tag(APP))
    async with listed(fake_registry) as shelf:
        pieces, looked = await gathered(shelf)
        evidence = await shelf.find(SUBJECT, lambda kind: kind == BUNDLE)

    assert not problems(looked)
    (piece,) = pieces
    assert piece.manifest is not None
    assert piece.manifest.artifact_type == BUNDLE
    assert list(piece.layers.values()) == [b'{"number":0}']
    assert [str(one.digest) for one in evidence.referrers] == [signature.digest]


async def test_a_stale_fallback_tag_is_read_beside_the_api(fake_registry: FakeRegistry) -> None:
    new, old = bundle(1), bundle(2)
    for one in (APP, new):
        fake_registry.add("team/app", one, "v1")
    fake_registry.on("GET", REFERRERS, fake.respond(200, fallback_index(new).data, OCI_INDEX))
    fake_registry.add("team/app", fallback_index(old, new), fallback_tag(APP))
    async with listed(fake_registry) as shelf:
        pieces, looked = await gathered(shelf)
        evidence = await shelf.find(SUBJECT, lambda _: True)

    found = {str(piece.digest): piece.location for piece in pieces}
    assert found == {new.digest: "referrers", old.digest: "fallback-tag"}
    assert all(piece.failed is None for piece in pieces)
    assert (looked["referrers"].found, looked["fallback-tag"].found) == (1, 2)
    assert {str(one.digest) for one in evidence.referrers} == {new.digest, old.digest}
    assert evidence.unsure == {Digest.parse(old.digest)}


@pytest.mark.parametrize("status", [404, 400, 405, 501, 200])
async def test_pages_that_break_off_are_a_failure_never_none(
    fake_registry: FakeRegistry, status: int
) -> None:
    """Also with the answers that would mean, to the first page, that there is no API."""

    def paged(request: fake.Request, proceed: fake.Proceed) -> fake.Answer:
        if "page" in request.query:
            return fake.respond(status, {"errors": []})(request, proceed)
        return proceed().with_headers(link=f'<{request.path}?page=2>; rel="next"')

    fake_registry.on("GET", REFERRERS, paged)
    for one in (APP, bundle()):
        fake_registry.add("team/app", one, "v1")
    async with listed(fake_registry) as shelf:
        pieces, looked = await gathered(shelf)

    assert pieces == []
    assert isinstance(looked["referrers"].problem, BrokenListError)
    assert looked["referrers"].found == 0


async def test_a_registry_that_fails_on_a_later_page_failed(fake_registry: FakeRegistry) -> None:
    def paged(request: fake.Request, proceed: fake.Proceed) -> fake.Answer:
        if "page" in request.query:
            return fake.respond(503)(request, proceed)
        return proceed().with_headers(link=f'<{request.path}?page=2>; rel="next"')

    fake_registry.on("GET", REFERRERS, paged)
    for one in (APP, bundle()):
        fake_registry.add("team/app", one, "v1")
    async with listed(fake_registry) as shelf:
        _, looked = await gathered(shelf)

    problem = looked["referrers"].problem
    assert isinstance(problem, TemporaryError)
    assert not isinstance(problem, DeniedError)


async def test_forbidden_is_told_apart_and_the_rest_is_read(fake_registry: FakeRegistry) -> None:
    fake_registry.on("GET", REFERRERS, fake.error(403, "DENIED"))
    fake_registry.add("team/app", APP, "v1")
    fake_registry.add("team/app", cosign_signature(APP), cosign_tag(APP))
    async with listed(fake_registry) as shelf:
        pieces, looked = await gathered(shelf)

    assert [piece.location for piece in pieces] == ["tag:.sig"]
    assert list(problems(looked)) == ["referrers"]
    assert isinstance(looked["referrers"].problem, DeniedError)


async def test_a_blob_that_is_forbidden_or_gone_is_an_error_of_its_piece(
    fake_registry: FakeRegistry,
) -> None:
    first, second = bundle(1), bundle(2)
    for one in (APP, first, second):
        fake_registry.add("team/app", one, "v1")
    hidden = Digest.of(b'{"number":1}')
    fake_registry.on("GET", rf".*/blobs/{hidden}", fake.error(403, "DENIED"))
    async with listed(fake_registry) as shelf:
        pieces, looked = await gathered(shelf)

    assert not problems(looked)
    layers = {str(piece.digest): next(iter(piece.layers.values())) for piece in pieces}
    assert isinstance(layers[first.digest], DeniedError)
    assert layers[second.digest] == b'{"number":2}'


async def test_ten_thousand_referrers_are_listed_and_a_thousand_are_read(
    fake_registry: FakeRegistry,
) -> None:
    """In one page of more than 4 MiB, as zot answers."""
    few = [bundle(number) for number in range(20)]
    entries = [one.descriptor(artifactType=BUNDLE, annotations={"note": "x" * 300}) for one in few]
    for number in range(9_980):
        digest = str(Digest.of(b"%d" % number))
        entries.append({**entries[0], "digest": digest})
    page = as_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
    assert len(page) > 4 * 1024 * 1024
    fake_registry.on("GET", REFERRERS, fake.respond(200, page, OCI_INDEX))
    for one in (APP, *few):
        fake_registry.add("team/app", one, "v1")
    fake_registry.add("team/app", cosign_signature(APP), cosign_tag(APP))
    async with listed(fake_registry) as shelf:
        pieces, looked = await gathered(shelf)
        evidence = await shelf.find(SUBJECT, lambda _: True)

    assert len(pieces) == 1001
    assert sum(piece.failed is None for piece in pieces) == 21
    problem = looked["referrers"].problem
    assert isinstance(problem, BoundHitError)
    assert "10000 referrers" in str(problem)
    assert len(evidence.referrers) == 10_000  # what is copied has no bound


async def test_a_page_without_end_is_not_read(fake_registry: FakeRegistry) -> None:
    fake_registry.on("GET", REFERRERS, fake.respond(200, b" " * 17 * 1024 * 1024, OCI_INDEX))
    fake_registry.add("team/app", APP, "v1")
    async with listed(fake_registry) as shelf:
        _, looked = await gathered(shelf)

    assert "longer than" in problems(looked)["referrers"]


async def test_distribution_takes_as_few(distribution: RegistryServer, repository: str) -> None:
    """It has no referrers API, so that clients keep the fallback tag."""
    signature = bundle()
    push(distribution.url, repository, APP, "v1")
    push(distribution.url, repository, signature)
    push(distribution.url, repository, fallback_index(signature), fallback_tag(APP))
    async with session_of(distribution) as session:
        shelf = await Shelf.listing(at(session, repository))
        requests = [sum(session.counters.values())]
        for _ in range(2):
            pieces, looked = await gathered(shelf)
            requests.append(sum(session.counters.values()))

    assert [piece.location for piece in pieces] == ["fallback-tag"]
    assert not problems(looked)
    listing, cold, warm = requests
    assert (cold - listing, warm - cold) == (4, 3)  # the first in a session asks for the API
