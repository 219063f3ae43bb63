"""Which revision of the schema this program knows; read before anything heavier is imported."""

VERSION_TABLE = "alembic_version"
KNOWN_REVISIONS = ("0001", "0002")  # in order; the last is what `open` brings a store to
HEAD = KNOWN_REVISIONS[-1]
