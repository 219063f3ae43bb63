"""JSON from outside, read so that every parser agrees on what it says.

Duplicate keys, NaN, trailing data, byte-order marks, other encodings and lone surrogates are read
differently by different programs, which is how one document passes a check and another is run.
"""

import json
import re
from collections import Counter
from typing import NoReturn

from regsync.errors import RegsyncError

MAX_DEPTH = 64  # levels; manifests need six

_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)  # an unclosed one reaches to the end
_BETWEEN = re.compile(r"[^\[\]{}]+")


class InvalidJSONError(RegsyncError, ValueError):
    """The bytes are not one unambiguous JSON document."""


def loads(raw: bytes) -> object:
    """Parse `raw`; raises InvalidJSONError. The caller bounds the length."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as cause:
        raise InvalidJSONError(f"not UTF-8 at byte {cause.start}") from cause
    if _depth_may_exceed(text) and _depth(text) > MAX_DEPTH:
        raise InvalidJSONError(f"nested deeper than {MAX_DEPTH} levels")
    try:
        value: object = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except InvalidJSONError:
        raise
    except (ValueError, RecursionError) as cause:
        raise InvalidJSONError(f"not JSON: {cause}") from cause
    if "\\u" in text:
        _refuse_surrogates(value)
    return value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise InvalidJSONError(f"key {twice[:80]!r} stands twice in one object")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidJSONError(f"{name} is not JSON")


def _depth_may_exceed(text: str) -> bool:
    return text.count("{") + text.count("[") > MAX_DEPTH


def _depth(text: str) -> int:
    """The deepest nesting of brackets outside strings, or the first that is too deep; linear."""
    depth = deepest = 0
    for bracket in _BETWEEN.sub("", _STRING.sub("", text)):
        if bracket in "{[":
            depth += 1
            deepest = max(deepest, depth)
            if deepest > MAX_DEPTH:
                break
        else:
            depth -= 1
    return deepest


def _refuse_surrogates(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as cause:
        raise InvalidJSONError("holds half of a surrogate pair") from cause
