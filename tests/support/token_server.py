"""A token server for registries with `auth: token`: real signed tokens over a real socket.

    with TokenServer(directory, users={"ci": "secret"}) as tokens:
        tokens.expires_in = 1              # seconds, for the next tokens
        tokens.anonymous_pull = True       # without credentials: pull, nothing else
        ...
        assert tokens.count == 1           # requests so far; `tokens.requests` has each

It answers GET with scopes in the query (Basic credentials or none) and the OAuth2 POST with grant types
password and refresh_token; a GET with `offline_token=true` and any POST with `access_type=offline` also get
a refresh token.
"""

import base64
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

SERVICE = "registry.test"
ISSUER = "regsync-tests"
KEY_ID = "test-key-1"


@dataclass(frozen=True)
class TokenRequest:
    """One request for a token; `user` is None for an anonymous one."""

    method: str
    scopes: tuple[str, ...]
    user: str | None
    grant_type: str | None
    form: Mapping[str, str] = field(default_factory=dict)
    status: int = 200


class TokenServer:
    """Signs tokens; change its attributes while it runs.

    Attributes:
        expires_in: lifetime of the next tokens, seconds.
        omit_expiry: leave `expires_in` and `issued_at` out of the answer (the client must then assume 60 s).
        anonymous_pull: whether a request without credentials gets `pull`.
        field_name: `token`, as Docker's, or `access_token`, as OAuth2's.
        oauth2: whether POST is served; False answers 404 as older servers do.
        grants: per user the actions that are granted at most, by default all.
        requests: every request seen.
    """

    def __init__(
        self, directory: Path, *, users: Mapping[str, str] | None = None, algorithm: str = "ES256"
    ) -> None:
        self.users = dict(users or {"ci": "secret"})
        self.algorithm = algorithm
        self.expires_in = 300
        self.omit_expiry = False
        self.anonymous_pull = False
        self.field_name = "token"
        self.oauth2 = True
        self.grants: dict[str, set[str]] = {}
        self.requests: list[TokenRequest] = []
        self.refresh_tokens: dict[str, str] = {}
        self._lock = Lock()
        self._key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = (
            ec.generate_private_key(ec.SECP256R1())
            if algorithm == "ES256"
            else rsa.generate_private_key(public_exponent=65537, key_size=2048)
        )
        self.jwks = directory / "jwks.json"
        self.jwks.write_text(json.dumps({"keys": [self._public_jwk()]}))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def realm(self) -> str:
        """The URL that a registry names in its challenge."""
        return f"http://127.0.0.1:{self._server.server_port}/token"

    @property
    def count(self) -> int:
        """How many tokens were asked for so far."""
        return len(self.requests)

    def refresh_token(self, user: str) -> str:
        """A new refresh (identity) token of the user, as `docker login` would store it."""
        token = "refresh-" + secrets.token_hex(8)
        self.refresh_tokens[token] = user
        return token

    def challenge(self, scope: str | None = None) -> str:
        """The value of a WWW-Authenticate header that leads here."""
        asked = f',scope="{scope}"' if scope else ""
        return f'Bearer realm="{self.realm}",service="{SERVICE}"{asked}'

    def sign(
        self, subject: str, access: Sequence[Mapping[str, Any]], *, expires_in: int | None = None
    ) -> str:
        """A token for exactly this access, whoever may ask for it."""
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "sub": subject,
            "aud": SERVICE,
            "exp": now + (self.expires_in if expires_in is None else expires_in),
            "nbf": now - 10,
            "iat": now,
            "jti": secrets.token_hex(8),
            "access": list(access),
        }
        header = {"typ": "JWT", "alg": self.algorithm, "kid": KEY_ID}
        signed = _encode(json.dumps(header).encode()) + "." + _encode(json.dumps(claims).encode())
        return signed + "." + _encode(self._signature(signed.encode()))

    def allows(self, token: str, kind: str, name: str, action: str) -> bool:
        """Whether a token is this server's, not expired, and grants the action."""
        head, _, signature = token.rpartition(".")
        try:
            self._verify(head.encode(), _decode(signature))
            claims = json.loads(_decode(head.partition(".")[2]))
        except (InvalidSignature, ValueError):
            return False
        if claims["exp"] <= time.time():
            return False
        return any(
            (one["type"], one["name"]) == (kind, name) and (action in one["actions"] or "*" in one["actions"])
            for one in claims["access"]
        )

    def answer(self, request: TokenRequest) -> tuple[int, dict[str, Any]]:
        """Status and document for a request; `user` is authenticated already."""
        access = [
            entry for scope in request.scopes if (entry := self._granted(scope, request.user)) is not None
        ]
        document: dict[str, Any] = {self.field_name: self.sign(request.user or "", access)}
        if not self.omit_expiry:
            document["expires_in"] = self.expires_in
            document["issued_at"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        offline = request.form.get("access_type") == "offline" or request.form.get("offline_token") == "true"
        if request.user and offline:
            document["refresh_token"] = self.refresh_token(request.user)
        return HTTPStatus.OK, document

    def user_of_grant(self, form: Mapping[str, str]) -> str | None:
        """Whom an OAuth2 form proves to be; None when it proves nobody."""
        if form.get("grant_type") == "refresh_token":
            return self.refresh_tokens.get(form.get("refresh_token", ""))
        name = form.get("username", "")
        return name if name in self.users and self.users[name] == form.get("password") else None

    def record(self, request: TokenRequest) -> None:
        """Keep what was asked."""
        with self._lock:
            self.requests.append(request)

    def close(self) -> None:
        """End the server and its thread."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _granted(self, scope: str, user: str | None) -> dict[str, Any] | None:
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        wanted = set(actions.split(","))
        if user is None:
            wanted &= {"pull"} if self.anonymous_pull else set()
        elif user in self.grants:
            wanted &= self.grants[user]
        return {"type": kind, "name": name, "actions": sorted(wanted)} if wanted else None

    def _public_jwk(self) -> dict[str, str]:
        common = {"kid": KEY_ID, "use": "sig", "alg": self.algorithm}
        numbers = self._key.public_key().public_numbers()
        if isinstance(numbers, ec.EllipticCurvePublicNumbers):
            point = {"x": _encode(numbers.x.to_bytes(32, "big")), "y": _encode(numbers.y.to_bytes(32, "big"))}
            return {"kty": "EC", "crv": "P-256", **point, **common}
        size = (numbers.n.bit_length() + 7) // 8
        return {
            "kty": "RSA",
            "n": _encode(numbers.n.to_bytes(size, "big")),
            "e": _encode(b"\x01\x00\x01"),
            **common,
        }

    def _signature(self, data: bytes) -> bytes:
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(data, PKCS1v15(), hashes.SHA256())
        r, s = decode_dss_signature(self._key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def _verify(self, data: bytes, signature: bytes) -> None:
        if isinstance(self._key, rsa.RSAPrivateKey):
            self._key.public_key().verify(signature, data, PKCS1v15(), hashes.SHA256())
            return
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        self._key.public_key().verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))


def _handler(tokens: TokenServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 5  # seconds an idle connection may keep its thread

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            form = {key: values[-1] for key, values in query.items()}
            scopes = tuple(scope for value in query.get("scope", []) for scope in value.split(" "))
            user = self._basic_user()
            self._finish(TokenRequest("GET", scopes, user or None, None, form), denied=user == "")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0"))).decode()
            form = {key: values[-1] for key, values in parse_qs(body).items()}
            user = tokens.user_of_grant(form)
            scopes = tuple(form.get("scope", "").split())
            request = TokenRequest("POST", scopes, user, form.get("grant_type"), form)
            self._finish(request, denied=user is None, absent=not tokens.oauth2)

        def _finish(self, request: TokenRequest, *, denied: bool, absent: bool = False) -> None:
            if absent:
                status, document = int(HTTPStatus.NOT_FOUND), {"error": "no such endpoint"}
            elif denied or (request.user is None and not tokens.anonymous_pull):
                status, document = int(HTTPStatus.UNAUTHORIZED), {"error": "invalid credentials"}
            else:
                status, document = tokens.answer(request)
            seen = TokenRequest(
                request.method, request.scopes, request.user, request.grant_type, request.form, int(status)
            )
            tokens.record(seen)
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _basic_user(self) -> str | None:
            """The user of the Basic header; None without one, empty when it is wrong."""
            scheme, _, value = self.headers.get("authorization", "").partition(" ")
            if not scheme:
                return None
            user, _, password = base64.b64decode(value).decode().partition(":")
            return user if tokens.users.get(user) == password else ""

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: `requests` has it all."""

    return Handler


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
