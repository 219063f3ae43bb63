"""GitLab's registry: a fallback tag resolves to its subject (51), which `fallback.py` sees through."""

from regsync.remote.providers.provider import Known, Provider

PROVIDER = Provider(
    "gitlab",
    single_post=Known.NO,
    head=Known.YES,
    checks_references=True,
    catalog_hint="GitLab shows its catalogue to administrators only: name the repositories in the spec",
)
