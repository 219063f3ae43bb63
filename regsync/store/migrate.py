"""Bring a catalogue to the schema that this program knows, when it is opened.

The revision is read by one plain SELECT. An empty database gets today's tables at once, which a test holds
equal to what the migrations make; Alembic (100 ms, 11 MiB) is imported only where an older one is to be
brought up. The database's own write lock keeps two processes from doing either at once.
"""

from sqlalchemy import Connection, inspect

from regsync.store.database import Database, database_errors
from regsync.store.errors import StoreOlderError, StoreTooNewError
from regsync.store.schema import metadata, version
from regsync.store.version import HEAD, KNOWN_REVISIONS, VERSION_TABLE

_SCRIPTS = "regsync.store:migrations"


def upgrade(database: Database) -> None:
    """Create or migrate the schema; raises StoreTooNewError, or another StoreError."""
    with database_errors(database.name):
        with database.reading() as connection:
            if _revision(connection, database.name) == HEAD:
                return
        with database.writing() as connection, connection.begin():
            if not inspect(connection).get_table_names():
                metadata.create_all(connection)
                connection.execute(version.insert(), {"version_num": HEAD})
            elif _revision(connection, database.name) != HEAD:
                run_migrations(connection)


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


def run_migrations(connection: Connection, *, to: str = HEAD) -> None:
    """From whatever revision there is, none too, to that one; within the caller's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", _SCRIPTS)
    config.attributes["connection"] = connection
    command.upgrade(config, to)
