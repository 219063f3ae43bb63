"""Small deterministic OCI content as plain values, and its push by raw HTTP.

    app = image("nginx", layers=3)                     # same name, same bytes, for ever
    multi = index(image("a", arch="amd64"), image("a", arch="arm64"))
    sbom = referrer(app, artifact_type="application/spdx+json", data=b"{}")
    signature = cosign_signature(app)
    push("http://127.0.0.1:5000", "team/app", multi, "v1", "latest")
    push(url, "team/app", sbom)                        # by digest
    push(url, "team/app", signature, cosign_tag(app))  # cosign's digest tag

Nothing here uses regsync's code, so it can serve as an oracle for it.
"""

import hashlib
import json
import random
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import httpx

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
COSIGN_SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"

EMPTY_JSON = b"{}"
"""The body of the empty descriptor of image-spec 1.1."""

Json = dict[str, Any]


def sha256(data: bytes) -> str:
    """`sha256:<hex>` of the bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def noise(seed: str, size: int) -> bytes:
    """`size` incompressible bytes, the same for the same seed."""
    return random.Random(seed).randbytes(size)


def as_json(document: Mapping[str, Any]) -> bytes:
    """The compact UTF-8 form every builder here uses, keys in the order given."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


@dataclass(frozen=True)
class Content:
    """A manifest or index with everything below it, as bytes.

    `blobs` are the config and layers named by `data` itself; `children` the manifests an index lists.
    `platform` is what an index that holds this writes beside it.
    """

    media_type: str
    data: bytes
    blobs: tuple[bytes, ...] = ()
    children: tuple["Content", ...] = ()
    platform: Mapping[str, str] | None = None
    artifact_type: str | None = None

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of the manifest's bytes."""
        return sha256(self.data)

    @property
    def size(self) -> int:
        """Bytes of the manifest alone."""
        return len(self.data)

    @property
    def document(self) -> Json:
        """The manifest parsed."""
        parsed: Json = json.loads(self.data)
        return parsed

    def descriptor(self, **more: Any) -> Json:
        """A descriptor of this content, with the keys in `more` added."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size, **more}

    def walk(self) -> Iterator["Content"]:
        """Children first, this manifest last."""
        for child in self.children:
            yield from child.walk()
        yield self

    def all_blobs(self) -> dict[str, bytes]:
        """Every blob under this content by digest."""
        return {sha256(blob): blob for node in self.walk() for blob in node.blobs}

    def total_size(self) -> int:
        """Distinct bytes under this content: manifests and blobs."""
        manifests = {node.digest: node.size for node in self.walk()}
        return sum(manifests.values()) + sum(len(blob) for blob in self.all_blobs().values())


def blob_descriptor(media_type: str, data: bytes, **more: Any) -> Json:
    """A descriptor of a blob, with the keys in `more` added."""
    return {"mediaType": media_type, "digest": sha256(data), "size": len(data), **more}


def image(
    name: str = "image",
    *,
    layers: int | Sequence[bytes] = 2,
    layer_size: int = 1000,
    arch: str = "amd64",
    os: str = "linux",
    variant: str | None = None,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    created: str | None = "2024-01-01T00:00:00Z",
    docker: bool = False,
    subject: Content | None = None,
) -> Content:
    """An image whose bytes depend on the arguments alone.

    `layers` is a count of layers of `layer_size` bytes each, or their bytes. `docker` gives Docker schema 2.
    """
    if isinstance(layers, int):
        layers = [noise(f"{name}/{arch}/{variant}/{number}", layer_size) for number in range(layers)]
    platform = {"architecture": arch, "os": os} | ({"variant": variant} if variant else {})
    config: Json = dict(platform)
    if created:
        config["created"] = created
    config["config"] = {"Labels": {"name": name, **(labels or {})}}
    config["rootfs"] = {"type": "layers", "diff_ids": [sha256(layer) for layer in layers]}
    config_data = as_json(config)
    media_type = DOCKER_MANIFEST if docker else OCI_MANIFEST
    document: Json = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": blob_descriptor(DOCKER_CONFIG if docker else OCI_CONFIG, config_data),
        "layers": [blob_descriptor(DOCKER_LAYER if docker else OCI_LAYER, layer) for layer in layers],
    }
    if subject:
        document["subject"] = subject.descriptor()
    if annotations:
        document["annotations"] = dict(annotations)
    return Content(media_type, as_json(document), (config_data, *layers), platform=platform)


def index(
    *children: Content,
    annotations: Mapping[str, str] | None = None,
    docker: bool = False,
    subject: Content | None = None,
    artifact_type: str | None = None,
) -> Content:
    """An index of the children, each with its platform; with `docker` a manifest list."""
    media_type = DOCKER_LIST if docker else OCI_INDEX
    document: Json = {"schemaVersion": 2, "mediaType": media_type}
    if artifact_type:
        document["artifactType"] = artifact_type
    document["manifests"] = [
        child.descriptor(**({"platform": dict(child.platform)} if child.platform else {}))
        for child in children
    ]
    if subject:
        document["subject"] = subject.descriptor()
    if annotations:
        document["annotations"] = dict(annotations)
    return Content(media_type, as_json(document), children=children, artifact_type=artifact_type)


def buildkit_index(name: str = "image", platforms: Sequence[str] = ("amd64", "arm64")) -> Content:
    """An index as BuildKit writes it: an image and an attestation manifest for each architecture."""
    nodes: list[Content] = []
    entries: list[Json] = []
    for arch in platforms:
        built = image(name, arch=arch)
        statement = as_json({"_type": "https://in-toto.io/Statement/v0.1", "subject": [{"name": name}]})
        attestation = artifact(
            "application/vnd.docker.attestation.manifest.v1+json",
            {"application/vnd.in-toto+json": statement},
            name=arch,
        )
        nodes += [built, attestation]
        entries.append(built.descriptor(platform=dict(built.platform or {})))
        entries.append(
            attestation.descriptor(
                platform={"architecture": "unknown", "os": "unknown"},
                annotations={
                    "vnd.docker.reference.digest": built.digest,
                    "vnd.docker.reference.type": "attestation-manifest",
                },
            )
        )
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    return Content(OCI_INDEX, as_json(document), children=tuple(nodes))


def artifact(
    artifact_type: str,
    blobs: Mapping[str, bytes] | None = None,
    *,
    name: str | None = None,
    subject: Content | Json | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Content:
    """An artifact manifest of image-spec 1.1 with the empty config; `blobs` maps media types to layer bytes.

    `subject` is the content referred to, or its descriptor where the content itself is not there.
    """
    if not blobs:
        blobs = {OCI_EMPTY: EMPTY_JSON}
    document: Json = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": blob_descriptor(OCI_EMPTY, EMPTY_JSON),
        "layers": [blob_descriptor(media_type, data) for media_type, data in blobs.items()],
    }
    if subject is not None:
        document["subject"] = subject.descriptor() if isinstance(subject, Content) else subject
    notes = ({"org.opencontainers.image.title": name} if name else {}) | dict(annotations or {})
    if notes:
        document["annotations"] = notes
    return Content(
        OCI_MANIFEST,
        as_json(document),
        tuple(dict.fromkeys([EMPTY_JSON, *blobs.values()])),
        artifact_type=artifact_type,
    )


def referrer(
    subject: Content | Json,
    *,
    artifact_type: str = "application/spdx+json",
    data: bytes = b'{"spdxVersion":"SPDX-2.3"}',
    annotations: Mapping[str, str] | None = None,
) -> Content:
    """An artifact that refers to `subject`: an SBOM unless told otherwise."""
    return artifact(artifact_type, {artifact_type: data}, subject=subject, annotations=annotations)


def cosign_signature(subject: Content, signature: str = "c2lnbmF0dXJl") -> Content:
    """What cosign pushes at `cosign_tag(subject)`: shaped like a signature, verifying against nothing."""
    payload = as_json({"critical": {"image": {"docker-manifest-digest": subject.digest}}, "optional": None})
    config = as_json(
        {"architecture": "", "os": "", "rootfs": {"type": "layers", "diff_ids": [sha256(payload)]}}
    )
    layer = blob_descriptor(
        COSIGN_SIMPLE_SIGNING, payload, annotations={"dev.cosignproject.cosign/signature": signature}
    )
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": blob_descriptor(OCI_CONFIG, config),
        "layers": [layer],
    }
    return Content(OCI_MANIFEST, as_json(document), (config, payload))


def cosign_tag(subject: Content, suffix: str = "sig") -> str:
    """`sha256-<hex>.sig`; other suffixes are `att` and `sbom`."""
    return subject.digest.replace(":", "-") + "." + suffix


def fallback_tag(subject: Content) -> str:
    """`sha256-<hex>`: where referrers stand on a registry without the referrers API."""
    return subject.digest.replace(":", "-")


def fallback_index(*referrers: Content) -> Content:
    """The index that belongs at `fallback_tag(subject)`."""
    entries = []
    for one in referrers:
        extra: Json = {"artifactType": one.artifact_type} if one.artifact_type else {}
        annotations = one.document.get("annotations")
        if annotations:
            extra["annotations"] = annotations
        entries.append(one.descriptor(**extra))
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    return Content(OCI_INDEX, as_json(document), children=referrers)


def client(verify: str | bool = True, **options: Any) -> httpx.Client:
    """An httpx client for tests: no proxies from the environment; `verify` may be the path of a CA file."""
    context: ssl.SSLContext | bool = (
        ssl.create_default_context(cafile=verify) if isinstance(verify, str) else verify
    )
    return httpx.Client(verify=context, trust_env=False, timeout=60, **options)


def push(
    url: str, repository: str, content: Content, *tags: str, http: httpx.Client | None = None
) -> Content:
    """Push content with all below it by raw HTTP: blobs, children, the manifest by digest, then each tag.

    Args:
        url: the registry, `http://127.0.0.1:5000`.
        repository: `team/app`.
        content: what to push; it is returned.
        tags: none pushes by digest only.
        http: a client with credentials or a CA of its own; by default one without either.

    Raises httpx.HTTPStatusError when the registry refuses any step.
    """
    if http is None:
        with client() as own:
            return push(url, repository, content, *tags, http=own)
    for node in content.walk():
        for blob in node.blobs:
            push_blob(url, repository, blob, http)
        put_manifest(url, repository, node.digest, node, http)
    for tag in tags:
        put_manifest(url, repository, tag, content, http)
    return content


def push_blob(url: str, repository: str, data: bytes, http: httpx.Client) -> str:
    """Upload one blob unless it is there; returns its digest."""
    digest = sha256(data)
    if http.head(f"{url}/v2/{repository}/blobs/{digest}").status_code == httpx.codes.OK:
        return digest
    started = http.post(f"{url}/v2/{repository}/blobs/uploads/").raise_for_status()
    location = urljoin(f"{url}/v2/", started.headers["location"])
    joint = "&" if "?" in location else "?"
    headers = {"content-type": "application/octet-stream"}
    http.put(f"{location}{joint}digest={digest}", content=data, headers=headers).raise_for_status()
    return digest


def put_manifest(url: str, repository: str, reference: str, content: Content, http: httpx.Client) -> None:
    """PUT the manifest alone at a tag or its digest."""
    target = f"{url}/v2/{repository}/manifests/{reference}"
    http.put(target, content=content.data, headers={"content-type": content.media_type}).raise_for_status()
