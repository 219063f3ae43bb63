import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from regsync.oci import media_type as types
from regsync.oci.manifest import Index, parse_manifest
from regsync.oci.platform import Platform
from regsync.oci.trim import ATTESTATION_SUBJECT, keep_platforms, trimmed

AMD64, ARM64 = Platform.parse("linux/amd64"), Platform.parse("linux/arm64")


def digest(character: str) -> str:
    return "sha256:" + character * 64


def entry(character: str, platform: str | None, **more: Any) -> dict[str, Any]:
    found = {"mediaType": types.OCI_MANIFEST, "digest": digest(character), "size": 7, **more}
    if platform is not None:
        os, architecture, *variant = platform.split("/")
        found["platform"] = {"architecture": architecture, "os": os} | (
            {"variant": variant[0]} if variant else {}
        )
    return found


def attestation(character: str, of: str) -> dict[str, Any]:
    annotations = {"vnd.docker.reference.type": "attestation-manifest", ATTESTATION_SUBJECT: digest(of)}
    return entry(character, "unknown/unknown", annotations=annotations)


def index(*entries: dict[str, Any]) -> Index:
    document = {
        "schemaVersion": 2,
        "mediaType": types.OCI_INDEX,
        "manifests": list(entries),
        "annotations": {"name": "café"},
    }
    found = parse_manifest(json.dumps(document, indent=2, ensure_ascii=False).encode())
    assert isinstance(found, Index)
    return found


IMAGE = index(
    entry("1", "linux/amd64"),
    entry("2", "linux/arm64/v8"),
    entry("3", "linux/arm/v7"),
    attestation("4", "1"),
    attestation("5", "2"),
)

# Part of what users pin: this text never changes, whatever the code becomes.
GOLDEN = (
    '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":['
    '{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:'
    '1111111111111111111111111111111111111111111111111111111111111111","size":7,'
    '"platform":{"architecture":"amd64","os":"linux"}},'
    '{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:'
    '4444444444444444444444444444444444444444444444444444444444444444","size":7,"annotations":'
    '{"vnd.docker.reference.type":"attestation-manifest","vnd.docker.reference.digest":"sha256:'
    '1111111111111111111111111111111111111111111111111111111111111111"},'
    '"platform":{"architecture":"unknown","os":"unknown"}}],"annotations":{"name":"café"}}'
).encode()
GOLDEN_DIGEST = "sha256:88b50e0b9f22908fd8f1ddecd7f5913273c921f2f0eadd96c138f7f7a8eb09cb"


def trim(image: Index, *platforms: Platform) -> Index:
    return trimmed(image, keep_platforms(image.entries, platforms))


def test_the_trimmed_digest_is_what_it_always_was() -> None:
    found = trim(IMAGE, AMD64)
    assert found.raw == GOLDEN
    assert str(found.descriptor.digest) == GOLDEN_DIGEST


def test_attestations_follow_their_platform() -> None:
    kept = [str(one.digest)[7] for one in keep_platforms(IMAGE.entries, [ARM64])]
    assert kept == ["2", "5"]


def test_an_index_of_which_nothing_goes_stays_as_it_was() -> None:
    assert trim(IMAGE, AMD64, ARM64, Platform.parse("linux/arm/v7")) is IMAGE


def test_trimming_twice_is_trimming_once() -> None:
    once = trim(IMAGE, AMD64, ARM64)
    assert trim(once, AMD64, ARM64) is once
    assert trim(once, AMD64).raw == trim(IMAGE, AMD64).raw


def test_a_nested_index_without_a_platform_is_kept_for_what_is_in_it() -> None:
    nested = index({**entry("9", None), "mediaType": types.OCI_INDEX}, entry("2", "linux/arm64"))
    assert [str(one.digest)[7] for one in keep_platforms(nested.entries, [AMD64])] == ["9"]


def test_one_platform_left_is_still_an_index_of_the_same_type() -> None:
    found = trim(IMAGE, Platform.parse("linux/arm/v7"))
    assert len(found.entries) == 1
    assert found.descriptor.media_type == IMAGE.descriptor.media_type


@given(
    st.permutations(IMAGE.entries), st.sets(st.sampled_from(["linux/amd64", "linux/arm64", "linux/arm/v7"]))
)
def test_what_is_kept_stands_in_its_order_and_is_wanted(entries: list[Any], wanted: set[str]) -> None:
    kept = keep_platforms(entries, [Platform.parse(one) for one in wanted])
    assert list(kept) == [one for one in entries if one in kept]
    for one in kept:
        assert one.platform is not None
        assert one.platform.is_unknown or str(one.platform) in wanted
