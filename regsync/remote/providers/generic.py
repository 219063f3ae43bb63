"""Any registry of which nothing is known: the distribution-spec, and care."""

from regsync.remote.providers.provider import Provider

PROVIDER = Provider("generic")
