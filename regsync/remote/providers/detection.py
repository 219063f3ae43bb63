"""Which provider a host belongs to, and the providers by name. Only the one asked for is imported."""

from importlib import import_module
from typing import Final

from regsync.errors import RegsyncError
from regsync.oci.reference import DOCKER_HUB
from regsync.remote.providers.provider import Provider

AUTO = "auto"
NAMES: Final = (
    "generic",
    "dockerhub",
    "ghcr",
    "ecr",
    "ecr-public",
    "gar",
    "acr",
    "quay",
    "harbor",
    "gitlab",
    "artifactory",
    "zot",
    "regsync",
)

_HOSTS: Final = {
    DOCKER_HUB: "dockerhub",
    "index.docker.io": "dockerhub",
    "registry-1.docker.io": "dockerhub",
    "ghcr.io": "ghcr",
    "docker.pkg.github.com": "ghcr",
    "public.ecr.aws": "ecr-public",
    "ecr-public.aws.com": "ecr-public",
    "gcr.io": "gar",
    "quay.io": "quay",
    "registry.gitlab.com": "gitlab",
}
_SUFFIXES: Final = (
    ("-docker.pkg.dev", "gar"),
    (".gcr.io", "gar"),
    (".azurecr.io", "acr"),
    (".azurecr.cn", "acr"),
    (".azurecr.us", "acr"),
    (".jfrog.io", "artifactory"),
)
_AWS_SUFFIXES: Final = (
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".amazonaws.eu",
    ".on.aws",
    ".on.amazonwebservices.com.cn",
)


class UnknownProviderError(RegsyncError, ValueError):
    """The name is none of the providers."""

    def __init__(self, name: str) -> None:
        super().__init__(f"unknown provider {name[:80]!r}: expected {AUTO}, {', '.join(NAMES)}")


def detect(host: str) -> Provider:
    """The provider of `host` (with or without a port); `generic` where the name says nothing."""
    name = host.lower().partition(":")[0]
    if (known := _HOSTS.get(name)) is not None:
        return load(known)
    for suffix, provider in _SUFFIXES:
        if name.endswith(suffix):
            return load(provider)
    if name.endswith(_AWS_SUFFIXES) and _is_ecr(name):
        return load("ecr")
    return load("generic")


def load(name: str) -> Provider:
    """The provider of that name; raises UnknownProviderError."""
    if name not in NAMES:
        raise UnknownProviderError(name)
    module = import_module(f"regsync.remote.providers.{name.replace('-', '_')}")
    provider: Provider = module.PROVIDER
    return provider


def choose(name: str, host: str) -> Provider:
    """The provider that a spec names, where `auto` means the host's; raises UnknownProviderError."""
    return detect(host) if name == AUTO else load(name)


def _is_ecr(name: str) -> bool:
    """`<account>.dkr.ecr.<region>…`, `….dkr.ecr-fips.…`, or dual-stack `….dkr-ecr.…` (21)."""
    parts = name.split(".")
    return (
        "dkr-ecr" in parts
        or "dkr-ecr-fips" in parts
        or ("dkr" in parts and bool({"ecr", "ecr-fips"} & {*parts}))
    )
