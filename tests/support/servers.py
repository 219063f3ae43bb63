"""Real registries as processes: distribution v3 and Debian's docker-registry 2.8.

Both speak to `RegistryServer`, which knows the URL, the access log and how to make clients for itself. The
fixtures in tests/conftest.py start and end them.
"""

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import bcrypt
import httpx

from tests.support import images, tools
from tests.support.certificates import Certificates
from tests.support.processes import ServerProcess
from tests.support.token_server import ISSUER, SERVICE, TokenServer

Config = dict[str, Any]

_ACCESS = re.compile(
    rb'"(?P<method>[A-Z]+) (?P<target>\S+) HTTP/[\d.]+" (?P<status>\d{3}) (?P<bytes>\d+)'
    rb' "[^"]*" "(?P<agent>[^"]*)"'
)


@dataclass(frozen=True)
class Access:
    """One line of a registry's access log; `size` is the bytes of the answer's body."""

    method: str
    target: str
    status: int
    size: int
    agent: str

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]


class RegistryServer:
    """A running registry; `url` has the scheme, `host` is `127.0.0.1:PORT` as references write it."""

    def __init__(
        self,
        program: str,
        directory: Path,
        config: Config,
        *,
        certificates: Certificates | None = None,
        credentials: tuple[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self.certificates = certificates
        self.credentials = credentials
        self.data = Path(config["storage"].get("filesystem", {}).get("rootdirectory", directory))
        self._config = config
        self._binary = tools.require(program)
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(directory),
            "OTEL_TRACES_EXPORTER": "none",
        }
        self.process = ServerProcess(self._command, directory / "registry.log", environment)

    @property
    def host(self) -> str:
        """Host and port, as in `host/repository:tag`."""
        return f"127.0.0.1:{self.process.port}"

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"{'https' if self.certificates else 'http'}://{self.host}"

    def reference(self, repository: str, tag: str) -> str:
        """`host/repository:tag`, or with `@` when `tag` is a digest."""
        return f"{self.host}/{repository}{'@' if ':' in tag else ':'}{tag}"

    def client(self) -> httpx.Client:
        """A raw client with the CA and the credentials that this registry wants; the caller closes it."""
        options: dict[str, Any] = {"auth": self.credentials} if self.credentials else {}
        return images.client(verify=str(self.certificates.ca) if self.certificates else True, **options)

    def push(self, repository: str, content: images.Content, *tags: str) -> images.Content:
        """Push content by raw HTTP, with this registry's CA and credentials."""
        with self.client() as http:
            return images.push(self.url, repository, content, *tags, http=http)

    def log_size(self) -> int:
        """Bytes of log so far: a mark for `accesses` to start from."""
        return self.process.log.stat().st_size

    def accesses(self, start: int = 0) -> list[Access]:
        """Every request answered since the log had `start` bytes, in the order in which the answers ended."""
        return [
            Access(
                found["method"].decode(),
                found["target"].decode(),
                int(found["status"]),
                int(found["bytes"]),
                found["agent"].decode(),
            )
            for found in _ACCESS.finditer(self.process.log.read_bytes(), start)
        ]

    def count(self, method: str, path: str) -> int:
        """How many requests had this method and a path that the regular expression matches wholly."""
        return sum(
            one.method == method and re.fullmatch(path, one.path) is not None for one in self.accesses()
        )

    def stop(self) -> None:
        """End the process; its data stays until the test's directory goes."""
        self.process.stop()

    def restart(self) -> None:
        """End and start it on the same port and data."""
        self.process.restart()

    def wipe(self) -> None:
        """Lose all content, as a registry does whose volume was replaced; port and URL stay."""
        self.process.stop()
        subprocess.run(["rm", "-rf", "--", str(self.data)], check=True)
        self.data.mkdir()
        self.process.restart()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _command(self, port: int) -> Sequence[str]:
        config = dict(self._config)
        config["http"] = {**config.get("http", {}), "addr": f"127.0.0.1:{port}"}
        path = self.directory / "config.yml"
        path.write_text(json.dumps(config))  # JSON is YAML
        return [str(self._binary), "serve", str(path)]


def base_config(data: Path) -> Config:
    """The configuration that every variant starts from: a directory, deletion on, access log on stdout."""
    data.mkdir(parents=True, exist_ok=True)
    return {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": False}},
        "storage": {
            "filesystem": {"rootdirectory": str(data)},
            "delete": {"enabled": True},
            "maintenance": {"uploadpurging": {"enabled": False}},
        },
        "http": {"secret": "a secret of the tests"},
    }


def distribution(
    directory: Path,
    *,
    htpasswd: Mapping[str, str] | None = None,
    tokens: TokenServer | None = None,
    certificates: Certificates | None = None,
    client_certificates: bool = False,
    readonly: bool = False,
    delete: bool = True,
    data: Path | None = None,
    config: Config | None = None,
) -> RegistryServer:
    """Start distribution v3.

    Args:
        directory: an empty directory for its files.
        htpasswd: users and passwords for Basic authentication.
        tokens: the token server to send clients to; its tokens are trusted.
        certificates: serve HTTPS with these.
        client_certificates: let nobody in without a certificate of the same authority.
        readonly: refuse every write with 405.
        delete: whether deletion is on.
        data: where blobs go, by default below `directory`.
        config: keys to put over the configuration's top-level ones, merged two levels deep.
    """
    settings = base_config(data or directory / "data")
    if not delete:
        settings["storage"]["delete"] = {"enabled": False}
    if readonly:
        settings["storage"]["maintenance"]["readonly"] = {"enabled": True}
    if htpasswd:
        settings["auth"] = {"htpasswd": {"realm": "tests", "path": str(write_htpasswd(directory, htpasswd))}}
    if tokens:
        settings["auth"] = {
            "token": {
                "realm": tokens.realm,
                "service": SERVICE,
                "issuer": ISSUER,
                "jwks": str(tokens.jwks),
                "signingalgorithms": ["ES256", "RS256"],
            }
        }
    if certificates:
        tls: Config = {"certificate": str(certificates.server_cert), "key": str(certificates.server_key)}
        if client_certificates:
            tls["clientcas"] = [str(certificates.ca)]
        settings["http"]["tls"] = tls
    for key, value in (config or {}).items():
        merged = {**settings.get(key, {}), **value} if isinstance(value, dict) else value
        settings[key] = merged
    credentials = next(iter(htpasswd.items())) if htpasswd else None
    return RegistryServer("registry", directory, settings, certificates=certificates, credentials=credentials)


def debian_registry(directory: Path) -> RegistryServer:
    """Start Debian's docker-registry 2.8: no referrers API, no deletion of tags, OCI content accepted."""
    return RegistryServer("docker-registry", directory, base_config(directory / "data"))


def write_htpasswd(directory: Path, users: Mapping[str, str]) -> Path:
    """An htpasswd file with bcrypt hashes of the least cost."""
    path = directory / "htpasswd"
    lines = [
        f"{name}:{bcrypt.hashpw(word.encode(), bcrypt.gensalt(4)).decode()}" for name, word in users.items()
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


class SmallDisk:
    """A file system of a few MiB, mounted for a test: skips where that is not allowed."""

    def __init__(self, directory: Path, *, mebibytes: int = 4) -> None:
        self.path = directory / "small-disk"
        self.path.mkdir()
        options = f"size={mebibytes}m"
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.path)]
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
        if mounted.returncode != 0:
            self.path.rmdir()
            tools.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")

    def close(self) -> None:
        """Take it off the tree; it goes when the last file in it is closed."""
        subprocess.run(["umount", "--lazy", str(self.path)], capture_output=True, check=True)
