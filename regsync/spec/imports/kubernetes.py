"""Rendered Kubernetes YAML: every image of its containers, in any pod template.

A pod is known by its lists of containers, wherever they stand: in workloads, in Lists, and in
custom resources that embed a pod. An `image` elsewhere may be one or not; it is only told of.
"""

from regsync.spec.imports import foreign
from regsync.spec.imports.draft import Draft
from regsync.spec.model import Position
from regsync.spec.nodes import Entries, Items, Node, Scalar

CONTAINERS = ("containers", "initContainers", "ephemeralContainers")


def read(raw: bytes, name: str, draft: Draft) -> None:
    """Every image of a container or an image volume."""
    images: dict[str, None] = {}
    for root in foreign.documents(raw, name):
        known: set[int] = set()
        for node in foreign.walk(root):
            if isinstance(node, Entries):
                for scalar in _of_pod(node):
                    known.add(id(scalar))
                    images[scalar.text] = None
        for node in foreign.walk(root):
            other = node.entries.get("image") if isinstance(node, Entries) else None
            if isinstance(other, Scalar) and other.text and id(other) not in known:
                draft.note(f"line {other.position.line}: image {other.text[:200]} belongs to no container")
    if not images:
        raise foreign.wrong(Position(name, 1, 1), "there is no container in this YAML")
    draft.images(images, {})


def _of_pod(node: Entries) -> list[Scalar]:
    found: list[Scalar] = []
    for key in CONTAINERS:
        found += [image for one in _entries(node.entries.get(key)) if (image := _text(one, "image"))]
    for volume in _entries(node.entries.get("volumes")):
        source = volume.entries.get("image")
        reference = _text(source, "reference") if isinstance(source, Entries) else None
        if reference is not None:
            found.append(reference)
    return found


def _entries(node: Node | None) -> list[Entries]:
    return [one for one in node.items if isinstance(one, Entries)] if isinstance(node, Items) else []


def _text(node: Entries, key: str) -> Scalar | None:
    found = node.entries.get(key)
    return found if isinstance(found, Scalar) and found.text else None
