"""zot: takes a small blob in a single POST."""

from regsync.remote.providers.provider import Known, Provider

PROVIDER = Provider("zot", single_post=Known.YES, head=Known.YES, tag_deletion=Known.YES)
