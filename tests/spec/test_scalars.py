from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsync.spec import scalars
from regsync.spec.nodes import Plain


@pytest.mark.parametrize(
    ("read", "text", "expected"),
    [
        (scalars.integer, "012", 12),
        (scalars.integer, "0o14", 12),
        (scalars.integer, "0x1f", 31),
        (scalars.integer, "-3", -3),
        (scalars.number, "0.5", 0.5),
        (scalars.number, "50", 50.0),
        (scalars.number, "1e3", 1000.0),
        (scalars.boolean, "true", True),
        (scalars.boolean, "False", False),
        (scalars.text, "1.10", "1.10"),
        (scalars.duration, "90s", timedelta(seconds=90)),
        (scalars.duration, "15m", timedelta(minutes=15)),
        (scalars.duration, "12h", timedelta(hours=12)),
        (scalars.duration, "7d", timedelta(days=7)),
        (scalars.duration, "4w", timedelta(days=28)),
        (scalars.duration, "2y", timedelta(days=730)),
        (scalars.size, "64KiB", 65536),
        (scalars.size, "20MiB", 20 * 2**20),
        (scalars.size, "1GB", 10**9),
        (scalars.size, "1.5 GiB", 3 * 2**29),
        (scalars.size, "100kB", 100_000),
        (scalars.size, "512B", 512),
    ],
)
def test_scalars_are_read(read: Callable[[object], object], text: str, expected: object) -> None:
    assert read(Plain(text)) == expected


@pytest.mark.parametrize(
    ("read", "text"),
    [
        *((scalars.integer, text) for text in ("", "1.5", "1e3", "0b1", "1_000", "ten", "9" * 30, "٣")),
        *((scalars.number, text) for text in ("", "nan", ".inf", "1.2.3", "-")),
        *((scalars.boolean, text) for text in ("yes", "on", "1", "tRue", "")),
        *((scalars.duration, text) for text in ("90", "1h30m", "-1d", "1.5h", "1M", "s", "999999999y")),
        *((scalars.size, text) for text in ("64", "64K", "1XB", "-1KiB", "MiB", "1e3B")),
    ],
)
def test_what_is_none_says_what_was_expected(read: Callable[[object], object], text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        read(Plain(text))


@pytest.mark.parametrize("read", [scalars.integer, scalars.number, scalars.boolean])
def test_what_stands_in_quotes_is_text(read: Callable[[object], object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        read("1")


@given(st.text(max_size=20), st.sampled_from(["integer", "number", "boolean", "duration", "size"]))
def test_any_text_is_a_value_or_an_error(text: str, name: str) -> None:
    try:
        getattr(scalars, name)(Plain(text))
    except ValueError as error:
        assert "expected" in str(error)  # noqa: PT017 - every message says it
