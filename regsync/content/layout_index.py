"""index.json of an OCI layout as a value: tags, untagged roots, and whatever else others wrote there.

Sources: image-spec 1.1, "OCI Image Layout Specification" and the annotation
`org.opencontainers.image.ref.name`; what oras, skopeo, regctl and containerd make of it. Entries are
written back as they were found, those of kinds we do not know included.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

from regsync.content.errors import ContentError, ContentNotFoundError
from regsync.content.layout_files import InvalidLayoutError
from regsync.oci import media_type as types
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest, InvalidDigestError
from regsync.oci.manifest import MAX_BLOB_SIZE
from regsync.oci.reference import InvalidReferenceError, Reference, Tag
from regsync.oci.strict_json import InvalidJSONError, loads

REF_NAME = "org.opencontainers.image.ref.name"


class AmbiguousTagError(ContentError):
    """Several entries of index.json claim one tag for different content."""

    def __init__(self, tag: Tag, names: Iterable[str], *, where: str) -> None:
        claims = ", ".join(sorted(names))
        super().__init__(f"{where}: tag {tag} is ambiguous, index.json has it for {claims}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One descriptor of index.json, and the name that it bears there."""

    document: Mapping[str, object]  # as it stands
    desc: Descriptor | None  # None: of a kind that we cannot read
    name: str | None

    @property
    def tag(self) -> Tag | None:
        """The tag it stands for: its name, or the tag at the end of a full reference."""
        if self.name is None or self.desc is None:
            return None
        try:
            return Tag.parse(self.name)
        except InvalidReferenceError:
            pass
        try:
            return Reference.parse(self.name).tag
        except (InvalidReferenceError, InvalidDigestError):
            return None

    @property
    def is_exact(self) -> bool:
        """Whether the name is the tag itself."""
        return self.name is not None and self.tag == self.name

    def named(self, name: str | None) -> Self:
        """The same content under another name, or none."""
        annotations = dict(_strings(self.document.get("annotations")))
        annotations.pop(REF_NAME, None)
        if name is not None:
            annotations[REF_NAME] = name
        document = {key: value for key, value in self.document.items() if key != "annotations"}
        if annotations:
            document["annotations"] = annotations
        return replace(self, document=document, name=name)

    @classmethod
    def of(cls, desc: Descriptor, name: str | None = None) -> Self:
        """A new entry."""
        document = {"mediaType": desc.media_type, "digest": str(desc.digest), "size": desc.size}
        plain = Descriptor(desc.media_type, desc.digest, desc.size)
        return cls(document, plain, None).named(name)


@dataclass(frozen=True)
class LayoutIndex:
    """All of index.json. Changes give a new value."""

    head: Mapping[str, object]  # every key but `manifests`
    entries: tuple[Entry, ...]

    @classmethod
    def parse(cls, raw: bytes, *, where: str) -> Self:
        """Read index.json; raises InvalidLayoutError."""
        try:
            document = loads(raw)
        except InvalidJSONError as cause:
            raise InvalidLayoutError(f"index.json: {cause}", where=where) from cause
        manifests = document.get("manifests") if isinstance(document, dict) else ()
        manifests = [] if manifests is None else manifests  # Go writes an empty list as null
        if not isinstance(document, dict) or not isinstance(manifests, list):
            raise InvalidLayoutError("index.json is no image index", where=where)
        head = {key: value for key, value in document.items() if key != "manifests"}
        return cls(head, tuple(_entry(one, where) for one in manifests))

    def encode(self) -> bytes:
        """The bytes to write."""
        document = {**self.head, "manifests": [entry.document for entry in self.entries]}
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()

    @cached_property
    def by_tag(self) -> Mapping[Tag, tuple[Entry, ...]]:
        """The entries that claim each tag: one whose name is the tag goes before full references."""
        claims: defaultdict[Tag, list[Entry]] = defaultdict(list)
        for entry in self.entries:
            if (tag := entry.tag) is not None:
                claims[tag].append(entry)
        return {
            tag: tuple(one for one in found if one.is_exact) or tuple(found) for tag, found in claims.items()
        }

    @cached_property
    def by_digest(self) -> Mapping[Digest, Entry]:
        """The first entry of each digest."""
        found: dict[Digest, Entry] = {}
        for entry in self.entries:
            if entry.desc is not None:
                found.setdefault(entry.desc.digest, entry)
        return found

    def tagged(self, tag: Tag, *, where: str) -> Descriptor:
        """What `tag` points to; raises ContentNotFoundError or AmbiguousTagError."""
        claims = {entry.desc: entry for entry in self.by_tag.get(tag, ()) if entry.desc is not None}
        if not claims:
            raise ContentNotFoundError(tag, where=where)
        if len(claims) > 1:
            names = [f"{entry.name} ({desc.digest})" for desc, entry in claims.items()]
            raise AmbiguousTagError(tag, names, where=where)
        return next(iter(claims))

    def with_tag(self, desc: Descriptor, tag: Tag) -> Self:
        """`tag` for this content alone. What bore it before stays, as oras does, as an untagged entry."""
        template = self.by_digest.get(desc.digest)
        if template is None or template.desc != desc:
            template = Entry.of(desc)
        others = [
            entry
            for entry in self._without_name(tag)
            if not (entry.name is None and entry.desc is not None and entry.desc.digest == desc.digest)
        ]
        return replace(self, entries=(*others, template.named(tag)))

    def without_tag(self, tag: Tag) -> Self:
        """No entry claims `tag`; what bore it stays as an untagged entry."""
        return replace(self, entries=tuple(self._without_name(tag)))

    def _without_name(self, tag: Tag) -> list[Entry]:
        kept = [entry for entry in self.entries if entry.tag != tag]
        listed = {entry.desc.digest for entry in kept if entry.desc is not None}
        for entry in self.entries:
            if entry.tag == tag and entry.desc is not None and entry.desc.digest not in listed:
                listed.add(entry.desc.digest)
                kept.append(entry.named(None))
        return kept

    def with_root(self, desc: Descriptor) -> Self:
        """An entry without a name, unless this digest has one of some name."""
        if desc.digest in self.by_digest:
            return self
        return replace(self, entries=(*self.entries, Entry.of(desc)))

    def without_roots(self, digests: frozenset[Digest]) -> Self:
        """No entries without a name for these: something else leads to them."""
        kept = tuple(
            entry
            for entry in self.entries
            if entry.name is not None or entry.desc is None or entry.desc.digest not in digests
        )
        return self if len(kept) == len(self.entries) else replace(self, entries=kept)

    def without(self, digest: Digest) -> Self:
        """No entry of this content, whatever its name."""
        kept = tuple(entry for entry in self.entries if entry.desc is None or entry.desc.digest != digest)
        return replace(self, entries=kept)


def _entry(document: object, where: str) -> Entry:
    if not isinstance(document, dict):
        raise InvalidLayoutError("index.json has an entry that is no object", where=where)
    name = _strings(document.get("annotations")).get(REF_NAME)
    return Entry(document, _descriptor(document), name or None)


def _descriptor(document: Mapping[str, object]) -> Descriptor | None:
    kind, digest, size = document.get("mediaType"), document.get("digest"), document.get("size")
    if not isinstance(kind, str) or not isinstance(digest, str) or not types.is_manifest(kind):
        return None
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_BLOB_SIZE:
        return None
    try:
        return Descriptor(kind, Digest.parse(digest), size)
    except InvalidDigestError:
        return None


def _strings(value: object) -> Mapping[str, str]:
    if not isinstance(value, dict):
        return {}
    return {key: text for key, text in value.items() if isinstance(text, str)}
