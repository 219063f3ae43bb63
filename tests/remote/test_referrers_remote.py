"""Referrers over HTTP: the API where there is one, else the fallback tag, merged and never overwritten."""

import json
from dataclasses import replace
from typing import Any

import anyio
import pytest

from regsync.content.errors import ContentError
from regsync.errors import RefusedError
from regsync.oci.digest import Digest
from regsync.oci.manifest import InvalidManifestError
from regsync.oci.reference import Tag
from regsync.remote import referrers as referrers_module
from regsync.remote.errors import ForbiddenError, RegistryFailedError
from regsync.remote.fallback import FallbackTagTakenError
from regsync.remote.links import ForeignLinkError
from regsync.remote.referrers import BrokenListError, TooManyReferrersError
from regsync.remote.repository import RemoteRepository
from tests.remote.repositories import at, blob, described, methods, opened, session_of, stream
from tests.support import fake_registry as fake
from tests.support.fake_registry import FakeRegistry
from tests.support.images import (
    OCI_EMPTY,
    OCI_INDEX,
    Content,
    as_json,
    fallback_index,
    fallback_tag,
    image,
    index,
    referrer,
)

pytestmark = pytest.mark.anyio

APP = image("app")
SUBJECT = Digest.parse(APP.digest)
SBOM = referrer(APP, annotations={"org.example.by": "ci"})
SCAN = referrer(APP, artifact_type="application/sarif+json", data=b"{}")
REFERRERS = r"/v2/team/app/referrers/.*"
TAG = fallback_tag(APP)


async def digests(repository: RemoteRepository, subject: Digest = SUBJECT) -> list[str]:
    return [str(one.digest) for one in await repository.referrers(subject)]


async def push(repository: RemoteRepository, content: Content, tag: str | None = None) -> None:
    for data in content.blobs:
        await repository.push(blob(data), stream(data))
    await repository.push_manifest(described(content), content.data, tag=Tag(tag) if tag else None)


def at_tag(registry: FakeRegistry, tag: str = TAG) -> dict[str, Any]:
    """The document at a fallback tag."""
    there = registry.repositories["team/app"]
    document: dict[str, Any] = json.loads(there.manifests[there.tags[tag]][1])
    return document


def entries(registry: FakeRegistry, tag: str = TAG) -> list[str]:
    return [entry["digest"] for entry in at_tag(registry, tag)["manifests"]]


# reading


async def test_the_api_is_asked_once_a_subject(fake_registry: FakeRegistry) -> None:
    for one in (APP, SBOM, SCAN):
        fake_registry.add("team/app", one)
    async with opened(fake_registry) as repository:
        found = {str(one.digest): one for one in await repository.referrers(SUBJECT)}
    assert found.keys() == {SBOM.digest, SCAN.digest}
    assert found[SBOM.digest].artifact_type == "application/spdx+json"
    assert found[SBOM.digest].annotations == {"org.example.by": "ci"}
    assert methods(fake_registry.requests) == ["GET"]


async def test_pages_of_the_api_are_followed(fake_registry: FakeRegistry) -> None:
    def paged(request: fake.Request, proceed: fake.Proceed) -> fake.Answer:
        second = "page" in request.query
        answer = fake.respond(200, fallback_index(SCAN if second else SBOM).data, OCI_INDEX)(request, proceed)
        return answer if second else answer.with_headers(link=f'<{request.path}?page=2>; rel="next"')

    fake_registry.on("GET", REFERRERS, paged)
    async with opened(fake_registry) as repository:
        assert await digests(repository) == [SBOM.digest, SCAN.digest]


async def test_a_page_elsewhere_is_not_followed(fake_registry: FakeRegistry) -> None:
    fake_registry.on("GET", REFERRERS, fake.headers(link='<http://evil.test/>; rel="next"'))
    fake_registry.add("team/app", APP)
    async with opened(fake_registry) as repository:
        with pytest.raises(ForeignLinkError):
            await repository.referrers(SUBJECT)


async def test_a_list_without_end_is_not_used(
    fake_registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(referrers_module, "MAX_REFERRERS", 1)
    fake_registry.on("GET", REFERRERS, fake.respond(200, fallback_index(SBOM, SCAN).data, OCI_INDEX))
    async with opened(fake_registry) as repository:
        with pytest.raises(TooManyReferrersError):
            await repository.referrers(SUBJECT)


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(fake.respond(404, "404 page not found\n", "text/plain"), id="404, no such path"),
        pytest.param(fake.error(404, "NOT_FOUND"), id="404"),
        pytest.param(fake.error(400, "UNSUPPORTED"), id="400"),
        pytest.param(fake.error(405, "UNSUPPORTED"), id="405"),
        pytest.param(fake.respond(406), id="406"),
        pytest.param(fake.html(), id="200 with another type"),
        pytest.param(fake.respond(200, {"errors": []}), id="200 with JSON"),
    ],
)
async def test_without_the_api_the_tag_is_read_and_the_api_asked_once(
    fake_registry: FakeRegistry, behaviour: fake.Behaviour
) -> None:
    fake_registry.on("GET", REFERRERS, behaviour)
    fake_registry.add("team/app", APP)
    fake_registry.add("team/app", fallback_index(SBOM, SCAN), TAG)
    async with opened(fake_registry) as repository:
        assert await digests(repository) == [SBOM.digest, SCAN.digest]
        assert await digests(repository) == [SBOM.digest, SCAN.digest]
        assert await digests(repository, Digest.parse(image("other").digest)) == []
    assert fake_registry.count("GET", REFERRERS) == 1


async def test_a_server_without_the_path_is_asked_once_for_all_repositories(
    fake_registry: FakeRegistry,
) -> None:
    fake_registry.on("GET", r".*/referrers/.*", fake.respond(404, "404 page not found\n", "text/plain"))
    async with session_of(fake_registry) as session:
        for name in ("one", "two", "three"):
            assert await digests(at(session, name)) == []
    assert fake_registry.count("GET", r".*/referrers/.*") == 1


@pytest.mark.parametrize("code", ["NAME_UNKNOWN", "MANIFEST_UNKNOWN"])
async def test_a_404_about_the_content_says_nothing_of_the_api(
    fake_registry: FakeRegistry, code: str
) -> None:
    fake_registry.on("GET", REFERRERS, fake.error(404, code), times=1)
    for one in (APP, SBOM):
        fake_registry.add("team/app", one)
    async with opened(fake_registry) as repository:
        assert await digests(repository) == []
        assert await digests(repository) == [SBOM.digest]


@pytest.mark.parametrize("behaviour", [fake.error(400, "UNSUPPORTED"), fake.respond(501), fake.html()])
async def test_an_api_that_was_there_does_not_go_away(
    fake_registry: FakeRegistry, behaviour: fake.Behaviour
) -> None:
    for one in (APP, SBOM):
        fake_registry.add("team/app", one)
    async with opened(fake_registry) as repository:
        assert await digests(repository) == [SBOM.digest]
        fake_registry.on("GET", REFERRERS, behaviour, times=1)
        with pytest.raises(BrokenListError):
            await repository.referrers(SUBJECT)
        assert await digests(repository) == [SBOM.digest]


async def test_what_was_found_out_is_told(fake_registry: FakeRegistry) -> None:
    fake_registry.add("team/app", APP)
    async with opened(fake_registry) as repository:
        assert repository.has_referrers_api is None
        await repository.referrers(SUBJECT)
        assert repository.has_referrers_api is True
    fake_registry.on("GET", REFERRERS, fake.error(404, "NOT_FOUND"))
    async with opened(fake_registry) as repository:
        await repository.referrers(SUBJECT)
        assert repository.has_referrers_api is False


async def test_one_request_finds_out_for_all_who_ask_at_once(fake_registry: FakeRegistry) -> None:
    fake_registry.on("GET", REFERRERS, fake.error(404, "NOT_FOUND"))
    async with opened(fake_registry) as repository, anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(repository.referrers, Digest.parse(image(f"image {number}").digest))
    assert fake_registry.count("GET", REFERRERS) == 1


async def test_tags_that_were_listed_spare_the_request(fake_registry: FakeRegistry) -> None:
    fake_registry.on("GET", REFERRERS, fake.error(404, "NOT_FOUND"))
    fake_registry.add("team/app", fallback_index(SBOM), TAG)
    async with opened(fake_registry) as repository:
        assert await repository.referrers(SUBJECT, listed=()) == ()
        assert fake_registry.count("GET", r".*/manifests/.*") == 0
        assert len(await repository.referrers(SUBJECT, listed={Tag(TAG)})) == 1


@pytest.mark.parametrize(
    "there",
    [
        pytest.param(APP, id="GitLab shows the subject itself"),
        pytest.param(image("another"), id="a manifest"),
        pytest.param(index(image("a"), image("a", arch="arm64")), id="an image for several platforms"),
        pytest.param(fallback_index(APP), id="an index that names the subject"),
        pytest.param(index(SBOM, subject=APP), id="an index with a subject"),
    ],
)
async def test_what_is_no_list_of_referrers_is_not_read_as_one(
    fake_registry: FakeRegistry, there: Content
) -> None:
    fake_registry.referrers_api = False
    fake_registry.on("GET", REFERRERS, fake.error(404, "NOT_FOUND"))
    fake_registry.add("team/app", there, TAG)
    async with opened(fake_registry) as repository:
        assert await digests(repository) == []


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [(fake.respond(503), RegistryFailedError), (fake.error(403, "DENIED"), ForbiddenError)],
)
async def test_a_failure_is_never_no_referrers(
    fake_registry: FakeRegistry, behaviour: fake.Behaviour, kind: type[Exception]
) -> None:
    fake_registry.on("GET", REFERRERS, behaviour)
    async with opened(fake_registry) as repository:
        with pytest.raises(kind):
            await repository.referrers(SUBJECT)


async def test_an_unreadable_list_is_never_no_referrers(fake_registry: FakeRegistry) -> None:
    fake_registry.on("GET", REFERRERS, fake.respond(200, '{"schemaVersion": 2, "manifests": [1]}', OCI_INDEX))
    async with opened(fake_registry) as repository:
        with pytest.raises(InvalidManifestError):
            await repository.referrers(SUBJECT)


# writing


async def test_a_registry_that_says_oci_subject_needs_no_tag(fake_registry: FakeRegistry) -> None:
    async with opened(fake_registry) as repository:
        await push(repository, APP)
        await push(repository, SBOM)
        assert await digests(repository) == [SBOM.digest]
    assert fake_registry.tags("team/app") == {}


async def test_without_oci_subject_the_tag_is_written(fake_registry: FakeRegistry) -> None:
    fake_registry.referrers_api = False
    async with opened(fake_registry) as repository:
        await push(repository, APP, "v1")
        await push(repository, SBOM)
        await push(repository, SCAN)
        assert await digests(repository) == [SBOM.digest, SCAN.digest]
    document = at_tag(fake_registry)
    assert document["mediaType"] == OCI_INDEX
    assert "subject" not in document
    assert document["manifests"][0] == SBOM.descriptor(
        artifactType="application/spdx+json", annotations={"org.example.by": "ci", **_title(SBOM)}
    )


def _title(content: Content) -> dict[str, str]:
    notes: dict[str, str] = content.document.get("annotations", {})
    return {key: value for key, value in notes.items() if key != "org.example.by"}


async def test_what_others_put_there_stays_to_the_letter(fake_registry: FakeRegistry) -> None:
    fake_registry.referrers_api = False
    fake_registry.add("team/app", SCAN)
    theirs = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [SCAN.descriptor(artifactType="x/y", custom={"ä": 1.5})],
        "annotations": {"who": "someone"},
        "extra": [1, 2],
    }
    fake_registry.add("team/app", Content(OCI_INDEX, as_json(theirs)), TAG)
    async with opened(fake_registry) as repository:
        await push(repository, SBOM)
    document = at_tag(fake_registry)
    assert document["manifests"][0] == theirs["manifests"][0]  # type: ignore[index]
    assert document["manifests"][1]["digest"] == SBOM.digest
    assert (document["annotations"], document["extra"]) == (theirs["annotations"], theirs["extra"])


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"artifactType": OCI_EMPTY}, id="the type of the empty config, as for ghcr.io"),
        pytest.param({"artifactType": "application/spdx+json"}, id="no annotations"),
        pytest.param({}, id="nothing"),
        pytest.param({"annotations": {"org.example.by": "nobody"}}, id="another annotation"),
    ],
)
async def test_an_entry_that_is_wrong_is_put_right_when_its_manifest_is_put(
    fake_registry: FakeRegistry, wrong: dict[str, Any]
) -> None:
    fake_registry.referrers_api = False
    fake_registry.add("team/app", SBOM)
    fake_registry.add("team/app", SCAN)
    theirs = SBOM.descriptor(**wrong, custom=1)
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [SCAN.descriptor(), theirs]}
    fake_registry.add("team/app", Content(OCI_INDEX, as_json(document)), TAG)
    async with opened(fake_registry) as repository:
        await push(repository, SBOM)
        (right,) = fallback_index(SBOM).document["manifests"]
        assert at_tag(fake_registry)["manifests"] == [SCAN.descriptor(), {**right, "custom": 1}]
        fake_registry.forget()
        await push(repository, SBOM)
    assert fake_registry.count("PUT", rf".*/manifests/{TAG}") == 0


async def test_what_is_listed_already_is_not_written_again(fake_registry: FakeRegistry) -> None:
    fake_registry.referrers_api = False
    fake_registry.add("team/app", SBOM)
    fake_registry.add("team/app", fallback_index(SBOM), TAG)
    before = fake_registry.tags("team/app")
    async with opened(fake_registry) as repository:
        await push(repository, SBOM)
    assert fake_registry.tags("team/app") == before
    assert fake_registry.count("PUT", rf".*/manifests/{TAG}") == 0


async def test_many_at_once_are_all_listed(fake_registry: FakeRegistry) -> None:
    fake_registry.referrers_api = False
    many = [referrer(APP, artifact_type=f"application/type-{number}") for number in range(12)]
    async with opened(fake_registry) as repository:
        await push(repository, APP)
        async with anyio.create_task_group() as group:
            for one in many:
                group.start_soon(push, repository, one)
    assert sorted(entries(fake_registry)) == sorted(one.digest for one in many)


async def test_gitlabs_subject_at_the_tag_is_not_merged(fake_registry: FakeRegistry) -> None:
    """GitLab answers the tag with the subject, an index here: merging would corrupt the image."""
    multi = index(image("a"), image("a", arch="arm64"))
    tag = fallback_tag(multi)
    sbom = referrer(multi)
    fake_registry.referrers_api = False
    fake_registry.add("team/app", multi)
    fake_registry.on("GET", rf".*/manifests/{tag}", fake.respond(200, multi.data, multi.media_type), times=1)
    async with opened(fake_registry) as repository:
        await push(repository, sbom)
    assert entries(fake_registry, tag) == [sbom.digest]


async def test_a_tag_that_holds_something_else_is_left_alone(fake_registry: FakeRegistry) -> None:
    fake_registry.referrers_api = False
    other = fake_registry.add("team/app", image("other"), TAG)
    async with opened(fake_registry) as repository:
        with pytest.raises(FallbackTagTakenError, match="left alone") as caught:
            await push(repository, SBOM)
    assert isinstance(caught.value, RefusedError)
    assert fake_registry.tags("team/app")[TAG] == other.digest


async def test_entries_that_are_gone_do_not_block_new_ones(fake_registry: FakeRegistry) -> None:
    """A registry that refuses sparse indexes, and a referrer that somebody deleted."""
    fake_registry.referrers_api = False
    stale = fallback_index(SCAN)
    fake_registry.add("team/app", replace(stale, children=()), TAG)
    async with opened(fake_registry) as repository:
        await push(repository, SBOM)
    assert entries(fake_registry) == [SBOM.digest]


async def test_a_referrers_subject_may_be_absent(fake_registry: FakeRegistry) -> None:
    fake_registry.referrers_api = False
    async with opened(fake_registry) as repository:
        await push(repository, SBOM)
    assert entries(fake_registry) == [SBOM.digest]


# deleting


async def test_a_deleted_referrer_leaves_the_tag(fake_registry: FakeRegistry) -> None:
    fake_registry.referrers_api = False
    fake_registry.on("GET", REFERRERS, fake.error(404, "NOT_FOUND"))
    for one in (APP, SBOM, SCAN):
        fake_registry.add("team/app", one)
    fake_registry.add("team/app", fallback_index(SBOM, SCAN), TAG)
    async with opened(fake_registry) as repository:
        await repository.delete(described(SBOM))
        assert await digests(repository) == [SCAN.digest]
        await repository.delete(described(SCAN))
        assert await digests(repository) == []


async def test_where_the_api_answers_a_deletion_is_one_request(fake_registry: FakeRegistry) -> None:
    for one in (APP, SBOM):
        fake_registry.add("team/app", one)
    async with opened(fake_registry) as repository:
        await digests(repository)
        fake_registry.forget()
        await repository.delete(described(SBOM))
    assert methods(fake_registry.requests) == ["DELETE"]


async def test_errors_name_the_repository(fake_registry: FakeRegistry) -> None:
    fake_registry.on("GET", REFERRERS, fake.error(404, "NOT_FOUND"))
    fake_registry.on("GET", r".*/manifests/.*", fake.body(b"x" * 5_000_000))
    fake_registry.add("team/app", fallback_index(SBOM), TAG)
    async with opened(fake_registry) as repository:
        with pytest.raises(ContentError, match="team/app"):
            await repository.referrers(SUBJECT)
