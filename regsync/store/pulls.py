"""Last pulls: of tags and of manifests, gathered in memory and written together.

What is lost when a process dies is at most the last second. It is no part of the journal: a rebuilt
catalogue knows of no pulls, and retention keeps what it does not know about.
"""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio
from sqlalchemy import Connection, Select, bindparam, literal, select

from regsync.content.durable import StorageError
from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName, Tag
from regsync.store.catalogue import Catalogue, Transaction
from regsync.store.database import upsert
from regsync.store.errors import StoreError
from regsync.store.schema import manifest_pulls, manifests, repositories, tag_pulls, tags

INTERVAL = 1.0  # seconds between two writes
MAX_NOTED = 100_000  # pulls that are kept in memory while the catalogue cannot be written

_log = logging.getLogger(__name__)
_Pull = tuple[str, Tag | Digest, Digest]


@dataclass(frozen=True, slots=True)
class LastPulls:
    """When tags and manifests of one repository were last pulled, where that is known."""

    tags: Mapping[Tag, datetime]
    manifests: Mapping[Digest, datetime]


class Pulls:
    """What was pulled since it was last written."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._noted: dict[_Pull, None] = {}

    def note(self, repository: RepositoryName, name: Tag | Digest, digest: Digest) -> None:
        """A manifest was pulled by its tag or digest."""
        self._noted[repository, name, digest] = None

    async def write(self) -> None:
        """Write what was noted, in one transaction; raises StoreError or StorageError, and keeps it then."""
        noted, self._noted = self._noted, {}
        if not noted:
            return
        try:
            await self._catalogue.change(partial(_write, noted=noted))
        except (StoreError, StorageError):
            if len(noted) < MAX_NOTED:
                self._noted = noted | self._noted
            raise

    async def run(self) -> None:
        """Write once a second, until cancelled. A catalogue that cannot be written is tried again."""
        while True:
            await anyio.sleep(INTERVAL)
            try:
                await self.write()
            except (StoreError, StorageError) as error:
                _log.warning("last pulls are not written: %s", error)


def _write(transaction: Transaction, noted: Collection[_Pull]) -> None:
    transaction.flush()
    by_tag = [
        {"repository": repository, "key": str(name), "at": transaction.now}
        for repository, name, _ in noted
        if isinstance(name, Tag)
    ]
    by_digest = {(repository, str(digest)) for repository, _, digest in noted}
    pulled = [
        {"repository": repository, "key": digest, "at": transaction.now} for repository, digest in by_digest
    ]
    for table, query, rows in ((tag_pulls, _TAG, by_tag), (manifest_pulls, _MANIFEST, pulled)):
        if rows:
            names = [column.name for column in table.columns]
            statement = upsert(transaction.dialect, table, "pulled_at").from_select(names, query)
            transaction.connection.execute(statement, rows)


def _pulled(table: Any, column: Any) -> Select[Any]:
    """What of a repository has that name, with the time: nothing when it is there no more."""
    return (
        select(table.c.repository_id, column, bindparam("at").label("pulled_at"))
        .select_from(table.join(repositories, repositories.c.id == table.c.repository_id))
        .where(repositories.c.name == bindparam("repository"), column == bindparam("key"))
    )


_TAG, _MANIFEST = _pulled(tags, tags.c.name), _pulled(manifests, manifests.c.digest)


def last_pulls(connection: Connection, repository: str) -> LastPulls:
    """When what is there was last pulled."""

    def times(table: Any, column: Any) -> Mapping[str, datetime]:
        named = table.join(repositories, repositories.c.id == table.c.repository_id)
        query = select(column, table.c.pulled_at).select_from(named)
        rows = connection.execute(query.where(repositories.c.name == literal(repository)))
        return {name: datetime.fromtimestamp(at / 1_000_000, UTC) for name, at in rows}

    return LastPulls(
        {Tag(name): at for name, at in times(tag_pulls, tag_pulls.c.name).items()},
        {Digest.parse(name): at for name, at in times(manifest_pulls, manifest_pulls.c.digest).items()},
    )
