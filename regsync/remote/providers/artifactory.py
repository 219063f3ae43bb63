"""Artifactory: no single POST, PATCH then PUT (29), a catalogue per key (11)."""

from regsync.remote.providers.provider import Known, Provider, UploadWay

PROVIDER = Provider(
    "artifactory",
    upload=UploadWay.PATCH,
    chunked=False,
    single_post=Known.NO,
    catalog_hint="Artifactory lists one repository key at a time: name the repositories in the spec",
)
