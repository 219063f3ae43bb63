"""The first catalogue: repositories, blobs, manifests, tags, and where the journal is."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_NAME = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")
_TAG = sa.String(128).with_variant(sa.String(128, collation="C"), "postgresql")
_DIGEST = sa.String(136).with_variant(sa.String(136, collation="C"), "postgresql")


def upgrade() -> None:
    """Create every table."""
    _create_repositories_and_blobs()
    _create_manifests()
    _create_tags()
    _create_leases()
    _create_pulls()
    op.create_table(
        "journal_position",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("segment", sa.Integer, nullable=False),
        sa.Column("length", sa.BigInteger, nullable=False),
    )


def _create_repositories_and_blobs() -> None:
    op.create_table(
        "repositories",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", _NAME, nullable=False, unique=True),
    )
    op.create_table(
        "blobs",
        sa.Column("digest", _DIGEST, primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "repository_blobs",
        sa.Column(
            "repository_id",
            sa.Integer,
            sa.ForeignKey("repositories.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("digest", _DIGEST, sa.ForeignKey("blobs.digest"), primary_key=True),
        sa.Column("unused_since", sa.BigInteger),
    )
    op.create_index("repository_blobs_digest", "repository_blobs", ["digest"])


def _create_manifests() -> None:
    op.create_table(
        "manifests",
        sa.Column(
            "repository_id",
            sa.Integer,
            sa.ForeignKey("repositories.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("digest", _DIGEST, primary_key=True),
        sa.Column("media_type", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("subject", _DIGEST),
        sa.Column("artifact_type", sa.Text),
        sa.Column("annotations", sa.Text),
        sa.Column("pushed_at", sa.BigInteger, nullable=False),
        sa.Column("unused_since", sa.BigInteger),
        sa.Column("raw", sa.LargeBinary, nullable=False),
    )
    op.create_index("manifests_subject", "manifests", ["repository_id", "subject"])
    op.create_table(
        "manifest_references",
        sa.Column("repository_id", sa.Integer, primary_key=True),
        sa.Column("manifest", _DIGEST, primary_key=True),
        sa.Column("digest", _DIGEST, primary_key=True),
        sa.Column("kind", sa.String(8), primary_key=True),
        sa.ForeignKeyConstraint(
            ["repository_id", "manifest"],
            ["manifests.repository_id", "manifests.digest"],
            ondelete="CASCADE",
        ),
    )
    op.create_index("manifest_references_digest", "manifest_references", ["repository_id", "digest", "kind"])


def _create_tags() -> None:
    op.create_table(
        "tags",
        sa.Column("repository_id", sa.Integer, primary_key=True),
        sa.Column("name", _TAG, primary_key=True),
        sa.Column("digest", _DIGEST, nullable=False),
        sa.Column("pushed_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(
            ["repository_id", "digest"],
            ["manifests.repository_id", "manifests.digest"],
            ondelete="CASCADE",
        ),
    )
    op.create_index("tags_digest", "tags", ["repository_id", "digest"])


def _create_leases() -> None:
    op.create_table(
        "leases",
        sa.Column("repository", _NAME, primary_key=True),
        sa.Column("owner", sa.String(32), primary_key=True),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "unlinked_blobs",
        sa.Column("digest", _DIGEST, primary_key=True),
        sa.Column("since", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "upload_progress",
        sa.Column("session", sa.String(64), primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
    )


def _create_pulls() -> None:
    op.create_table(
        "manifest_pulls",
        sa.Column("repository_id", sa.Integer, primary_key=True),
        sa.Column("digest", _DIGEST, primary_key=True),
        sa.Column("pulled_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(
            ["repository_id", "digest"],
            ["manifests.repository_id", "manifests.digest"],
            ondelete="CASCADE",
        ),
    )
    op.create_table(
        "tag_pulls",
        sa.Column("repository_id", sa.Integer, primary_key=True),
        sa.Column("name", _TAG, primary_key=True),
        sa.Column("pulled_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(
            ["repository_id", "name"],
            ["tags.repository_id", "tags.name"],
            ondelete="CASCADE",
        ),
    )
