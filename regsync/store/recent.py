"""What was looked up a moment ago, for as long as the catalogue has not changed.

A registry is asked for the same few manifests again and again. Asking the database whether anything
changed costs a tenth of asking it for the thing.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")

MIB = 1024 * 1024
CAPACITY = 32 * MIB  # bytes of all values
LARGEST = 256 * 1024  # bytes of one value
ENTRY = 512  # bytes that an entry costs beside its value


class Recent(Generic[Value]):
    """Values by key, the longest unused leaving first; all of them when the version moves on."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._size = 0
        self._version: int | None = None
        self._held: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()

    def get(self, key: Hashable, version: int) -> Value | None:
        """What was put under `key` at this version."""
        if version != self._version:
            self._held.clear()
            self._size = 0
            self._version = version
            return None
        found = self._held.get(key)
        if found is None:
            return None
        self._held.move_to_end(key)
        return found[0]

    def put(self, key: Hashable, version: int, value: Value, size: int) -> None:
        """Keep `value`, of `size` bytes, that was read while the catalogue had this version."""
        if version != self._version or size > LARGEST or key in self._held:
            return
        self._held[key] = (value, size + ENTRY)
        self._size += size + ENTRY
        while self._size > self._capacity:
            _, (_, freed) = self._held.popitem(last=False)
            self._size -= freed
