"""Messages of Protocol Buffers as JSON, as Sigstore writes them: read strictly where a field is asked for.

A field that nobody asks for is passed over, so that a newer writer does not break a reader. Absent, null
and a type's default value are the same thing, since writers leave defaults out.
Source: protobuf.dev, "ProtoJSON Format".
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass

from regsync.oci.strict_json import InvalidJSONError, loads
from regsync.trust.errors import EvidenceRejectedError

_INTEGER = re.compile(r"0|[1-9][0-9]{0,18}")
_MAX_INTEGER = 2**63 - 1
_NO_BREAKS = str.maketrans("", "", "\r\n")


@dataclass(frozen=True, slots=True)
class Fields:
    """One message. Every method raises EvidenceRejectedError, with `check` and the path of the field."""

    values: Mapping[str, object]
    check: str
    path: str = ""

    @classmethod
    def parse(cls, raw: bytes, check: str) -> "Fields":
        """Read a document; the caller bounds its length."""
        try:
            document = loads(raw)
        except InvalidJSONError as cause:
            raise EvidenceRejectedError(check, str(cause)) from cause
        if not isinstance(document, dict):
            raise EvidenceRejectedError(check, "it is not a JSON object")
        return cls(document, check)

    def refuse(self, key: str, reason: str) -> EvidenceRejectedError:
        """The error that says `reason` of a field."""
        return EvidenceRejectedError(self.check, f"{self._at(key)} {reason}")

    def one_of(self, *keys: str) -> str:
        """Which of the fields is there: exactly one has to be."""
        found = [key for key in keys if self.values.get(key) is not None]
        if len(found) != 1:
            place = self.path or "it"
            raise EvidenceRejectedError(
                self.check, f"{place} has {' and '.join(found) or 'none'} of {', '.join(keys)}"
            )
        return found[0]

    def message(self, key: str) -> "Fields | None":
        """A message in this one, or None."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.refuse(key, "is not an object")
        return Fields(value, self.check, self._at(key))

    def needed(self, key: str) -> "Fields":
        """A message that has to be there."""
        found = self.message(key)
        if found is None:
            raise self.refuse(key, "is missing")
        return found

    def messages(self, key: str, limit: int) -> tuple["Fields", ...]:
        """A list of at most `limit` messages."""
        found: list[Fields] = []
        for n, value in enumerate(self._list(key, limit)):
            if not isinstance(value, dict):
                raise self.refuse(f"{key}[{n}]", "is not an object")
            found.append(Fields(value, self.check, self._at(f"{key}[{n}]")))
        return tuple(found)

    def texts(self, key: str, limit: int) -> tuple[bytes, ...]:
        """A list of at most `limit` values in base64."""
        return tuple(self._decode(one, key) for one in self._list(key, limit))

    def text(self, key: str) -> str:
        """A string, or the empty one."""
        value = self.values.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.refuse(key, "is no string")
        return value

    def data(self, key: str) -> bytes:
        """Bytes in base64 that have to be there."""
        found = self._decode(self.values.get(key) or "", key)
        if not found:
            raise self.refuse(key, "is missing")
        return found

    def count(self, key: str) -> int:
        """An integer from 0 to 2^63 - 1, or 0; a 64-bit one is written as a string."""
        value = self.values.get(key)
        if value is None:
            return 0
        if isinstance(value, str) and _INTEGER.fullmatch(value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX_INTEGER:
            raise self.refuse(key, f"is {value!r:.40}, no whole number from 0 on")
        return value

    def _list(self, key: str, limit: int) -> list[object]:
        value = self.values.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.refuse(key, "is no list")
        if len(value) > limit:
            raise self.refuse(key, f"has {len(value)} items, at most {limit} are read")
        return value

    def _decode(self, value: object, key: str) -> bytes:
        if not isinstance(value, str):
            raise self.refuse(key, "is no string")
        try:  # line breaks are passed over, as Go does, in which most bundles are written and read
            return base64.b64decode(value.translate(_NO_BREAKS), validate=True)
        except (binascii.Error, ValueError) as cause:
            raise self.refuse(key, f"is not base64: {cause}") from cause

    def _at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key
