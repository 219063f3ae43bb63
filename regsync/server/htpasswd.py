"""Users and bcrypt hashes in a file, as `htpasswd -B` writes it; read again when it changed."""

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path

import bcrypt
from anyio import CapacityLimiter, to_thread

from regsync.clock import Clock
from regsync.errors import RegsyncError
from regsync.server.failures import RETRY_AFTER, ApiError

MAX_FILE = 16 * 1024 * 1024  # bytes
MIN_COST = 4
USUAL_COST = 10
MAX_COST = 16  # rounds as a power of two; one more doubles the 3 s that a guess costs this machine
LOOK_EVERY = 1.0  # seconds between two looks at the file's state
MAX_WAITING = 256  # logins that wait to be checked
SIGNIFICANT = 72  # bytes of a password that bcrypt reads, as every other program that checks one does

_log = logging.getLogger(__name__)
_HASH = re.compile(rb"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
# Of no known password: what a login of an unknown user is compared with, at the cost of a known one's.
_NOBODY = b"U6fz1j3Pv1cVHz1Kz1Q6zeDBaU3w3kk6VbYH8zP5pIWy3JqPb1mO6"

State = tuple[int, int, int]


class HtpasswdError(RegsyncError):
    """The file cannot be read, or a line is no user with a bcrypt hash."""

    usual_hint = "add users with `htpasswd -B FILE USER`; other hashes than bcrypt's are not read"

    def __init__(self, path: Path, cause: str, line: int | None = None) -> None:
        super().__init__(f"{path}{f':{line}' if line else ''}: {cause}")


class BusyError(ApiError):
    """So many logins wait to be checked that more would only wait longer."""

    def __init__(self) -> None:
        message = f"{MAX_WAITING} logins wait to be checked; try again"
        super().__init__(503, "UNAVAILABLE", message, headers={"Retry-After": str(RETRY_AFTER)})


class Htpasswd:
    """The users of one file. Made, it is read; HtpasswdError says what is wrong with it."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path, self._clock = path, clock
        self._state = self._look()
        self._looked = clock.monotonic()
        self._users, self._decoy = _read(path)
        # A hash takes 50 ms of one core. Half of them are left to those who only pull.
        self._workers = CapacityLimiter(max(1, (os.cpu_count() or 1) // 2))

    def hash_of(self, user: str) -> bytes | None:
        """What the file has for `user`, or had LOOK_EVERY ago; a file with a mistake changes nothing."""
        now = self._clock.monotonic()
        if now - self._looked >= LOOK_EVERY:
            self._looked = now
            self._refresh()
        return self._users.get(user)

    async def check(self, user: str, password: bytes) -> bytes | None:
        """The hash that `password` was found to belong to. Raises BusyError.

        It takes as long for users that there are not.
        """
        known = self.hash_of(user)
        expected = known or self._decoy
        if self._workers.statistics().tasks_waiting >= MAX_WAITING:
            raise BusyError
        is_right = await to_thread.run_sync(
            bcrypt.checkpw, password[:SIGNIFICANT], expected, limiter=self._workers
        )
        return known if is_right and known is not None else None

    def _look(self) -> State:
        try:
            found = self._path.stat()
        except OSError as cause:
            raise HtpasswdError(self._path, cause.strerror or "cannot be read") from cause
        return (found.st_mtime_ns, found.st_size, found.st_ino)

    def _refresh(self) -> None:
        try:
            state = self._look()
            if state == self._state:
                return
            self._users, self._decoy = _read(self._path)
            self._state = state
            _log.info("read %d users from %s again", len(self._users), self._path)
        except HtpasswdError as error:
            _log.error("users stay as they were: %s", error)


def _read(path: Path) -> tuple[Mapping[str, bytes], bytes]:
    """Users with their hashes, and a hash of nobody that costs as much as the dearest of them."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_FILE + 1)
    except OSError as cause:
        raise HtpasswdError(path, cause.strerror or "cannot be read") from cause
    if len(raw) > MAX_FILE:
        raise HtpasswdError(path, f"longer than {MAX_FILE} bytes")
    users: dict[str, bytes] = {}
    dearest = 0
    for number, line in enumerate(raw.splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith(b"#"):
            continue
        name, _, hashed = line.partition(b":")
        try:
            cost = _cost(name, hashed, users)
        except ValueError as cause:
            raise HtpasswdError(path, str(cause), number) from None
        dearest = max(dearest, cost)
        users[name.decode()] = hashed
    return users, b"$2b$%02d$%s" % (dearest or USUAL_COST, _NOBODY)


def _cost(name: bytes, hashed: bytes, users: Mapping[str, bytes]) -> int:
    """What a line's hash costs, as a power of two; raises ValueError, which does not repeat the hash."""
    user = name.decode("utf-8", "replace")
    if not user or not user.isprintable() or "\ufffd" in user:
        raise ValueError("expected USER:HASH, in UTF-8")
    if user in users:
        raise ValueError(f"user {user[:80]!r} stands twice")
    found = _HASH.fullmatch(hashed)
    if found is None:
        raise ValueError(f"user {user[:80]!r} has no hash of bcrypt")
    if not MIN_COST <= int(found[1]) <= MAX_COST:
        raise ValueError(
            f"user {user[:80]!r} has a hash of cost {int(found[1])}; expected {MIN_COST} to {MAX_COST}"
        )
    return int(found[1])
