"""Our own server: everything that the distribution-spec allows."""

from regsync.remote.providers.provider import Known, Provider

PROVIDER = Provider(
    "regsync",
    single_post=Known.YES,
    head=Known.YES,
    page_size=10_000,
    tag_deletion=Known.YES,
    checks_references=True,
    has_states=True,
)
