"""The same repository against real registries: distribution v3 and Debian's docker-registry 2.8."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from regsync.content.errors import ContentNotFoundError
from regsync.content.references import MissingReferencesError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.remote import pieces, resumable
from regsync.remote.catalog import repositories
from regsync.remote.deletion import DeletionUnsupportedError
from regsync.remote.errors import RejectedError
from regsync.remote.providers.detection import load
from regsync.remote.providers.provider import Known, Provider, UploadWay
from regsync.remote.repository import RemoteRepository
from regsync.remote.resumable import SavedUpload
from regsync.remote.tag_deletion import TagDeletionUnsupportedError
from tests.remote.repositories import at, blob, described, opened, read, session_of, stream
from tests.support.images import Content, fallback_tag, image, index, noise, referrer
from tests.support.registry_state import read_repository
from tests.support.servers import RegistryServer
from tests.support.tools import Tool
from tests.support.toxiproxy import Toxiproxy

# `server` asks for its fixture by name, so the mark is set here.
pytestmark = [pytest.mark.anyio, pytest.mark.servers]

V1 = Tag("v1")
ACR = load("acr")
PATCHING = Provider("patching", upload=UploadWay.PATCH, single_post=Known.NO)


@pytest.fixture(params=["distribution", "debian_registry"])
def server(request: pytest.FixtureRequest) -> RegistryServer:
    """Either real registry."""
    found: RegistryServer = request.getfixturevalue(request.param)
    return found


async def push(repository: RemoteRepository, content: Content, tag: Tag | None = None) -> None:
    for node in content.walk():
        for data in node.blobs:
            await repository.push(blob(data), stream(data))
        if node is not content:
            await repository.push_manifest(described(node), node.data)
    await repository.push_manifest(described(content), content.data, tag=tag)


async def test_what_is_pushed_is_there_whole(server: RegistryServer, repository: str) -> None:
    multi = index(image("a", layer_size=2_000_000), image("a", arch="arm64"))
    async with opened(server, repository) as store:
        await push(store, multi, V1)
        assert await store.resolve(V1) == described(multi)
        assert await store.manifest(V1) == (described(multi), multi.data)
        for data in multi.all_blobs().values():
            async with store.fetch(blob(data)) as chunks:
                assert await read(chunks) == data
            assert await store.exists(blob(data))
    state = read_repository(server.url, repository)
    assert state.tags == {"v1": multi.digest}
    assert state.complete


@pytest.mark.parametrize("provider", [ACR, PATCHING], ids=["in chunks", "in one PATCH"])
async def test_every_way_of_uploading_arrives(
    server: RegistryServer, repository: str, provider: Provider
) -> None:
    data = noise(repository, 20_000_000)
    async with opened(server, repository, provider) as store:
        await store.push(blob(data), stream(data))
        async with store.fetch_from(blob(data), 19_000_000) as chunks:
            assert await read(chunks) == data[19_000_000:]


async def test_what_is_missing_is_not_found(server: RegistryServer, repository: str) -> None:
    absent = image("absent")
    async with opened(server, repository) as store:
        for name in (V1, Digest.parse(absent.digest)):
            with pytest.raises(ContentNotFoundError):
                await store.resolve(name)
            with pytest.raises(ContentNotFoundError):
                await store.manifest(name)
        assert not await store.exists(blob(b"absent"))
        assert not await store.exists(described(absent))
        with pytest.raises(ContentNotFoundError):
            async with store.fetch(blob(b"absent")):
                pass
        with pytest.raises(ContentNotFoundError):
            async with store.tags():
                pass
        assert await store.referrers(Digest.parse(absent.digest)) == ()


async def test_missing_blobs_are_named(server: RegistryServer, repository: str) -> None:
    app = image("app")
    async with opened(server, repository) as store:
        with pytest.raises(MissingReferencesError) as caught:
            await store.push_manifest(described(app), app.data)
    assert {str(digest) for digest in caught.value.missing} == set(app.all_blobs())


async def test_a_missing_child_is_named(server: RegistryServer, repository: str) -> None:
    child = image("child")
    multi = index(child)
    async with opened(server, repository) as store:
        with pytest.raises(MissingReferencesError) as caught:
            await store.push_manifest(described(multi), multi.data)
    assert [str(digest) for digest in caught.value.missing] == [child.digest]


async def test_tags_are_listed_page_by_page(server: RegistryServer, repository: str) -> None:
    app = image("app")
    expected = [f"v{number:02}" for number in range(25)]
    async with opened(server, repository, Provider("seven", page_size=7)) as store:
        await push(store, app)
        for tag in expected:
            await store.tag(described(app), Tag(tag))
        async with store.tags() as tags:
            assert sorted([tag async for tag, _ in tags]) == expected  # 2.8 gives them in any order


async def test_repositories_are_listed(server: RegistryServer, repository: str) -> None:
    async with session_of(server) as session:
        await push(at(session, repository), image("app"), V1)
        assert repository in await repositories(session, Provider("one", page_size=1))


async def test_a_blob_is_mounted(server: RegistryServer, repository: str) -> None:
    async with session_of(server) as session:
        origin, target = at(session, repository), at(session, f"{repository}-copy")
        await origin.push(blob(b"layer"), stream(b"layer"))
        assert await target.mount(blob(b"layer"), origin)
        assert await target.exists(blob(b"layer"))
        assert not await target.mount(blob(b"absent"), origin)
        await target.push(blob(b"absent"), stream(b"absent"))
        assert await target.exists(blob(b"absent"))


async def test_the_fallback_tag_is_kept_where_there_is_no_api(
    server: RegistryServer, repository: str
) -> None:
    app = image("app")
    sbom, scan = referrer(app), referrer(app, artifact_type="application/sarif+json", data=b"{}")
    async with opened(server, repository) as store:
        for content in (app, sbom, scan):
            await push(store, content)
        found = await store.referrers(Digest.parse(app.digest))
        assert [str(one.digest) for one in found] == [sbom.digest, scan.digest]
        assert fallback_tag(app) in read_repository(server.url, repository).tags


async def test_oras_finds_the_referrers_that_we_list(
    server: RegistryServer, repository: str, tool: Callable[[str], Tool]
) -> None:
    app = image("app")
    sbom = referrer(app)
    async with opened(server, repository) as store:
        await push(store, app, V1)
        await push(store, sbom)
    found = tool("oras")("discover", "--plain-http", "--format", "json", server.reference(repository, "v1"))
    assert sbom.digest in found


async def test_referrers_that_oras_attached_are_found_and_kept(
    server: RegistryServer, repository: str, tool: Callable[[str], Tool], tmp_path: Path
) -> None:
    app = image("app")
    async with opened(server, repository) as store:
        await push(store, app, V1)
        reference = server.reference(repository, "v1")
        file = tmp_path / "evidence.json"
        file.write_text("{}")
        tool("oras")(
            "attach",
            "--plain-http",
            "--disable-path-validation",
            "--artifact-type",
            "application/vnd.test",
            reference,
            f"{file}:application/json",
        )
        theirs = await store.referrers(Digest.parse(app.digest))
        assert [one.artifact_type for one in theirs] == ["application/vnd.test"]
        await push(store, referrer(app))
        both = await store.referrers(Digest.parse(app.digest))
        assert both[0] == theirs[0]
        assert len(both) == 2


async def test_distribution_deletes_tags_alone_and_manifests_with_theirs(
    distribution: RegistryServer, repository: str
) -> None:
    app = image("app")
    async with opened(distribution, repository) as store:
        await push(store, app, V1)
        for tag in ("v2", "v3"):
            await store.tag(described(app), Tag(tag))
        await store.untag(V1)
        await store.untag(V1)
        assert read_repository(distribution.url, repository).tags.keys() == {"v2", "v3"}
        await store.delete(described(app))
        await store.delete(described(app))
        with pytest.raises(ContentNotFoundError):
            await store.resolve(Tag("v2"))


async def test_debians_registry_without_tag_deletion_loses_one_tag_all_the_same(
    debian_registry: RegistryServer, repository: str
) -> None:
    app = image("app")
    async with opened(debian_registry, repository) as store:
        await push(store, app, V1)
        await store.tag(described(app), Tag("v2"))
        await store.untag(V1)
        assert read_repository(debian_registry.url, repository).tags.keys() == {"v2"}
        assert await store.resolve(Tag("v2")) == described(app)
        await store.delete(described(app))
        with pytest.raises(ContentNotFoundError):
            await store.manifest(Digest.parse(app.digest))


async def test_deletion_that_is_off_is_told(
    distribution_factory: Callable[..., RegistryServer], repository: str
) -> None:
    server = distribution_factory(delete=False)
    app = image("app")
    async with opened(server, repository) as store:
        await push(store, app, V1)
        with pytest.raises(DeletionUnsupportedError):
            await store.delete(described(app))
        with pytest.raises(TagDeletionUnsupportedError):
            await store.untag(V1)
        assert await store.resolve(V1) == described(app)
    assert read_repository(server.url, repository).tags.keys() == {"v1"}


async def test_a_read_only_registry_refuses(
    distribution_factory: Callable[..., RegistryServer], repository: str
) -> None:
    async with opened(distribution_factory(readonly=True), repository) as store:
        with pytest.raises(RejectedError):
            await store.push(blob(b"data"), stream(b"data"))


class Memory:
    """What the ledger would hold."""

    def __init__(self) -> None:
        self.saved: dict[Descriptor, SavedUpload] = {}

    def get(self, desc: Descriptor) -> SavedUpload | None:
        return self.saved.get(desc)

    async def put(self, desc: Descriptor, saved: SavedUpload) -> None:
        self.saved[desc] = saved

    def drop(self, desc: Descriptor) -> None:
        self.saved.pop(desc, None)


async def test_an_upload_goes_on_in_another_process_where_the_registry_is(
    server: RegistryServer,
    repository: str,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """The first is cancelled in the middle of its third piece, as SIGTERM does.

    2.8 knows its sessions only at the offsets that it signed, so there it begins anew.
    """
    monkeypatch.setattr(resumable, "RESUMABLE_FROM", 1_000_000)
    monkeypatch.setattr(pieces, "PIECE", 4_000_000)
    data = noise(repository, 20_000_000)
    memory = Memory()
    offsets: list[int] = []
    stalled = anyio.Event()

    @asynccontextmanager
    async def stalls(offset: int) -> AsyncIterator[AsyncIterator[bytes]]:
        async def chunks() -> AsyncIterator[bytes]:
            async for chunk in stream(data[offset:10_000_000]):
                yield chunk
            stalled.set()
            await anyio.sleep_forever()

        yield chunks()

    @asynccontextmanager
    async def goes_on(offset: int) -> AsyncIterator[AsyncIterator[bytes]]:
        offsets.append(offset)
        yield stream(data[offset:])

    async with (
        opened(server, repository, upload_sessions=memory) as store,
        anyio.create_task_group() as group,
    ):
        group.start_soon(store.push_resumable, blob(data), stalls)
        await stalled.wait()
        group.cancel_scope.cancel()
    assert memory.saved[blob(data)].offset == 8_000_000
    async with opened(server, repository, upload_sessions=memory) as store:
        await store.push_resumable(blob(data), goes_on)
        async with store.fetch(blob(data)) as chunks:
            assert await read(chunks) == data
    # A second time where the registry was still writing what had come on the first connection.
    assert offsets == [0] or all(8_000_000 <= offset <= 10_000_000 for offset in offsets)
    assert offsets[0] or request.node.callspec.params["server"] == "debian_registry"
    assert memory.saved == {}


async def test_a_link_that_is_cut_again_and_again_is_read_over(
    distribution: RegistryServer, repository: str, toxiproxy: Toxiproxy
) -> None:
    data = noise(repository, 20_000_000)
    link = toxiproxy.proxy(distribution.url)
    link.cut_after(6_000_000)
    async with opened(distribution, repository) as store:
        await store.push(blob(data), stream(data))
    async with opened(link, repository) as store, store.fetch(blob(data)) as chunks:
        assert await read(chunks) == data


async def test_an_upload_in_chunks_gets_over_cuts(
    distribution: RegistryServer, repository: str, toxiproxy: Toxiproxy
) -> None:
    data = noise(repository, 20_000_000)
    link = toxiproxy.proxy(distribution.url)
    link.cut_after(6_000_000, direction="upstream")
    async with opened(link, repository, ACR, pause=anyio.sleep) as store:  # the registry has to see the cut
        await store.push(blob(data), stream(data))
    async with opened(distribution, repository) as store, store.fetch(blob(data)) as chunks:
        assert await read(chunks) == data
