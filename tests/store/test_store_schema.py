"""Migrations and tables say the same, and the program knows which revision it is at."""

from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from regsync.store.database import SQLiteDatabase, insert_missing, upsert
from regsync.store.migrate import run_migrations, upgrade
from regsync.store.schema import metadata, tags
from regsync.store.version import HEAD, KNOWN_REVISIONS


def migrate(database: SQLiteDatabase) -> None:
    with database.writing() as connection, connection.begin():
        run_migrations(connection)


@pytest.mark.parametrize("make", [migrate, upgrade], ids=["migrated", "made new"])
def test_migrations_make_exactly_the_tables_that_the_code_uses(
    tmp_path: Path, make: Callable[[SQLiteDatabase], None]
) -> None:
    database = SQLiteDatabase(tmp_path / "catalogue.db", name="test")
    make(database)
    upgrade(database)
    database.close()
    engine = create_engine(f"sqlite:///{tmp_path}/catalogue.db")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == HEAD
    engine.dispose()


def test_a_database_of_the_first_revision_is_brought_to_the_last(tmp_path: Path) -> None:
    database = SQLiteDatabase(tmp_path / "catalogue.db", name="test")
    with database.writing() as connection, connection.begin():
        run_migrations(connection, to=KNOWN_REVISIONS[0])
    upgrade(database)
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == HEAD
    database.close()


def test_the_known_revisions_are_those_that_are_there() -> None:
    config = Config()
    config.set_main_option("script_location", "regsync.store:migrations")
    scripts = ScriptDirectory.from_config(config)
    assert tuple(script.revision for script in reversed(list(scripts.walk_revisions()))) == KNOWN_REVISIONS
    assert scripts.get_current_head() == HEAD


def test_the_tables_and_statements_can_be_written_for_postgresql_too() -> None:
    dialect = postgresql.dialect()
    for table in metadata.sorted_tables:
        assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=dialect))
    assert 'COLLATE "C"' in str(CreateTable(tags).compile(dialect=dialect))
    assert "ON CONFLICT DO NOTHING" in str(insert_missing("postgresql", tags).compile(dialect=dialect))
    assert "DO UPDATE SET digest" in str(upsert("postgresql", tags, "digest").compile(dialect=dialect))
