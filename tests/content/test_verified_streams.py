"""Streams that end with an error unless they were what their descriptor names."""

from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsync.content.errors import DigestMismatchError, InterruptedStreamError, SizeMismatchError
from regsync.content.verified import verified, verified_manifest
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import InvalidManifestError
from tests.contract.places import OCTETS, blob, described
from tests.support.images import image

pytestmark = pytest.mark.anyio


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def taken(desc: Descriptor, chunks: Sequence[bytes]) -> tuple[bytes, Exception | None]:
    """What a consumer gets, and the error that ends it."""
    got = b""
    try:
        async for chunk in verified(pieces(*chunks), desc, where="here"):
            got += chunk
    except (DigestMismatchError, SizeMismatchError, InterruptedStreamError) as error:
        return got, error
    return got, None


@given(st.lists(st.binary(max_size=20), max_size=8), st.sampled_from(["sha256", "sha512"]))
async def test_the_right_bytes_pass_however_they_are_cut(chunks: list[bytes], algorithm: str) -> None:
    data = b"".join(chunks)
    assert await taken(blob(data, algorithm), chunks) == (data, None)


@given(st.binary(min_size=1, max_size=40), st.binary(min_size=1, max_size=40))
async def test_no_consumer_ever_holds_all_of_a_wrong_blob(wanted: bytes, sent: bytes) -> None:
    got, error = await taken(blob(wanted), [sent[:5], sent[5:]])
    if wanted == sent:
        assert error is None
    else:
        assert error is not None
        assert got != wanted
        assert len(got) < len(wanted)


async def test_an_error_names_the_place_and_the_digest() -> None:
    _, error = await taken(Descriptor(OCTETS, Digest.of(b"b"), 1), [b"a"])
    assert isinstance(error, DigestMismatchError)
    assert str(error) == f"here: expected {Digest.of(b'b')}, received {Digest.of(b'a')}"


async def test_a_stream_is_hashed_once() -> None:
    stream = verified(pieces(b"abc"), blob(b"abc"), where="here")
    assert verified(stream, blob(b"abc"), where="there") is stream


async def test_a_stream_that_was_checked_for_another_size_is_checked_again() -> None:
    stream = verified(pieces(b"abc"), blob(b"abc"), where="here")
    lie = Descriptor(OCTETS, blob(b"abc").digest, 4)
    assert verified(stream, lie, where="there") is not stream


def test_a_manifest_is_what_its_descriptor_says_or_refused() -> None:
    content = image("one")
    desc = described(content)
    assert verified_manifest(content.data, desc, where="here").descriptor == desc
    with pytest.raises(SizeMismatchError):
        verified_manifest(content.data + b" ", desc, where="here")
    with pytest.raises(DigestMismatchError):
        verified_manifest(content.data[:-1] + b" ", desc, where="here")
    with pytest.raises(InvalidManifestError):
        verified_manifest(b"{}", Descriptor(desc.media_type, Digest.of(b"{}"), 2), where="here")
