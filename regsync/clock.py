"""Time, randomness and identifiers: the only module that asks the machine for them."""

import os
import random
import secrets
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What a run may know of time and chance; tests freeze it."""

    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary point; never goes backwards."""
        ...

    def jitter(self, seconds: float) -> float:
        """A random duration between 0 and `seconds`."""
        ...

    def new_id(self) -> str:
        """A short identifier that no other call returns."""
        ...

    def new_secret(self) -> str:
        """32 hex characters that nobody can guess."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since an arbitrary point; never goes backwards."""
        return time.monotonic()

    def jitter(self, seconds: float) -> float:
        """A random duration between 0 and `seconds`."""
        return random.uniform(0, seconds)

    def new_id(self) -> str:
        """A short identifier that no other call returns."""
        return os.urandom(8).hex()

    def new_secret(self) -> str:
        """32 hex characters that nobody can guess."""
        return secrets.token_hex(16)
