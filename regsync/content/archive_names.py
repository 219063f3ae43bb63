"""Repositories and tags as archives of OCI image layouts write them.

`org.opencontainers.image.ref.name` is a tag (regctl, oras, docker, skopeo) or repository and tag
(skopeo, where it was told so); `io.containerd.image.name` is always repository and tag, with a host where
containerd wrote it. Source: image-spec 1.1, "Pre-Defined Annotation Keys"; containerd, images/annotations.
"""

from collections.abc import Mapping

from regsync.content.layout_index import REF_NAME, Entry
from regsync.oci.descriptor import Descriptor
from regsync.oci.reference import InvalidReferenceError, RepositoryName, Tag

IMAGE_NAME = "io.containerd.image.name"


def entry_of(desc: Descriptor, repository: RepositoryName, tag: Tag | None, *, several: bool) -> Entry:
    """How an archive lists a manifest; `several` says that it has more than one repository.

    A single repository's tags stand alone, as most tools ask for them; else they would be ambiguous.
    """
    plain = Entry.of(desc)
    if tag is None:
        annotations = {IMAGE_NAME: f"{repository}@{desc.digest}"}
    else:
        name = f"{repository}:{tag}" if several else str(tag)
        annotations = {IMAGE_NAME: f"{repository}:{tag}", REF_NAME: name}
    return Entry({**plain.document, "annotations": annotations}, desc, annotations.get(REF_NAME))


def place_of(entry: Entry) -> tuple[RepositoryName | None, Tag | None]:
    """Which repository and tag an entry names; None for what it does not say.

    A host stays a part of the repository's name, its port after a dash: names must not fall together.
    """
    annotations = entry.document.get("annotations")
    told = annotations.get(IMAGE_NAME) if isinstance(annotations, Mapping) else None
    name = told if isinstance(told, str) and told else entry.name
    if name is None:
        return None, None
    rest = name.partition("@")[0]
    path, colon, tag_text = rest.rpartition(":")
    if not colon or "/" in tag_text:
        path, tag_text = rest, ""
    if not tag_text and told is None and "@" not in name and "/" not in name:
        path, tag_text = "", name  # a tag alone
    tag = _tag(tag_text)
    if tag is None and tag_text:
        return None, entry.tag
    try:
        return (RepositoryName.parse(path.replace(":", "-").lower()) if path else None), tag
    except InvalidReferenceError:
        return None, tag or entry.tag


def _tag(text: str) -> Tag | None:
    try:
        return Tag.parse(text) if text else None
    except InvalidReferenceError:
        return None
