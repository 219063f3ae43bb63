"""Which repository a request means: by its prefix, by the name of the host, by `ns`."""

import pytest

from regsync.content.memory import MemoryPlace
from regsync.oci.reference import RepositoryName
from regsync.server.failures import ApiError
from regsync.server.upstreams import Upstream, Upstreams

PLACE = MemoryPlace("elsewhere")
HUB = Upstream(RepositoryName("hub"), "docker.io", PLACE.repository, host="hub.example.com")
QUAY = Upstream(RepositoryName("mirrors/quay"), "quay.io", PLACE.repository)
QUAY_TEAM = Upstream(RepositoryName("mirrors/quay/team"), "quay.example", PLACE.repository)
ALL = Upstreams([HUB, QUAY, QUAY_TEAM])


@pytest.mark.parametrize(
    ("asked", "host", "namespace", "name", "upstream"),
    [
        pytest.param("team/app", None, None, "team/app", None, id="a repository of our own"),
        pytest.param("hub", None, None, "hub", None, id="the prefix alone"),
        pytest.param("hubble/app", None, None, "hubble/app", None, id="a name that begins like it"),
        pytest.param("hub/acme/app", None, None, "hub/acme/app", HUB, id="below the prefix"),
        pytest.param("hub/nginx", None, None, "hub/library/nginx", HUB, id="Docker Hub's short name"),
        pytest.param("mirrors/quay/a", None, None, "mirrors/quay/a", QUAY, id="another prefix"),
        pytest.param("mirrors/quay/team/a", None, None, "mirrors/quay/team/a", QUAY_TEAM, id="the longer"),
        pytest.param("nginx", "hub.example.com", None, "hub/library/nginx", HUB, id="a host"),
        pytest.param("acme/app", "HUB.example.com:5000", None, "hub/acme/app", HUB, id="a host with a port"),
        pytest.param("hub/app", "hub.example.com", None, "hub/hub/app", HUB, id="on its host all is below"),
        pytest.param("acme/app", "other.example.com", None, "acme/app", None, id="another host"),
        pytest.param("acme/app", None, "docker.io", "hub/acme/app", HUB, id="ns"),
        pytest.param("acme/app", "hub.example.com.", None, "hub/acme/app", HUB, id="a final dot"),
        pytest.param("acme/app", "hub.example.com.:443", None, "hub/acme/app", HUB, id="and a port"),
        pytest.param("acme/app", "[::1]:5000", None, "acme/app", None, id="an address"),
        pytest.param("hub/acme/app", None, "docker.io", "hub/acme/app", HUB, id="ns, and its prefix"),
        pytest.param(
            "hub/acme/app",
            None,
            "quay.io",
            "mirrors/quay/hub/acme/app",
            QUAY,
            id="ns, and the prefix of another",
        ),
        pytest.param("team/app", "r.example:5000", "R.example:5000", "team/app", None, id="ns of our own"),
        pytest.param("hub/acme/app", "r.example", "r.example:443", "hub/acme/app", HUB, id="own, below"),
        pytest.param("acme/app", "hub.example.com", "ghcr.io", "hub/acme/app", HUB, id="a host, whatever ns"),
    ],
)
def test_a_request_means_one_repository(
    asked: str, host: str | None, namespace: str | None, name: str, upstream: Upstream | None
) -> None:
    located = ALL.locate(RepositoryName(asked), host, namespace)
    assert (located.name, located.upstream, located.asked) == (name, upstream, asked)


@pytest.mark.parametrize("asked", ["acme/app", "hub/acme/app"])
@pytest.mark.parametrize("namespace", ["ghcr.io", "", "registry.example.com"])
def test_what_is_of_another_registry_is_not_here(asked: str, namespace: str) -> None:
    with pytest.raises(ApiError, match="nothing is served for the registry") as raised:
        ALL.locate(RepositoryName(asked), "10.0.0.7:5000", namespace)
    assert raised.value.status == 404


def test_the_upstream_knows_the_repository_without_the_prefix() -> None:
    assert QUAY_TEAM.source(RepositoryName("mirrors/quay/team/a/b")).name == "elsewhere:a/b"


def test_a_name_that_is_too_long_with_its_prefix_is_refused() -> None:
    with pytest.raises(ApiError, match="longer than"):
        ALL.locate(RepositoryName("a/" + "b" * 252), "hub.example.com", None)
