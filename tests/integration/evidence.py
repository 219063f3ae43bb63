"""Putting evidence beside images and reading it, with the referrers API or without.

distribution has none in any version, so that referrers stand at the fallback tag, which clients keep.
"""

import json
from typing import Protocol

from tests.support.images import (
    OCI_INDEX,
    Content,
    client,
    fallback_index,
    fallback_tag,
    push,
    put_manifest,
)
from tests.support.registry_state import read_referrers


class Registry(Protocol):
    """Whatever has a URL: RegistryServer, FakeRegistry."""

    @property
    def url(self) -> str: ...


def attach(registry: Registry, repository: str, subject: Content, *referrers: Content) -> None:
    """Push referrers; where the registry does not list them, write the index at the fallback tag."""
    for one in referrers:
        push(registry.url, repository, one)
    if read_referrers(registry.url, repository, subject.digest) is None:
        with client() as http:
            put_manifest(registry.url, repository, fallback_tag(subject), fallback_index(*referrers), http)


def referrers_of(registry: Registry, repository: str, subject: Content) -> set[str]:
    """The digests of the referrers, from the API or the fallback tag; empty when there are none."""
    found = read_referrers(registry.url, repository, subject.digest)
    if found is None:
        with client() as http:
            url = f"{registry.url}/v2/{repository}/manifests/{fallback_tag(subject)}"
            answer = http.get(url, headers={"accept": OCI_INDEX})
        found = json.loads(answer.content).get("manifests", [])
    return {one["digest"] for one in found}


def is_fallback(tag: str) -> bool:
    """Whether a tag has the form `sha256-<hex>`."""
    return tag.startswith("sha256-") and "." not in tag
