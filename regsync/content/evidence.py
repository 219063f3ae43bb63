"""What belongs to an image without being below it: referrers, and cosign's digest tags.

Sources: distribution-spec 1.1, "Listing Referrers"; cosign's tag scheme `sha256-<hex>.sig`.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from regsync.content.concurrently import for_each
from regsync.content.digest_tags import DigestTag, cosign_tags, is_fallback_tag
from regsync.content.errors import ContentError, ContentNotFoundError, OtherSubjectError
from regsync.content.listings import REFERRERS, Listing, has_tag, list_referrers
from regsync.content.manifests import Manifests
from regsync.content.merge import has_more, list_of_signatures, merged, signatures
from regsync.content.protocol import KnowsItself, ListsTags, Source
from regsync.content.referrers import as_referrer, fallback_tag
from regsync.content.single_flight import SingleFlight
from regsync.errors import RegsyncError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import Index, InvalidManifestError, Manifest, parse_manifest
from regsync.oci.media_type import OCI_EMPTY
from regsync.oci.reference import Tag

UNTOLD_TYPES = frozenset({None, "", OCI_EMPTY})  # artifact types that lists give where they do not know
ASKED_AT_ONCE = 16
MAX_DEPTH = 4  # evidence of evidence: a signature of an SBOM of an image

Takes = Callable[[str | None], bool]  # whether evidence of this artifact type travels


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found beside one manifest."""

    referrers: tuple[Descriptor, ...] = ()
    tags: tuple[Tag, ...] = ()
    unsure: frozenset[Digest] = frozenset()  # referrers that a fallback tag alone lists: see `unbringable`

    def __bool__(self) -> bool:
        return bool(self.referrers or self.tags)

    def __add__(self, other: "Evidence") -> "Evidence":
        return Evidence(self.referrers + other.referrers, self.tags + other.tags, self.unsure | other.unsure)


class Shelf:
    """A repository in which evidence is looked for, with its tags where they were listed."""

    def __init__(self, store: Source, listed: Mapping[Tag, Descriptor | None] | None) -> None:
        self.store, self.listed = store, listed
        self._digest_tags: dict[Digest, list[DigestTag]] = {}
        self._types: dict[Digest, str | None] = {}
        self._has_fallback_tags = False
        for tag in listed or ():
            if (found := DigestTag.parse(tag)) is not None:
                self._digest_tags.setdefault(found.subject, []).append(found)
            elif is_fallback_tag(tag):
                self._has_fallback_tags = True

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
    def stores(self) -> tuple[Source, ...]:
        """Where what it finds is read from."""
        return (self.store,)

    @property
    def has_digest_tags(self) -> bool:
        """Whether the listing shows any, cosign's or fallback tags."""
        return bool(self._digest_tags) or self._has_fallback_tags

    def has_digest_tags_of(self, subject: Digest) -> bool:
        """Whether the listing shows any of this subject."""
        return subject in self._digest_tags or fallback_tag(subject) in (self.listed or ())

    async def find(self, subject: Digest, takes: Takes) -> Evidence:
        """Everything beside `subject` that `takes` wants. Raises what the registry answers but not-found."""
        found: dict[Digest, Descriptor] = {}
        sure: set[Digest] = set()
        for listing in await self.listings(subject):
            if listing.problem is not None:
                raise listing.problem
            for one in listing.referrers:
                found.setdefault(one.digest, one)
            if listing.location == REFERRERS:
                sure.update(found)
        referrers = tuple([one for one in found.values() if await self._is_wanted(one, takes)])
        tags = tuple(one.tag for one in await self.digest_tags(subject) if takes(one.artifact_type))
        return Evidence(referrers, tags, frozenset(one.digest for one in referrers) - sure)

    async def listings(self, subject: Digest) -> tuple[Listing, ...]:
        """What lists referrers of `subject` here; see `list_referrers`."""
        return await list_referrers(self.store, subject, self.listed)

    async def _is_wanted(self, desc: Descriptor, takes: Takes) -> bool:
        """By what the manifest itself says where the list does not: fallback indexes carry wrong types."""
        if takes(desc.artifact_type) or desc.artifact_type not in UNTOLD_TYPES:
            return takes(desc.artifact_type)
        if desc.digest not in self._types:
            try:
                _, raw = await self.store.manifest(desc.digest)
                manifest = parse_manifest(raw, desc.media_type, algorithm=desc.digest.algorithm)
            except (ContentError, InvalidManifestError):
                return False  # nobody can say that it is of a wanted type
            self._types[desc.digest] = as_referrer(manifest, desc).artifact_type
        return takes(self._types[desc.digest])

    async def digest_tags(self, subject: Digest) -> Sequence[DigestTag]:
        """The digest tags of `subject`, of any suffix where the tags are listed, else of cosign's."""
        if self.listed is not None:
            return self._digest_tags.get(subject, ())
        tags = cosign_tags(subject)
        found = await for_each(lambda one: self.has(one.tag), tags)
        return [one for one, is_there in zip(tags, found, strict=True) if is_there]

    async def has(self, tag: Tag) -> bool:
        """Whether there is such a tag: by the listing, or asked without counting as a pull."""
        return await has_tag(self.store, tag) if self.listed is None else tag in self.listed

    async def at_tag(self, manifests: Manifests, tag: Tag) -> Manifest | Index:
        """What a digest tag points to. Raises what reading raises."""
        return await manifests.at_tag(self.store, tag)

    async def digests_at(self, tag: Tag) -> frozenset[Digest]:
        """What a digest tag points to; empty where it is not."""
        try:
            return frozenset({(await self.store.resolve(tag)).digest})
        except ContentNotFoundError:
            return frozenset()

    async def signatures(self, manifests: Manifests, tag: Tag) -> Manifest:
        """What is behind a digest tag. Raises what reading raises, InvalidManifestError for an index."""
        return list_of_signatures(await self.at_tag(manifests, tag), tag, where=self.store.name)


class KeptShelf(Shelf):
    """A shelf that is asked once for each subject, whoever wants to know: for sources, not for targets."""

    def __init__(self, store: Source, listed: Mapping[Tag, Descriptor | None] | None) -> None:
        super().__init__(store, listed)
        self._listings: dict[Digest, tuple[Listing, ...]] = {}
        self._listing: SingleFlight[Digest, tuple[Listing, ...]] = SingleFlight()
        self._has: dict[Tag, bool] = {}
        self._asking: SingleFlight[Tag, bool] = SingleFlight()
        self._at: dict[Tag, Descriptor] = {}

    async def listings(self, subject: Digest) -> tuple[Listing, ...]:
        """As they were when first asked for; what failed is asked again."""
        kept = self._listings.get(subject)
        if kept is None:
            kept = await self._listing.run(subject, partial(super().listings, subject))
            if all(one.problem is None for one in kept):
                self._listings[subject] = kept
        return kept

    async def has(self, tag: Tag) -> bool:
        """As it was when first asked for."""
        if self.listed is not None:
            return tag in self.listed
        if tag not in self._has:
            self._has[tag] = await self._asking.run(tag, partial(super().has, tag))
        return self._has[tag]

    async def at_tag(self, manifests: Manifests, tag: Tag) -> Manifest | Index:
        """What it pointed to when it was first read, so that what was looked at is what is copied."""
        known = self._at.get(tag)
        if known is not None:
            return await manifests.read(self.stores, known)
        found = await super().at_tag(manifests, tag)
        self._at[tag] = found.descriptor
        return found


class Shelves:
    """Several shelves as one: an image's own repository, and others where its evidence is kept as well."""

    def __init__(self, shelves: Sequence["Shelf | Shelves"]) -> None:
        self.shelves = tuple(shelves)

    @property
    def stores(self) -> tuple[Source, ...]:
        """Where what it finds is read from."""
        return tuple(store for one in self.shelves for store in one.stores)

    async def has(self, tag: Tag) -> bool:
        """Whether any of them has such a tag."""
        return any([await one.has(tag) for one in self.shelves])

    async def digest_tags(self, subject: Digest) -> Sequence[DigestTag]:
        """The digest tags of `subject` that any of them has."""
        every = [await one.digest_tags(subject) for one in self.shelves]
        return tuple(dict.fromkeys(tag for each in every for tag in each))

    async def find(self, subject: Digest, takes: Takes) -> Evidence:
        """Everything that any of them has beside `subject`, each thing once. Raises as `Shelf.find`."""
        every = await for_each(lambda one: one.find(subject, takes), self.shelves)
        found = sum(every, Evidence())
        sure = {one.digest for each in every for one in each.referrers if one.digest not in each.unsure}
        return Evidence(
            tuple({one.digest: one for one in reversed(found.referrers)}.values())[::-1],
            tuple(dict.fromkeys(found.tags)),
            found.unsure - sure,
        )

    async def digests_at(self, tag: Tag) -> frozenset[Digest]:
        """What a digest tag points to, in each of them that has it."""
        every = [await one.digests_at(tag) for one in self.shelves if await one.has(tag)]
        return frozenset[Digest]().union(*every)

    async def signatures(self, manifests: Manifests, tag: Tag) -> Manifest:
        """What all of them have behind a digest tag, as one. Raises as `Shelf.signatures`."""
        found: Manifest | None = None
        for shelf in self.shelves:
            if await shelf.has(tag):
                more = await shelf.signatures(manifests, tag)
                found = merged(more, found) if found is not None else more
        if found is None:
            raise ContentNotFoundError(tag, where=", ".join(one.name for one in self.stores))
        return found


async def lacking(
    source: "Shelf | Shelves",
    target: Shelf,
    subject: Digest,
    takes: Takes,
    *,
    manifests: Manifests | None = None,
) -> Evidence:
    """The evidence of `subject` at `source` that `target` does not have, or does not list as what it is."""
    here = await source.find(subject, takes)
    if not here:
        return here
    manifests = manifests or Manifests()
    there = await target.find(subject, _everything)
    tags = []
    for tag in here.tags:
        if tag not in there.tags or await _differ(source, target, tag, manifests):
            tags.append(tag)
    absent = await _absent(source, target, here, there, manifests)
    return Evidence(absent, tuple(tags), here.unsure)


async def _differ(source: "Shelf | Shelves", target: Shelf, tag: Tag, manifests: Manifests) -> bool:
    """Whether `source` has layers under a digest tag that `target` lacks: others may have signed there."""
    if await source.digests_at(tag) == {(await target.store.resolve(tag)).digest}:
        return False
    return has_more(await source.signatures(manifests, tag), await signatures(target.store, tag))


async def _absent(
    source: "Shelf | Shelves", target: Shelf, here: Evidence, there: Evidence, manifests: Manifests
) -> tuple[Descriptor, ...]:
    """The referrers `here` that are not `there`, or of no type in a list that a push puts right."""
    store, listed = target.store, {one.digest: one for one in there.referrers}
    mends = isinstance(store, KnowsItself) and store.has_referrers_api is False

    def is_listed(one: Descriptor) -> bool:
        if one.digest not in listed:
            return False
        is_told = listed[one.digest].artifact_type not in UNTOLD_TYPES
        return is_told or one.artifact_type in UNTOLD_TYPES or not mends

    async def is_useless(one: Descriptor) -> bool:
        return one.digest in here.unsure and await unbringable(source, one, manifests) is not None

    absent = [one for one in here.referrers if not is_listed(one)]
    useless = await for_each(is_useless, absent, at_once=ASKED_AT_ONCE)
    return tuple(one for one, is_so in zip(absent, useless, strict=True) if not is_so)


async def unbringable(
    source: "Shelf | Shelves", referrer: Descriptor, manifests: Manifests
) -> RegsyncError | None:
    """Why what a fallback tag lists is of no use elsewhere: it is gone, or names no subject to list it by."""
    try:
        manifest = await manifests.read(source.stores, referrer)
    except ContentNotFoundError as error:
        return error
    except RegsyncError:
        return None  # whoever brings it meets it again
    if manifest.subject is not None:
        return None
    return OtherSubjectError(referrer.digest, None, None, where=source.stores[0].name)


def _everything(artifact_type: str | None) -> bool:
    return True
