"""Our own registry as a process, as `regsync serve` runs it.

    server = regsync_server_factory()                                # whoever comes may do anything
    server = regsync_server_factory(anonymous="pull")
    server = regsync_server_factory(spec="auth: {htpasswd: users}\n…", files={"users": "…"})

The fixtures `regsync_server` and `regsync_server_factory` in tests/conftest.py start and end them.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import dedent, indent
from types import TracebackType
from typing import Any, Self

import httpx

from tests.support import images
from tests.support.certificates import Certificates
from tests.support.processes import ServerProcess

PROJECT = Path(__file__).resolve().parents[2]
HEAD = "apiVersion: regsync.dev/v1\nkind: Server\nspec:\n"


class RegsyncServer:
    """A running `regsync serve`; `url` has the scheme, `host` is `127.0.0.1:PORT` as references write it.

    Args:
        directory: an empty directory for its files.
        anonymous: what `--anonymous` says, where there is no `spec`.
        spec: the keys of a `Server` document's `spec`, without `listen` and `storage`.
        more: further documents of the spec.
        files: what else is to lie beside the spec, by name.
        store: where content goes, by default below `directory`.
        options: further options of the command.
        credentials: user and password for `client` and `push`.
        certificates: with what it serves TLS, as files in `spec` name them too.
        env: variables beside PATH and HOME.
    """

    def __init__(
        self,
        directory: Path,
        *,
        anonymous: str = "all",
        spec: str | None = None,
        more: str = "",
        files: Mapping[str, str] | None = None,
        store: Path | None = None,
        options: Sequence[str] = (),
        credentials: tuple[str, str] | None = None,
        certificates: Certificates | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.directory, self.credentials, self.certificates = directory, credentials, certificates
        self.store = store or directory / "store"
        self.spec = directory / "regsync.yaml"
        self._more = more
        self._options = list(options)
        for name, text in (files or {}).items():
            (directory / name).write_text(text)
        if spec is not None:
            self.write_spec(spec)
            self._options.append(str(self.spec))
        else:
            self._options += ["--anonymous", anonymous]
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(directory),
            "PYTHONPATH": str(PROJECT),
            **(env or {}),
        }
        self.process = ServerProcess(self._command, directory / "server.log", environment)

    def write_spec(self, spec: str) -> None:
        """Put other keys into its `Server` document, as an operator edits it while it runs."""
        body = indent(dedent(spec).strip("\n"), "  ")
        more = f"---\n{dedent(self._more)}" if self._more else ""
        self.spec.write_text(f"{HEAD}{body}\n{more}")

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

    def client(self, credentials: tuple[str, str] | None = None) -> httpx.Client:
        """A raw client with its CA and these credentials, by default its own; the caller closes it."""
        auth = credentials or self.credentials
        options: dict[str, Any] = {"auth": auth} if auth else {}
        return images.client(verify=str(self.certificates.ca) if self.certificates else True, **options)

    def push(
        self, repository: str, content: images.Content, *tags: str, credentials: tuple[str, str] | None = None
    ) -> images.Content:
        """Push content by raw HTTP."""
        with self.client(credentials) as http:
            return images.push(self.url, repository, content, *tags, http=http)

    def log(self) -> str:
        """All it has printed so far."""
        return self.process.output()

    def stop(self) -> None:
        """End the process with SIGTERM; its store stays until the test's directory goes."""
        self.process.stop()

    def restart(self) -> None:
        """End and start it on the same port and store."""
        self.process.restart()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _command(self, port: int) -> Sequence[str]:
        where = ["--store", str(self.store), "--listen", f"127.0.0.1:{port}"]
        return [sys.executable, "-m", "regsync", "serve", *where, *self._options]
