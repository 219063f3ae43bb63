"""Real clients push, pull, copy, list and delete; with a login and without, over plain HTTP and TLS."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.server.real_clients import CLIENTS, Client, Oras, Regctl, Setting, layout_blobs, write_layout
from tests.support.images import Content, artifact, image, index, push, sha256

MULTI = index(
    image("app", layers=2, layer_size=200_000),
    image("app", arch="arm64"),
    image("app", arch="arm", variant="v7"),
)
OTHER = image("other", docker=True)


@pytest.fixture(params=sorted(CLIENTS))
def client(request: pytest.FixtureRequest, made: Callable[[str], Client]) -> Client:
    return made(request.param)


@pytest.fixture
def http(setting: Setting) -> Iterator[httpx.Client]:
    with setting.server.client() as one:
        yield one


@pytest.fixture
def seed(setting: Setting, http: httpx.Client) -> Callable[..., Content]:
    """Pushes content by raw HTTP."""
    return lambda name, content, *tags: push(setting.server.url, name, content, *tags, http=http)


def assert_holds(setting: Setting, http: httpx.Client, repository: str, tag: str, content: Content) -> None:
    """Byte for byte, and of the media type that was pushed."""
    base = f"{setting.server.url}/v2/{repository}"
    for node in content.walk():
        answer = http.get(f"{base}/manifests/{tag if node is content else node.digest}")
        assert (answer.content, answer.headers["content-type"]) == (node.data, node.media_type)
        for data in node.blobs:
            assert http.get(f"{base}/blobs/{sha256(data)}").content == data


def all_of(content: Content) -> set[bytes]:
    return {node.data for node in content.walk()} | set(content.all_blobs().values())


def test_an_index_is_pushed_and_pulled_whole(
    client: Client, setting: Setting, http: httpx.Client, repository: str, tmp_path: Path
) -> None:
    client.push(write_layout(tmp_path / "pushed", MULTI), f"{repository}:v1")
    assert_holds(setting, http, repository, "v1", MULTI)
    client.pull(f"{repository}:v1", tmp_path / "pulled")
    assert layout_blobs(tmp_path / "pulled") >= all_of(MULTI)


def test_images_are_copied_from_repository_to_repository(
    client: Client, setting: Setting, http: httpx.Client, seed: Callable[..., Content], repository: str
) -> None:
    for content, tag in ((MULTI, "multi"), (OTHER, "docker")):
        seed(f"{repository}/one", content, tag)
        client.copy(f"{repository}/one:{tag}", f"{repository}/two:{tag}")
        assert_holds(setting, http, f"{repository}/two", tag, content)


def test_tags_are_listed_over_pages(client: Client, seed: Callable[..., Content], repository: str) -> None:
    tags = [f"v{number:03}" for number in range(120)]
    seed(repository, OTHER, *tags)
    assert sorted(client.tags(repository)) == tags


@pytest.mark.parametrize("name", ["oras", "regctl"])
def test_repositories_are_listed(
    name: str, made: Callable[[str], Client], seed: Callable[..., Content], repository: str
) -> None:
    client = made(name)
    assert isinstance(client, Oras | Regctl)
    seed(repository, OTHER, "v1")
    assert repository in client.repositories()


def test_an_image_is_deleted(
    client: Client, setting: Setting, http: httpx.Client, seed: Callable[..., Content], repository: str
) -> None:
    seed(repository, MULTI, "kept")
    seed(repository, OTHER, "gone")
    client.delete(repository, "gone", OTHER.digest)
    base = f"{setting.server.url}/v2/{repository}/manifests"
    assert http.head(f"{base}/gone").status_code == 404
    assert http.head(f"{base}/{OTHER.digest}").status_code == 404
    assert_holds(setting, http, repository, "kept", MULTI)


def test_a_tag_is_deleted_alone(
    made: Callable[[str], Client],
    setting: Setting,
    http: httpx.Client,
    seed: Callable[..., Content],
    repository: str,
) -> None:
    client = made("regctl")
    assert isinstance(client, Regctl)
    seed(repository, OTHER, "kept", "gone")
    client.untag(f"{repository}:gone")
    assert client.tags(repository) == ["kept"]
    assert_holds(setting, http, repository, "kept", OTHER)


@pytest.mark.parametrize("name", ["oras", "regctl"])
def test_an_artifact_is_attached_and_discovered(
    name: str, made: Callable[[str], Client], seed: Callable[..., Content], repository: str, tmp_path: Path
) -> None:
    client = made(name)
    assert isinstance(client, Oras | Regctl)
    app = seed(repository, MULTI, "v1")
    (tmp_path / "sbom").write_text('{"spdxVersion":"SPDX-2.3"}')
    for kind in ("application/spdx+json", "application/vnd.example.report"):
        client.attach(f"{repository}:v1", kind, tmp_path / "sbom")
    found = client.referrers(f"{repository}@{app.digest}")
    assert sorted(kind for _, kind in found) == ["application/spdx+json", "application/vnd.example.report"]


def test_what_refers_to_an_image_is_copied_with_it(
    made: Callable[[str], Client], seed: Callable[..., Content], repository: str
) -> None:
    client = made("regctl")
    assert isinstance(client, Regctl)
    app = seed(f"{repository}/one", OTHER, "v1")
    report = seed(f"{repository}/one", artifact("application/vnd.example.report", subject=app))
    client.copy(f"{repository}/one:v1", f"{repository}/two:v1")
    assert client.referrers(f"{repository}/two:v1") == [(report.digest, "application/vnd.example.report")]
