"""Which provider a host belongs to, and what each module says of its vendor."""

import pytest

from regsync.remote.providers.detection import AUTO, NAMES, UnknownProviderError, choose, detect, load
from regsync.remote.providers.provider import Known


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("docker.io", "dockerhub"),
        ("index.docker.io", "dockerhub"),
        ("registry-1.docker.io", "dockerhub"),
        ("ghcr.io", "ghcr"),
        ("GHCR.io", "ghcr"),
        ("quay.io", "quay"),
        ("quay.io:443", "quay"),
        ("gcr.io", "gar"),
        ("eu.gcr.io", "gar"),
        ("europe-west3-docker.pkg.dev", "gar"),
        ("team.azurecr.io", "acr"),
        ("team.azurecr.cn", "acr"),
        ("team.jfrog.io", "artifactory"),
        ("registry.gitlab.com", "gitlab"),
        ("public.ecr.aws", "ecr-public"),
        ("123456789012.dkr.ecr.eu-central-1.amazonaws.com", "ecr"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "ecr"),
        ("123456789012.dkr.ecr-fips.us-east-1.amazonaws.com", "ecr"),
        ("123456789012.dkr-ecr.eu-west-1.on.aws", "ecr"),
        ("s3.amazonaws.com", "generic"),
        ("registry.example.com", "generic"),
        ("ghcr.io.evil.test", "generic"),
        ("evilgcr.io", "generic"),
        ("localhost:5000", "generic"),
        ("127.0.0.1:5000", "generic"),
        ("[::1]:5000", "generic"),
    ],
)
def test_the_host_tells_the_provider(host: str, provider: str) -> None:
    assert detect(host).name == provider


@pytest.mark.parametrize("name", NAMES)
def test_every_name_has_its_module(name: str) -> None:
    assert load(name).name == name


def test_a_named_provider_goes_before_the_host() -> None:
    assert choose("harbor", "quay.io").name == "harbor"
    assert choose(AUTO, "quay.io").name == "quay"


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UnknownProviderError, match=r"unknown provider 'dokerhub'.*dockerhub"):
        load("dokerhub")


@pytest.mark.parametrize("name", NAMES)
def test_no_page_is_larger_than_its_registry_allows(name: str) -> None:
    provider = load(name)
    assert provider.page_size <= (10_000 if name in ("gar", "regsync") else 1000)


@pytest.mark.parametrize("name", [one for one in NAMES if load(one).catalog is Known.NO])
def test_who_has_no_catalogue_says_what_to_do_instead(name: str) -> None:
    assert "name the repositories" in load(name).catalog_hint
