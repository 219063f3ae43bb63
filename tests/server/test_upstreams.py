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
        pytest.param("acme/app", None, "ghcr.io", "acme/app", None, id="ns of no upstream"),
        pytest.param("hub/acme/app", None, "docker.io", "hub/acme/app", HUB, id="ns, and the prefix"),
    ],
)
def test_a_request_means_one_repository(
    asked: str, host: str | None, namespace: str | None, name: str, upstream: Upstream | None
) -> None:
    located = ALL.locate(RepositoryName(asked), host, namespace)
    assert (located.name, located.upstream, located.asked) == (name, upstream, asked)


def test_the_upstream_knows_the_repository_without_the_prefix() -> None:
    assert QUAY_TEAM.source(RepositoryName("mirrors/quay/team/a/b")).name == "elsewhere:a/b"


def test_a_name_that_is_too_long_with_its_prefix_is_refused() -> None:
    with pytest.raises(ApiError, match="longer than"):
        ALL.locate(RepositoryName("a/" + "b" * 252), "hub.example.com", None)
