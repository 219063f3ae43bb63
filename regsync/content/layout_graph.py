"""What leads to what in an OCI layout: which manifests refer to which, found by reading them.

A layout has no referrers API. oras lists what it pushed in index.json and follows subjects; regctl
keeps the fallback tag of the distribution-spec. Both are understood here.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from regsync.content.errors import ContentError
from regsync.content.layout_files import InvalidLayoutError
from regsync.content.layout_index import LayoutIndex
from regsync.content.referrers import as_referrer, fallback_tag
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest, InvalidDigestError
from regsync.oci.manifest import Index, InvalidManifestError, parse_manifest
from regsync.oci.reference import Tag

MAX_DEPTH = 8  # indexes in indexes
MAX_SCANNED = 200_000  # manifests of one layout


@dataclass(frozen=True, slots=True)
class Node:
    """What one manifest leads to."""

    children: tuple[Descriptor, ...]
    subject: Digest | None
    shown: Descriptor | None  # as a referrers list shows it, where it has a subject


@dataclass(frozen=True, slots=True)
class Graph:
    """The manifests that index.json leads to."""

    referrers: Mapping[Digest, Mapping[Digest, Descriptor]]
    parents: Mapping[Digest, Digest]  # one index that lists a manifest; fallback indexes do not count


@dataclass(slots=True)
class _Found:
    referrers: defaultdict[Digest, dict[Digest, Descriptor]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    parents: dict[Digest, Digest] = field(default_factory=dict)


class ReadsManifests(Protocol):
    """The files of a layout, wherever they are."""

    where: str

    def read_manifest(self, digest: Digest) -> bytes:
        """A manifest's bytes, hashed; raises ContentError."""
        ...


class LayoutScanner:
    """Reads each manifest once: content does not change under its digest. Blocking."""

    def __init__(self, files: ReadsManifests) -> None:
        self._files = files
        self._nodes: dict[Digest, Node] = {}
        self._last: tuple[LayoutIndex, Graph] | None = None

    def scan(self, index: LayoutIndex) -> Graph:
        """The graph under `index`. What is missing or unreadable in it is passed over."""
        if self._last is not None and self._last[0] is index:
            return self._last[1]
        fallbacks = dict(_fallbacks(index))
        found, seen = _Found(), set[Digest]()
        level = [entry.desc for entry in index.by_digest.values() if entry.desc is not None]
        for _ in range(MAX_DEPTH):
            level = [child for desc in level for child in self._visit(desc, found, seen, fallbacks)]
        graph = Graph(found.referrers, found.parents)
        self._last = (index, graph)
        return graph

    def node(self, desc: Descriptor) -> Node | None:
        """What the manifest leads to, None when it cannot be read."""
        known = self._nodes.get(desc.digest)
        if known is not None:
            return known
        try:
            manifest = parse_manifest(self._files.read_manifest(desc.digest), desc.media_type)
        except (ContentError, InvalidManifestError):
            return None
        subject = manifest.subject.digest if manifest.subject is not None else None
        shown = as_referrer(manifest, desc) if isinstance(manifest, Index) or subject is not None else None
        node = Node(manifest.manifests, subject, shown)
        self._nodes[desc.digest] = node
        return node

    def forget(self, digest: Digest) -> None:
        """The file of this manifest was removed."""
        self._nodes.pop(digest, None)

    def _visit(
        self, desc: Descriptor, found: _Found, seen: set[Digest], fallbacks: Mapping[Digest, Digest]
    ) -> Iterator[Descriptor]:
        if desc.digest in seen:
            return
        if len(seen) >= MAX_SCANNED:
            raise InvalidLayoutError(f"it has more than {MAX_SCANNED} manifests", where=self._files.where)
        seen.add(desc.digest)
        node = self.node(desc)
        if node is None:
            return
        if node.subject is not None and node.shown is not None:
            found.referrers[node.subject][desc.digest] = node.shown
        subject = fallbacks.get(desc.digest)
        for child in node.children:
            if subject is None:
                found.parents.setdefault(child.digest, desc.digest)
            elif (listed := self.node(child)) is not None and listed.subject in (None, subject):
                found.referrers[subject].setdefault(child.digest, listed.shown or child)
            yield child


def _fallbacks(index: LayoutIndex) -> Iterator[tuple[Digest, Digest]]:
    """Indexes that stand at a fallback tag, each with the subject that the tag names."""
    for tag, entries in index.by_tag.items():
        subject = fallback_subject(tag)
        for entry in entries if subject is not None else ():
            if entry.desc is not None and entry.desc.is_index and subject is not None:
                yield entry.desc.digest, subject


def fallback_subject(tag: Tag) -> Digest | None:
    """The digest that a fallback tag names; a sha512 is cut off in its tag and cannot be told."""
    try:
        subject = Digest.parse(tag.replace("-", ":", 1))
    except InvalidDigestError:
        return None
    return subject if fallback_tag(subject) == tag else None
