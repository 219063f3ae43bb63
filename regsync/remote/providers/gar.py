"""Google's Artifact Registry and gcr.io: no chunked uploads (29), tag listings that show digests (9)."""

from regsync.remote.providers.provider import Known, Provider

PROVIDER = Provider(
    "gar",
    chunked=False,
    single_post=Known.NO,
    head=Known.YES,
    page_size=10_000,
    tag_deletion=Known.YES,
    untag_first=True,
)
