"""The container tools' own credential files, read as those tools read them.

Docker's `config.json` and Podman's `auth.json` have one form: `auths` by server, `credHelpers` by
server, and `credsStore` for all servers. Podman's keys may go on with a path, and the longest that
fits wins. Sources: docker/cli `configfile`; containers-auth.json(5).
"""

import base64
import binascii
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from regsync.clock import Clock
from regsync.oci.strict_json import InvalidJSONError, loads
from regsync.regular_file import read_regular
from regsync.remote.credential_helper import IDENTITY_TOKEN_USER, CredentialHelpers
from regsync.remote.credentials import Credentials
from regsync.remote.errors import CredentialsError

MAX_FILE = 1024 * 1024  # bytes
HUB = "docker.io"
HUB_KEY = "https://index.docker.io/v1/"  # what Docker calls its own registry in these files
_HUB_HOSTS = frozenset({HUB, "index.docker.io", "registry-1.docker.io"})


@dataclass(frozen=True, slots=True)
class AuthFile:
    """One file, checked. `entries` are its `auths` by host and path."""

    path: Path
    entries: Mapping[str, Mapping[str, object]] = field(repr=False)
    helpers: Mapping[str, str]  # by host
    store: str | None

    @classmethod
    def read(cls, path: Path) -> "AuthFile | None":
        """The file at `path`, or None where there is none; raises CredentialsError naming it."""
        try:
            raw = read_regular(path, MAX_FILE + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as cause:
            raise CredentialsError(f"{path}: {cause.strerror or 'cannot be read'}") from cause
        if len(raw) > MAX_FILE:
            raise CredentialsError(f"{path}: longer than {MAX_FILE} bytes")
        if not raw.strip():
            return cls(path, {}, {}, None)
        try:
            document = loads(raw)
        except InvalidJSONError as cause:
            # `from None`: the cause would carry what is in the file.
            raise CredentialsError(f"{path}: {cause}") from None
        if not isinstance(document, dict):
            raise CredentialsError(f"{path}: not a JSON object")
        return cls._checked(path, document)

    @classmethod
    def _checked(cls, path: Path, document: Mapping[str, object]) -> "AuthFile":
        entries: dict[str, Mapping[str, object]] = {}
        for key, entry in _object(document, "auths", path).items():
            if not isinstance(entry, dict):
                raise CredentialsError(f"{path}: auths[{key!r}] is not an object")
            entries.setdefault(_normal(key), entry)
        helpers: dict[str, str] = {}
        for key, name in _object(document, "credHelpers", path).items():
            if not isinstance(name, str):
                raise CredentialsError(f"{path}: credHelpers[{key!r}] is not the name of a helper")
            helpers.setdefault(_normal(key), name)
        store = document.get("credsStore")
        if store is not None and not isinstance(store, str):
            raise CredentialsError(f"{path}: credsStore is not the name of a helper")
        return cls(path, entries, helpers, store or None)

    def entry(self, host: str, repository: str | None) -> Credentials | None:
        """What `auths` has for the repository, the most specific key first."""
        for key in _keys(host, repository):
            entry = self.entries.get(key)
            if entry and (found := self._credentials(key, entry)) is not None:
                return found
        return None

    def _credentials(self, key: str, entry: Mapping[str, object]) -> Credentials | None:
        username, password = _text(entry, "username"), _text(entry, "password")
        encoded = _text(entry, "auth")
        if encoded:
            try:
                decoded = base64.b64decode(encoded, validate=True).decode("utf-8")
            except (binascii.Error, ValueError):
                raise CredentialsError(f"{self.path}: auth of {key!r} is not base64 text") from None
            username, colon, password = decoded.partition(":")
            password = password.rstrip("\0")  # Docker's own reader does so
            if not colon:
                raise CredentialsError(f"{self.path}: auth of {key!r} is not user:password")
        identity = _text(entry, "identitytoken")
        if username == IDENTITY_TOKEN_USER and not identity:
            identity, username, password = password, "", ""
        token = _text(entry, "registrytoken")
        if not (username or identity or token):
            return None
        return Credentials(username, password, identity or None, token or None)


class AuthFiles:
    """Credentials from files and the helpers that they name; the first file that has some wins."""

    realms: Collection[str] = ()

    def __init__(self, paths: Sequence[Path], helpers: CredentialHelpers) -> None:
        self._paths, self._helpers = tuple(paths), helpers
        self._read: dict[Path, tuple[tuple[int, int] | None, AuthFile | None]] = {}

    @classmethod
    def of_user(cls, clock: Clock, environ: Mapping[str, str] | None = None) -> "AuthFiles":
        """The files of whoever runs us, as `environ` (the process's by default) places them."""
        found = os.environ if environ is None else environ
        return cls(tuple(_places(found)), CredentialHelpers(clock, environ=environ))

    async def find(self, host: str, repository: str | None) -> Credentials | None:
        """Credentials for a repository; raises CredentialsError, CredentialHelperError."""
        for path in self._paths:
            file = self._current(path)
            if file is not None and (found := await self._in(file, host, repository)) is not None:
                return found
        return None

    def forget(self, host: str) -> None:
        """Ask helpers anew next time; files are looked at each time anyway."""
        self._helpers.forget()

    async def _in(self, file: AuthFile, host: str, repository: str | None) -> Credentials | None:
        # As Docker does: a helper for the server, else the store for all, else what is in the file.
        helper = next((file.helpers[key] for key in _keys(host, repository) if key in file.helpers), None)
        helper = helper or file.store
        if helper is not None:
            found = await self._helpers.get(helper, HUB_KEY if host in _HUB_HOSTS else host)
            if found is not None:
                return found
        return file.entry(host, repository)

    def _current(self, path: Path) -> AuthFile | None:
        """The file as it is now, parsed again only when it changed."""
        try:
            status = path.stat()
            stamp: tuple[int, int] | None = (status.st_mtime_ns, status.st_size)
        except OSError:
            stamp = None
        known = self._read.get(path)
        if known is None or known[0] != stamp:
            known = self._read[path] = (stamp, AuthFile.read(path))
        return known[1]


def _places(environ: Mapping[str, str]) -> Iterator[Path]:
    """Where the files are: Docker's, Podman's own choice, Podman's login of this boot, its lasting one."""
    home = environ.get("HOME")
    if environ.get("DOCKER_CONFIG"):
        yield Path(environ["DOCKER_CONFIG"], "config.json")
    elif home:
        yield Path(home, ".docker", "config.json")
    if environ.get("REGISTRY_AUTH_FILE"):
        yield Path(environ["REGISTRY_AUTH_FILE"])
        return
    if environ.get("XDG_RUNTIME_DIR"):
        yield Path(environ["XDG_RUNTIME_DIR"], "containers", "auth.json")
    if environ.get("XDG_CONFIG_HOME"):
        yield Path(environ["XDG_CONFIG_HOME"], "containers", "auth.json")
    elif home:
        yield Path(home, ".config", "containers", "auth.json")


def _keys(host: str, repository: str | None) -> Iterator[str]:
    """The keys that fit a repository, the longest first: `host/a/b`, `host/a`, `host`."""
    host = HUB if host in _HUB_HOSTS else host
    parts = repository.split("/") if repository else []
    for length in range(len(parts), 0, -1):
        yield "/".join((host, *parts[:length]))
    yield host


def _normal(key: str) -> str:
    """A key as `_keys` gives it: no scheme; with one, and for the API's own paths, no path either."""
    scheme, marker, rest = key.strip().partition("://")
    text = rest if marker else scheme
    host, _, path = text.strip("/").partition("/")
    host = host.lower()
    host = HUB if host in _HUB_HOSTS else host
    is_namespace = path and not marker and path.strip("/") not in ("v1", "v2")
    return f"{host}/{path.strip('/')}" if is_namespace else host


def _object(document: Mapping[str, object], key: str, path: Path) -> Mapping[str, object]:
    value = document.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise CredentialsError(f"{path}: {key} is not an object")
    return value


def _text(entry: Mapping[str, object], key: str) -> str:
    value = entry.get(key)
    return value if isinstance(value, str) else ""
