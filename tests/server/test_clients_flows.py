"""Whole flows: as Docker pushes and pulls, a signature by cosign, and mirrors from and to our registry."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from tests.integration.workspace import Workspace
from tests.server.real_clients import Setting
from tests.support import images
from tests.support.images import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    cosign_signature,
    cosign_tag,
    image,
    index,
    referrer,
    sha256,
)
from tests.support.registry_state import read_digest, read_tags
from tests.support.tools import Tool, ToolError

ACCEPT = ", ".join([DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX])
APP = image("app", layers=2, layer_size=100_000, docker=True)
NO_ROOTS = '{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}'
MULTI = index(image("multi"), image("multi", arch="arm64"))


@pytest.fixture
def http(setting: Setting) -> Iterator[httpx.Client]:
    with setting.server.client() as one:
        yield one


def test_docker_pushes_and_pulls(setting: Setting, http: httpx.Client, repository: str) -> None:
    """The requests that Docker's own push and pull make, in their order."""
    root = setting.server.url
    base = f"{root}/v2/{repository}"
    with images.client(verify=str(setting.ca) if setting.ca else True) as nobody:
        first = nobody.get(f"{root}/v2/")
    assert first.status_code == (401 if setting.login else 200)
    assert first.headers["docker-distribution-api-version"] == "registry/2.0"
    if setting.login:
        assert first.headers["www-authenticate"].startswith("Basic realm=")
    for data in reversed(APP.blobs):
        assert http.head(f"{base}/blobs/{sha256(data)}").status_code == 404
        begun = http.post(f"{base}/blobs/uploads/", content=b"")
        assert begun.status_code == 202
        assert begun.headers["docker-upload-uuid"]
        sent = http.patch(urljoin(root, begun.headers["location"]), content=iter([data[:500], data[500:]]))
        assert (sent.status_code, sent.headers["range"]) == (202, f"0-{len(data) - 1}")
        done = http.put(urljoin(root, sent.headers["location"]), params={"digest": sha256(data)})
        assert (done.status_code, done.headers["docker-content-digest"]) == (201, sha256(data))
        assert http.head(f"{base}/blobs/{sha256(data)}").headers["content-length"] == str(len(data))
    put = http.put(f"{base}/manifests/v1", content=APP.data, headers={"Content-Type": APP.media_type})
    assert (put.status_code, put.headers["docker-content-digest"]) == (201, APP.digest)
    again = http.post(
        f"{root}/v2/{repository}/again/blobs/uploads/?mount={sha256(APP.blobs[1])}&from={repository}"
    )
    assert again.status_code == 201

    found = http.head(f"{base}/manifests/v1", headers={"Accept": ACCEPT})
    assert (found.status_code, found.headers["content-type"]) == (200, DOCKER_MANIFEST)
    digest = found.headers["docker-content-digest"]
    assert http.get(f"{base}/manifests/{digest}", headers={"Accept": ACCEPT}).content == APP.data
    for data in APP.blobs:
        assert http.get(f"{base}/blobs/{sha256(data)}").content == data
    half = http.get(f"{base}/blobs/{sha256(APP.blobs[1])}", headers={"Range": "bytes=50000-"})
    assert (half.status_code, half.content) == (206, APP.blobs[1][50000:])  # a pull that goes on


@pytest.mark.parametrize("layout", ["bundle", "digest tag"])
def test_cosign_signs_and_verifies(
    tool: Callable[[str], Tool],
    setting: Setting,
    http: httpx.Client,
    repository: str,
    tmp_path: Path,
    layout: str,
) -> None:
    """With a key pair and no transparency log; the signature is a referrer, or has a tag of its own."""
    cosign, host = tool("cosign"), setting.server.host
    images.push(setting.server.url, repository, MULTI, "v1", http=http)
    images.push(setting.server.url, repository, APP, "unsigned", http=http)
    env = {"COSIGN_PASSWORD": ""}
    if setting.ca is not None:
        env["SSL_CERT_FILE"] = str(setting.ca)
    if setting.login is not None:
        cosign("login", host, "-u", setting.login[0], "-p", setting.login[1], env=env)
    cosign("generate-key-pair", "--output-key-prefix", tmp_path / "signer", env=env)
    (tmp_path / "root.json").write_text(NO_ROOTS)
    plain = () if setting.ca else ("--allow-insecure-registry", "--allow-http-registry")
    bundle = f"--new-bundle-format={'true' if layout == 'bundle' else 'false'}"
    offline = ("--use-signing-config=false", "--tlog-upload=false")
    sign = ("sign", "--yes", "--key", tmp_path / "signer.key", bundle, *offline, *plain)
    roots = ("--trusted-root", tmp_path / "root.json") if layout == "bundle" else ()
    check = ("verify", "--key", tmp_path / "signer.pub", bundle, *roots, "--insecure-ignore-tlog", *plain)
    with pytest.raises(ToolError, match="no signatures found"):
        cosign(*check, f"{host}/{repository}@{MULTI.digest}", env=env)
    cosign(*sign, f"{host}/{repository}@{MULTI.digest}", env=env)
    assert MULTI.digest in cosign(*check, f"{host}/{repository}@{MULTI.digest}", env=env)
    with pytest.raises(ToolError, match="no signatures found"):
        cosign(*check, f"{host}/{repository}@{APP.digest}", env=env)
    referring = http.get(f"{setting.server.url}/v2/{repository}/referrers/{MULTI.digest}").json()["manifests"]
    tags = read_tags(setting.server.url, repository, http)
    assert (len(referring), cosign_tag(MULTI) in tags) == ((1, False) if layout == "bundle" else (0, True))


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    for name in ("spec", "home"):
        (tmp_path / name).mkdir()
    one = Workspace(tmp_path / "spec", tmp_path / "home")
    yield one
    one.close()


def test_mirrors_come_from_our_registry_and_go_to_it(
    setting: Setting, http: httpx.Client, workspace: Workspace, repository: str
) -> None:
    url = setting.server.url
    signature = cosign_signature(MULTI)
    report = referrer(MULTI)
    for content, tags in ((MULTI, ("v1",)), (APP, ("v2",)), (report, ()), (signature, (cosign_tag(MULTI),))):
        images.push(url, f"{repository}/source", content, *tags, http=http)
    more: dict[str, object] = {}
    if setting.login is not None:
        (workspace.path / "password").write_text(setting.login[1])
        workspace.environment["ANN"] = setting.login[0]
        more["auth"] = {"username": {"env": "ANN"}, "password": {"file": "password"}}
    if setting.ca is not None:
        more["tls"] = {"ca": str(setting.ca)}
    workspace.registry("ours", url, **more)
    workspace.mirror("app", f"ours/{repository}/source", f"ours/{repository}/target", tags=["v*"])
    assert workspace.run("sync").exited(0).summary["create"] == 2
    assert workspace.run("sync").exited(0).summary.get("create") is None
    for tag, content in (("v1", MULTI), ("v2", APP), (cosign_tag(MULTI), signature)):
        assert read_digest(url, f"{repository}/target", tag, http=http) == content.digest
    answer = http.get(f"{url}/v2/{repository}/target/referrers/{MULTI.digest}")
    assert [one["digest"] for one in answer.json()["manifests"]] == [report.digest]
