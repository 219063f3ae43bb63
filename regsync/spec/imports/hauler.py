"""Hauler's manifests: kind Images of content.hauler.cattle.io."""

from typing import Any

from regsync.oci.platform import InvalidPlatformError, Platform
from regsync.oci.reference import is_host
from regsync.spec.imports import foreign
from regsync.spec.imports.draft import Draft
from regsync.spec.model import Position

GROUP = "content.hauler.cattle.io"
_VERIFICATION = (
    "key", "use-tlog-verify", "certificate-identity", "certificate-identity-regexp",
    "certificate-oidc-issuer", "certificate-oidc-issuer-regexp", "certificate-github-workflow-repository",
)  # fmt: skip
_ANNOTATIONS = ("hauler.dev/registry", "hauler.dev/platform")

Options = tuple[str | None, bool]  # platform, without referrers


def read(raw: bytes, name: str, draft: Draft) -> None:
    """Every image; those with the same platform and extras become one mirror."""
    groups: dict[Options, list[str]] = {}
    for node in foreign.documents(raw, name):
        document = foreign.mapping(node, name)
        version, kind = foreign.text(document, "apiVersion") or "", foreign.text(document, "kind")
        if not version.startswith(f"{GROUP}/"):
            raise foreign.wrong(node.position, f"expected apiVersion {GROUP}/v1, found {version[:60]!r}")
        if kind != "Images":
            draft.note(f"kind {kind}: regsync copies images, not charts or files")
            continue
        metadata = foreign.child(document, "metadata")
        annotations = foreign.child(metadata, "annotations")
        for key in annotations:
            if key not in _ANNOTATIONS:
                draft.note(f"annotation {key}")
        for entry in foreign.mappings(foreign.child(document, "spec").get("images")):
            _image(entry, annotations, groups, draft)
    if not groups:
        raise foreign.wrong(Position(name, 1, 1), "there is no image in this manifest")
    for options, images in groups.items():
        _add(options, images, draft)


def _add(options: Options, images: list[str], draft: Draft) -> None:
    platform, bare = options
    spec: dict[str, Any] = {}
    name = "images"
    if platform is not None:
        spec["platforms"] = [platform]
        name += "-" + platform.replace("/", "-")
    if bare:
        spec["referrers"] = "none"
        name += "-bare"
    draft.images(images, spec, name)


def _image(
    entry: dict[str, Any], annotations: dict[str, Any], groups: dict[Options, list[str]], draft: Draft
) -> None:
    image = foreign.text(entry, "name")
    if image is None:
        draft.note("an image without a name")
        return
    registry = foreign.text(annotations, "hauler.dev/registry")
    first, slash, _ = image.partition("/")
    if registry is not None and not (slash and is_host(first)):
        image = f"{registry}/{image}"
    if any(entry.get(key) for key in _VERIFICATION):
        draft.note(f"{image}: how its signature is verified")
    for key in ("rewrite", "local", "ca-file", "insecure-skip-tls-verify"):
        if entry.get(key) and (foreign.text(entry, key) or "").lower() != "false":
            draft.note(f"{image}: {key}")
    platform = foreign.text(entry, "platform") or foreign.text(annotations, "hauler.dev/platform")
    if platform is not None:
        try:
            platform = str(Platform.parse(platform))
        except InvalidPlatformError as cause:
            draft.note(f"{image}: {cause}")
            platform = None
    groups.setdefault((platform, foreign.is_true(entry.get("exclude-extras"))), []).append(image)
