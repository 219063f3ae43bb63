"""The pages beside the API: who may read metrics, and when the server says that it is not ready."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from regsync.oci.reference import RepositoryName
from regsync.server.access import Access, Action, AnonymousAccess, Principal
from regsync.server.access_log import AccessLog, LogFormat
from regsync.server.failures import ApiError
from regsync.server.garbage import Collected
from regsync.server.message import Request
from regsync.server.metrics import RequestMetrics
from regsync.server.pages import METRICS, MetricsPage, Readiness
from regsync.server.policy import Policy
from regsync.server.stalled import Bodies
from regsync.server.watch import Exchange
from regsync.store.builtin import BuiltinStore
from tests.server.exchanges import request
from tests.support.clock import FrozenClock

pytestmark = pytest.mark.anyio

OPEN = Policy(AnonymousAccess(set(Action) - {Action.ADMIN}))


class Logins:
    """Who comes with `authorization: NAME` is that; `scraper` may administrate metrics, and nobody else."""

    challenge: str | None = 'Basic realm="test"'

    async def identify(self, request: Request) -> Principal:
        return Principal(request.header(b"authorization") or "")

    def allows(self, principal: Principal, action: Action, name: RepositoryName) -> bool:
        return (principal.name, action, name) == ("scraper", Action.ADMIN, METRICS)


def asking(path: str, **more: Any) -> Exchange:
    return Exchange(request("GET", path, **more), 0.0)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[BuiltinStore]:
    async with BuiltinStore.open(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def metrics(store: BuiltinStore) -> MetricsPage:
    clock = FrozenClock()
    log = AccessLog(print, clock, LogFormat.TEXT)
    return MetricsPage(store, RequestMetrics(Collected()), log, None, Bodies(clock), clock)


@pytest.mark.parametrize(
    ("client", "access", "who", "status"),
    [
        pytest.param("127.0.0.1", Logins(), None, 200, id="this host needs no login"),
        pytest.param("::1", OPEN.access, None, 200, id="this host by IPv6"),
        pytest.param("192.0.2.7", OPEN.access, None, 403, id="elsewhere, where nobody can log in"),
        pytest.param("192.0.2.7", Logins(), None, 401, id="elsewhere without a login"),
        pytest.param("192.0.2.7", Logins(), "builder", 403, id="elsewhere, as somebody else"),
        pytest.param("192.0.2.7", Logins(), "scraper", 200, id="elsewhere, as an administrator of them"),
    ],
)
async def test_metrics_are_for_this_host_and_those_whom_the_policy_names(
    metrics: MetricsPage, client: str, access: Access, who: str | None, status: int
) -> None:
    headers = {} if who is None else {"authorization": who}
    asked = asking("/metrics", client=client, headers=headers)
    if status != 200:
        with pytest.raises(ApiError) as refused:
            await metrics.page(asked, Policy(access))
        assert refused.value.status == status
        assert asked.principal == Principal(who or "")
        return
    answer = await metrics.page(asked, Policy(access))
    assert answer.status == 200
    assert b"regsync_storage_bytes 0.0" in answer.body


async def test_a_server_that_ends_is_not_ready(store: BuiltinStore) -> None:
    readiness = Readiness(store, None, FrozenClock())
    assert (await readiness.page(asking("/readyz"), OPEN)).status == 200
    readiness.draining = True
    answer = await readiness.page(asking("/readyz"), OPEN)
    assert (answer.status, answer.body) == (503, b"not ready: draining\n")


async def test_storage_that_takes_nothing_is_not_ready_unless_nothing_is_to_be_written(
    store: BuiltinStore,
) -> None:
    clock = FrozenClock()
    readiness = Readiness(store, None, clock)
    shutil.rmtree(store.path)
    answer = await readiness.page(asking("/readyz"), OPEN)
    assert (answer.status, answer.body) == (503, b"not ready: storage\n")
    clock.advance(2)
    answer = await readiness.page(asking("/readyz"), Policy(OPEN.access, read_only=True))
    assert answer.status == 200
