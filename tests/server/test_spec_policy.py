"""A Server document becomes a policy."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import bcrypt
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
    JwtIssuer,
    Listen,
    Server,
    ServerAuth,
    Subject,
    SubjectKind,
)
from tests.server.users import basic, write
from tests.support.clock import FrozenClock
from tests.support.oidc_issuer import AUDIENCE, OidcIssuer

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


def tokens_of(issuer: OidcIssuer, jwks: Path | None = None) -> Server:
    auth = ServerAuth(jwt=(JwtIssuer("ci", issuer.url, (AUDIENCE,), jwks),))
    return server(auth=auth, access=(ANONYMOUS,))


async def test_reading_the_spec_again_forgets_no_keys_of_issuers(means: Means) -> None:
    with OidcIssuer() as issuer:
        means.clock = FrozenClock(datetime.fromtimestamp(issuer.now, UTC))
        document = tokens_of(issuer)
        assert await may(policy_of(document, means, DEFAULT), Action.PULL, f"Bearer {issuer.token()}")
        issuer.is_down = True
        changed = replace(document, access=(*(document.access or ()), ANONYMOUS))
        policy = policy_of(changed, means, DEFAULT)
        assert await may(policy, Action.PULL, f"Bearer {issuer.token(jti='another')}")


async def test_keys_in_a_file_are_read_again_with_the_spec(means: Means, tmp_path: Path) -> None:
    with OidcIssuer() as issuer:
        means.clock = FrozenClock(datetime.fromtimestamp(issuer.now, UTC))
        path, first = tmp_path / "keys.json", issuer.token()
        path.write_text(json.dumps({"keys": issuer.keys}))
        document = tokens_of(issuer, path)
        assert await may(policy_of(document, means, DEFAULT), Action.PULL, f"Bearer {first}")
        path.write_text(json.dumps({"keys": []}))
        policy = policy_of(document, means, DEFAULT)
        with pytest.raises(ApiError, match="a key that its issuer does not have"):
            await may(policy, Action.PULL, f"Bearer {issuer.token(jti='another')}")


async def test_reading_the_spec_again_forgets_logins_only_when_it_changes_who_may_log_in(
    means: Means, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = list[bytes]()
    check = bcrypt.checkpw

    def counted(password: bytes, expected: bytes) -> bool:
        checked.append(password)
        return check(password, expected)

    monkeypatch.setattr(bcrypt, "checkpw", counted)
    auth = ServerAuth(write(tmp_path / "users", {"ann": "secret"}))
    document = server(auth=auth, access=(ANONYMOUS,))
    same = replace(document, read_only=True)
    changed = replace(document, access=(ANONYMOUS, replace(ANONYMOUS, actions=frozenset({"push"}))))
    for one, checks in [(document, 1), (same, 1), (changed, 2), (changed, 2)]:
        policy = policy_of(one, means, DEFAULT)
        assert await may(policy, Action.PULL, basic("ann", "secret"))
        assert policy.read_only == one.read_only
        assert len(checked) == checks
    assert await may(policy, Action.PUSH, basic("ann", "secret"))
