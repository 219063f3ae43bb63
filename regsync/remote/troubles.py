"""Telling people early that a registry is waited for, so that half a minute of retries is no silence.

One short failure that the next attempt makes good is worth no word. Of what lasts longer one line is,
once per registry and kind of trouble, and again only when it goes on for minutes.
"""

from collections.abc import Callable

from regsync.clock import Clock
from regsync.remote.errors import RegistryError, RegistryTimeoutError, RegistryUnreachableError

LONG = 5.0  # seconds; a wait beyond it is told of when it begins
AGAIN_AFTER = 300.0  # seconds after which the same trouble is told of again

# Told the registry's host, what it answered and what is done about it, and how many seconds at most.
Tell = Callable[[str, str, float], None]


def tell_nobody(host: str, message: str, seconds: float) -> None:
    """A `Tell` for those who do not watch."""


class Troubles:
    """What was told of one host."""

    def __init__(self, host: str, clock: Clock, tell: Tell) -> None:
        self._host, self._clock, self._tell = host, clock, tell
        self._told: dict[str, float] = {}  # kind of trouble to when, on the monotonic clock

    def held_back(self, cause: str, seconds: float) -> None:
        """A request is put off for so long, because the registry said so before."""
        if seconds > LONG:
            self._once("asked", f"{cause}; waiting {seconds:.0f} s", seconds)

    def asked_to_wait(self, error: RegistryError, pause: float) -> None:
        """An answer said when to come back: in `pause` seconds."""
        self._once("asked", f"{error}; waiting {pause:.0f} s, as it asks", pause)

    def retrying(self, error: RegistryError, limit: float) -> None:
        """Attempts failed; there are more for as long as `limit` seconds from the first."""
        is_silent = isinstance(error, RegistryUnreachableError | RegistryTimeoutError)
        kind = "silent" if is_silent else "failing"
        self._once(kind, f"{error}; trying again for up to {limit:.0f} s", limit)

    def _once(self, kind: str, message: str, seconds: float) -> None:
        now = self._clock.monotonic()
        told = self._told.get(kind)
        if told is None or now - told >= AGAIN_AFTER:
            self._told[kind] = now
            # Errors of the transport know a URL alone, which may be that of a mirror or a token server.
            named = message if message.startswith(self._host) else f"{self._host}: {message}"
            self._tell(self._host, named, seconds)
