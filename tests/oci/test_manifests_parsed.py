import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsync.oci import media_type as types
from regsync.oci.digest import Digest
from regsync.oci.manifest import (
    MAX_CHILDREN,
    MAX_MANIFEST_SIZE,
    Index,
    InvalidManifestError,
    Manifest,
    UnsupportedManifestError,
    parse_manifest,
)
from regsync.oci.platform import Platform

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def descriptor(digest: str = A, kind: str = "a/b", **more: Any) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest, "size": 3, **more}


def manifest(**changes: Any) -> bytes:
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": types.OCI_MANIFEST,
        "config": descriptor(B, types.OCI_CONFIG),
        "layers": [descriptor(A, "application/vnd.oci.image.layer.v1.tar+gzip")],
    }
    document |= changes
    return json.dumps({key: value for key, value in document.items() if value is not ...}).encode()


def index(*entries: dict[str, Any], **changes: Any) -> bytes:
    document = {"schemaVersion": 2, "mediaType": types.OCI_INDEX, "manifests": list(entries), **changes}
    return json.dumps({key: value for key, value in document.items() if value is not ...}).encode()


def test_a_manifest_keeps_its_bytes_and_knows_its_digest() -> None:
    raw = manifest().replace(b": ", b":   ")
    found = parse_manifest(raw, types.OCI_MANIFEST)
    assert isinstance(found, Manifest)
    assert found.raw == raw
    assert found.descriptor.digest == Digest.of(raw)
    assert [str(one.digest) for one in found.blobs] == [B, A]


def test_an_index_parts_manifests_from_other_content() -> None:
    raw = index(
        descriptor(A, types.OCI_MANIFEST, platform={"os": "linux", "architecture": "arm64", "variant": "v8"}),
        descriptor(A, types.OCI_MANIFEST),
        descriptor(B, "text/plain"),
    )
    found = parse_manifest(raw)
    assert isinstance(found, Index)
    assert len(found.entries) == 3
    assert [str(one.digest) for one in found.manifests] == [A]
    assert [str(one.digest) for one in found.blobs] == [B]
    assert found.entries[0].platform == Platform.parse("linux/arm64")


@pytest.mark.parametrize(
    "served", ["application/json", "text/plain; charset=utf-8", "application/octet-stream", None]
)
def test_types_that_servers_use_for_any_json_are_ignored(served: str | None) -> None:
    assert parse_manifest(manifest(mediaType=...), served).descriptor.media_type == types.OCI_MANIFEST
    assert parse_manifest(index(mediaType=...), served).descriptor.media_type == types.OCI_INDEX


def test_the_type_it_was_served_with_decides_where_the_document_is_silent() -> None:
    raw = manifest(mediaType=...)
    assert parse_manifest(raw, types.DOCKER_MANIFEST).descriptor.media_type == types.DOCKER_MANIFEST


@pytest.mark.parametrize(
    ("raw", "served"),
    [
        pytest.param(manifest(manifests=[]), None, id="layers and manifests"),
        pytest.param(index(config=descriptor()), None, id="manifests and config"),
        pytest.param(manifest(), types.OCI_INDEX, id="served as something else"),
        pytest.param(manifest(mediaType=types.OCI_INDEX), None, id="says it is an index"),
        pytest.param(manifest(schemaVersion=3), None, id="another schema version"),
        pytest.param(manifest(schemaVersion=...), None, id="no schema version"),
        pytest.param(manifest(config=...), None, id="no config"),
        pytest.param(manifest(layers={}), None, id="layers that are no list"),
        pytest.param(manifest(layers=[descriptor(size=-1)]), None, id="a negative size"),
        pytest.param(manifest(layers=[descriptor(size=True)]), None, id="a size that is a boolean"),
        pytest.param(manifest(layers=[descriptor(size=2**63)]), None, id="a size beyond bounds"),
        pytest.param(manifest(layers=[descriptor("sha256:x")]), None, id="no digest"),
        pytest.param(
            manifest(layers=[{"mediaType": "a/b", "size": 1}]), None, id="a descriptor without digest"
        ),
        pytest.param(manifest(layers=[descriptor(urls=[1])]), None, id="urls that are no text"),
        pytest.param(manifest(annotations=[]), None, id="annotations that are no mapping"),
        pytest.param(manifest(subject="x"), None, id="a subject that is no descriptor"),
        pytest.param(manifest(layers=[descriptor()] * (MAX_CHILDREN + 1)), None, id="too many layers"),
        pytest.param(b"[]", None, id="a list"),
        pytest.param(b"{}", None, id="nothing in it"),
        pytest.param(b"<html>502</html>", "text/html", id="a web page"),
        pytest.param(b" " * (MAX_MANIFEST_SIZE + 1), None, id="larger than registries take"),
        pytest.param(
            index(descriptor(A, types.OCI_MANIFEST, platform=[])), None, id="a platform that is a list"
        ),
    ],
)
def test_what_could_mean_two_things_is_refused(raw: bytes, served: str | None) -> None:
    with pytest.raises(InvalidManifestError):
        parse_manifest(raw, served)


@pytest.mark.parametrize(
    ("raw", "served"),
    [
        pytest.param(b'{"schemaVersion":1,"fsLayers":[]}', None, id="schema 1"),
        pytest.param(b'{"schemaVersion":1}', types.DOCKER_SCHEMA1_SIGNED, id="schema 1, signed"),
        pytest.param(
            json.dumps({"mediaType": types.OCI_ARTIFACT}).encode(), None, id="the withdrawn artifact manifest"
        ),
        pytest.param(manifest(mediaType="application/x-new"), None, id="a type that nobody knows"),
    ],
)
def test_kinds_that_are_not_carried_say_so(raw: bytes, served: str | None) -> None:
    with pytest.raises(UnsupportedManifestError):
        parse_manifest(raw, served)


def test_an_artifact_without_layers_is_one() -> None:
    found = parse_manifest(
        manifest(layers=..., artifactType="a/b", subject=descriptor(A, types.OCI_MANIFEST))
    )
    assert isinstance(found, Manifest)
    assert found.layers == ()
    assert found.artifact_type == "a/b"
    assert found.subject is not None


@given(
    st.binary(max_size=80)
    | st.from_regex(rb'\{"schemaVersion":2,"(layers|manifests)":\[.{0,20}\]\}', fullmatch=True)
)
def test_any_bytes_are_a_manifest_or_an_error(raw: bytes) -> None:
    with suppress(InvalidManifestError):
        parse_manifest(raw)


@pytest.mark.parametrize("written", [None, []])
def test_no_layers_may_be_written_as_null(written: object) -> None:
    assert parse_manifest(manifest(layers=written)).manifests == ()
