import hashlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsync.oci.digest import Digest, InvalidDigestError

EMPTY = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_digest_reads_and_prints_alike() -> None:
    assert str(Digest.parse(EMPTY)) == EMPTY
    assert Digest.parse(EMPTY) == Digest.of(b"")


@given(st.binary(max_size=64), st.sampled_from(["sha256", "sha512"]))
def test_what_is_computed_can_be_read(data: bytes, algorithm: str) -> None:
    digest = Digest.of(data, algorithm)
    assert Digest.parse(str(digest)) == digest
    assert digest.encoded == hashlib.new(algorithm, data).hexdigest()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("sha256", id="no colon"),
        pytest.param("sha256:", id="no hex"),
        pytest.param(EMPTY[:-1], id="one character short"),
        pytest.param(EMPTY + "0", id="one character long"),
        pytest.param(EMPTY.upper(), id="upper case algorithm"),
        pytest.param("sha256:" + "E" * 64, id="upper case hex"),
        pytest.param("sha256:" + "g" * 64, id="no hex digits"),
        pytest.param(EMPTY + "\n", id="a newline behind"),
        pytest.param("md5:d41d8cd98f00b204e9800998ecf8427e", id="an algorithm that is not taken"),
        pytest.param("sha512:" + "a" * 64, id="sha512 with the length of sha256"),
        pytest.param("sha256:../../../etc/passwd", id="a path"),
    ],
)
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(InvalidDigestError):
        Digest.parse(text)


@given(st.text(max_size=200))
def test_any_text_is_a_digest_or_an_error(text: str) -> None:
    with suppress(InvalidDigestError):
        assert str(Digest.parse(text)) == text


def test_a_message_does_not_repeat_a_book() -> None:
    with pytest.raises(InvalidDigestError) as caught:
        Digest.parse("x" * 100_000)
    assert len(str(caught.value)) < 300


def test_a_hasher_fed_in_parts_gives_the_same_digest() -> None:
    digest = Digest.of(b"half and half", "sha512")
    hasher = digest.hasher()
    hasher.update(b"half and ")
    hasher.update(b"half")
    assert Digest.from_hasher(hasher, "sha512") == digest
    assert digest.short() == digest.encoded[:12]
