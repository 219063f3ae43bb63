"""Failed logins are slowed: each makes the next wait longer (OWASP ASVS 5.0, 6.3.1).

Two things are counted: wrong passwords for one user from one client, and for any users from one
client. Nothing is counted across clients for one user, or whoever knows a name could lock its owner
out from everywhere. An attempt counts as failed from its beginning on, so that many at once are no
way around it, and is taken back when the password was right.
"""

from collections import OrderedDict
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from regsync.clock import Clock

FREE_OF_USER = 5  # wrong passwords for one user, before there is any wait
FREE_OF_CLIENT = 30  # for all users together
LONGEST = 300.0  # seconds of waiting
FORGOTTEN_AFTER = 3600.0  # seconds without an attempt
MAX_REMEMBERED = 20_000  # pairs and clients; the one longest ago goes first
MAX_USER = 128  # characters of a user's name that are told apart


class _Record:
    __slots__ = ("count", "last")

    def __init__(self, now: float) -> None:
        self.count, self.last = 0, now


class FailedLogins:
    """What is remembered of attempts, for as long as the process lives."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._records: OrderedDict[tuple[str, str | None], _Record] = OrderedDict()

    def attempt(self, client: str, user: str) -> float:
        """Count an attempt; or say how many seconds it has to wait, and count nothing."""
        now = self._clock.monotonic()
        client = network_of(client)
        pair, every = self._record((client, user[:MAX_USER]), now), self._record((client, None), now)
        wait = max(_wait(pair, FREE_OF_USER, now), _wait(every, FREE_OF_CLIENT, now))
        if wait > 0:
            return wait
        for record in (pair, every):
            record.count += 1
            record.last = now
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
            if record is not None:
                record.count -= 1

    def _record(self, key: tuple[str, str | None], now: float) -> _Record:
        found = self._records.get(key)
        if found is None or now - found.last > FORGOTTEN_AFTER:
            found = self._records[key] = _Record(now)
            if len(self._records) > MAX_REMEMBERED:
                self._records.popitem(last=False)
        self._records.move_to_end(key)
        return found


def _wait(record: _Record, free: int, now: float) -> float:
    over = record.count - free
    if over < 0:
        return 0.0
    return max(0.0, record.last + min(2.0 ** min(over, 16), LONGEST) - now)


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
