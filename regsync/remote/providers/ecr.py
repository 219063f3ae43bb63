"""Amazon ECR: monolithic uploads, since its chunked ones finish early and cannot restart (23).

It never answers more than 1000 entries a page (7), wants repositories to exist (22), and manifests to
name their own media type (24), which the manifest's error explains. DELETE of a tag takes that tag alone,
but an image goes with its last one (52).
"""

from regsync.remote.providers.provider import Known, Provider

PROVIDER = Provider(
    "ecr",
    chunked=False,
    single_post=Known.NO,
    head=Known.YES,
    drops_unknown=True,
    tag_deletion=Known.YES,
    drops_untagged=True,
)
