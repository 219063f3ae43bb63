"""Doing again what the journal says was done, with the same functions that did it the first time."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from regsync.content.references import Children
from regsync.content.verified import verified_manifest
from regsync.errors import RegsyncError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.media_type import OCTET_STREAM
from regsync.oci.reference import RepositoryName, Tag
from regsync.store import changes
from regsync.store.catalogue import Transaction
from regsync.store.errors import JournalTooNewError
from regsync.store.journal import GAP, Position
from regsync.store.journal_reading import Entry, Record

_AT_ONCE = 2000  # records in one SQL transaction


@dataclass(slots=True)
class Replayed:
    """What became of the entries of a journal."""

    records: int = 0
    unusable: list[str] = field(default_factory=list)  # where those stand that could not be done again
    end: Position | None = None  # behind the last entry


def replay(connection: Connection, entries: Iterable[Entry], *, store: str) -> Replayed:
    """Do again what `entries` say, in transactions of `connection`.

    Raises JournalTooNewError for an operation that this program does not know.
    """
    done = Replayed()
    left = iter(entries)
    while group := list(islice(left, _AT_ONCE)):
        try:
            _do(connection, group, store)
            done.records += len(group)
        except _UNUSABLE:
            _one_by_one(connection, group, store, done)
        done.end = group[-1].end
    return done


# What a record leads to that was damaged, or whose past is missing.
_UNUSABLE = (IntegrityError, RegsyncError, KeyError, TypeError, ValueError)


def _one_by_one(connection: Connection, group: Iterable[Entry], store: str, done: Replayed) -> None:
    for entry in group:
        try:
            _do(connection, [entry], store)
            done.records += 1
        except JournalTooNewError:
            raise
        except _UNUSABLE:
            done.unusable.append(entry.where)


def _do(connection: Connection, group: Iterable[Entry], store: str) -> None:
    with connection.begin():
        transaction = Transaction(connection, 0)
        for entry in group:
            if entry.record is None:
                raise ValueError(entry.where)
            if entry.record != GAP:
                _step(transaction, entry.record, store)
        transaction.flush()


def _step(transaction: Transaction, record: Record, store: str) -> None:
    operation = _OPERATIONS.get(str(record["op"]))
    if operation is None:
        raise JournalTooNewError(store, str(record["op"]))
    fields = {key: str(value) for key, value in record.items()}
    transaction.now = _number(record["at"])
    name = RepositoryName.parse(fields["repository"])
    operation(transaction, changes.Repository(name, f"store:{store}/{name}"), fields)


Fields = Mapping[str, str]
Operation = Callable[[Transaction, changes.Repository, Fields], None]


def _blob(transaction: Transaction, repository: changes.Repository, fields: Fields) -> None:
    changes.link_blob(transaction, repository, Descriptor(OCTET_STREAM, _digest(fields), int(fields["size"])))


def _manifest(transaction: Transaction, repository: changes.Repository, fields: Fields) -> None:
    raw = fields["raw"].encode()
    desc = Descriptor(fields["mediaType"], _digest(fields), len(raw))
    parsed = verified_manifest(raw, desc, where=repository.where)
    changes.insert_manifest(transaction, repository, changes.NewManifest(parsed, Children.OPTIONAL, (), None))


def _tag(transaction: Transaction, repository: changes.Repository, fields: Fields) -> None:
    changes.point_tag(transaction, repository, _digest(fields), Tag.parse(fields["tag"]))


def _untag(transaction: Transaction, repository: changes.Repository, fields: Fields) -> None:
    changes.untag(transaction, repository, Tag.parse(fields["tag"]))


def _delete(transaction: Transaction, repository: changes.Repository, fields: Fields) -> None:
    changes.drop_manifest(transaction, repository, _digest(fields))


def _unlink(transaction: Transaction, repository: changes.Repository, fields: Fields) -> None:
    changes.drop_blob(transaction, repository, _digest(fields))


def _on_demand(transaction: Transaction, repository: changes.Repository, fields: Fields) -> None:
    changes.mark_on_demand(transaction, repository)


_OPERATIONS: Mapping[str, Operation] = {
    "on-demand": _on_demand,
    "blob": _blob,
    "manifest": _manifest,
    "tag": _tag,
    "untag": _untag,
    "delete": _delete,
    "unlink": _unlink,
}


def _digest(fields: Fields) -> Digest:
    return Digest.parse(fields["digest"])


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r:.40} is no time")
    return value
