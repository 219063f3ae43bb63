"""A Server document becomes a policy."""

from pathlib import Path

import pytest

from regsync.oci.reference import RepositoryName, Tag
from regsync.remote.documents import fetch_document
from regsync.server.access import Action, AnonymousAccess
from regsync.server.failed_logins import FREE_OF_USER, FailedLogins
from regsync.server.failures import ApiError
from regsync.server.message import Request
from regsync.server.policy import Policy
from regsync.server.spec_policy import Means, policy_of
from regsync.spec.server import (
    AccessRule,
    ImmutableRule,
    Listen,
    Server,
    ServerAuth,
    Subject,
    SubjectKind,
)
from tests.server.users import basic, write
from tests.support.clock import FrozenClock

pytestmark = pytest.mark.anyio
APP = RepositoryName("app")
DEFAULT = AnonymousAccess({Action.PULL})
ANONYMOUS = AccessRule((Subject(SubjectKind.ANONYMOUS),), ("app",), frozenset({"pull"}))


@pytest.fixture
def means(clock: FrozenClock) -> Means:
    return Means(clock, FailedLogins(clock), fetch_document)


def server(**more: object) -> Server:
    return Server(Listen("127.0.0.1", 5000), **more)  # type: ignore[arg-type]


async def nothing() -> dict[str, object]:
    raise AssertionError("nobody reads the body")


def request(header: str | None = None) -> Request:
    headers = [] if header is None else [(b"authorization", header.encode())]
    scope = {"method": "GET", "path": "/v2/", "headers": headers, "client": ("192.0.2.1", 1)}
    return Request(scope, nothing, "id")


async def may(policy: Policy, action: Action, header: str | None = None) -> bool:
    return policy.access.allows(await policy.access.identify(request(header)), action, APP)


async def test_without_rules_the_default_holds(means: Means) -> None:
    policy = policy_of(server(read_only=True), means, DEFAULT)
    assert policy.access is DEFAULT
    assert policy.read_only


async def test_without_logins_there_is_nobody_to_ask_for_one(means: Means) -> None:
    policy = policy_of(server(access=(ANONYMOUS,)), means, DEFAULT)
    assert policy.access.challenge is None
    assert await may(policy, Action.PULL)
    assert await may(policy, Action.PULL, basic("ann", "whatever"))
    assert not await may(policy, Action.PUSH)


async def test_rules_for_users_of_the_file(means: Means, tmp_path: Path) -> None:
    auth = ServerAuth(write(tmp_path / "users", {"ann": "secret"}), {"ci": ("ann",)})
    rule = AccessRule((Subject(SubjectKind.GROUP, "ci"),), ("app",), frozenset({"push"}))
    policy = policy_of(server(auth=auth, access=(ANONYMOUS, rule)), means, DEFAULT)
    assert policy.access.challenge is not None
    assert await may(policy, Action.PUSH, basic("ann", "secret"))
    assert not await may(policy, Action.PUSH)


async def test_immutable_tags(means: Means) -> None:
    policy = policy_of(server(immutable=(ImmutableRule(("app",), ("v*",)),)), means, DEFAULT)
    assert policy.is_immutable(APP, Tag("v1"))
    assert not policy.is_immutable(APP, Tag("latest"))


async def test_reading_the_spec_again_forgets_no_failed_login(means: Means, tmp_path: Path) -> None:
    auth = ServerAuth(write(tmp_path / "users", {"ann": "secret"}))
    document = server(auth=auth, access=(ANONYMOUS,))
    for status in [401] * FREE_OF_USER + [429]:
        policy = policy_of(document, means, DEFAULT)
        with pytest.raises(ApiError) as caught:
            await policy.access.identify(request(basic("ann", "wrong")))
        assert caught.value.status == status
