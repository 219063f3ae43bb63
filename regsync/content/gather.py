"""All evidence beside a manifest, wherever it stands, read within bounds: nothing of it is believed here.

Every referrer's manifest is read before anything is left out, since lists carry wrong types and lack
annotations; layers only of the types that are asked for. Evidence of evidence is not followed.
Sources: SIGNING.md, rules 1, 4 and 6; BuildKit, "Image attestation storage".
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from regsync.content.concurrently import both, for_each
from regsync.content.digest_tags import DigestTag, cosign_tags
from regsync.content.errors import BoundHitError, ContentNotFoundError, OtherSubjectError
from regsync.content.evidence import Shelf
from regsync.content.listings import FALLBACK_TAG, REFERRERS
from regsync.content.manifests import Manifests
from regsync.content.pieces import Looked, Piece
from regsync.content.room import Room
from regsync.content.verified import verified
from regsync.errors import RegsyncError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest, InvalidDigestError
from regsync.oci.manifest import Index, InvalidManifestError, Manifest

MIB = 1024 * 1024
IN_FLIGHT = 128 * MIB  # bytes of layers that this process holds at once
INDEX = "index"  # where BuildKit keeps attestations, as verdicts name it

_REFERENCE_TYPE, _ATTESTATION = "vnd.docker.reference.type", "attestation-manifest"
_REFERENCE_DIGEST = "vnd.docker.reference.digest"
_ROOM = Room(IN_FLIGHT)  # of the process: many images are looked at at once


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of what others put there is read."""

    referrers: int = 1_000  # manifests beside one digest, those behind cosign's tags aside
    manifest: int = 4 * MIB  # bytes
    layers: int = 1_000  # of one manifest, of the types that are wanted
    blob: int = 32 * MIB  # bytes
    in_flight: int = IN_FLIGHT  # bytes of layers in memory at once, and so of one piece
    total: int = 512 * MIB  # bytes of layers beside one digest: a thousand may name the same large blob
    at_once: int = 16  # requests


@dataclass(frozen=True, slots=True)
class _Candidate:
    """What may be evidence, as it was listed; `found` where it had to be read to know that it is there."""

    location: str
    subject: Digest
    desc: Descriptor
    found: Manifest | Index | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    """One place that was looked at."""

    looked: Looked
    candidates: tuple[_Candidate, ...] = ()


async def gather(
    shelf: Shelf,
    subject: Digest,
    *,
    wants: Callable[[str], bool],
    take: Callable[[Piece], Awaitable[None]],
    bounds: Bounds = Bounds(),
    manifests: Manifests | None = None,
    top: Manifest | Index | None = None,
) -> tuple[Looked, ...]:
    """Give `take` every piece of evidence beside `subject`, each manifest once and in an order that depends
    on the lists alone; say where it was looked for, also where there was none.

    `wants` tells by its media type whether a layer is read. `manifests` are shared with whoever copies what
    is found; they may hold what another place gave, so without them everything is read from the shelf.
    `top` is the index that the subject is in, where it has been read: what BuildKit put there is evidence of
    the platforms that it names. What could not be read is a piece with its error, a place that could not be
    asked a Looked with its problem; nothing is raised for either.
    """
    reading = _Reading(shelf, wants, bounds, manifests or Manifests())
    places = await _Looking(shelf, subject, reading.manifests, bounds).everywhere(top)
    found = {one.desc.digest: one for place in reversed(places) for one in reversed(place.candidates)}
    todo = list(reversed(found.values()))
    left = bounds.total
    for start in range(0, len(todo), bounds.at_once):
        pieces = await for_each(reading.piece, todo[start : start + bounds.at_once])
        for group, size in _groups(pieces, reading):
            async with _ROOM.hold(size):
                read = await reading.with_layers(group) if size <= left else map(reading.left_unread, group)
                left -= size if size <= left else 0
                for piece in read:
                    await take(piece)
    return tuple(place.looked for place in places)


@dataclass(frozen=True, slots=True)
class _Looking:
    """Finding what may be evidence."""

    shelf: Shelf
    subject: Digest
    manifests: Manifests
    bounds: Bounds

    async def everywhere(self, top: Manifest | Index | None) -> Sequence[_Place]:
        """Every place in its order: cosign's tags, what lists referrers, the index itself."""
        tags, listed = await both(self._tags, self._listed)
        inside = []
        if isinstance(top, Index) and top.descriptor.digest != self.subject:
            inside.append(self._inside(top))
        return [*tags, *_bounded([*listed, *inside], self.bounds.referrers)]

    async def _tags(self) -> Sequence[_Place]:
        return await for_each(self._tag, cosign_tags(self.subject))

    async def _tag(self, tag: DigestTag) -> _Place:
        location = f"tag:.{tag.suffix}"
        try:
            if not await self.shelf.has(tag.tag):
                return self._place(location, ())
            found = await self.shelf.at_tag(self.manifests, tag.tag)
        except ContentNotFoundError:
            return self._place(location, ())
        except RegsyncError as error:
            return self._place(location, (), error)
        return self._place(location, [_Candidate(location, self.subject, found.descriptor, found)])

    async def _listed(self) -> Sequence[_Place]:
        return [
            self._place(
                listing.location,
                [_Candidate(listing.location, self.subject, one) for one in listing.referrers],
                listing.problem,
            )
            for listing in await self.shelf.listings(self.subject)
        ]

    def _inside(self, top: Index) -> _Place:
        found = (one for one, of in _attestations(top) if of == self.subject)
        return self._place(INDEX, [_Candidate(INDEX, self.subject, one) for one in found])

    def _place(
        self, location: str, candidates: Iterable[_Candidate], problem: RegsyncError | None = None
    ) -> _Place:
        found = tuple(candidates)
        return _Place(Looked(self.subject, self.shelf.store.name, location, len(found), problem), found)


def _attestations(index: Index) -> Iterator[tuple[Descriptor, Digest]]:
    """The attestation manifests in an index, each with the digest of the platform's image it is about."""
    for entry in index.entries:
        if entry.is_manifest and entry.annotations.get(_REFERENCE_TYPE) == _ATTESTATION:
            try:
                yield entry, Digest.parse(entry.annotations.get(_REFERENCE_DIGEST, ""))
            except InvalidDigestError:
                continue  # evidence of nothing


def _bounded(places: Iterable[_Place], most: int) -> Iterator[_Place]:
    """The places with `most` candidates in all; the one where it is too many has that as its problem."""
    seen: set[Digest] = set()
    for place in places:
        kept = []
        problem = place.looked.problem
        for one in place.candidates:
            if one.desc.digest not in seen and len(seen) >= most:
                problem = problem or _too_many(place.looked, most)
                continue
            seen.add(one.desc.digest)
            kept.append(one)
        yield _Place(replace(place.looked, problem=problem), tuple(kept))


def _too_many(looked: Looked, most: int) -> BoundHitError:
    return BoundHitError(
        f"{looked.subject} has {looked.found} referrers ({looked.location})",
        f"at most {most} are read beside one digest",
        where=looked.repository,
    )


@dataclass(frozen=True, slots=True)
class _Reading:
    """Reading what was found."""

    shelf: Shelf
    wants: Callable[[str], bool]
    bounds: Bounds
    manifests: Manifests

    async def piece(self, one: _Candidate) -> Piece:
        """A candidate with its manifest, still without layers."""
        manifest: Manifest | None = None
        failed: RegsyncError | None = None
        try:
            manifest = await self._manifest(one)
        except RegsyncError as error:
            failed = error
        return Piece(one.desc.digest, one.subject, self.shelf.store.name, one.location, manifest, {}, failed)

    async def _manifest(self, one: _Candidate) -> Manifest:
        where = self.shelf.store.name
        if one.desc.size > self.bounds.manifest:
            raise self._too_large(one.desc, self.bounds.manifest, "manifest")
        found = one.found or await self.manifests.read(self.shelf.stores, one.desc)
        named = found.subject.digest if found.subject is not None else None
        # What is at a tag, or in an index, need not name its subject; what is listed as a referrer must.
        if named != one.subject and (named is not None or one.location in (REFERRERS, FALLBACK_TAG)):
            raise OtherSubjectError(one.desc.digest, one.subject, named, where=where)
        if isinstance(found, Index):
            raise InvalidManifestError(
                "an index, and no format keeps evidence in one", digest=one.desc.digest
            )
        return found

    def wanted(self, piece: Piece) -> Mapping[Digest, Descriptor | RegsyncError]:
        """The layers of a piece to be read, or why one is not: by its descriptor, before a byte is read."""
        found: dict[Digest, Descriptor | RegsyncError] = {}
        size = count = 0
        for layer in piece.manifest.layers if piece.manifest is not None else ():
            if layer.digest in found or not self.wants(layer.media_type):
                continue
            error = self._refusal(layer, size, count)
            found[layer.digest] = error or layer
            if error is None:
                size, count = size + layer.size, count + 1
        return found

    def _refusal(self, layer: Descriptor, size: int, count: int) -> RegsyncError | None:
        bounds = self.bounds
        if layer.size > bounds.blob:
            return self._too_large(layer, bounds.blob, "blob")
        if size + layer.size > bounds.in_flight:
            return self._too_large(layer, bounds.in_flight, "manifest's layers")
        if count >= bounds.layers:
            bound = f"at most {bounds.layers} layers of one manifest are read"
            return BoundHitError(layer.digest, bound, where=self.shelf.store.name)
        return None

    def _too_large(self, desc: Descriptor, most: int, what: str) -> BoundHitError:
        bound = f"at most {most} bytes are read of a {what}"
        return BoundHitError(desc, bound, where=self.shelf.store.name)

    async def with_layers(self, pieces: Sequence[Piece]) -> Sequence[Piece]:
        """The pieces with the layers that are wanted of them."""
        wanted = [(number, one) for number, piece in enumerate(pieces) for one in self.wanted(piece).items()]
        read = await for_each(lambda each: self._layer(each[1][1]), wanted, at_once=self.bounds.at_once)
        layers: list[dict[Digest, bytes | RegsyncError]] = [{} for _ in pieces]
        for (number, (digest, _)), content in zip(wanted, read, strict=True):
            layers[number][digest] = content
        return [replace(piece, layers=found) for piece, found in zip(pieces, layers, strict=True)]

    def left_unread(self, piece: Piece) -> Piece:
        """A piece whose layers would be more bytes than are read beside one digest."""
        bound = f"at most {self.bounds.total} bytes of evidence are read beside one digest"
        where = self.shelf.store.name
        return replace(
            piece, layers={one: BoundHitError(one, bound, where=where) for one in self.wanted(piece)}
        )

    async def _layer(self, layer: Descriptor | RegsyncError) -> bytes | RegsyncError:
        if isinstance(layer, RegsyncError):
            return layer
        store = self.shelf.store
        try:
            async with store.fetch(layer) as chunks:
                return b"".join([chunk async for chunk in verified(chunks, layer, where=store.name)])
        except RegsyncError as error:
            return error


def _groups(pieces: Iterable[Piece], reading: _Reading) -> Iterator[tuple[Sequence[Piece], int]]:
    """Pieces one after the other, as many as may be in memory with their layers, and bytes of these."""
    group: list[Piece] = []
    held = 0
    for piece in pieces:
        size = sum(one.size for one in reading.wanted(piece).values() if isinstance(one, Descriptor))
        if group and held + size > reading.bounds.in_flight:
            yield group, held
            group, held = [], 0
        group.append(piece)
        held += size
    if group:
        yield group, held
