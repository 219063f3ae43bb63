"""Read what a registry really holds, by raw HTTP, for assertions.

    assert read_repository(url, "team/app").tags == {"v1": app.digest}

Reading checks as it goes: every manifest and blob reachable from a tag is fetched and hashed, every size
compared.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import httpx

from tests.support.images import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    DOCKER_SCHEMA1,
    OCI_INDEX,
    OCI_MANIFEST,
    client,
    sha256,
)

ACCEPT = ", ".join([OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST, DOCKER_SCHEMA1])


@dataclass
class RepositoryState:
    """One repository: tags to digests, manifests and blobs by digest (blobs as sizes, they may be large)."""

    tags: dict[str, str] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, int] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    """Digests that an index or manifest names and the registry answers 404 for; sparse indexes leave some."""

    @property
    def complete(self) -> bool:
        """Whether nothing that the tags lead to is missing."""
        return not self.missing


def read_tags(url: str, repository: str, http: httpx.Client | None = None) -> list[str]:
    """All tags, sorted; empty when the repository is unknown. Follows Link."""
    if http is None:
        with client() as own:
            return read_tags(url, repository, own)
    tags: list[str] = []
    page: str | None = f"{url}/v2/{repository}/tags/list"
    while page:
        answer = http.get(page)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return []
        answer.raise_for_status()
        tags += answer.json()["tags"] or []
        page = urljoin(page, answer.links["next"]["url"]) if "next" in answer.links else None
    return sorted(tags)


def read_digest(url: str, repository: str, reference: str, http: httpx.Client | None = None) -> str | None:
    """The digest of the bytes served at a tag or digest; None when there is nothing."""
    if http is None:
        with client() as own:
            return read_digest(url, repository, reference, own)
    answer = http.get(f"{url}/v2/{repository}/manifests/{reference}", headers={"accept": ACCEPT})
    if answer.status_code == httpx.codes.NOT_FOUND:
        return None
    return sha256(answer.raise_for_status().content)


def read_repository(
    url: str, repository: str, *, also: Iterable[str] = (), http: httpx.Client | None = None
) -> RepositoryState:
    """The whole state that tags, and the digests in `also`, lead to, referrers of the referrers API included.

    Raises AssertionError when bytes do not match the digest or size they are named by.
    """
    if http is None:
        with client() as own:
            return read_repository(url, repository, also=also, http=own)
    state = RepositoryState()
    reader = _Reader(f"{url}/v2/{repository}", http, state)
    for tag in read_tags(url, repository, http):
        digest = reader.manifest(tag)
        if digest:
            state.tags[tag] = digest
    for digest in also:
        reader.manifest(digest)
    return state


def read_registry(
    url: str, repositories: Iterable[str] | None = None, *, http: httpx.Client | None = None
) -> dict[str, RepositoryState]:
    """`read_repository` of the named repositories, or of all that the catalogue lists."""
    if http is None:
        with client() as own:
            return read_registry(url, repositories, http=own)
    if repositories is None:
        repositories = http.get(f"{url}/v2/_catalog?n=1000").raise_for_status().json()["repositories"]
    return {name: read_repository(url, name, http=http) for name in repositories}


def read_referrers(
    url: str, repository: str, digest: str, http: httpx.Client | None = None
) -> list[dict[str, Any]] | None:
    """The descriptors of the referrers API; None where the registry has no such API."""
    if http is None:
        with client() as own:
            return read_referrers(url, repository, digest, own)
    answer = http.get(f"{url}/v2/{repository}/referrers/{digest}", headers={"accept": OCI_INDEX})
    if not answer.is_success or OCI_INDEX not in answer.headers.get("content-type", ""):
        return None
    manifests: list[dict[str, Any]] = answer.json()["manifests"]
    return manifests


@dataclass
class _Reader:
    base: str
    http: httpx.Client
    state: RepositoryState
    _has_referrers_api: bool = True

    def manifest(self, reference: str, descriptor: dict[str, Any] | None = None) -> str | None:
        if reference in self.state.manifests:
            return reference
        answer = self.http.get(f"{self.base}/manifests/{reference}", headers={"accept": ACCEPT})
        if answer.status_code == httpx.codes.NOT_FOUND:
            self.state.missing.add(reference)
            return None
        data = answer.raise_for_status().content
        digest = sha256(data)
        if ":" in reference:
            assert digest == reference, f"{reference} served as bytes of {digest}"
        if descriptor:
            assert len(data) == descriptor["size"], (
                f"{reference}: {len(data)} bytes, not {descriptor['size']}"
            )
        if digest in self.state.manifests:
            return digest
        self.state.manifests[digest] = data
        document = json.loads(data)
        for child in document.get("manifests", []):
            self.manifest(child["digest"], child)
        for blob in [document["config"], *document.get("layers", [])] if "config" in document else []:
            self.blob(blob)
        self.referrers(digest)
        return digest

    def blob(self, descriptor: dict[str, Any]) -> None:
        digest = descriptor["digest"]
        if digest in self.state.blobs or descriptor.get("urls"):
            return
        answer = self.http.get(f"{self.base}/blobs/{digest}", follow_redirects=True)
        if answer.status_code == httpx.codes.NOT_FOUND:
            self.state.missing.add(digest)
            return
        data = answer.raise_for_status().content
        assert sha256(data) == digest, f"blob {digest} served as bytes of {sha256(data)}"
        assert len(data) == descriptor["size"], f"blob {digest}: {len(data)} bytes, not {descriptor['size']}"
        self.state.blobs[digest] = len(data)

    def referrers(self, digest: str) -> None:
        if not self._has_referrers_api:
            return
        found = read_referrers(
            self.base.partition("/v2/")[0], self.base.partition("/v2/")[2], digest, self.http
        )
        self._has_referrers_api = found is not None
        for one in found or []:
            self.manifest(one["digest"], one)
