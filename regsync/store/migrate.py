"""Bring a catalogue to the schema that this program knows, when it is opened.

The revision is read by one plain SELECT; Alembic (80 ms) is imported only when there is something to
do. The database's own write lock keeps two processes from migrating at once.
"""

from sqlalchemy import Connection, inspect

from regsync.store.database import Database, database_errors
from regsync.store.errors import StoreOlderError, StoreTooNewError
from regsync.store.version import HEAD, KNOWN_REVISIONS, VERSION_TABLE

_SCRIPTS = "regsync.store:migrations"


def upgrade(database: Database) -> None:
    """Create or migrate the schema; raises StoreTooNewError, or another StoreError."""
    with database_errors(database.name):
        with database.reading() as connection:
            if _revision(connection, database.name) == HEAD:
                return
        with database.writing() as connection, connection.begin():
            if _revision(connection, database.name) != HEAD:
                _run_alembic(connection)


def refuse_older(database: Database) -> None:
    """Raise StoreOlderError or StoreTooNewError unless the schema is today's: it is not to be changed."""
    with database_errors(database.name), database.reading() as connection:
        if _revision(connection, database.name) != HEAD:
            raise StoreOlderError(database.name)


def _revision(connection: Connection, store: str) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found: str | None = connection.exec_driver_sql(
        f"SELECT version_num FROM {VERSION_TABLE}"  # noqa: S608 - a constant
    ).scalar()
    if found is not None and found not in KNOWN_REVISIONS:
        raise StoreTooNewError(store, found, HEAD)
    return found


def _run_alembic(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", _SCRIPTS)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
