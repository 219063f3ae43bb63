"""What runs in a Kubernetes cluster, asked of an API server over HTTPS, and what keeps it from being told."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from regsync.cli.clusters import running_images
from regsync.errors import RegsyncError
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.remote.errors import TlsError
from regsync.remote.kubernetes import ClusterBusyError, ClusterDeniedError, ClusterError
from regsync.spec.in_use import RunningImage
from regsync.spec.kubeconfig import KubeconfigError
from tests.support.kubernetes_api import KubernetesApi, pod

pytestmark = pytest.mark.anyio
D1, D2 = "sha256:" + "1" * 64, "sha256:" + "2" * 64
WEB = pod("web", "a", image="ghcr.io/acme/web:1.0")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesApi]:
    """An empty cluster, and KUBECONFIG with a context `prod` for it."""
    with KubernetesApi(tmp_path) as api:
        configure(api, tmp_path, monkeypatch)
        yield api


async def no_pause(seconds: float) -> None:
    """Nobody waits in a test."""


def configure(api: KubernetesApi, directory: Path, monkeypatch: pytest.MonkeyPatch, **user: object) -> None:
    path = directory / "kubeconfig"
    path.write_text(api.kubeconfig("prod", user=user or None))
    monkeypatch.setenv("KUBECONFIG", str(path))


async def references() -> set[str]:
    return {shown(one) for one in await running_images("prod", pause=no_pause)}


def shown(one: RunningImage) -> str:
    names = "|".join(sorted(one.names))
    return names + (f":{one.tag}" if one.tag else "") + (f"@{str(one.digest)[7:11]}" if one.digest else "")


async def test_every_container_of_every_pod_counts_by_tag_and_by_digest(cluster: KubernetesApi) -> None:
    cluster.add(
        pod(
            "web",
            "a",
            image="ghcr.io/acme/web:1.0",
            initContainers=[{"image": "ghcr.io/acme/init:2"}],
            ephemeralContainers=[{"image": "busybox"}],
            containerStatuses=[{"image": "ghcr.io/acme/web:1.0", "imageID": f"ghcr.io/acme/web@{D1}"}],
            initContainerStatuses=[{"image": D2, "imageID": f"docker-pullable://ghcr.io/acme/init@{D2}"}],
        ),
        pod("db", "b", image=f"registry.example.com:5000/db@{D2}"),
    )
    assert await references() == {
        "ghcr.io/acme/web:1.0",
        "ghcr.io/acme/web@1111",
        "ghcr.io/acme/init:2",
        "ghcr.io/acme/init@2222",
        "@2222",
        "docker.io/library/busybox:latest",
        "registry.example.com:5000/db@2222",
    }


async def test_it_says_which_pod_runs_it(cluster: KubernetesApi) -> None:
    cluster.add(WEB)
    (image,) = await running_images("prod")
    assert image == RunningImage(
        frozenset({"ghcr.io/acme/web"}), Tag("1.0"), None, "kubernetes:prod, pod web/a"
    )


async def test_pods_are_read_page_by_page_to_the_end(cluster: KubernetesApi) -> None:
    cluster.page_size = 3
    cluster.add(*(pod("n", f"p{number}", image=f"app:v{number}") for number in range(10)))
    assert len(await references()) == 10
    assert len(cluster.requests) == 4
    assert all("limit" in query for query, _ in cluster.requests)


async def test_odd_pods_are_no_obstacle(cluster: KubernetesApi) -> None:
    cluster.add(
        pod("n", "odd", containers=None, initContainers=7, containerStatuses=["x", {"imageID": 3}]),
        pod("n", "bad", image="NOT A REFERENCE"),
        {"metadata": None, "spec": [], "status": {}},
        WEB,
    )
    assert await references() == {"ghcr.io/acme/web:1.0"}


async def test_a_cluster_without_pods_runs_nothing(cluster: KubernetesApi) -> None:
    cluster.answers.append((200, {"kind": "PodList", "items": None, "metadata": {}}))
    assert await references() == set()


async def test_a_list_that_grew_too_old_is_begun_again(cluster: KubernetesApi) -> None:
    cluster.page_size = 1
    cluster.add(WEB, pod("n", "p", image="app:v1"))
    first = cluster.answer("/api/v1/pods", {}, {})
    cluster.answers += [first, (410, {"reason": "Expired"})]
    assert len(await references()) == 2


async def test_what_may_pass_is_tried_again(cluster: KubernetesApi) -> None:
    cluster.add(WEB)
    cluster.answers += [(503, {}), (429, {})]
    assert await references() == {"ghcr.io/acme/web:1.0"}
    cluster.answers += [(500, {"message": "etcd is down"})] * 9
    with pytest.raises(ClusterBusyError, match=r"kubernetes:prod: GET pods: 500: etcd is down"):
        await references()


@pytest.mark.parametrize(
    ("status", "document", "error"),
    [
        pytest.param(401, {}, ClusterDeniedError, id="a token that is not accepted"),
        pytest.param(
            403, {"message": "pods is forbidden"}, ClusterDeniedError, id="an account without the right"
        ),
        pytest.param(404, {}, ClusterError, id="no such API"),
        pytest.param(302, {}, ClusterError, id="a redirect"),
        pytest.param(200, b"<html>", ClusterError, id="a web page"),
        pytest.param(200, {"kind": "Status"}, ClusterError, id="another document"),
        pytest.param(200, {"kind": "PodList", "items": {}}, ClusterError, id="a list that is none"),
        pytest.param(200, {"kind": "PodList", "items": [1]}, ClusterError, id="pods that are none"),
        pytest.param(
            200,
            {"kind": "PodList", "items": [], "metadata": {"continue": 1}},
            ClusterError,
            id="an odd token",
        ),
        pytest.param(200, b"[" * 100_000, ClusterError, id="a document that is too deep"),
    ],
)
async def test_an_answer_that_is_no_list_of_pods_is_an_error(
    cluster: KubernetesApi, status: int, document: object, error: type[RegsyncError]
) -> None:
    cluster.answers.append((status, document))
    with pytest.raises(error, match="kubernetes:prod"):
        await references()


async def test_a_token_of_the_kubeconfig_is_sent_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with KubernetesApi(tmp_path) as api:
        api.token, api.pods = "s3cret-token", [WEB]
        configure(api, tmp_path, monkeypatch)
        assert await references() == {"ghcr.io/acme/web:1.0"}
        configure(api, tmp_path, monkeypatch, token="wr0ng-token")
        with pytest.raises(ClusterDeniedError) as caught:
            await references()
        assert "wr0ng" not in str(caught.value)
        (tmp_path / "token").write_text("s3cret-token\n")
        configure(api, tmp_path, monkeypatch, tokenFile="token", token="old")
        assert await references() == {"ghcr.io/acme/web:1.0"}


async def test_client_certificates_as_files_and_in_the_kubeconfig(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with KubernetesApi(tmp_path, client_certificates=True) as api:
        api.add(WEB)
        cert, key = api.certificates.client_cert, api.certificates.client_key
        files = {"client-certificate": cert.name, "client-key": str(key)}
        configure(api, tmp_path, monkeypatch, **files)
        assert await references() == {"ghcr.io/acme/web:1.0"}
        data = {
            "client-certificate-data": base64.b64encode(cert.read_bytes()).decode(),
            "client-key-data": base64.b64encode(key.read_bytes()).decode(),
        }
        configure(api, tmp_path, monkeypatch, **data)
        assert await references() == {"ghcr.io/acme/web:1.0"}


async def test_a_server_that_the_kubeconfig_does_not_vouch_for_is_not_asked(
    cluster: KubernetesApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = cluster.kubeconfig("prod").replace("certificate-authority-data", "unknown-key")
    (tmp_path / "kubeconfig").write_text(text)
    with pytest.raises(TlsError):
        await references()
    assert cluster.requests == []


async def test_a_pod_asks_its_own_cluster(
    cluster: KubernetesApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.token, cluster.pods = "pod-token", [WEB]
    account = tmp_path / "account"
    account.mkdir()
    (account / "ca.crt").write_bytes(cluster.certificates.ca.read_bytes())
    (account / "token").write_text("pod-token")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(cluster.port))
    (image,) = await running_images("in-cluster", account=account)
    assert image.where == "kubernetes:in-cluster, pod web/a"
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    with pytest.raises(KubeconfigError, match="runs in no pod"):
        await running_images("in-cluster", account=account)


async def test_several_files_are_one_kubeconfig(
    cluster: KubernetesApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.add(WEB)
    other = tmp_path / "other"
    other.write_text("apiVersion: v1\nkind: Config\ncontexts: []\nusers:\n- name: u\n  user: {}\n")
    monkeypatch.setenv("KUBECONFIG", f"{other}:{tmp_path / 'missing'}:{tmp_path / 'kubeconfig'}")
    assert await references() == {"ghcr.io/acme/web:1.0"}


async def test_a_kubeconfig_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    with pytest.raises(KubeconfigError, match="missing: No such file"):
        await running_images("prod")


def test_references_are_read_as_runtimes_write_them() -> None:
    assert shown(RunningImage.parse(f"docker-pullable://nginx@{D1}", "")) == "docker.io/library/nginx@1111"
    assert shown(RunningImage.parse(f"docker://{D1}", "")) == "@1111"
    assert RunningImage.parse("local/team/app:v1", "").names == {"docker.io/local/team/app", "local/team/app"}
    assert RunningImage.parse(f"app:v1@{D1}", "").digest == Digest.parse(D1)
