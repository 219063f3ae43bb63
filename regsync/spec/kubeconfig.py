"""A kubeconfig, as far as it says how to read from one cluster: kubectl's file, or several of them.

Source: Kubernetes documentation, "Organizing Cluster Access Using kubeconfig Files", and the type
`Config` of client-go's clientcmd/api/v1. What would run a program to get credentials, or leave out
verification, is refused: a scheduled program needs neither.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from regsync.errors import RegsyncError
from regsync.spec.nodes import Entries, Items, Node, Scalar
from regsync.spec.problems import Problems
from regsync.spec.yaml_source import Dialect, read_documents

_KINDS = {"clusters": "cluster", "users": "user", "contexts": "context"}
_PROGRAMS = ("exec", "auth-provider")
_REFUSED = {
    "insecure-skip-tls-verify": "the cluster's certificate would not be verified",
    "proxy-url": "a proxy of its own is not supported: use HTTPS_PROXY",
    "tls-server-name": "another name in the certificate is not supported",
}


class KubeconfigError(RegsyncError):
    """A kubeconfig does not say how to read from the cluster, or not in a way that is taken."""

    usual_hint = (
        "make a service account that may list pods, and a context with its token: docs/pruning.md shows how"
    )

    def __init__(self, files: object, cause: str) -> None:
        super().__init__(f"kubeconfig {files}: {cause}")


@dataclass(frozen=True, slots=True)
class Material:
    """PEM text, or the file that it is in."""

    data: bytes | None = field(default=None, repr=False)
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """How to ask one cluster."""

    server: str  # https://host[:port][/path], without a slash at its end
    authority: Material | None = None  # trusted besides the system's
    certificate: Material | None = None
    key: Material | None = None
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None  # read for each request, since it is renewed; goes before `token`


def read_access(files: Sequence[tuple[Path, bytes]], context: str) -> ClusterAccess:
    """What the files say of `context`; of a name that stands in several, the first counts.

    Raises KubeconfigError.
    """
    shown = ", ".join(str(path) for path, _ in files)
    found: dict[str, dict[str, _Entry]] = {kind: {} for kind in _KINDS}
    for path, raw in files:
        _collect(path, raw, found)
    if context not in found["contexts"]:
        known = ", ".join(sorted(found["contexts"])[:20]) or "none"
        raise KubeconfigError(shown, f"there is no context {context[:80]!r}; there are: {known}")
    chosen = found["contexts"][context]
    cluster = _named(found, "clusters", chosen.text("cluster"), chosen)
    user = _named(found, "users", chosen.text("user"), chosen)
    for entry in (cluster, user):
        entry.refuse()
    certificate, key = user.material("client-certificate"), user.material("client-key")
    if (certificate is None) != (key is None):
        raise user.error("client-certificate and client-key go together")
    return ClusterAccess(
        _server(cluster),
        cluster.material("certificate-authority"),
        certificate,
        key,
        user.text("token"),
        user.path("tokenFile"),
    )


@dataclass(frozen=True, slots=True)
class _Entry:
    """A named cluster, user or context, and the file that it stands in."""

    kind: str
    name: str
    file: Path
    values: Mapping[str, Node]

    def error(self, cause: str) -> KubeconfigError:
        return KubeconfigError(self.file, f"{self.kind} {self.name[:80]}: {cause}")

    def text(self, key: str) -> str | None:
        value = self.values.get(key)
        if value is None or (isinstance(value, Scalar) and not value.text):
            return None
        if not isinstance(value, Scalar):
            raise self.error(f"{key}: expected text")
        return value.text

    def path(self, key: str) -> Path | None:
        text = self.text(key)
        return None if text is None else self.file.parent / text

    def material(self, key: str) -> Material | None:
        """`key-data`, in base64, goes before the file under `key`."""
        encoded = self.text(f"{key}-data")
        if encoded is not None:
            try:
                return Material(base64.b64decode(encoded, validate=True))
            except (binascii.Error, ValueError) as cause:
                raise self.error(f"{key}-data: not base64") from cause
        path = self.path(key)
        return None if path is None else Material(path=path)

    def refuse(self) -> None:
        for key in _PROGRAMS:
            if key in self.values:
                raise self.error(f"{key}: credentials from a program are not taken")
        if "username" in self.values or "password" in self.values:
            raise self.error("clusters take no passwords since Kubernetes 1.19")
        for key, why in _REFUSED.items():
            if self.text(key) not in (None, "false"):
                raise self.error(f"{key}: {why}")


def _collect(path: Path, raw: bytes, found: Mapping[str, dict[str, _Entry]]) -> None:
    problems = Problems()
    documents = read_documents(raw, str(path), problems, dialect=Dialect.LENIENT)
    if problems.found:
        raise KubeconfigError(path, str(problems.found[0]))
    for document in documents:
        if not isinstance(document, Entries):
            raise KubeconfigError(path, "expected a mapping")
        for kind, key in _KINDS.items():
            items = document.entries.get(kind)
            for item in items.items if isinstance(items, Items) else ():
                name = item.entries.get("name") if isinstance(item, Entries) else None
                body = item.entries.get(key) if isinstance(item, Entries) else None
                if isinstance(name, Scalar) and isinstance(body, Entries):
                    found[kind].setdefault(name.text, _Entry(key, name.text, path, body.entries))


def _named(found: Mapping[str, Mapping[str, _Entry]], kind: str, name: str | None, context: _Entry) -> _Entry:
    if name is None or name not in found[kind]:
        raise context.error(f"it names no {_KINDS[kind]} that there is")
    return found[kind][name]


def _server(cluster: _Entry) -> str:
    text = (cluster.text("server") or "").rstrip("/")
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise cluster.error("server: not a URL") from None
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
        raise cluster.error("server: expected https://HOST[:PORT]")
    return text
