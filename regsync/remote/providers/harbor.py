"""Harbor: DELETE takes digests only; a tag alone goes with a throw-away manifest (53)."""

from regsync.remote.providers.provider import Known, Provider

PROVIDER = Provider(
    "harbor",
    single_post=Known.NO,
    head=Known.YES,
    catalog_hint="Harbor shows its catalogue to administrators only: name the repositories in the spec",
    tag_deletion=Known.NO,
    checks_references=True,
)
