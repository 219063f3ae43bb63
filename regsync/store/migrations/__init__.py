"""Alembic's revisions of the catalogue."""
