"""The real registries start, differ in the ways tests count on, and end."""

import ssl
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.support import images, registry_state
from tests.support.certificates import Certificates
from tests.support.servers import RegistryServer
from tests.support.token_server import TokenServer
from tests.support.tools import Tool
from tests.support.toxiproxy import Toxiproxy

Start = Callable[..., RegistryServer]


def test_distribution_keeps_images_and_their_referrers(distribution: RegistryServer, repository: str) -> None:
    app = distribution.push(
        repository, images.index(images.image("a"), images.image("a", arch="arm64")), "v1"
    )
    sbom = distribution.push(repository, images.referrer(app))
    signature = distribution.push(repository, images.cosign_signature(app), images.cosign_tag(app))
    state = registry_state.read_repository(distribution.url, repository, also=[sbom.digest])
    assert state.tags == {"v1": app.digest, images.cosign_tag(app): signature.digest}
    assert state.complete
    assert distribution.count("PUT", rf"/v2/{repository}/manifests/v1") == 1


def test_debians_registry_has_no_referrers_api_and_deletes_no_tag(
    debian_registry: RegistryServer, repository: str
) -> None:
    app = debian_registry.push(repository, images.image("a"), "v1")
    assert registry_state.read_referrers(debian_registry.url, repository, app.digest) is None
    with debian_registry.client() as http:
        refused = http.delete(f"{debian_registry.url}/v2/{repository}/manifests/v1")
    assert not refused.is_success
    assert registry_state.read_digest(debian_registry.url, repository, "v1") == app.digest


def test_a_token_registry_takes_the_token_servers_word(
    distribution_factory: Start, token_server: TokenServer, tool: Callable[[str], Tool]
) -> None:
    registry = distribution_factory(tokens=token_server)
    with registry.client() as http:
        refused = http.get(f"{registry.url}/v2/team/app/manifests/v1")
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Bearer ")
    regctl = tool("regctl")  # crane refuses a realm on a loopback address
    regctl("registry", "set", registry.host, "--tls", "disabled", "--skip-check")
    regctl("registry", "login", registry.host, "-u", "ci", "-p", "secret", "--skip-check")
    regctl("index", "create", registry.reference("team/app", "v1"))
    assert regctl("tag", "ls", f"{registry.host}/team/app") == "v1"
    asked = {scope for one in token_server.requests for scope in one.scopes}
    assert asked & {"repository:team/app:pull,push", "repository:team/app:push,pull"}
    assert all(one.user == "ci" for one in token_server.requests if one.status == 200)


def test_htpasswd_lets_the_user_in_alone(distribution_factory: Start) -> None:
    registry = distribution_factory(htpasswd={"ci": "secret"})
    app = registry.push("app", images.image("a"), "v1")
    with registry.client() as http:
        assert registry_state.read_digest(registry.url, "app", "v1", http) == app.digest
    with images.client() as stranger:
        assert stranger.get(f"{registry.url}/v2/").status_code == 401


def test_tls_with_a_private_authority_and_client_certificates(
    distribution_factory: Start, certificates: Certificates
) -> None:
    registry = distribution_factory(certificates=certificates, client_certificates=True)
    with registry.client() as http, pytest.raises(httpx.TransportError):
        http.get(f"{registry.url}/v2/")
    context = ssl.create_default_context(cafile=str(certificates.ca))
    context.load_cert_chain(certificates.client_cert, certificates.client_key)
    with httpx.Client(verify=context, trust_env=False) as http:
        assert http.get(f"{registry.url}/v2/").status_code == 200


def test_a_read_only_registry_refuses_pushes(distribution_factory: Start) -> None:
    registry = distribution_factory(readonly=True)
    with pytest.raises(httpx.HTTPStatusError, match="405"):
        registry.push("app", images.image("a"), "v1")


def test_a_wiped_registry_is_empty_and_the_same_place(distribution_factory: Start) -> None:
    registry = distribution_factory()
    registry.push("app", images.image("a"), "v1")
    url = registry.url
    registry.wipe()
    assert registry.url == url
    assert registry_state.read_registry(url) == {}


def test_a_full_disk_refuses_what_does_not_fit(distribution_factory: Start, small_disk: Path) -> None:
    registry = distribution_factory(data=small_disk / "data")
    registry.push("app", images.image("small"), "v1")
    with pytest.raises(httpx.HTTPStatusError):
        registry.push("app", images.image("large", layer_size=8 << 20, layers=1), "v2")


def test_toxiproxy_cuts_and_recovers(
    distribution: RegistryServer, toxiproxy: Toxiproxy, repository: str
) -> None:
    blob = images.noise("blob", 500_000)
    distribution.push(repository, images.image("a", layers=[blob]), "v1")
    link = toxiproxy.proxy(distribution.url)
    link.cut_after(100_000)
    target = f"{link.url}/v2/{repository}/blobs/{images.sha256(blob)}"
    with images.client() as http, pytest.raises(httpx.TransportError):
        http.get(target)
    link.clear()
    with images.client() as http:
        assert http.get(target).content == blob


@pytest.mark.parametrize("client", ["skopeo", "regctl", "oras", "crane"])
def test_the_real_clients_run(
    distribution: RegistryServer, repository: str, tool: Callable[[str], Tool], client: str
) -> None:
    app = distribution.push(repository, images.image("a"), "v1")
    reference = distribution.reference(repository, "v1")
    run = tool(client)
    if client == "skopeo":
        found = run("inspect", "--tls-verify=false", "--format", "{{.Digest}}", f"docker://{reference}")
    elif client == "regctl":
        run("registry", "set", distribution.host, "--tls", "disabled")
        found = run("manifest", "head", reference)
    elif client == "oras":
        found = run("resolve", "--plain-http", reference)
    else:
        found = run("digest", reference)
    assert found == app.digest
