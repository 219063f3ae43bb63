"""What `regsync serve` serves, from its flags and its Server document; read again while it runs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from regsync.errors import UsageError
from regsync.server.access import Action, AnonymousAccess
from regsync.server.configured import Configuration, Configured
from regsync.server.policy import Policy
from regsync.spec.files import default_paths, find_files
from regsync.spec.load import load
from regsync.spec.problems import NoSpecError
from regsync.spec.server import DEFAULT_LISTEN, Listen, Server
from regsync.spec.server_reading import parse_listen

DEFAULT_STORE = Path("data")
_PULL = {Action.PULL}
_PUSH = {*_PULL, Action.PUSH, Action.OVERWRITE}
_ANONYMOUS = {"none": set[Action](), "pull": _PULL, "push": _PUSH, "all": {*_PUSH, Action.DELETE}}


class ServerUsageError(UsageError):
    """Flags of `regsync serve` that do not go together, or not with the spec."""


@dataclass(frozen=True, slots=True)
class Flags:
    """The command line: what it says goes before what the document says."""

    paths: Sequence[Path]
    store: Path | None
    listen: str | None
    anonymous: str | None


def configuration(flags: Flags) -> Configuration:
    """Where the configuration comes from. Raises ServerUsageError."""
    paths = _paths(flags)

    def read() -> Configured:
        server = _document(paths, required=bool(flags.paths))
        if flags.listen is not None:
            server = replace(server, listen=_listen(flags.listen))
        store = flags.store or server.store or DEFAULT_STORE
        return Configured(server, store.absolute(), _policy(server, flags.anonymous))

    def files() -> Iterable[Path]:
        try:
            return [file.path for file in find_files(paths)]
        except NoSpecError:
            return []  # reading them tells why

    return Configuration(read, files)


def _paths(flags: Flags) -> Sequence[Path]:
    if flags.paths:
        return flags.paths
    try:
        return default_paths(Path())
    except NoSpecError:
        return ()


def _document(paths: Sequence[Path], *, required: bool) -> Server:
    found = load(paths).server if paths else None
    if found is None and required:
        raise ServerUsageError(f"there is no Server document in {', '.join(str(path) for path in paths)}")
    return found if found is not None else Server(parse_listen(DEFAULT_LISTEN))


def _listen(text: str) -> Listen:
    try:
        return parse_listen(text)
    except ValueError as cause:
        raise ServerUsageError(f"--listen: {cause}") from cause


def _policy(server: Server, anonymous: str | None) -> Policy:
    if anonymous is not None:
        if server.access is not None:
            raise ServerUsageError(
                "--anonymous: the Server document says under `access` who may do what; leave one of them out"
            )
        return Policy(AnonymousAccess(_ANONYMOUS[anonymous]), read_only=server.read_only)
    return Policy(AnonymousAccess(_PULL, local_only=True), read_only=server.read_only)
