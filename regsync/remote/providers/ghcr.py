"""GitHub's registry: of several PATCHes only the last counts (29), no catalogue (11), no DELETE."""

from regsync.remote.providers.provider import Known, Provider, UploadWay

PROVIDER = Provider(
    "ghcr",
    upload=UploadWay.PATCH,
    chunked=False,
    single_post=Known.NO,
    head=Known.YES,
    catalog=Known.NO,
    catalog_hint="GHCR has no catalogue: name the repositories in the spec",
    deletion=Known.NO,
    tag_deletion=Known.NO,
)
