"""The tables of the catalogue, as SQLAlchemy Core sees them. Portable: no type that one database has alone.

What is there is: links between repositories and the blobs of the whole store, manifests with their
bytes, what each refers to, and tags. Times are microseconds since 1970, UTC.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    false,
)

from regsync.store.version import VERSION_TABLE

metadata = MetaData()

# Tags, names and digests are compared by their bytes; PostgreSQL would otherwise ask the locale.
_NAME = String(255).with_variant(String(255, collation="C"), "postgresql")
_TAG = String(128).with_variant(String(128, collation="C"), "postgresql")
_DIGEST = String(136).with_variant(String(136, collation="C"), "postgresql")

repositories = Table(
    "repositories",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", _NAME, nullable=False, unique=True),
    # What its manifests refer to may be missing: it is fetched from an upstream when it is asked for.
    Column("on_demand", Boolean, nullable=False, server_default=false()),
)

blobs = Table(
    "blobs",
    metadata,
    Column("digest", _DIGEST, primary_key=True),
    Column("size", BigInteger, nullable=False),
)

repository_blobs = Table(
    "repository_blobs",
    metadata,
    Column("repository_id", ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    Column("digest", _DIGEST, ForeignKey("blobs.digest"), primary_key=True),
    Column("unused_since", BigInteger),  # since when gc has seen that nothing leads to it
    Index("repository_blobs_digest", "digest"),
)

manifests = Table(
    "manifests",
    metadata,
    Column("repository_id", ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    Column("digest", _DIGEST, primary_key=True),
    Column("media_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("subject", _DIGEST),
    Column("artifact_type", Text),
    Column("annotations", Text),  # JSON; of manifests with a subject
    Column("pushed_at", BigInteger, nullable=False),
    Column("unused_since", BigInteger),  # since when gc has seen that nothing leads to it
    Column("raw", LargeBinary, nullable=False),  # last: what stands before it is read without its pages
    Index("manifests_subject", "repository_id", "subject"),
)

manifest_references = Table(
    "manifest_references",
    metadata,
    Column("repository_id", Integer, primary_key=True),
    Column("manifest", _DIGEST, primary_key=True),
    Column("digest", _DIGEST, primary_key=True),
    Column("kind", String(8), primary_key=True),  # blob, manifest
    ForeignKeyConstraint(
        ["repository_id", "manifest"],
        ["manifests.repository_id", "manifests.digest"],
        ondelete="CASCADE",
    ),
    Index("manifest_references_digest", "repository_id", "digest", "kind"),
)

tags = Table(
    "tags",
    metadata,
    Column("repository_id", Integer, primary_key=True),
    Column("name", _TAG, primary_key=True),
    Column("digest", _DIGEST, nullable=False),
    Column("pushed_at", BigInteger, nullable=False),
    ForeignKeyConstraint(
        ["repository_id", "digest"],
        ["manifests.repository_id", "manifests.digest"],
        ondelete="CASCADE",
    ),
    Index("tags_digest", "repository_id", "digest"),
)

# Who relies on content of a repository that nothing leads to yet (docs/decisions, "gc"). The repository
# need not be there yet.
leases = Table(
    "leases",
    metadata,
    Column("repository", _NAME, primary_key=True),
    Column("owner", String(32), primary_key=True),
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
)

# Bytes that no repository has, or that no row explains, and when gc saw them first.
unlinked_blobs = Table(
    "unlinked_blobs",
    metadata,
    Column("digest", _DIGEST, primary_key=True),
    Column("since", BigInteger, nullable=False),
)

# How far gc saw an upload that has not come further since.
upload_progress = Table(
    "upload_progress",
    metadata,
    Column("session", String(64), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("since", BigInteger, nullable=False),
)

manifest_pulls = Table(
    "manifest_pulls",
    metadata,
    Column("repository_id", Integer, primary_key=True),
    Column("digest", _DIGEST, primary_key=True),
    Column("pulled_at", BigInteger, nullable=False),
    ForeignKeyConstraint(
        ["repository_id", "digest"],
        ["manifests.repository_id", "manifests.digest"],
        ondelete="CASCADE",
    ),
)

tag_pulls = Table(
    "tag_pulls",
    metadata,
    Column("repository_id", Integer, primary_key=True),
    Column("name", _TAG, primary_key=True),
    Column("pulled_at", BigInteger, nullable=False),
    ForeignKeyConstraint(
        ["repository_id", "name"],
        ["tags.repository_id", "tags.name"],
        ondelete="CASCADE",
    ),
)

# How far the journal's file is the history of what was committed. One row.
journal_position = Table(
    "journal_position",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("segment", Integer, nullable=False),
    Column("length", BigInteger, nullable=False),  # bytes
)

version = Table(VERSION_TABLE, metadata, Column("version_num", String(32), primary_key=True))
