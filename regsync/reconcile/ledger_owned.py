"""What a SQLite ledger knows of the tags that are ours: their origins, absences and deletions."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, TypeVar

from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.plan.absence import Absence
from regsync.reconcile.ledger import Deletion, Spot
from regsync.reconcile.ledger_file import Durability, Row
from regsync.reconcile.ledger_gathered import Gathered
from regsync.reconcile.ledger_rows import OwnTags, checked, plain, unpack_digest, unpack_time
from regsync.reconcile.ledger_write import HERE, place_of

T = TypeVar("T")

_DELETION: Final = """SELECT run, spot.place, spot.repository, tag, digest, begun, done,
        origin.place, origin.repository
    FROM deletion JOIN spot ON spot.id = deletion.spot
    LEFT JOIN spot AS origin ON origin.id = deletion.origin"""


class OwnedRows:
    """The part of a ledger that deletions rest on; what is gathered lies over what the disk says."""

    _gathered: Gathered

    @property
    def _layers(self) -> tuple[Gathered, Gathered]:
        raise NotImplementedError

    def _read(
        self,
        sql: str,
        parameters: tuple[Any, ...],
        collect: Callable[[Iterable[Row]], T],
        nothing: Callable[[], T],
    ) -> T:
        raise NotImplementedError

    async def _flush(self, durability: Durability) -> None:
        raise NotImplementedError

    @property
    def has_history(self) -> bool:
        """Whether an earlier run left anything."""
        sql = "SELECT EXISTS (SELECT 1 FROM run) OR EXISTS (SELECT 1 FROM tag)"
        return any(layer.runs or layer.tags for layer in self._layers) or self._read(sql, (), _flag, bool)

    def wrote(self, spot: Spot, tag: Tag, digest: Digest, when: datetime, origin: Spot | None = None) -> None:
        """Remember that `tag` is ours."""
        self._gathered.wrote(spot, tag, digest, when, origin)

    def ours(self, spot: Spot) -> Mapping[Tag, Digest]:
        """The tags at `spot` that regsync wrote."""
        sql = f"SELECT tag, digest FROM tag WHERE {HERE}"  # noqa: S608  # constant
        found: dict[str, bytes] = self._read(sql, place_of(spot), _own_tags, dict)
        for layer in self._layers:
            for tag, one in layer.tags.get(spot, {}).items():
                found.pop(tag, None)
                if one is not None:
                    found[tag] = one.digest
        return OwnTags(found)

    def origins(self, spot: Spot) -> Mapping[Tag, Spot]:
        """The origin of each tag at `spot` that is ours, where it is known."""
        sql = f"""SELECT tag, origin.place, origin.repository
            FROM tag JOIN spot AS origin ON origin.id = tag.origin WHERE {HERE}"""  # noqa: S608  # constant
        found: dict[Tag, Spot] = self._read(sql, place_of(spot), _origins, dict)
        for layer in self._layers:
            for tag, one in layer.tags.get(spot, {}).items():
                found.pop(tag, None)
                if one is not None and one.origin is not None:
                    found[tag] = one.origin
        return found

    def spots_of_ours(self) -> Sequence[Spot]:
        """Every spot with a tag that is ours."""
        sql = "SELECT place, repository FROM spot WHERE id IN (SELECT spot FROM tag)"
        found: set[Spot] = self._read(sql, (), _spots, set)
        for layer in self._layers:
            found.update(layer.tags)
        return tuple(sorted(spot for spot in found if self.ours(spot)))

    def absences(self, spot: Spot) -> Mapping[Tag, Absence]:
        """Tags at `spot` that nothing kept when it was last looked at."""
        sql = f"SELECT tag, since, last, runs FROM absence WHERE {HERE}"  # noqa: S608  # constant
        found: dict[Tag, Absence] = self._read(sql, place_of(spot), _absences, dict)
        for layer in self._layers:
            for tag, one in layer.absences.get(spot, {}).items():
                found.pop(tag, None)
                if one is not None:
                    found[tag] = one
        return found

    def absent(self, spot: Spot, tag: Tag, absence: Absence | None) -> None:
        """Remember that nothing keeps a tag; None: something does again."""
        self._gathered.absent(spot, tag, absence)

    async def begin_deletions(self, deletions: Sequence[Deletion]) -> None:
        """Remember what is about to be deleted, on disk when this returns; raises LedgerError."""
        for one in deletions:
            self._gathered.deletion(one)
        await self._flush(Durability.POWER_CUT)

    def deleted(self, deletion: Deletion, when: datetime) -> None:
        """The tag is gone: it is ours no more, and its absence is over."""
        self._gathered.deletion(replace(deletion, done=when))

    def not_deleted(self, deletion: Deletion) -> None:
        """The tag is there still, or again."""
        self._gathered.no_deletion(deletion)

    def open_deletions(self, spot: Spot) -> Sequence[Deletion]:
        """Deletions at `spot` of which it is not known whether they happened."""
        sql = f"{_DELETION} WHERE {HERE} AND done IS NULL"
        found = self._deletions(sql, place_of(spot), lambda one: one.spot == spot)
        return sorted((one for one in found if one.done is None), key=lambda one: (one.run, one.tag))

    def deletions(self, run: str) -> Sequence[Deletion]:
        """What a run deleted, or may have."""
        found = self._deletions(f"{_DELETION} WHERE run = ?", (plain(run),), lambda one: one.run == run)
        return sorted(found, key=lambda one: (one.spot, one.tag))

    def _deletions(
        self, sql: str, parameters: tuple[Any, ...], wanted: Callable[[Deletion], bool]
    ) -> Iterable[Deletion]:
        rows: list[Deletion] = self._read(sql, parameters, _all_deletions, list)
        found = {(one.run, one.spot, one.tag): one for one in rows}
        for layer in self._layers:
            for key, one in layer.deletions.items():
                found.pop(key, None)
                if one is not None and wanted(one):
                    found[key] = one
        return found.values()


def _flag(rows: Iterable[Row]) -> bool:
    return any(bool(value) for (value,) in rows)


def _own_tags(rows: Iterable[Row]) -> dict[str, bytes]:
    return {str(tag): checked(raw) for tag, raw in rows}


def _origins(rows: Iterable[Row]) -> dict[Tag, Spot]:
    return {Tag(tag): Spot(str(place), str(repository)) for tag, place, repository in rows}


def _spots(rows: Iterable[Row]) -> set[Spot]:
    return {Spot(str(place), str(repository)) for place, repository in rows}


def _absences(rows: Iterable[Row]) -> dict[Tag, Absence]:
    return {
        Tag(tag): Absence(unpack_time(since), unpack_time(last), int(runs)) for tag, since, last, runs in rows
    }


def _all_deletions(rows: Iterable[Row]) -> list[Deletion]:
    return [
        Deletion(
            str(run),
            Spot(str(place), str(repository)),
            Tag(tag),
            unpack_digest(digest),
            unpack_time(begun),
            unpack_time(done) if done is not None else None,
            Spot(str(origin), str(source)) if origin is not None else None,
        )
        for run, place, repository, tag, digest, begun, done, origin, source in rows
    ]
