"""Amazon's public gallery: as ECR, without a catalogue."""

from regsync.remote.providers.provider import Known, Provider

PROVIDER = Provider(
    "ecr-public",
    chunked=False,
    single_post=Known.NO,
    drops_unknown=True,
    catalog=Known.NO,
    drops_untagged=True,
    catalog_hint="public.ecr.aws has no catalogue: name the repositories in the spec",
)
