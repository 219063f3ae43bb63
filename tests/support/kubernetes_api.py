"""A Kubernetes API server that lists pods, over real HTTPS, and fails on demand.

    with KubernetesApi(tmp_path) as cluster:
        cluster.add(pod("web", "a", image="ghcr.io/acme/web:1.0"))
        cluster.token = "secret"                    # a bearer token is asked for
        cluster.answers.append((503, {}))           # instead of the next answer
        kubeconfig.write_text(cluster.kubeconfig("prod"))

Pages are as long as the client's `limit` asks, at most `page_size`; `continue` tokens are opaque.
"""

import base64
import json
import ssl
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from tests.support.certificates import Certificates, issue


def pod(namespace: str, name: str, **containers: object) -> dict[str, Any]:
    """A pod that runs `image`, or whatever lists of containers and statuses are given."""
    spec: dict[str, Any] = {}
    status: dict[str, Any] = {"phase": "Running"}
    if "image" in containers:
        spec["containers"] = [{"name": "main", "image": containers.pop("image")}]
    for key, value in containers.items():
        (status if key.endswith("Statuses") else spec)[key] = value
    return {"metadata": {"namespace": namespace, "name": name}, "spec": spec, "status": status}


class KubernetesApi:
    """See the module's docstring. `requests` holds the query and headers of each request."""

    def __init__(self, directory: Path, *, client_certificates: bool = False) -> None:
        self.certificates: Certificates = issue(directory)
        self.pods: list[dict[str, Any]] = []
        self.requests: list[tuple[dict[str, str], dict[str, str]]] = []
        self.answers: list[tuple[int, object]] = []  # status and document, each for one request
        self.token: str | None = None
        self.page_size = 500
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificates.server_cert, self.certificates.server_key)
        if client_certificates:
            context.load_verify_locations(self.certificates.ca)
            context.verify_mode = ssl.CERT_REQUIRED
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """`https://127.0.0.1:PORT`."""
        return f"https://127.0.0.1:{self.port}"

    def add(self, *pods: dict[str, Any]) -> None:
        """More pods."""
        self.pods += pods

    def kubeconfig(self, context: str, *, user: Mapping[str, object] | None = None) -> str:
        """One for this server, with the CA in it; JSON, which is YAML."""
        authority = base64.b64encode(self.certificates.ca.read_bytes()).decode()
        cluster = {"server": self.url, "certificate-authority-data": authority}
        who = user if user is not None else {"token": self.token} if self.token else {}
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "another",
                "clusters": [{"name": "c", "cluster": cluster}],
                "users": [{"name": "u", "user": who}],
                "contexts": [{"name": context, "context": {"cluster": "c", "user": "u"}}],
            },
            indent=1,
        )

    def answer(self, path: str, query: dict[str, str], headers: dict[str, str]) -> tuple[int, object]:
        """What a request gets."""
        self.requests.append((query, headers))
        if self.answers:
            return self.answers.pop(0)
        if self.token is not None and headers.get("authorization") != f"Bearer {self.token}":
            return 401, _status(401, "Unauthorized")
        if path != "/api/v1/pods":
            return 404, _status(404, "NotFound")
        start = int(base64.b64decode(query["continue"])) if "continue" in query else 0
        end = start + min(int(query.get("limit", self.page_size)), self.page_size)
        metadata = {"resourceVersion": "1"}
        if end < len(self.pods):
            metadata["continue"] = base64.b64encode(str(end).encode()).decode()
        return 200, {
            "kind": "PodList",
            "apiVersion": "v1",
            "metadata": metadata,
            "items": self.pods[start:end],
        }

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
                status, document = api.answer(
                    parts.path, query, {key.lower(): value for key, value in self.headers.items()}
                )
                body = document if isinstance(document, bytes) else json.dumps(document).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing on stderr."""

        return Handler

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _status(code: int, reason: str) -> dict[str, Any]:
    return {"kind": "Status", "status": "Failure", "message": reason.lower(), "reason": reason, "code": code}
