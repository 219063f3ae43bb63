"""What our own server tells in one answer, and tags that are only confirmed."""

import json
from datetime import UTC, datetime

import pytest

from regsync.content.errors import ContentNotFoundError
from regsync.content.protocol import ListsTags
from regsync.content.tag_times import TagTimes
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.remote import states
from regsync.remote.paging import EndlessListingError, InvalidListingError
from regsync.remote.providers.regsync import PROVIDER as OURS
from tests.remote.repositories import described, opened, session_of
from tests.support.fake_registry import FakeRegistry, headers, respond
from tests.support.images import image, push, referrer
from tests.support.regsync_server import RegsyncServer
from tests.support.servers import RegistryServer

pytestmark = pytest.mark.anyio
APP, OTHER = image("app"), image("other")
V1 = Tag("v1")


async def listed(repository: ListsTags) -> dict[str, Descriptor | None]:
    async with repository.tags() as tags:
        return {str(tag): desc async for tag, desc in tags}


async def test_our_own_server_lists_tags_with_what_they_point_to(regsync_server: RegsyncServer) -> None:
    push(regsync_server.url, "team/app", APP, "v1", "v2")
    async with opened(regsync_server, provider=OURS) as repository:
        assert await listed(repository) == {"v1": described(APP), "v2": described(APP)}


async def test_a_repository_that_our_server_lacks_is_not_found(regsync_server: RegsyncServer) -> None:
    async with opened(regsync_server, provider=OURS) as repository:
        with pytest.raises(ContentNotFoundError):
            await listed(repository)


async def test_our_own_server_tells_when_tags_were_put_and_pulled(fake_registry: FakeRegistry) -> None:
    entry = {"digest": APP.digest, "mediaType": APP.media_type, "size": APP.size}
    put = {**entry, "pushedAt": "2026-01-01T12:00:00.5Z"}
    pulled = {**put, "pulledAt": "2026-01-02T12:00:00Z"}
    odd = {**entry, "pushedAt": "yesterday", "pulledAt": "2026-01-02T12:00:00"}
    document = {"digest": "sha256:1", "tags": {"v1": put, "v2": pulled, "odd": odd}}
    fake_registry.add("team/app", APP, "v1")
    fake_registry.on("GET", ".*/_regsync/state", respond(200, document))
    async with opened(fake_registry, provider=OURS) as repository:
        times = await repository.times()
    put_at, pulled_at = datetime(2026, 1, 1, 12, 0, 0, 500_000, UTC), datetime(2026, 1, 2, 12, tzinfo=UTC)
    assert times == {
        V1: TagTimes(put_at),
        Tag("v2"): TagTimes(put_at, pulled_at),
        Tag("odd"): TagTimes(),
    }


async def test_other_registries_tell_no_times(fake_registry: FakeRegistry) -> None:
    fake_registry.add("team/app", APP, "v1")
    async with opened(fake_registry) as generic, opened(fake_registry, provider=OURS) as called_ours:
        assert await generic.times() is None
        assert await called_ours.times() is None


async def test_who_is_called_ours_and_is_not_is_listed_as_others_are(fake_registry: FakeRegistry) -> None:
    fake_registry.add("team/app", APP, "v1")
    async with opened(fake_registry, provider=OURS) as repository:
        assert await listed(repository) == {"v1": None}


async def test_all_repositories_of_our_server_in_one_request(regsync_server: RegsyncServer) -> None:
    push(regsync_server.url, "team/app", APP, "v1", "v2")
    push(regsync_server.url, "copy/of/app", APP, "v1", "v2")
    push(regsync_server.url, "copy/of/app", referrer(APP, artifact_type="application/x"))
    push(regsync_server.url, "other", OTHER, "v1")
    async with session_of(regsync_server) as session:
        found = await states.repositories(session)
        assert sum(session.counters.values()) == 1
    assert found is not None
    by_name = {str(name): state for name, state in found.items()}
    assert {name: one.tags for name, one in by_name.items()} == {"team/app": 2, "copy/of/app": 2, "other": 1}
    assert by_name["team/app"].digest == by_name["copy/of/app"].digest != by_name["other"].digest
    assert by_name["team/app"].referrers != by_name["copy/of/app"].referrers


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({}, id="without tags"),
        pytest.param({"tags": {"v1": {"digest": "sha256:no"}}}, id="no digest"),
        pytest.param({"tags": {"v1": []}}, id="no object"),
        pytest.param({"tags": {"../v1": {}}}, id="no tag"),
    ],
)
async def test_a_state_that_is_none_is_refused(
    fake_registry: FakeRegistry, document: dict[str, object]
) -> None:
    answer = respond(200, json.dumps(document), content_type="application/json")
    fake_registry.on("GET", r"/v2/team/app/_regsync/state", answer)
    async with opened(fake_registry, provider=OURS) as repository:
        with pytest.raises(InvalidListingError):
            await listed(repository)


async def test_a_state_that_never_holds_still_is_given_up(fake_registry: FakeRegistry) -> None:
    for number in reversed(range(20)):  # the rule made last is the first to be asked
        link = {"link": f'</v2/team/app/_regsync/state?last={number}>; rel="next"'} if number % 2 == 0 else {}
        page = json.dumps({"digest": str(Digest.of(bytes([number]))), "tags": {}})
        answer = respond(200, page, content_type="application/json", **link)
        fake_registry.on("GET", r"/v2/team/app/_regsync/state", answer, times=1)
    async with opened(fake_registry, provider=OURS) as repository:
        with pytest.raises(EndlessListingError):
            await listed(repository)


async def test_a_tag_that_is_what_was_expected_is_only_confirmed(
    distribution: RegistryServer, repository: str
) -> None:
    push(distribution.url, repository, APP, "v1")
    expected, unexpected = Digest.parse(APP.digest), Digest.parse(OTHER.digest)
    async with opened(distribution, repository) as there:
        assert await there.confirm(V1, expected) == expected
        assert await there.confirm(V1, unexpected) == expected
        with pytest.raises(ContentNotFoundError):
            await there.confirm(Tag("v2"), expected)


async def test_a_registry_that_confirms_everything_is_found_out(fake_registry: FakeRegistry) -> None:
    fake_registry.add("team/app", APP, "v1")
    fake_registry.on("HEAD", r"/v2/team/app/manifests/v1", respond(304), times=1)
    async with opened(fake_registry) as there:
        assert await there.confirm(V1, Digest.parse(OTHER.digest)) == Digest.parse(APP.digest)


async def test_a_registry_without_digests_in_headers_is_read(fake_registry: FakeRegistry) -> None:
    fake_registry.add("team/app", APP, "v1")
    fake_registry.on("HEAD", r"/v2/team/app/manifests/.*", headers(docker_content_digest=None))
    async with opened(fake_registry) as there:
        assert await there.confirm(V1, Digest.parse(OTHER.digest)) == Digest.parse(APP.digest)
