"""Quotas: reading what is announced, and leaving people their share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsync.remote.errors import WaitTooLongError
from regsync.remote.limits import Limiter, LimitSettings
from regsync.remote.quota import Quota, QuotaKeeper, read_quota
from regsync.remote.request import Headers, Kind
from tests.remote.sessions import Naps
from tests.support.clock import START, FrozenClock

pytestmark = pytest.mark.anyio

NOW = START.timestamp()


def read(**headers: str) -> Quota | None:
    pairs = [(key.replace("_", "-"), value) for key, value in headers.items()]
    return read_quota(Headers(pairs), now=NOW)


@pytest.mark.parametrize(
    ("headers", "quota"),
    [
        ({"ratelimit_limit": "100;w=21600", "ratelimit_remaining": "76;w=21600"}, Quota(76, 100, 21600)),
        (
            {"ratelimit_limit": "100", "ratelimit_remaining": "7", "ratelimit_reset": "50"},
            Quota(7, 100, None, 50),
        ),
        ({"x_ratelimit_limit": "2000", "x_ratelimit_remaining": "44000"}, Quota(44000, 2000)),
        ({"x_ratelimit_remaining": "5"}, Quota(5)),
        (
            {"ratelimit_limit": "10;w=60, 5000;w=3600", "ratelimit_remaining": "9;w=60, 100;w=3600"},
            Quota(100, 5000, 3600),
        ),
        ({"ratelimit_limit": '100;w=60;comment="a, b"', "ratelimit_remaining": "3"}, Quota(3, 100, 60)),
        ({"x_ratelimit_remaining": "0", "x_ratelimit_reset": str(int(NOW) + 90)}, Quota(0, None, None, 90)),
        ({"ratelimit_remaining": "soon"}, None),
        ({"ratelimit_remaining": "-1"}, None),
        ({"ratelimit_limit": "100"}, None),
        ({}, None),
    ],
)
def test_every_form_is_read(headers: dict[str, str], quota: Quota | None) -> None:
    assert read(**headers) == quota


@given(st.text(max_size=100), st.text(max_size=100), st.text(max_size=30))
def test_nothing_breaks_the_reader(limit: str, remaining: str, reset: str) -> None:
    read(ratelimit_limit=limit, ratelimit_remaining=remaining, ratelimit_reset=reset)


def test_what_is_left_counts_down_with_what_is_sent(clock: FrozenClock) -> None:
    keeper = QuotaKeeper(20, clock)
    keeper.announced(Quota(23, 100, 60))
    for _ in range(3):
        assert keeper.wait() == 0
        keeper.sent()
    assert keeper.wait() == 60
    keeper.answered()
    keeper.announced(Quota(22, 100, 60))  # two of the three are still on their way
    assert keeper.wait() == 60
    clock.advance(60)
    assert keeper.wait() == 0


def test_without_a_reserve_nothing_is_held_back(clock: FrozenClock) -> None:
    keeper = QuotaKeeper(0, clock)
    keeper.announced(Quota(0, 100, 60))
    assert keeper.wait() == 0


async def test_at_docker_hub_only_gets_of_manifests_count(clock: FrozenClock) -> None:
    limiter = Limiter("docker.io", clock, LimitSettings(reserve=50), sleep=Naps(clock))
    said = Headers([("ratelimit-limit", "100;w=21600"), ("ratelimit-remaining", "50;w=21600")])
    limiter.announced(Kind.MANIFEST_HEAD, said)  # a HEAD tells, and is free
    for kind in (Kind.MANIFEST_HEAD, Kind.BLOB_GET, Kind.LIST):
        (await limiter.enter(kind)).close()
    with pytest.raises(WaitTooLongError, match="reserve") as raised:
        await limiter.enter(Kind.MANIFEST_GET)
    assert raised.value.seconds == 21600


async def test_elsewhere_a_quota_is_for_the_kind_that_announced_it(clock: FrozenClock) -> None:
    naps = Naps(clock)
    limiter = Limiter("ghcr.io", clock, LimitSettings(reserve=10), sleep=naps)
    said = Headers(
        [("x-ratelimit-limit", "100"), ("x-ratelimit-remaining", "10"), ("x-ratelimit-reset", "30")]
    )
    limiter.announced(Kind.MANIFEST_GET, said)
    (await limiter.enter(Kind.BLOB_GET)).close()
    assert naps.taken == []
    (await limiter.enter(Kind.MANIFEST_GET)).close()
    assert naps.taken == [30]


async def test_a_small_quota_is_never_used_up(clock: FrozenClock) -> None:
    limiter = Limiter("docker.io", clock, LimitSettings(reserve=1), sleep=Naps(clock))
    limiter.announced(
        Kind.MANIFEST_GET, Headers([("ratelimit-limit", "10;w=600"), ("ratelimit-remaining", "3;w=600")])
    )
    permits = [await limiter.enter(Kind.MANIFEST_GET) for _ in range(2)]
    with pytest.raises(WaitTooLongError):
        await limiter.enter(Kind.MANIFEST_GET)
    for permit in permits:
        permit.close()
