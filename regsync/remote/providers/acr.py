"""Azure's registry: a request body above some 20 MB is cut or refused (29), so longer blobs go in chunks."""

from regsync.remote.providers.provider import MIB, Known, Provider

PROVIDER = Provider(
    "acr",
    max_body=16 * MIB,
    single_post=Known.NO,
    head=Known.YES,
    tag_deletion=Known.YES,
    checks_references=True,
)
