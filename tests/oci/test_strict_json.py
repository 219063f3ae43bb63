import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsync.oci.strict_json import MAX_DEPTH, InvalidJSONError, loads

_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda below: (
        st.lists(below, max_size=4) | st.dictionaries(st.text('abc{}[]"\\', max_size=4), below, max_size=4)
    ),
    max_leaves=20,
)


@given(_VALUES)
def test_what_json_writes_is_read_alike(value: object) -> None:
    assert loads(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b'{"a":1,"a":2}', id="a key twice"),
        pytest.param(b'{"a":1,"\\u0061":2}', id="a key twice, once escaped"),
        pytest.param(b'{"x":{"a":1,"a":1}}', id="a key twice below"),
        pytest.param(b'{"a":NaN}', id="NaN"),
        pytest.param(b'{"a":-Infinity}', id="infinity"),
        pytest.param(b"{} {}", id="two documents"),
        pytest.param(b"{}x", id="something behind"),
        pytest.param(b"\xef\xbb\xbf{}", id="a byte order mark"),
        pytest.param('{"a":"ü"}'.encode("latin-1"), id="another encoding"),
        pytest.param('{"a":1}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b'{"a":"\\ud800"}', id="half a surrogate pair"),
        pytest.param(b'{"a":"\\ud800","b":"x"}', id="half a surrogate pair, more behind"),
        pytest.param(b"[" * 65 + b"]" * 65, id="nested too deep"),
        pytest.param(b"[" * 1_000_000, id="a million brackets"),
        pytest.param(b'{"a":' * 100_000, id="a hundred thousand mappings"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"9" * 5000, id="a number of five thousand digits"),
        pytest.param(b"<html>", id="a web page"),
        pytest.param(b'{"a":"\n"}', id="a newline in text"),
    ],
)
def test_what_programs_read_differently_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidJSONError):
        loads(raw)


def test_brackets_in_text_do_not_count_as_depth() -> None:
    value = {"a": "[" * 500 + '\\"{' * 100}
    assert loads(json.dumps(value).encode()) == value
    deepest = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert isinstance(loads(deepest.encode()), list)


@given(st.binary(max_size=60))
def test_any_bytes_are_json_or_an_error(raw: bytes) -> None:
    with suppress(InvalidJSONError):
        loads(raw)
