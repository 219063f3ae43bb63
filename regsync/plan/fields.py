"""Reading a JSON object key by key, so that nothing in it is taken on trust or passed over."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import Enum
from typing import Self, TypeVar

from regsync.errors import RegsyncError
from regsync.oci.digest import Digest, InvalidDigestError
from regsync.oci.manifest import MAX_BLOB_SIZE
from regsync.oci.reference import InvalidReferenceError, RepositoryName, Tag
from regsync.spec.model import Location

MAX_TEXT = 16 * 1024  # characters of one string
MAX_TEXTS = 10_000  # strings of one list
MAX_MAPPING = 4 * 1024 * 1024  # characters of one object of strings
_Choice = TypeVar("_Choice", bound=Enum)


class InvalidFieldError(RegsyncError, ValueError):
    """A value of a document is missing, unknown or not what belongs there."""

    def __init__(self, path: str, cause: str) -> None:
        super().__init__(f"{path[:200] or 'the document'}: {cause}")


class Fields:
    """The members of one object; each is taken once, and `done` refuses what is left over."""

    def __init__(self, members: Mapping[str, object], path: str) -> None:
        self._members, self.path = dict(members), path

    @classmethod
    def of(cls, value: object, path: str) -> Self:
        """The members of `value`; raises InvalidFieldError unless it is an object."""
        if not isinstance(value, dict):
            raise InvalidFieldError(path, "expected an object")
        return cls(value, path)

    def take(self, key: str) -> object:
        """The value under `key`, None where there is none."""
        return self._members.pop(key, None)

    def done(self) -> None:
        """Refuse members that nobody took."""
        for key in self._members:
            raise InvalidFieldError(self._at(key[:80]), "unknown key")

    def literal(self, key: str, expected: str) -> None:
        """Take a value that can only be `expected`."""
        value = self.take(key)
        if value != expected:
            raise InvalidFieldError(self._at(key), f"expected {expected!r}, found {value!r:.80}")

    def text(self, key: str) -> str:
        """Take a string of at most MAX_TEXT characters."""
        value = self.take(key)
        if not isinstance(value, str):
            raise InvalidFieldError(self._at(key), "expected a string")
        if len(value) > MAX_TEXT:
            raise InvalidFieldError(self._at(key), f"longer than {MAX_TEXT} characters")
        return value

    def optional_text(self, key: str) -> str | None:
        """Take a string, or null."""
        return None if self._skip_null(key) else self.text(key)

    def texts(self, key: str) -> tuple[str, ...]:
        """Take a list of strings; empty where it is missing."""
        values = self._list(key, MAX_TEXTS)
        holder = Fields({str(number): value for number, value in enumerate(values)}, self._at(key))
        return tuple(holder.text(str(number)) for number in range(len(values)))

    def mapping(self, key: str) -> dict[str, str]:
        """Take an object of strings, together MAX_MAPPING characters at most; empty where it is missing."""
        value = self.take(key)
        if value is None:
            return {}
        if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
            raise InvalidFieldError(self._at(key), "expected an object of strings")
        if sum(len(name) + len(one) for name, one in value.items()) > MAX_MAPPING:
            raise InvalidFieldError(self._at(key), f"longer than {MAX_MAPPING} characters")
        return value

    def count(self, key: str) -> int:
        """Take a whole number that is not negative and fits 63 bits."""
        value = self.take(key)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_BLOB_SIZE:
            raise InvalidFieldError(self._at(key), "expected a whole number, not negative")
        return value

    def optional_count(self, key: str) -> int | None:
        """Take a whole number, or null."""
        return None if self._skip_null(key) else self.count(key)

    def flag(self, key: str) -> bool:
        """Take true or false."""
        value = self.take(key)
        if not isinstance(value, bool):
            raise InvalidFieldError(self._at(key), "expected true or false")
        return value

    def choice(self, key: str, choices: type[_Choice]) -> _Choice:
        """Take one of the values of an enumeration."""
        value = self.take(key)
        for choice in choices:
            if choice.value == value:
                return choice
        expected = ", ".join(str(choice.value) for choice in choices)
        raise InvalidFieldError(self._at(key), f"expected one of {expected}")

    def moment(self, key: str) -> datetime:
        """Take a time that says its zone."""
        text = self.text(key)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as cause:
            raise InvalidFieldError(self._at(key), "expected a time such as 2026-11-24T16:42:05Z") from cause
        if moment.tzinfo is None:
            raise InvalidFieldError(self._at(key), "the time does not say its zone")
        return moment

    def tag(self, key: str) -> Tag:
        """Take a tag."""
        try:
            return Tag.parse(self.text(key))
        except InvalidReferenceError as cause:
            raise InvalidFieldError(self._at(key), str(cause)) from cause

    def optional_tag(self, key: str) -> Tag | None:
        """Take a tag, or null."""
        return None if self._skip_null(key) else self.tag(key)

    def digest(self, key: str) -> Digest:
        """Take a digest."""
        try:
            return Digest.parse(self.text(key))
        except InvalidDigestError as cause:
            raise InvalidFieldError(self._at(key), str(cause)) from cause

    def optional_digest(self, key: str) -> Digest | None:
        """Take a digest, or null."""
        return None if self._skip_null(key) else self.digest(key)

    def location(self, key: str) -> Location:
        """Take `<registry>/<repository>`."""
        registry, _, repository = self.text(key).partition("/")
        if not registry:
            raise InvalidFieldError(self._at(key), "expected <registry>/<repository>")
        try:
            return Location(registry, RepositoryName.parse(repository))
        except InvalidReferenceError as cause:
            raise InvalidFieldError(self._at(key), str(cause)) from cause

    def optional_location(self, key: str) -> Location | None:
        """Take `<registry>/<repository>`, or null."""
        return None if self._skip_null(key) else self.location(key)

    def child(self, key: str) -> "Fields":
        """Take an object."""
        return Fields.of(self.take(key), self._at(key))

    def optional_child(self, key: str) -> "Fields | None":
        """Take an object, or null."""
        return None if self._skip_null(key) else self.child(key)

    def children(self, key: str, limit: int) -> Iterator["Fields"]:
        """Take a list of at most `limit` objects; empty where it is missing."""
        for number, value in enumerate(self._list(key, limit)):
            yield Fields.of(value, f"{self._at(key)}[{number}]")

    def _skip_null(self, key: str) -> bool:
        if self._members.get(key) is not None:
            return False
        self._members.pop(key, None)
        return True

    def _list(self, key: str, limit: int) -> list[object]:
        value = self.take(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise InvalidFieldError(self._at(key), "expected a list")
        if len(value) > limit:
            raise InvalidFieldError(self._at(key), f"{len(value)} entries, at most {limit} are read")
        return value

    def _at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key
