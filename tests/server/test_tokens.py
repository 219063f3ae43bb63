"""Tokens as logins: what is taken, what is refused, and whose keys say so."""

import base64
import hmac
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
import pytest

from regsync.remote.documents import fetch_document
from regsync.server.issuer_keys import IssuerKeys, IssuerKeysError
from regsync.server.tokens import InvalidTokenError, Tokens
from regsync.spec.server import JwtIssuer
from tests.support.clock import FrozenClock
from tests.support.oidc_issuer import AUDIENCE, OidcIssuer, new_key, public_jwk

pytestmark = pytest.mark.anyio


@pytest.fixture
def issuer() -> Iterator[OidcIssuer]:
    with OidcIssuer() as one:
        yield one


@pytest.fixture
def clock(issuer: OidcIssuer) -> FrozenClock:
    return FrozenClock(datetime.fromtimestamp(issuer.now, UTC))


def declared(issuer: OidcIssuer, **more: Any) -> JwtIssuer:
    return replace(JwtIssuer("ci", issuer.url, (AUDIENCE,)), **more)


def tokens(issuer: OidcIssuer, clock: FrozenClock, **more: Any) -> Tokens:
    return reading([declared(issuer, **more)], clock)


def reading(issuers: Sequence[JwtIssuer], clock: FrozenClock) -> Tokens:
    return Tokens([(one, IssuerKeys(one, fetch_document, clock)) for one in issuers], clock)


async def refusal(of: Tokens, token: str) -> str:
    with pytest.raises(InvalidTokenError) as caught:
        await of.bearer(token)
    return str(caught.value)


async def test_a_token_makes_its_bearer_a_user_with_groups(issuer: OidcIssuer, clock: FrozenClock) -> None:
    found = await tokens(issuer, clock).bearer(issuer.token(sub="ann", groups=["devs", 7, "", "a\nb"]))
    assert found.principal.name == "ci:ann"
    assert found.principal.groups == {"ci:devs"}
    assert found.principal.issuer == "ci"
    assert found.principal.claims["sub"] == "ann"


async def test_other_claims_may_name_user_and_groups(issuer: OidcIssuer, clock: FrozenClock) -> None:
    reader = tokens(issuer, clock, username="email", groups="roles")
    found = await reader.bearer(issuer.token(email="a@b.c", roles="devs", groups=["others"]))
    assert found.principal.name == "ci:a@b.c"
    assert found.principal.groups == {"ci:devs"}
    assert "email names no user" in await refusal(reader, issuer.token())


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS256", "ES256", "ES384", "EdDSA"])
async def test_signatures_of_every_public_kind_are_taken(algorithm: str) -> None:
    with OidcIssuer(algorithm) as issuer:
        clock = FrozenClock(datetime.fromtimestamp(issuer.now, UTC))
        assert (await tokens(issuer, clock).bearer(issuer.token())).principal.name == "ci:someone"


async def test_without_a_key_id_the_only_key_that_fits_is_meant(
    issuer: OidcIssuer, clock: FrozenClock
) -> None:
    reader = tokens(issuer, clock)
    token = jwt.encode(issuer.claims(), issuer.key, "ES256")
    await reader.bearer(token)
    issuer.keys.append(public_jwk(new_key("ES256"), "ES256", kid="other"))
    assert "key that its issuer does not have" in await refusal(tokens(issuer, clock), token)


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        pytest.param({"aud": "another"}, "another audience", id="audience"),
        pytest.param({"aud": None}, "another audience", id="no audience"),
        pytest.param({"aud": [AUDIENCE + "x"]}, "another audience", id="an audience that begins alike"),
        pytest.param({"iss": "https://evil.example.com"}, "issuer is none that is known", id="issuer"),
        pytest.param({"exp": None}, "never expires", id="no end"),
        pytest.param({"exp": "soon"}, "exp is no time", id="no time"),
        pytest.param({"exp": True}, "exp is no time", id="a truth"),
        pytest.param({"exp": 10**30}, "exp is no time", id="too late"),
        pytest.param({"sub": None}, "sub names no user", id="nobody"),
        pytest.param({"sub": ""}, "sub names no user", id="an empty name"),
        pytest.param({"sub": 7}, "sub names no user", id="a number"),
        pytest.param({"sub": "a\nb"}, "sub names no user", id="a name that breaks a log"),
        pytest.param({"sub": "a" * 513}, "sub names no user", id="a long name"),
    ],
)
async def test_claims_that_are_no_login(
    issuer: OidcIssuer, clock: FrozenClock, claims: dict[str, Any], expected: str
) -> None:
    assert expected in await refusal(tokens(issuer, clock), issuer.token(**claims))


async def test_clocks_may_differ_by_a_minute(issuer: OidcIssuer, clock: FrozenClock) -> None:
    now, reader = int(issuer.now), tokens(issuer, clock)
    await reader.bearer(issuer.token(exp=now - 58))
    await reader.bearer(issuer.token(nbf=now + 58, iat=now + 58))
    assert "expired" in await refusal(reader, issuer.token(exp=now - 62))
    assert "not valid yet (nbf)" in await refusal(reader, issuer.token(nbf=now + 62))
    assert "not valid yet (iat)" in await refusal(reader, issuer.token(iat=now + 62))


async def test_required_claims_have_to_match(issuer: OidcIssuer, clock: FrozenClock) -> None:
    reader = tokens(issuer, clock, require={"repository_owner": "acme", "ref": "refs/heads/*"})
    await reader.bearer(issuer.token(repository_owner="acme", ref="refs/heads/main"))
    for claims in (
        {"repository_owner": "evil", "ref": "refs/heads/main"},
        {"repository_owner": "acme", "ref": "refs/pull/1/merge"},
        {"ref": "refs/heads/main"},
    ):
        assert "not one that is asked for" in await refusal(reader, issuer.token(**claims))


def segment(document: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


async def test_a_token_that_nobody_signed_is_refused(issuer: OidcIssuer, clock: FrozenClock) -> None:
    for algorithm in ("none", "None", "NONE"):
        token = f"{segment({'alg': algorithm})}.{segment(issuer.claims())}.e30"
        assert "algorithm is none that is taken" in await refusal(tokens(issuer, clock), token)


async def test_a_public_key_is_no_shared_secret(clock: FrozenClock) -> None:
    with OidcIssuer("RS256") as issuer:
        secret = json.dumps(issuer.keys[0]).encode()
        signed = f"{segment({'alg': 'HS256', 'kid': issuer.key_id})}.{segment(issuer.claims())}"
        mac = base64.urlsafe_b64encode(hmac.digest(secret, signed.encode(), "sha256")).rstrip(b"=").decode()
        assert "algorithm is none that is taken" in await refusal(tokens(issuer, clock), f"{signed}.{mac}")


async def test_another_key_of_the_same_name_does_not_do(issuer: OidcIssuer, clock: FrozenClock) -> None:
    forged = jwt.encode(issuer.claims(), new_key("ES256"), "ES256", headers={"kid": issuer.key_id})
    assert "signature is wrong" in await refusal(tokens(issuer, clock), forged)


async def test_changed_claims_do_not_pass(issuer: OidcIssuer, clock: FrozenClock) -> None:
    head, _, signature = issuer.token().split(".")
    forged = f"{head}.{segment(issuer.claims(sub='admin'))}.{signature}"
    assert "signature is wrong" in await refusal(tokens(issuer, clock), forged)


async def test_the_key_in_a_tokens_own_header_is_not_used(issuer: OidcIssuer, clock: FrozenClock) -> None:
    evil = new_key("ES256")
    headers = {"kid": issuer.key_id, "jwk": public_jwk(evil, "ES256"), "jku": f"{issuer.url}/keys"}
    forged = jwt.encode(issuer.claims(), evil, "ES256", headers=headers)
    assert "signature is wrong" in await refusal(tokens(issuer, clock), forged)


async def test_a_critical_extension_is_refused(issuer: OidcIssuer, clock: FrozenClock) -> None:
    token = issuer.token(headers={"crit": ["exp"]})
    assert "critical extension" in await refusal(tokens(issuer, clock), token)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("eyJ.a.b", id="no JSON"),
        pytest.param(f"{segment([])}.{segment({})}.a", id="a list"),
        pytest.param(f"{segment({'alg': ['ES256']})}.{segment({})}.a", id="a list of algorithms"),
        pytest.param(f"{segment({'alg': 'ES256'})}.{segment({'iss': {}})}.a", id="an issuer that is none"),
        pytest.param(
            f"{segment({'alg': 'ES256'})}.{base64.urlsafe_b64encode(b'[' * 9000).decode()}.a", id="deep"
        ),
        pytest.param("eyJhbGciOiJFUzI1NiJ9.e30", id="two parts"),
    ],
)
async def test_malformed_tokens_are_refused(issuer: OidcIssuer, clock: FrozenClock, token: str) -> None:
    await refusal(tokens(issuer, clock), token)
    assert issuer.paths == []


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"use": "enc"}, id="for encryption"),
        pytest.param({"alg": "ES384"}, id="for another algorithm"),
        pytest.param({"crv": "P-384"}, id="of another curve"),
        pytest.param({"x": "AAAA"}, id="broken"),
        pytest.param({"kty": "oct", "k": "AAAA"}, id="a secret"),
    ],
)
async def test_keys_that_do_not_fit_are_not_used(
    issuer: OidcIssuer, clock: FrozenClock, change: dict[str, str]
) -> None:
    issuer.keys = [{**issuer.keys[0], **change}]
    assert "key that its issuer does not have" in await refusal(tokens(issuer, clock), issuer.token())


async def test_short_rsa_keys_are_not_used(clock: FrozenClock) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    with OidcIssuer("RS256") as issuer:
        short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
        issuer.keys = [public_jwk(short, "RS256", kid="short")]
        with pytest.warns(match="1024 bits"):
            token = jwt.encode(issuer.claims(), short, "RS256", headers={"kid": "short"})
        assert "key that its issuer does not have" in await refusal(tokens(issuer, clock), token)


async def test_keys_are_read_once_and_again_after_an_hour(issuer: OidcIssuer, clock: FrozenClock) -> None:
    reader = tokens(issuer, clock)
    for _ in range(3):
        await reader.bearer(issuer.token())
    assert issuer.paths == ["/.well-known/openid-configuration", "/keys"]
    clock.advance(3600)
    await reader.bearer(issuer.token(exp=int(issuer.now) + 9000))
    assert len(issuer.paths) == 4


async def test_a_new_key_is_found_when_a_token_names_it(issuer: OidcIssuer, clock: FrozenClock) -> None:
    reader = tokens(issuer, clock)
    await reader.bearer(issuer.token())
    issuer.rotate()
    clock.advance(30)
    await reader.bearer(issuer.token())


async def test_unknown_keys_make_one_request_in_half_a_minute(issuer: OidcIssuer, clock: FrozenClock) -> None:
    reader = tokens(issuer, clock, jwks=f"{issuer.url}/keys")
    await reader.bearer(issuer.token())
    for _ in range(5):
        await refusal(reader, issuer.token(headers={"kid": "made up"}))
    assert issuer.paths == ["/keys"]
    clock.advance(30)
    for _ in range(5):
        await refusal(reader, issuer.token(headers={"kid": "made up"}))
    assert issuer.paths == ["/keys"] * 2


async def test_known_keys_stay_good_while_the_issuer_is_down(issuer: OidcIssuer, clock: FrozenClock) -> None:
    reader = tokens(issuer, clock)
    await reader.bearer(issuer.token())
    issuer.is_down = True
    clock.advance(7200)
    await reader.bearer(issuer.token(exp=int(issuer.now) + 9000))


async def test_an_issuer_that_was_down_is_asked_again_soon(issuer: OidcIssuer, clock: FrozenClock) -> None:
    reader = tokens(issuer, clock, jwks=f"{issuer.url}/keys")
    token = issuer.token(exp=int(issuer.now) + 9000)
    await reader.bearer(token)
    issuer.is_down = True
    clock.advance(3600)
    await reader.bearer(token)
    issuer.is_down = False
    issuer.rotate()
    clock.advance(30)
    assert "key that its issuer does not have" in await refusal(reader, token)


async def test_an_issuer_that_never_answered_is_asked_again_in_half_a_minute(
    issuer: OidcIssuer, clock: FrozenClock
) -> None:
    issuer.is_down = True
    reader = tokens(issuer, clock)
    for _ in range(3):
        with pytest.raises(IssuerKeysError, match="503"):
            await reader.bearer(issuer.token())
    assert len(issuer.paths) == 1
    issuer.is_down = False
    clock.advance(30)
    await reader.bearer(issuer.token())


@pytest.mark.parametrize(
    ("discovery", "expected"),
    [
        pytest.param({"issuer": "https://another"}, "speaks of another issuer", id="another issuer"),
        pytest.param({"jwks_uri": "http://10.0.0.1/keys"}, "no jwks_uri with https", id="plain HTTP"),
        pytest.param({"jwks_uri": "file:///etc/passwd"}, "no jwks_uri with https", id="a file"),
        pytest.param({"jwks_uri": None}, "no jwks_uri with https", id="none"),
    ],
)
async def test_discovery_that_leads_astray(
    issuer: OidcIssuer, clock: FrozenClock, discovery: dict[str, Any], expected: str
) -> None:
    issuer.discovery = discovery
    with pytest.raises(IssuerKeysError, match=expected):
        await tokens(issuer, clock).bearer(issuer.token())


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<html>", id="HTML"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'{"keys": 1}', id="no keys"),
        pytest.param(b'{"keys": [], "keys": []}', id="keys twice"),
        pytest.param(b" " * (512 * 1024 + 1), id="too long"),
    ],
)
async def test_answers_that_are_no_keys(issuer: OidcIssuer, clock: FrozenClock, body: bytes) -> None:
    issuer.body = body
    with pytest.raises(IssuerKeysError):
        await tokens(issuer, clock, jwks=f"{issuer.url}/keys").bearer(issuer.token())


async def test_keys_may_be_in_a_file(issuer: OidcIssuer, clock: FrozenClock, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": issuer.keys}))
    reader = tokens(issuer, clock, jwks=path)
    await reader.bearer(issuer.token())
    issuer.rotate()
    path.write_text(json.dumps({"keys": issuer.keys}))
    clock.advance(30)
    await reader.bearer(issuer.token())
    assert issuer.paths == []


async def test_an_issuer_cannot_speak_for_another(clock: FrozenClock, issuer: OidcIssuer) -> None:
    with OidcIssuer() as other:
        both = [declared(issuer), replace(declared(other), name="other")]
        reader = reading(both, clock)
        assert (await reader.bearer(other.token(sub="ann"))).principal.name == "other:ann"
        await refusal(reader, other.token(iss=issuer.url))
