"""Makes the images of the quick start: the same bytes on every machine, with nothing but Python.

Run it from anywhere; it writes `images/` beside itself. It is here so that nobody has to trust a
directory of hashes: `python examples/quickstart/make_images.py && git diff --exit-code` says that the
images are what this file makes.
"""

import hashlib
import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

IMAGES = Path(__file__).parent / "images"
CREATED = "2026-01-15T12:00:00Z"

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
EMPTY = "application/vnd.oci.empty.v1+json"
SBOM = "application/spdx+json"

Descriptor = dict[str, Any]


class Layout:
    """One OCI image layout, built up in memory and written at the end."""

    def __init__(self, repository: str) -> None:
        self.path = IMAGES / repository
        self._blobs: dict[str, bytes] = {}
        self._roots: list[Descriptor] = []

    def put(self, media_type: str, content: bytes) -> Descriptor:
        """Keep content; the answer describes it."""
        digest = hashlib.sha256(content).hexdigest()
        self._blobs[digest] = content
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    def put_json(self, media_type: str, document: object) -> Descriptor:
        """Keep a document."""
        return self.put(media_type, json.dumps(document, separators=(",", ":")).encode())

    def tag(self, descriptor: Descriptor, tag: str) -> None:
        """Give a manifest or index a tag."""
        annotations = {"org.opencontainers.image.ref.name": tag}
        self._roots.append(descriptor | {"annotations": annotations})

    def root(self, descriptor: Descriptor) -> None:
        """List a manifest that has no tag, such as a referrer."""
        self._roots.append(descriptor)

    def write(self) -> None:
        """Write the directory."""
        blobs = self.path / "blobs" / "sha256"
        blobs.mkdir(parents=True)
        for digest, content in sorted(self._blobs.items()):
            (blobs / digest).write_bytes(content)
        (self.path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": self._roots}
        (self.path / "index.json").write_text(json.dumps(index, indent=2) + "\n")


def layer(files: dict[str, str]) -> bytes:
    """A tar archive, not compressed: compressors differ between machines."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(text.encode()), 0o644, 0
            archive.addfile(entry, io.BytesIO(text.encode()))
        end = archive.offset + 2 * tarfile.BLOCKSIZE  # two empty blocks end an archive; tarfile adds more
    return buffer.getvalue()[:end]


def image(layout: Layout, architecture: str, layers: list[bytes], version: str) -> Descriptor:
    """An image for linux on one architecture."""
    described = [layout.put(LAYER, content) for content in layers]
    config = {
        "created": CREATED,
        "architecture": architecture,
        "os": "linux",
        "config": {"Labels": {"org.opencontainers.image.version": version}},
        "rootfs": {"type": "layers", "diff_ids": [one["digest"] for one in described]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": layout.put_json(CONFIG, config),
        "layers": described,
        "annotations": {"org.opencontainers.image.created": CREATED},
    }
    return layout.put_json(MANIFEST, manifest)


def two_platforms(layout: Layout, layers: list[bytes], version: str) -> Descriptor:
    """An index of the same image for two architectures."""
    manifests = []
    for architecture in ("amd64", "arm64"):
        own = layer({"etc/architecture": f"{architecture}\n"})
        platform = {"os": "linux", "architecture": architecture}
        manifests.append(image(layout, architecture, [*layers, own], version) | {"platform": platform})
    return layout.put_json(INDEX, {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})


def bill_of_materials(layout: Layout, subject: Descriptor, name: str) -> Descriptor:
    """A referrer: an SBOM that says which image it is about."""
    document = {"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": name, "packages": []}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": SBOM,
        "config": layout.put_json(EMPTY, {}),
        "layers": [layout.put_json(SBOM, document)],
        "subject": subject,
    }
    descriptor = layout.put_json(MANIFEST, manifest) | {"artifactType": SBOM}
    # Tools that do not look for subjects find it through the fallback tag of the distribution spec.
    fallback = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor]}
    layout.tag(layout.put_json(INDEX, fallback), subject["digest"].replace(":", "-"))
    return descriptor


def main() -> None:
    """Write both repositories anew."""
    shutil.rmtree(IMAGES, ignore_errors=True)
    base = layer({"etc/os-release": "ID=quickstart\nVERSION_ID=1\n"})

    hello = Layout("hello")
    for version in ("1.0.0", "1.1.0", "2.0.0-rc.1"):
        hello.tag(image(hello, "amd64", [base, layer({"hello.txt": f"hello {version}\n"})], version), version)
    hello.write()

    web = Layout("acme/web")
    for version in ("1.4.0", "1.4.1"):
        index = two_platforms(web, [base, layer({"srv/index.html": f"<h1>{version}</h1>\n"})], version)
        web.tag(index, version)
        if version == "1.4.1":
            web.tag(index, "latest")
            web.root(bill_of_materials(web, index, f"acme/web {version}"))
    web.write()


if __name__ == "__main__":
    main()
