"""The fake registry behaves like a registry until told otherwise; the client here is raw httpx."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.support import fake_registry as fake
from tests.support import images, registry_state
from tests.support.fake_registry import FakeRegistry
from tests.support.token_server import TokenServer
from tests.support.tools import Tool


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with images.client() as http:
        yield http


def test_what_is_pushed_is_read_back_whole(fake_registry: FakeRegistry) -> None:
    multi = images.index(images.image("a"), images.image("a", arch="arm64"))
    images.push(fake_registry.url, "team/app", multi, "v1", "latest")
    state = registry_state.read_repository(fake_registry.url, "team/app")
    assert state.tags == {"v1": multi.digest, "latest": multi.digest}
    assert state.blobs.keys() == multi.all_blobs().keys()
    assert state.complete


def test_crane_and_oras_take_it_for_a_registry(
    fake_registry: FakeRegistry, tool: Callable[[str], Tool]
) -> None:
    app = fake_registry.add("team/app", images.image("app"), "v1")
    sbom = fake_registry.add("team/app", images.referrer(app))
    assert tool("crane")("digest", f"{fake_registry.host}/team/app:v1") == app.digest
    tool("crane")("copy", f"{fake_registry.host}/team/app:v1", f"{fake_registry.host}/team/copy:v1")
    assert fake_registry.tags("team/copy") == {"v1": app.digest}
    found = tool("oras")("discover", "--plain-http", "--format", "json", f"{fake_registry.host}/team/app:v1")
    assert sbom.digest in found


def test_a_rule_with_times_retires(fake_registry: FakeRegistry, http: httpx.Client) -> None:
    fake_registry.add("app", images.image("app"), "v1")
    fake_registry.on("GET", r"/v2/app/manifests/.*", fake.respond(429, retry_after="1"), times=2)
    answers = [http.get(f"{fake_registry.url}/v2/app/manifests/v1") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["retry-after"] == "1"
    assert fake_registry.count("GET", r".*/v1") == 3


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(fake.cut_after(10), id="cut in mid-body"),
        pytest.param(fake.cut_after(10, reset=True), id="reset in mid-body"),
        pytest.param(fake.drop(), id="dropped before an answer"),
        pytest.param(fake.drop(reset=False), id="closed before an answer"),
    ],
)
def test_a_broken_connection_shows_as_a_transport_error(
    fake_registry: FakeRegistry, http: httpx.Client, behaviour: fake.Behaviour
) -> None:
    blob = images.noise("blob", 100_000)
    fake_registry.add("app", images.image("app", layers=[blob]), "v1")
    fake_registry.on("GET", r".*/blobs/.*", behaviour, times=1)
    target = f"{fake_registry.url}/v2/app/blobs/{images.sha256(blob)}"
    with pytest.raises(httpx.TransportError):
        http.get(target)
    assert http.get(target).content == blob


def test_silence_lasts_until_the_server_ends(fake_registry: FakeRegistry, http: httpx.Client) -> None:
    fake_registry.on("GET", "/v2/", fake.hang())
    with pytest.raises(httpx.ReadTimeout):
        http.get(f"{fake_registry.url}/v2/", timeout=0.1)


def test_a_range_is_served_and_an_impossible_one_refused(
    fake_registry: FakeRegistry, http: httpx.Client
) -> None:
    blob = images.noise("blob", 1000)
    fake_registry.add("app", images.image("app", layers=[blob]), "v1")
    target = f"{fake_registry.url}/v2/app/blobs/{images.sha256(blob)}"
    part = http.get(target, headers={"range": "bytes=990-"})
    assert (part.status_code, part.content, part.headers["content-range"]) == (
        206,
        blob[990:],
        "bytes 990-999/1000",
    )
    assert http.get(target, headers={"range": "bytes=1000-"}).status_code == 416


def test_a_cut_upload_keeps_what_came_and_can_go_on(fake_registry: FakeRegistry, http: httpx.Client) -> None:
    blob = images.noise("blob", 300_000)
    location = http.post(f"{fake_registry.url}/v2/app/blobs/uploads/").headers["location"]
    session = fake_registry.url + location
    fake_registry.on("PATCH", r".*", fake.cut_upload_after(100_000), times=1)
    with pytest.raises(httpx.TransportError):
        http.patch(session, content=blob)
    assert http.get(session).headers["range"] == "0-99999"
    wrong = http.patch(session, content=blob[5:], headers={"content-range": "5-299999"})
    assert wrong.status_code == 416
    right = http.patch(session, content=blob[100_000:], headers={"content-range": "100000-299999"})
    assert right.status_code == 202
    done = http.put(f"{session}&digest={images.sha256(blob)}")
    assert done.status_code == 201
    assert fake_registry.repositories["app"].blobs[images.sha256(blob)] == blob


def test_an_early_413_comes_before_the_body_is_read(fake_registry: FakeRegistry) -> None:
    fake_registry.on("PUT", r".*", fake.respond_early(413, "too large"))

    def endless() -> Iterator[bytes]:
        while True:
            yield bytes(65536)

    with images.client() as http:
        assert http.put(f"{fake_registry.url}/v2/app/blobs/uploads/x", content=endless()).status_code == 413


def test_mounts_answer_201_or_begin_an_upload(fake_registry: FakeRegistry, http: httpx.Client) -> None:
    app = fake_registry.add("one", images.image("app"), "v1")
    blob = next(iter(app.all_blobs()))
    target = f"{fake_registry.url}/v2/two/blobs/uploads/"
    assert http.post(target, params={"mount": blob, "from": "one"}).status_code == 201
    fake_registry.mounts = False
    assert http.post(target, params={"mount": blob, "from": "one"}).status_code == 202


def test_a_hundred_thousand_tags_are_paged(fake_registry: FakeRegistry) -> None:
    app = fake_registry.add("app", images.image("app"))
    fake_registry.add_tags("app", {f"v{number}": app.digest for number in range(100_000)})
    fake_registry.page_size = 10_000
    assert len(registry_state.read_tags(fake_registry.url, "app")) == 100_000
    assert fake_registry.count("GET", r".*/tags/list") == 10


def test_bearer_tokens_are_asked_for_and_checked(
    fake_registry: FakeRegistry, token_server: TokenServer, http: httpx.Client
) -> None:
    fake_registry.auth = fake.bearer_auth(token_server)
    app = fake_registry.add("app", images.image("app"), "v1")
    refused = http.get(f"{fake_registry.url}/v2/app/manifests/v1")
    assert refused.status_code == 401
    assert 'scope="repository:app:pull"' in refused.headers["www-authenticate"]
    scope = {"service": "registry.test", "scope": "repository:app:pull"}
    token = http.get(token_server.realm, params=scope, auth=("ci", "secret")).json()["token"]
    allowed = http.get(
        f"{fake_registry.url}/v2/app/manifests/v1", headers={"authorization": f"Bearer {token}"}
    )
    assert images.sha256(allowed.content) == app.digest
    assert fake_registry.leaked(token)
    assert not fake_registry.leaked("secret")


def test_refresh_tokens_are_given_and_taken(token_server: TokenServer, http: httpx.Client) -> None:
    scope = {"service": "registry.test", "scope": "repository:app:pull", "offline_token": "true"}
    refresh = http.get(token_server.realm, params=scope, auth=("ci", "secret")).json()["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": refresh, "scope": "repository:app:pull,push"}
    token = http.post(token_server.realm, data=form).json()["token"]
    assert token_server.allows(token, "repository", "app", "push")
    assert [(one.method, one.user) for one in token_server.requests] == [("GET", "ci"), ("POST", "ci")]


def test_an_expired_or_forged_token_is_refused(token_server: TokenServer) -> None:
    access = [{"type": "repository", "name": "app", "actions": ["pull"]}]
    good = token_server.sign("ci", access)
    assert token_server.allows(good, "repository", "app", "pull")
    assert not token_server.allows(
        token_server.sign("ci", access, expires_in=-1), "repository", "app", "pull"
    )
    assert not token_server.allows(good[:-4] + "AAAA", "repository", "app", "pull")
