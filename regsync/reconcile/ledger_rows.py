"""How the ledger writes values down, and compact views of what it reads.

A repository may have 100,000 rows, so a digest is its raw bytes and becomes a `Digest` only when
somebody looks at it. Times are whole microseconds since 1970, UTC.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from regsync.oci.digest import SHA256, SHA512, Digest
from regsync.oci.platform import Platform
from regsync.oci.reference import Tag
from regsync.reconcile.ledger import PassedVerdict, Sighting

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_ALGORITHMS: Final = {32: SHA256, 64: SHA512}  # by length in bytes


def pack_digest(digest: Digest) -> bytes:
    """32 or 64 bytes; the length tells the algorithm."""
    return bytes.fromhex(digest.encoded)


def unpack_digest(raw: bytes) -> Digest:
    """The digest that `pack_digest` packed; raises KeyError for other bytes."""
    return Digest(_ALGORITHMS[len(raw)], raw.hex())


def pack_digests(digests: tuple[Digest, ...]) -> bytes:
    """Each with a byte before it that says how long it is."""
    packed = [pack_digest(digest) for digest in digests]
    return b"".join(bytes([len(one)]) + one for one in packed)


def unpack_digests(raw: bytes) -> tuple[Digest, ...]:
    """The digests that `pack_digests` packed; raises KeyError for other bytes."""
    found = []
    while raw:
        length = raw[0]
        found.append(unpack_digest(raw[1 : 1 + length]))
        raw = raw[1 + length :]
    return tuple(found)


def checked(raw: bytes) -> bytes:
    """Bytes that are a packed digest; raises KeyError for others."""
    if len(raw) not in _ALGORITHMS:
        raise KeyError(raw)
    return raw


def microseconds(span: timedelta) -> int:
    """The span in microseconds."""
    return span // _MICROSECOND


def pack_time(when: datetime) -> int:
    """Microseconds since 1970, of an aware time."""
    return microseconds(when - EPOCH)


def unpack_time(moment: int) -> datetime:
    """The aware time, in UTC, of microseconds since 1970; raises OverflowError beyond the year 9999."""
    return EPOCH + timedelta(microseconds=moment)


def pack_platforms(platforms: tuple[Platform, ...]) -> str:
    """The set of platforms, the same text in whatever order they are named."""
    parts = sorted({(p.os, p.architecture, p.variant, p.os_version) for p in platforms})
    return json.dumps(parts, separators=(",", ":"))


def pack_signers(signers: tuple[str, ...]) -> str:
    """A list as text."""
    return json.dumps(signers)


def passed_verdict(until: int, signers: str) -> PassedVerdict:
    """The verdict of a row; raises ValueError for text that `pack_signers` did not write."""
    return PassedVerdict(unpack_time(until), tuple(str(one) for one in json.loads(signers)))


def plain(text: str) -> str:
    """Text that can be written as UTF-8, whatever bytes a path or a command line brought in."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class Sightings(Mapping[Digest, Sighting]):
    """What was seen at one spot. Most rows stem from few runs, so equal values are one object."""

    __slots__ = ("_rows", "_values")

    def __init__(self) -> None:
        self._rows: dict[bytes, Sighting] = {}
        self._values: dict[tuple[int, int | None], Sighting] = {}

    @classmethod
    def of(cls, rows: Iterable[tuple[bytes, int, int | None]]) -> "Sightings":
        """From rows of packed digest, first seen, compared; raises what unpacking raises."""
        view = cls()
        for raw, first_seen, compared in rows:
            view._rows[checked(raw)] = view._value(first_seen, compared)
        return view

    def absorb(self, raw: bytes, first_seen: int, compared: int | None) -> None:
        """Lay a later word over what is here: the earliest first sight, the last comparison."""
        known = self._rows.get(raw)
        if known is not None:
            first_seen = min(first_seen, pack_time(known.first_seen))
            if compared is None and known.compared is not None:
                compared = pack_time(known.compared)
        self._rows[raw] = self._value(first_seen, compared)

    def _value(self, first_seen: int, compared: int | None) -> Sighting:
        value = self._values.get((first_seen, compared))
        if value is None:
            value = Sighting(unpack_time(first_seen), None if compared is None else unpack_time(compared))
            self._values[(first_seen, compared)] = value
        return value

    def __getitem__(self, digest: Digest) -> Sighting:
        try:
            return self._rows[pack_digest(digest)]
        except KeyError:
            raise KeyError(digest) from None

    def __iter__(self) -> Iterator[Digest]:
        return map(unpack_digest, self._rows)

    def __len__(self) -> int:
        return len(self._rows)


class OwnTags(Mapping[Tag, Digest]):
    """The tags of one spot that are ours, each with the digest regsync gave it."""

    __slots__ = ("_rows",)

    def __init__(self, rows: Mapping[str, bytes]) -> None:
        self._rows = rows

    def __getitem__(self, tag: Tag) -> Digest:
        return unpack_digest(self._rows[tag])

    def __iter__(self) -> Iterator[Tag]:
        return map(Tag, self._rows)

    def __len__(self) -> int:
        return len(self._rows)
