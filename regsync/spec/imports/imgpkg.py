"""ImagesLock and BundleLock of Carvel's imgpkg, which kbld and vendir write too."""

from regsync.spec.imports import foreign
from regsync.spec.imports.draft import Draft
from regsync.spec.model import Position

KINDS = ("ImagesLock", "BundleLock")


def read(raw: bytes, name: str, draft: Draft) -> None:
    """Every image of the lock, by its digest."""
    images: list[str] = []
    for node in foreign.documents(raw, name):
        document = foreign.mapping(node, name)
        kind = foreign.text(document, "kind")
        if kind not in KINDS:
            raise foreign.wrong(node.position, f"expected kind {' or '.join(KINDS)}, found {kind!r:.60}")
        for entry in foreign.mappings(document.get("images")):
            images += foreign.texts(entry.get("image"))
        bundle = foreign.child(document, "bundle")
        image = foreign.text(bundle, "image")
        if image is not None:
            tag = foreign.text(bundle, "tag")
            images.append(_with_tag(image, tag))
            draft.note(f"what the bundle {image} leads to: its own ImagesLock lists that")
    if not images:
        raise foreign.wrong(Position(name, 1, 1), "there is no image in this lock")
    draft.images(images, {})


def _with_tag(image: str, tag: str | None) -> str:
    repository, at, digest = image.partition("@")
    return f"{repository}:{tag}{at}{digest}" if tag and at else image
