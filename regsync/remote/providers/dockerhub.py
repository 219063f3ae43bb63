"""Docker Hub: no catalogue (11), no DELETE (53), a session for every blob."""

from regsync.remote.providers.provider import Known, Provider

API_HOST = "registry-1.docker.io"  # where docker.io answers (1)

PROVIDER = Provider(
    "dockerhub",
    single_post=Known.NO,
    head=Known.YES,
    catalog=Known.NO,
    catalog_hint="Docker Hub has no catalogue: name the repositories in the spec",
    deletion=Known.NO,
    tag_deletion=Known.NO,
    checks_references=True,
)
