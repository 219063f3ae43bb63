"""What belongs to an image without being below it: referrers, and cosign's digest tags.

Sources: distribution-spec 1.1, "Listing Referrers"; cosign's tag scheme `sha256-<hex>.sig`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import anyio

from regsync.content.errors import ContentNotFoundError
from regsync.content.merge import adds_to
from regsync.content.protocol import ListsReferrers, ListsTags, Source
from regsync.errors import RegsyncError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import HEX_LENGTH, SHA256, Digest
from regsync.oci.reference import Tag

DIGEST_TAG_TYPES = {  # what a digest tag holds, by its suffix, as an artifact type
    "sig": "application/vnd.dev.cosign.artifact.sig.v1+json",
    "att": "application/vnd.dev.cosign.artifact.att.v1+json",
    "sbom": "application/vnd.dev.cosign.artifact.sbom.v1+json",
}
MAX_DEPTH = 4  # evidence of evidence: a signature of an SBOM of an image

_DIGEST_TAG = re.compile(rf"(sha256)-([a-f0-9]{{{HEX_LENGTH[SHA256]}}})\.([a-z0-9]{{1,32}})")

Takes = Callable[[str | None], bool]  # whether evidence of this artifact type travels


@dataclass(frozen=True, slots=True)
class DigestTag:
    """A tag that names its subject, such as `sha256-<hex>.sig`."""

    tag: Tag
    subject: Digest
    suffix: str

    @classmethod
    def parse(cls, tag: Tag) -> "DigestTag | None":
        """Read a tag; None when it is of another form."""
        if not tag.startswith("sha"):
            return None
        match = _DIGEST_TAG.fullmatch(tag)
        return None if match is None else cls(tag, Digest(match[1], match[2]), match[3])

    @property
    def artifact_type(self) -> str | None:
        """The artifact type that cosign gives to the same thing as a referrer."""
        return DIGEST_TAG_TYPES.get(self.suffix)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found beside one manifest."""

    referrers: tuple[Descriptor, ...] = ()
    tags: tuple[Tag, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.referrers or self.tags)

    def __add__(self, other: "Evidence") -> "Evidence":
        return Evidence(self.referrers + other.referrers, self.tags + other.tags)


@dataclass(frozen=True, slots=True)
class _Beside:
    """All that is beside one manifest, wanted or not."""

    referrers: Sequence[Descriptor]
    tags: Sequence[DigestTag]


class Shelf:
    """A repository in which evidence is looked for, with its tags where they were listed."""

    def __init__(self, store: Source, listed: Mapping[Tag, Descriptor | None] | None) -> None:
        self.store, self.listed = store, listed
        self._digest_tags: dict[Digest, list[DigestTag]] = {}
        for tag in listed or ():
            if (found := DigestTag.parse(tag)) is not None:
                self._digest_tags.setdefault(found.subject, []).append(found)

    @classmethod
    async def listing(cls, store: Source) -> "Shelf":
        """With the repository's tags, so that no digest tag is asked for by itself, if they can be listed."""
        listed: dict[Tag, Descriptor | None] | None = None
        lists = store
        if isinstance(lists, ListsTags):
            with suppress(RegsyncError):
                async with lists.tags() as tags:
                    listed = {tag: desc async for tag, desc in tags}
        return cls(store, listed)

    @property
    def has_digest_tags(self) -> bool:
        """Whether the listing shows any."""
        return bool(self._digest_tags)

    def has_digest_tags_of(self, subject: Digest) -> bool:
        """Whether the listing shows any of this subject."""
        return subject in self._digest_tags

    async def find(self, subject: Digest, takes: Takes) -> Evidence:
        """Everything beside `subject` that `takes` wants. Raises what the registry answers but not-found."""
        beside = await self._beside(subject)
        referrers = tuple(one for one in beside.referrers if takes(one.artifact_type))
        return Evidence(referrers, tuple(one.tag for one in beside.tags if takes(one.artifact_type)))

    async def _beside(self, subject: Digest) -> _Beside:
        referrers: Sequence[Descriptor] = ()
        if isinstance(self.store, ListsReferrers):
            referrers = await self.store.referrers(subject, listed=self.listed)
        return _Beside(referrers, await self._tags_of(subject))

    async def _tags_of(self, subject: Digest) -> Sequence[DigestTag]:
        if self.listed is not None:
            return self._digest_tags.get(subject, ())
        if subject.algorithm != SHA256:
            return ()
        found = []
        for suffix in DIGEST_TAG_TYPES:
            tag = Tag(f"{subject.algorithm}-{subject.encoded}.{suffix}")
            try:
                await self.store.resolve(tag)
            except ContentNotFoundError:
                continue
            found.append(DigestTag(tag, subject, suffix))
        return found


class KeptShelf(Shelf):
    """A shelf that is asked once for each subject, whoever wants to know: for sources, not for targets."""

    def __init__(self, store: Source, listed: Mapping[Tag, Descriptor | None] | None) -> None:
        super().__init__(store, listed)
        self._kept: dict[Digest, _Beside] = {}
        self._asking: dict[Digest, anyio.Event] = {}

    async def _beside(self, subject: Digest) -> _Beside:
        while (kept := self._kept.get(subject)) is None:
            if (asking := self._asking.get(subject)) is not None:
                await asking.wait()
                continue
            event = self._asking[subject] = anyio.Event()
            try:
                kept = self._kept[subject] = await super()._beside(subject)
            finally:
                del self._asking[subject]
                event.set()
        return kept


async def lacking(source: Shelf, target: Shelf, subject: Digest, takes: Takes) -> Evidence:
    """The evidence of `subject` at `source` that `target` does not have."""
    here = await source.find(subject, takes)
    if not here:
        return here
    there = await target.find(subject, takes)
    known = {one.digest for one in there.referrers}
    tags = []
    for tag in here.tags:
        if tag not in there.tags or await _differ(source.store, target.store, tag):
            tags.append(tag)
    return Evidence(tuple(one for one in here.referrers if one.digest not in known), tuple(tags))


async def _differ(source: Source, target: Source, tag: Tag) -> bool:
    """Whether `source` has layers under a digest tag that `target` lacks: others may have signed there."""
    at_source, at_target = await source.resolve(tag), await target.resolve(tag)
    if at_source.digest == at_target.digest:
        return False
    return await adds_to(source, target, tag)
