"""Failed logins are slowed: each makes the next wait longer (OWASP ASVS 5.0, 6.3.1).

Two things are counted: wrong passwords for one user from one client, and for any users from one
client. Nothing is counted across clients for one user, or whoever knows a name could lock its owner
out from everywhere. An attempt counts as failed from its beginning on, so that many at once are no
way around it, and is taken back when the password was right.

What is remembered has an end, and whoever fills it with made-up users gets rid of those first: a record
that holds nobody up is forgotten before one that does, and one that came from a refusal is never made.
"""

from functools import lru_cache
from heapq import nsmallest
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from regsync.clock import Clock

FREE_OF_USER = 5  # wrong passwords for one user, before there is any wait
FREE_OF_CLIENT = 30  # for all users together
LONGEST = 300.0  # seconds of waiting
FORGOTTEN_AFTER = 3600.0  # seconds without an attempt
MAX_REMEMBERED = 20_000  # pairs and clients; beyond it a tenth goes, where the least has to be waited first
MAX_USER = 128  # characters of a user's name that are told apart


_Key = tuple[str, str | None]  # a client and a user, or all users


class _Record:
    __slots__ = ("count", "last")

    def __init__(self, now: float) -> None:
        self.count, self.last = 0, now


class FailedLogins:
    """What is remembered of attempts, for as long as the process lives."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._records: dict[_Key, _Record] = {}

    def attempt(self, client: str, user: str) -> float:
        """Count an attempt; or say how many seconds it has to wait, and count nothing."""
        now = self._clock.monotonic()
        client = network_of(client)
        keys: tuple[_Key, _Key] = (client, user[:MAX_USER]), (client, None)
        wait = max(self._wait(key, now) for key in keys)
        if wait > 0:
            return wait
        for key in keys:
            self._count(key, now)
        return 0.0

    def succeeded(self, client: str, user: str) -> None:
        """The attempt was right: it does not count, and no wrong password before it does."""
        self.forget(client, user)
        self._records.pop((network_of(client), user[:MAX_USER]), None)

    def forget(self, client: str, user: str) -> None:
        """The attempt came to no answer, and does not count."""
        client = network_of(client)
        for key in ((client, user[:MAX_USER]), (client, None)):
            record = self._records.get(key)
            if record is not None:  # else it was forgotten meanwhile, or begun again
                record.count = max(record.count - 1, 0)

    def _wait(self, key: _Key, now: float) -> float:
        record = self._records.get(key)
        return max(0.0, record.last + _delay(key, record) - now) if record is not None else 0.0

    def _count(self, key: _Key, now: float) -> None:
        record = self._records.get(key)
        if record is None or now - record.last > FORGOTTEN_AFTER:
            if record is None and len(self._records) >= MAX_REMEMBERED:
                self._make_room(now)
            record = self._records[key] = _Record(now)
        record.count += 1
        record.last = now

    def _make_room(self, now: float) -> None:
        def worth(key: _Key) -> tuple[bool, float, int, float]:
            record = self._records[key]
            is_valid = now - record.last <= FORGOTTEN_AFTER
            return is_valid, _delay(key, record), record.count, record.last

        for key in nsmallest(MAX_REMEMBERED // 10, self._records, key=worth):
            del self._records[key]


def _delay(key: _Key, record: _Record) -> float:
    """Seconds between the last attempt and the next."""
    over = record.count - (FREE_OF_CLIENT if key[1] is None else FREE_OF_USER)
    return min(2.0 ** min(over, 16), LONGEST) if over >= 0 else 0.0


@lru_cache(maxsize=4096)
def network_of(client: str) -> str:
    """What counts as one client: an IPv4 address, or the 64 leading bits that one IPv6 site has."""
    try:
        address = ip_address(client)
    except ValueError:
        return client
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if isinstance(address, IPv4Address):
        return str(address)
    return str(ip_network((address.packed[:8] + bytes(8), 64)))
