"""Evidence brought to registries without a referrers API: the fallback tag is written, mended, never lost."""

import json
from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from regsync.content.destination import Destination
from regsync.content.evidence import Evidence, Shelf, lacking
from regsync.content.evidence_copy import EvidenceCopy
from regsync.content.manifests import Manifests
from regsync.content.protocol import Store
from regsync.content.transfers import Transfers
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from tests.content.places import Repository
from tests.remote.repositories import Registry, at, session_of
from tests.support import fake_registry as fake
from tests.support.fake_registry import FakeRegistry
from tests.support.images import (
    OCI_EMPTY,
    OCI_INDEX,
    Content,
    artifact,
    as_json,
    fallback_index,
    fallback_tag,
    image,
    index,
    push,
)

pytestmark = pytest.mark.anyio

APP = image("app")
SUBJECT = Digest.parse(APP.digest)
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
NOTES = {"dev.sigstore.bundle.content": "dsse-envelope"}
SIGNATURE = artifact(BUNDLE, {BUNDLE: b"{}"}, subject=APP, annotations=NOTES)
SCAN = artifact("application/sarif+json", {"application/sarif+json": b"{}"}, subject=APP)


def everything(artifact_type: str | None) -> bool:
    return True


async def bring_what_is_lacking(source: Store, target: Store) -> tuple[Evidence, Sequence[Exception]]:
    """One run's work for one image; what was lacking, and what was refused."""
    here = await Shelf.listing(source)
    missing = await lacking(here, await Shelf.listing(target), SUBJECT, everything)
    async with anyio.create_task_group() as group:
        transfers = Transfers(group, pause=lambda attempt: checkpoint())
        copy = EvidenceCopy(transfers, Manifests(), here, Destination(target), everything)
        await copy.bring(missing)
        group.cancel_scope.cancel()
    return missing, copy.refused


async def entries(store: Store) -> list[dict[str, Any]]:
    """What stands at the fallback tag."""
    _, raw = await store.manifest(Tag(fallback_tag(APP)))
    found: list[dict[str, Any]] = json.loads(raw)["manifests"]
    return found


@pytest.fixture
async def source() -> Repository:
    source = Repository("source")
    for one in (APP, SIGNATURE):
        await source.add_image(one)
    return source


@pytest.fixture(params=["fake", "debian_registry", "distribution"])
def target(request: pytest.FixtureRequest) -> Registry:
    """A registry that lists no referrers itself."""
    if request.param == "fake":
        registry: FakeRegistry = request.getfixturevalue("fake_registry")
        registry.referrers_api = False
        return registry
    found: Registry = request.getfixturevalue(request.param)
    return found


async def test_the_tag_has_types_and_annotations(
    source: Repository, target: Registry, repository: str
) -> None:
    push(target.url, repository, APP, "v1")
    async with session_of(target) as session:
        store = at(session, repository)
        missing, refused = await bring_what_is_lacking(source, store)

        assert (len(missing.referrers), refused) == (1, [])
        (entry,) = await entries(store)
        assert entry == SIGNATURE.descriptor(artifactType=BUNDLE, annotations=NOTES)
        assert not (await bring_what_is_lacking(source, store))[0]


async def test_a_wrong_entry_is_mended_and_others_stay(
    source: Repository, target: Registry, repository: str
) -> None:
    """As clients wrote it for ghcr.io: the type of the empty config, no annotations."""
    theirs = SCAN.descriptor(artifactType="x/y", annotations={"by": "somebody"})
    wrong = SIGNATURE.descriptor(artifactType=OCI_EMPTY)
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [theirs, wrong]}
    push(target.url, repository, APP, "v1")
    push(
        target.url,
        repository,
        Content(OCI_INDEX, as_json(document), children=(SCAN, SIGNATURE)),
        fallback_tag(APP),
    )
    async with session_of(target) as session:
        store = at(session, repository)
        missing, refused = await bring_what_is_lacking(source, store)

        assert ([str(one.digest) for one in missing.referrers], refused) == ([SIGNATURE.digest], [])
        right = SIGNATURE.descriptor(artifactType=BUNDLE, annotations=NOTES)
        assert await entries(store) == [theirs, right]
        assert not (await bring_what_is_lacking(source, store))[0]


async def test_what_is_no_list_is_left_alone_and_told(
    source: Repository, target: Registry, repository: str
) -> None:
    images = index(image("a"), image("a", arch="arm64"))
    push(target.url, repository, APP, "v1")
    push(target.url, repository, images, fallback_tag(APP))
    async with session_of(target) as session:
        store = at(session, repository)
        _, refused = await bring_what_is_lacking(source, store)

        assert "left alone" in str(refused[0])
        assert (await store.manifest(Tag(fallback_tag(APP))))[1] == images.data


async def test_what_a_registry_with_an_api_has_in_a_stale_tag_alone_is_copied_from_it(
    fake_registry: FakeRegistry,
) -> None:
    old = artifact(BUNDLE, {BUNDLE: b"{}"}, subject=APP)
    for one in (APP, SIGNATURE):
        fake_registry.add("team/app", one, "v1")
    fake_registry.add("team/app", fallback_index(old), fallback_tag(APP))
    fake_registry.on("GET", r".*/referrers/.*", fake.respond(200, fallback_index(SIGNATURE).data, OCI_INDEX))
    target = Repository("target")
    async with session_of(fake_registry) as session:
        missing, refused = await bring_what_is_lacking(at(session), target)

    assert refused == []
    assert {str(one.digest) for one in missing.referrers} == {old.digest, SIGNATURE.digest}
    assert {Digest.parse(old.digest), Digest.parse(SIGNATURE.digest)} <= set(target._manifests)
