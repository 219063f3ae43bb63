"""Run by Alembic: on the connection, and in the transaction, that `migrate.upgrade` holds."""

from alembic import context

from regsync.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,  # the caller's transaction is around all of it
)
context.run_migrations()
