"""Digest tags are merged: nobody's signature is lost."""

import json

from hypothesis import given
from hypothesis import strategies as st

from regsync.content.merge import merged
from regsync.oci.manifest import Manifest, parse_manifest
from tests.support.images import OCI_MANIFEST, Content, as_json, cosign_signature, image


def manifest(content: Content) -> Manifest:
    parsed = parse_manifest(content.data, content.media_type)
    assert isinstance(parsed, Manifest)
    return parsed


def signed(*signatures: str) -> Manifest:
    """Several people's signatures of one image: the same payload, and so the same layer digest."""
    document = json.loads(cosign_signature(image("app")).data)
    (layer,) = document["layers"]
    document["layers"] = [
        {**layer, "annotations": {"dev.cosignproject.cosign/signature": one}} for one in signatures
    ]
    return manifest(Content(OCI_MANIFEST, as_json(document)))


def signatures(found: Manifest) -> list[str]:
    return [layer.annotations["dev.cosignproject.cosign/signature"] for layer in found.layers]


def test_two_signatures_of_the_same_payload_are_both_kept() -> None:
    assert signatures(merged(signed("alice"), signed("bob"))) == ["bob", "alice"]


def test_what_the_target_has_already_changes_nothing() -> None:
    target = signed("alice", "bob")

    assert merged(signed("alice"), target).raw == target.raw


def test_a_source_with_everything_keeps_its_digest() -> None:
    source = signed("alice", "bob")

    assert merged(source, signed("bob")) is source


def test_a_source_without_layers_takes_nothing_away() -> None:
    document = json.loads(cosign_signature(image("app")).data)
    del document["layers"]
    empty = manifest(Content(OCI_MANIFEST, as_json(document)))

    assert signatures(merged(empty, signed("bob"))) == ["bob"]
    assert signatures(merged(signed("bob"), empty)) == ["bob"]


@given(st.lists(st.sampled_from("abcdef"), max_size=5), st.lists(st.sampled_from("abcdef"), max_size=5))
def test_merging_is_a_union_and_merging_again_changes_nothing(ours: list[str], theirs: list[str]) -> None:
    source, target = signed(*ours), signed(*theirs)

    result = merged(source, target)

    assert set(signatures(result)) == {*ours, *theirs}
    assert merged(source, result).raw == result.raw
