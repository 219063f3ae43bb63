"""An issuer of tokens as OpenID Connect has them, behind a real socket of the loopback interface.

with OidcIssuer() as issuer:
    token = issuer.token(sub="repo:acme/app", aud="registry")
    issuer.rotate()                        # a new key; the old one is gone from its key set
    issuer.is_down = True                  # 503 to everything
    assert issuer.paths == ["/.well-known/openid-configuration", "/keys"]
"""

import json
import ssl
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.support.certificates import Certificates

AUDIENCE = "registry.test"

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def new_key(algorithm: str) -> Key:
    """A private key that an algorithm takes."""
    match algorithm:
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case "ES384":
            return ec.generate_private_key(ec.SECP384R1())
        case "EdDSA":
            return ed25519.Ed25519PrivateKey.generate()
        case _:
            return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_jwk(key: Key, algorithm: str, **more: str) -> dict[str, Any]:
    """The public half as a JSON Web Key."""
    written = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    return {**written, "use": "sig", **more}


class OidcIssuer:
    """Signs tokens; change its attributes while it runs.

    With `certificates` it speaks HTTPS.

    Attributes:
        now: seconds since 1970 that tokens are issued at.
        keys: its key set, as it is published.
        discovery: what the discovery document says instead of or beside what is right.
        is_down: answer 503 to everything.
        redirect: send whoever asks there.
        body: answer this to everything, if it is not None.
        paths: every path that was asked for.
    """

    def __init__(self, algorithm: str = "ES256", *, certificates: Certificates | None = None) -> None:
        self.algorithm = algorithm
        self.redirect: str | None = None
        self.now = time.time()
        self.keys: list[dict[str, Any]] = []
        self.discovery: dict[str, Any] = {}
        self.is_down = False
        self.body: bytes | None = None
        self.paths: list[str] = []
        self._key: Key = new_key(algorithm)
        self._number = 0
        self.rotate()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._scheme = "http" if certificates is None else "https"
        if certificates is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificates.server_cert, certificates.server_key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The issuer."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}"

    @property
    def key(self) -> Key:
        """The key that it signs with now."""
        return self._key

    @property
    def key_id(self) -> str:
        """The name of that key."""
        return f"key-{self._number}"

    def rotate(self) -> None:
        """Sign with a new key from now on, and publish that one alone."""
        self._number += 1
        self._key = new_key(self.algorithm)
        self.keys = [public_jwk(self._key, self.algorithm, kid=self.key_id, alg=self.algorithm)]

    def claims(self, **more: Any) -> dict[str, Any]:
        """Claims that are right, with those in `more` over them; None leaves one out."""
        right = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "someone",
            "iat": int(self.now),
            "nbf": int(self.now),
            "exp": int(self.now) + 600,
        }
        return {name: value for name, value in {**right, **more}.items() if value is not None}

    def token(self, *, headers: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """A signed token."""
        found = {"kid": self.key_id, **(headers or {})}
        return jwt.encode(self.claims(**claims), self._key, self.algorithm, headers=found)

    def document(self, path: str) -> Any:
        """What is published at a path."""
        match path:
            case "/.well-known/openid-configuration":
                return {"issuer": self.url, "jwks_uri": f"{self.url}/keys", **self.discovery}
            case "/keys":
                return {"keys": self.keys}
            case _:
                return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(issuer: OidcIssuer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            issuer.paths.append(self.path)
            document = issuer.document(self.path)
            body = issuer.body if issuer.body is not None else json.dumps(document).encode()
            found = 404 if document is None else 200 if issuer.redirect is None else 302
            self.send_response(503 if issuer.is_down else found)
            if issuer.redirect is not None:
                self.send_header("Location", issuer.redirect)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
