"""How alike manifests of different digests are."""

import json

import pytest

from regsync.oci.digest import Digest
from regsync.oci.manifest import Index, Manifest, parse_manifest
from regsync.plan.likeness import Likeness, likeness, pairs
from tests.support.images import DOCKER_MANIFEST, Content, image, index

AMD, ARM, S390 = (image("app", arch=arch) for arch in ("amd64", "arm64", "s390x"))
NEW_AMD = image("new", arch="amd64")
WHOLE = index(AMD, ARM, S390)
TRIMMED = index(AMD, ARM)


def parsed(content: Content) -> Manifest | Index:
    return parse_manifest(content.data, content.media_type)


def spaced(content: Content) -> Manifest | Index:
    """The same document in other bytes."""
    return parse_manifest(json.dumps(json.loads(content.data), indent=1).encode(), content.media_type)


def as_docker(content: Content) -> Content:
    """The same layers as Docker's tools write them."""
    document = {**content.document, "mediaType": DOCKER_MANIFEST}
    return Content(DOCKER_MANIFEST, json.dumps(document).encode(), content.blobs, platform=content.platform)


def compared(expected: Content, actual: Manifest | Index, *, whole: Content | None = None) -> Likeness:
    found = {}
    for one in (AMD, ARM, S390, NEW_AMD, as_docker(AMD), as_docker(ARM)):
        found[Digest.parse(one.digest)] = parsed(one)
    below = {desc.digest: found[desc.digest] for pair in pairs(parsed(expected), actual) for desc in pair}
    return likeness(parsed(expected), actual, whole=parsed(whole or expected), below=below)


@pytest.mark.parametrize(
    ("expected", "actual", "whole", "result"),
    [
        pytest.param(AMD, spaced(AMD), None, Likeness.SAME_CONTENT, id="an image with other whitespace"),
        pytest.param(
            AMD, parsed(as_docker(AMD)), None, Likeness.SAME_CONTENT, id="an image with other types"
        ),
        pytest.param(WHOLE, spaced(WHOLE), None, Likeness.SAME_CONTENT, id="an index with other whitespace"),
        pytest.param(
            TRIMMED,
            parsed(index(as_docker(AMD), as_docker(ARM))),
            None,
            Likeness.SAME_CONTENT,
            id="an index of images with other types",
        ),
        pytest.param(TRIMMED, parsed(WHOLE), WHOLE, Likeness.OTHER_PLATFORMS, id="the whole, not trimmed"),
        pytest.param(WHOLE, parsed(TRIMMED), None, Likeness.OTHER_PLATFORMS, id="trimmed, not the whole"),
        pytest.param(
            TRIMMED, parsed(index(AMD, S390)), WHOLE, Likeness.OTHER_PLATFORMS, id="trimmed in another way"
        ),
        pytest.param(WHOLE, parsed(ARM), None, Likeness.OTHER_PLATFORMS, id="one image out of an index"),
        pytest.param(AMD, parsed(WHOLE), None, Likeness.OTHER_PLATFORMS, id="an index of the one image"),
        pytest.param(WHOLE, parsed(index(NEW_AMD, ARM, S390)), None, Likeness.OTHER, id="one image is new"),
        pytest.param(AMD, parsed(NEW_AMD), None, Likeness.OTHER, id="another image"),
        pytest.param(WHOLE, parsed(NEW_AMD), None, Likeness.OTHER, id="an image that is in no index"),
        pytest.param(AMD, parsed(index()), None, Likeness.OTHER, id="an empty index"),
        pytest.param(index(), parsed(AMD), None, Likeness.OTHER, id="an image instead of an empty index"),
    ],
)
def test_how_alike_they_are(
    expected: Content, actual: Manifest | Index, whole: Content | None, result: Likeness
) -> None:
    assert compared(expected, actual, whole=whole) is result


def test_children_that_could_not_be_read_are_not_alike() -> None:
    expected, actual = parsed(TRIMMED), parsed(index(as_docker(AMD), as_docker(ARM)))
    assert likeness(expected, actual, whole=expected, below={}) is Likeness.OTHER
