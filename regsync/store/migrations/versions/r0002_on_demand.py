"""Repositories whose manifests may lead to what is not there yet."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Mark none."""
    op.add_column(
        "repositories", sa.Column("on_demand", sa.Boolean, nullable=False, server_default=sa.false())
    )
