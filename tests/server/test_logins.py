"""Logging in: what a header says, whose password it is, and what is remembered of it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import anyio
import bcrypt
import pytest

from regsync.remote.documents import fetch_document
from regsync.server.access import Principal
from regsync.server.credentials import (
    MAX_HEADER,
    MalformedCredentialsError,
    Password,
    Token,
    parse_authorization,
)
from regsync.server.failed_logins import FREE_OF_CLIENT, FREE_OF_USER, FailedLogins
from regsync.server.failures import ApiError
from regsync.server.htpasswd import Htpasswd, HtpasswdError
from regsync.server.issuer_keys import IssuerKeys
from regsync.server.logins import REMEMBERED, Logins
from regsync.server.tokens import Tokens
from regsync.spec.server import JwtIssuer
from tests.server.users import basic, hashed, write
from tests.support.clock import FrozenClock
from tests.support.oidc_issuer import AUDIENCE, OidcIssuer

pytestmark = pytest.mark.anyio
HERE, THERE = "192.0.2.1", "192.0.2.2"


class CountingUsers(Htpasswd):
    """Says how many passwords were really checked."""

    checks = 0

    async def check(self, user: str, password: bytes) -> bytes | None:
        self.checks += 1
        return await super().check(user, password)


class World:
    """Logins over a file with ann and bob."""

    def __init__(self, directory: Path, clock: FrozenClock, tokens: Tokens | None = None) -> None:
        self.path = write(directory / "users", {"ann": "secret", "bob": "other"})
        self.clock = clock
        self.users = CountingUsers(self.path, clock)
        groups = {"ci": ["ann", "ci:robot"], "all": ["ann", "bob"]}
        self.logins = Logins(self.users, tokens, groups, lambda one: one, FailedLogins(clock), clock)

    async def identify(self, header: str, client: str = HERE) -> Principal | None:
        return await self.logins.identify(header, client)

    async def status(self, header: str, client: str = HERE) -> int:
        try:
            await self.identify(header, client)
        except ApiError as error:
            return error.status
        return 200


@pytest.fixture
def world(tmp_path: Path, clock: FrozenClock) -> World:
    return World(tmp_path, clock)


async def test_a_right_password_is_a_user_with_groups(world: World) -> None:
    found = await world.identify(basic("ann", "secret"))
    assert found is not None
    assert (found.name, found.groups) == ("ann", {"ci", "all"})


@pytest.mark.parametrize(
    ("user", "password"),
    [
        ("ann", "other"),
        ("ann", ""),
        ("nobody", "secret"),
        ("", "secret"),
        ("ann ", "secret"),
        ("ann", "a\0b"),
    ],
)
async def test_anything_else_is_refused_alike(world: World, user: str, password: str) -> None:
    with pytest.raises(ApiError) as caught:
        await world.identify(basic(user, password))
    assert (caught.value.status, str(caught.value)) == (401, "user or password is wrong")
    assert caught.value.headers == {"WWW-Authenticate": 'Basic realm="regsync"'}
    assert world.users.checks == 1  # also where there is no such user


async def test_no_user_and_no_password_is_no_login(world: World) -> None:
    assert await world.identify(basic("", "")) is None


async def test_a_thousand_pulls_cost_one_check(world: World) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(1000):
            group.start_soon(world.identify, basic("ann", "secret"))
    for _ in range(1000):
        await world.identify(basic("ann", "secret"))
    assert world.users.checks == 1


async def test_a_login_is_checked_again_after_a_while(world: World) -> None:
    await world.identify(basic("ann", "secret"))
    world.clock.advance(REMEMBERED)
    await world.identify(basic("ann", "secret"))
    assert world.users.checks == 2


async def test_a_changed_password_ends_the_old_login_at_once(world: World) -> None:
    await world.identify(basic("ann", "secret"))
    await world.identify(basic("bob", "other"))
    write(world.path, {"ann": "changed", "carol": "new"})
    world.clock.advance(1)
    assert await world.status(basic("ann", "secret")) == 401
    assert await world.status(basic("bob", "other")) == 401
    assert await world.status(basic("ann", "changed")) == 200
    assert await world.status(basic("carol", "new")) == 200


async def test_a_file_that_became_wrong_changes_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.path.write_text("ann:secret\n")
    world.clock.advance(1)
    assert await world.status(basic("bob", "other")) == 200
    world.path.unlink()
    world.clock.advance(1)
    assert await world.status(basic("ann", "secret")) == 200
    assert "users stay as they were" in caplog.text
    assert "ann:secret" not in caplog.text


async def test_guessing_is_told_to_wait_and_checked_no_more(world: World) -> None:
    for number in range(FREE_OF_USER):
        assert await world.status(basic("ann", f"guess {number}")) == 401
    with pytest.raises(ApiError) as caught:
        await world.identify(basic("ann", "secret"))
    assert (caught.value.status, caught.value.code) == (429, "TOOMANYREQUESTS")
    assert caught.value.headers == {"Retry-After": "2"}
    assert world.users.checks == FREE_OF_USER
    world.clock.advance(1)
    assert await world.status(basic("ann", "secret")) == 200


async def test_who_was_logged_in_is_not_held_up_by_who_guesses_beside(world: World) -> None:
    await world.identify(basic("ann", "secret"))
    for number in range(FREE_OF_CLIENT * 2):
        await world.status(basic("ann", f"guess {number}"))
        await world.status(basic(f"user{number}", "guess"))
    assert await world.status(basic("bob", "other")) == 429
    assert await world.status(basic("ann", "secret")) == 200
    world.clock.advance(REMEMBERED)  # though it is checked again
    for number in range(FREE_OF_CLIENT):
        await world.status(basic(f"more{number}", "guess"))
    assert await world.status(basic("ann", "secret")) == 200
    assert await world.status(basic("bob", "other"), THERE) == 200


async def test_a_login_that_was_right_once_is_no_way_to_guess(world: World) -> None:
    await world.identify(basic("ann", "secret"))
    write(world.path, {"ann": "changed"})
    world.clock.advance(1)
    found = [await world.status(basic("ann", "secret")) for _ in range(FREE_OF_USER + 2)]
    assert found == [401] * (FREE_OF_USER + 1) + [429]


async def test_what_is_remembered_holds_no_password(world: World) -> None:
    await world.identify(basic("ann", "secret"))
    kept = repr(world.logins._known)
    assert "secret" not in kept
    assert basic("ann", "secret").split()[1] not in kept


def test_credentials_do_not_show_in_their_own_repr() -> None:
    assert "secret" not in repr(parse_authorization(basic("ann", "secret")))
    assert "eyJ" not in repr(parse_authorization("Bearer eyJa.b.c"))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param(basic("ann", "a:b"), Password("ann", b"a:b"), id="a colon in the password"),
        pytest.param("basic " + basic("a", "b")[6:], Password("a", b"b"), id="in lower case"),
        pytest.param(basic("a", b"\xff"), Password("a", b"\xff"), id="no UTF-8"),
        pytest.param(basic("any", "eyJa.b.c"), Token("eyJa.b.c"), id="a token as password"),
        pytest.param("Bearer eyJa.b-_.c", Token("eyJa.b-_.c"), id="a bearer token"),
        pytest.param(basic("", ""), None, id="nothing"),
    ],
)
def test_headers_are_read(header: str, expected: Password | Token | None) -> None:
    assert parse_authorization(header) == expected


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic é",
        "Basic YQ",
        "Basic YQ==",
        "Digest a",
        "Bearer",
        "Bearer a.b",
        "Bearer eyJa.b.c.d",
        "Basic " + "A" * MAX_HEADER,
    ],
)
def test_headers_that_say_nothing_are_refused(header: str) -> None:
    with pytest.raises(MalformedCredentialsError):
        parse_authorization(header)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("ann:$apr1$x$y", "users:1: user 'ann' has no hash of bcrypt", id="MD5"),
        pytest.param("# team\n\nann:{SHA}x", "users:3: user 'ann' has no hash", id="SHA, in the third line"),
        pytest.param("ann", "users:1: user 'ann' has no hash", id="no colon"),
        pytest.param(":x", "users:1: expected USER:HASH", id="no name"),
        pytest.param(f"ann:{hashed('a')}\nann:{hashed('b')}", "users:2: user 'ann' stands twice", id="twice"),
        pytest.param(
            f"ann:{hashed('a').replace('$04$', '$30$')}", "has a hash of cost 30; expected 4 to 16", id="dear"
        ),
        pytest.param(
            f"ann:{hashed('a').replace('$2b$', '$2x$')}", "has no hash of bcrypt", id="the broken bcrypt"
        ),
    ],
)
def test_a_wrong_line_is_named_without_its_hash(
    tmp_path: Path, clock: FrozenClock, text: str, expected: str
) -> None:
    path = tmp_path / "users"
    path.write_text(text)
    with pytest.raises(HtpasswdError) as caught:
        Htpasswd(path, clock)
    assert expected in str(caught.value)
    assert "$" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path, clock: FrozenClock) -> None:
    with pytest.raises(HtpasswdError, match="users: No such file"):
        Htpasswd(tmp_path / "users", clock)


async def test_every_spelling_of_bcrypt_is_read(tmp_path: Path, clock: FrozenClock) -> None:
    path = tmp_path / "users"
    text = hashed("secret")
    path.write_text("".join(f"{one}:{text.replace('$2b$', f'$2{one}$')}\r\n" for one in "aby"))
    users = Htpasswd(path, clock)
    for one in "aby":
        assert await users.check(one, b"secret")
        assert not await users.check(one, b"wrong")


async def test_a_password_counts_up_to_72_bytes_as_everywhere(tmp_path: Path, clock: FrozenClock) -> None:
    path = tmp_path / "users"
    path.write_text(f"ann:{hashed(b'x' * 72)}\n")
    assert await Htpasswd(path, clock).check("ann", b"x" * 100)


def test_nobody_costs_as_much_as_the_dearest_user(tmp_path: Path, clock: FrozenClock) -> None:
    path = tmp_path / "users"
    path.write_text(f"ann:{hashed('a', 4)}\nbob:{hashed('b', 6)}\n")
    decoy = Htpasswd(path, clock)._decoy
    assert decoy.startswith(b"$2b$06$")
    assert not bcrypt.checkpw(b"a", decoy)


async def test_nobody_is_compared_with_a_hash_and_never_let_in(tmp_path: Path, clock: FrozenClock) -> None:
    users = Htpasswd(write(tmp_path / "users", {"ann": "secret"}), clock)
    users._decoy = hashed("guess").encode()
    assert await users.check("nobody", b"guess") is None
    users._decoy = b"no hash"
    with pytest.raises(ValueError, match="salt"):
        await users.check("nobody", b"guess")


@pytest.fixture
def issuer() -> Iterator[OidcIssuer]:
    with OidcIssuer() as one:
        yield one


def with_tokens(tmp_path: Path, issuer: OidcIssuer) -> World:
    clock = FrozenClock(datetime.fromtimestamp(issuer.now, UTC))
    declared = JwtIssuer("ci", issuer.url, (AUDIENCE,))
    keys = IssuerKeys(declared, fetch_document, clock)
    return World(tmp_path, clock, Tokens([(declared, keys)], clock))


async def test_a_token_logs_in_as_bearer_and_as_any_users_password(
    tmp_path: Path, issuer: OidcIssuer
) -> None:
    world = with_tokens(tmp_path, issuer)
    token = issuer.token(sub="robot", groups=["devs"])
    for header in (f"Bearer {token}", basic("oauth2accesstoken", token), basic("ann", token)):
        found = await world.identify(header)
        assert found is not None
        assert (found.name, found.groups) == ("ci:robot", {"ci:devs", "ci"})
    assert world.users.checks == 0


async def test_a_remembered_token_ends_when_it_expires(tmp_path: Path, issuer: OidcIssuer) -> None:
    world = with_tokens(tmp_path, issuer)
    header = f"Bearer {issuer.token(exp=int(issuer.now) + 30)}"
    assert await world.status(header) == 200
    world.clock.advance(89)
    assert await world.status(header) == 200
    world.clock.advance(2)
    assert await world.status(header) == 401


async def test_wrong_tokens_hold_up_nobody(tmp_path: Path, issuer: OidcIssuer) -> None:
    world = with_tokens(tmp_path, issuer)
    for number in range(FREE_OF_CLIENT + 10):
        assert await world.status(f"Bearer {issuer.token(aud='other', jti=str(number))}") == 401
    assert await world.status(basic("ann", "secret")) == 200
    assert await world.status(f"Bearer {issuer.token()}") == 200


async def test_an_issuer_out_of_reach_is_not_the_bearers_fault(tmp_path: Path, issuer: OidcIssuer) -> None:
    issuer.is_down = True
    assert await with_tokens(tmp_path, issuer).status(f"Bearer {issuer.token()}") == 503


async def test_tokens_where_none_are_taken_are_refused(world: World) -> None:
    assert await world.status("Bearer eyJa.b.c") == 401
