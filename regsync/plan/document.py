"""How plans and reports are written as JSON: the same bytes for the same input, one entry a line.

Keys are sorted, and a list at the top level has each of its entries on a line of its own, so that two
documents can be compared with any diff. Entries are encoded one at a time: a plan of 100,000 actions
is never in memory a second time as text.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

API_VERSION = "regsync.dev/v1"
_encoder = json.JSONEncoder(sort_keys=True, ensure_ascii=True, allow_nan=False, check_circular=False)


def encode(document: Mapping[str, object]) -> Iterator[str]:
    """The text of `document` in pieces, the last ending with a newline.

    A value may be a list or a lazy iterator of entries. Everything outside ASCII is escaped, and so is
    DEL, so that no terminal takes a part of it for a command.
    """
    yield "{"
    for number, key in enumerate(sorted(document)):
        yield f"{',' if number else ''}\n  {_compact(key)}: "
        value = document[key]
        if isinstance(value, list | Iterator):
            yield from _entries(value)
        elif isinstance(value, Mapping):
            yield from _members(value)
        else:
            yield _compact(value)
    yield "\n}\n"


def encode_line(document: Mapping[str, object]) -> str:
    """`document` on one line, without the newline: for NDJSON."""
    return _compact(document)


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC: `2026-11-24T16:42:05Z`, with a fraction only if there is one."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _entries(values: Iterable[object]) -> Iterator[str]:
    empty = True
    for value in values:
        yield f"{'[' if empty else ','}\n    {_compact(value)}"
        empty = False
    yield "[]" if empty else "\n  ]"


def _members(value: Mapping[str, object]) -> Iterator[str]:
    lines = [f"    {_compact(key)}: {_compact(value[key])}" for key in sorted(value)]
    yield "{\n" + ",\n".join(lines) + "\n  }" if lines else "{}"


def _compact(value: object) -> str:
    return _encoder.encode(value).replace("\x7f", "\\u007f")
