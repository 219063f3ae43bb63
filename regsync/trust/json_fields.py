"""Fields of JSON documents from outside, each asked for by its type; protobuf's JSON has bytes as base64.

A field that is null counts as absent, as in protobuf. Unknown fields are let be.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from regsync.errors import RegsyncError
from regsync.oci.strict_json import InvalidJSONError, loads


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object at a path of its document. `error` makes what is raised for a field that is wrong."""

    values: Mapping[str, object]
    path: str  # "" for the document itself
    error: Callable[[str], RegsyncError]

    @classmethod
    def parse(cls, raw: bytes, error: Callable[[str], RegsyncError]) -> "Fields":
        """The document in `raw`, whose length the caller has bounded; raises what `error` makes."""
        try:
            document = loads(raw)
        except InvalidJSONError as cause:
            raise error(str(cause)) from cause
        return cls._of(document, "", error)

    @classmethod
    def _of(cls, value: object, path: str, error: Callable[[str], RegsyncError]) -> "Fields":
        if not isinstance(value, dict):
            raise error(f"{path or 'the document'} is no object")
        return cls(value, path, error)

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self.values.get(name) is not None

    def nested(self, name: str) -> "Fields":
        """An object."""
        return self._of(self._required(name), self.at(name), self.error)

    def items(self, name: str, *, most: int) -> "tuple[Fields, ...]":
        """A list of objects, empty where the field is absent."""
        found = self.values.get(name)
        if found is None:
            return ()
        if not isinstance(found, list):
            raise self.error(f"{self.at(name)} is no list")
        if len(found) > most:
            raise self.error(f"{self.at(name)} has {len(found)} items, at most {most} are read")
        return tuple(
            self._of(item, f"{self.at(name)}[{index}]", self.error) for index, item in enumerate(found)
        )

    def text(self, name: str) -> str:
        """A string that is not empty."""
        found = self._required(name)
        if not isinstance(found, str) or not found:
            raise self.error(f"{self.at(name)} is no string, or empty")
        return found

    def decoded(self, name: str) -> bytes:
        """The bytes of a base64 string; not none."""
        try:
            return base64.b64decode(self.text(name), validate=True)
        except (binascii.Error, ValueError) as cause:
            raise self.error(f"{self.at(name)} is not base64: {cause}") from cause

    def at(self, name: str) -> str:
        """The path of a field."""
        return f"{self.path}.{name}" if self.path else name

    def _required(self, name: str) -> object:
        found = self.values.get(name)
        if found is None:
            raise self.error(f"{self.at(name)} is missing")
        return found
