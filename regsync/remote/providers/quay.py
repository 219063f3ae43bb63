"""Quay: it cannot parse the action `delete` in a token scope (18)."""

from regsync.remote.providers.provider import Known, Provider

PROVIDER = Provider(
    "quay",
    single_post=Known.ASK,
    head=Known.YES,
    tag_deletion=Known.YES,
    delete_actions=frozenset({"*"}),
)
