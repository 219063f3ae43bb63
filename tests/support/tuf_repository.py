"""A TUF repository on 127.0.0.1, as Sigstore publishes trusted roots, made and signed with python-tuf.

    with TufRepository(b"{…}") as repository:
        repository.publish(b"{…}")            # another trusted root
        repository.url, repository.root       # what a client needs

Source: The Update Framework, section 4.
"""

import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from securesystemslib.signer._crypto_signer import CryptoSigner
from tuf.api._payload import Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.metadata import Metadata

ROLES = (Root.type, Timestamp.type, Snapshot.type, Targets.type)
TRUSTED_ROOT = "trusted_root.json"


class TufRepository:
    """Serves what is in `files`, which a test may alter; one key for each role."""

    def __init__(self, trusted_root: bytes, *, lifetime: timedelta = timedelta(days=1)) -> None:
        self.files: dict[str, bytes] = {}
        self.cut: set[str] = set()  # of these only the first half is sent
        self.signers = {role: CryptoSigner.generate_ed25519() for role in ROLES}
        self.version = 0
        self._lifetime = lifetime
        self._root_version = 0
        self.rotate_root()
        self.root = self.files["/1.root.json"]
        self.publish(trusted_root)

    def rotate_root(self, *, by: Mapping[str, CryptoSigner] | None = None) -> None:
        """The next version of the root, signed by the keys of the last one, or of others."""
        self._root_version += 1
        root = Root(version=self._root_version, expires=self._expires(), consistent_snapshot=True)
        for role, signer in self.signers.items():
            root.add_key(signer.public_key, role)
        signer = (by or self.signers)[Root.type]
        self.files[f"/{self._root_version}.root.json"] = _signed(Metadata(root), signer)

    def publish(self, trusted_root: bytes, *, name: str = TRUSTED_ROOT) -> None:
        """The next version of everything but the root, with one target."""
        self.version += 1
        target = TargetFile.from_data(name, trusted_root, ["sha256"])
        targets = Targets(version=self.version, expires=self._expires(), targets={name: target})
        snapshot = Snapshot(version=self.version, expires=self._expires())
        snapshot.meta["targets.json"].version = self.version
        timestamp = Timestamp(version=self.version, expires=self._expires())
        timestamp.snapshot_meta.version = self.version
        self.files |= {
            f"/targets/{target.hashes['sha256']}.{name}": trusted_root,
            f"/{self.version}.targets.json": _signed(Metadata(targets), self.signers[Targets.type]),
            f"/{self.version}.snapshot.json": _signed(Metadata(snapshot), self.signers[Snapshot.type]),
            "/timestamp.json": _signed(Metadata(timestamp), self.signers[Timestamp.type]),
        }

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        repository = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = repository.files.get(self.path, b"")
                self.send_response(200 if found else 404)
                self.send_header("content-length", str(len(found)))
                self.end_headers()
                self.wfile.write(found[: len(found) // 2] if self.path in repository.cut else found)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _expires(self) -> datetime:
        return (datetime.now(UTC) + self._lifetime).replace(microsecond=0)


def _signed(metadata: Metadata[Any], signer: CryptoSigner) -> bytes:
    metadata.sign(signer)
    return metadata.to_bytes()
