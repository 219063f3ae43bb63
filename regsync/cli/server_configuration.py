"""What `regsync serve` serves, from its flags and its Server document; read again while it runs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from regsync.cli.server_upstreams import UpstreamRegistries
from regsync.clock import SystemClock
from regsync.errors import UsageError
from regsync.remote.documents import fetch_document
from regsync.server.access import Action, AnonymousAccess
from regsync.server.configured import Configuration, Configured
from regsync.server.failed_logins import FailedLogins
from regsync.server.reloading import states_of
from regsync.server.spec_policy import Means, policy_of
from regsync.spec.files import default_paths, find_files
from regsync.spec.load import load
from regsync.spec.model import Spec
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


def configuration(flags: Flags, registries: UpstreamRegistries) -> Configuration:
    """Where the configuration comes from; `registries` connects upstreams. Raises ServerUsageError."""
    paths = _paths(flags)
    clock = SystemClock()
    means = Means(clock, FailedLogins(clock), fetch_document)

    def read() -> Configured:
        before = states_of(files())
        spec = load(paths) if paths else None
        server = _document(spec, flags.paths)
        if flags.listen is not None:
            server = replace(server, listen=_listen(flags.listen))
        store = flags.store or server.store or DEFAULT_STORE
        policy = policy_of(server, means, _anonymous(server, flags))
        if spec is not None:
            policy = replace(policy, upstreams=registries.upstreams(spec))
        return Configured(server, store.absolute(), policy, before)

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
        paths = default_paths(Path())
        find_files(paths)
    except NoSpecError:  # a laptop needs no document
        return ()
    return paths


def _document(spec: Spec | None, named: Sequence[Path]) -> Server:
    found = spec.server if spec is not None else None
    if found is None and named:
        raise ServerUsageError(f"there is no Server document in {', '.join(str(path) for path in named)}")
    return found if found is not None else Server(parse_listen(DEFAULT_LISTEN))


def _listen(text: str) -> Listen:
    try:
        return parse_listen(text)
    except ValueError as cause:
        raise ServerUsageError(f"--listen: {cause}") from cause


def _anonymous(server: Server, flags: Flags) -> AnonymousAccess:
    """What anyone may do where the document has no rules."""
    if flags.anonymous is None:
        return AnonymousAccess(_PULL, local_only=True)
    if server.access is not None:
        raise ServerUsageError(
            "--anonymous: the Server document says under `access` who may do what; leave one of them out"
        )
    return AnonymousAccess(_ANONYMOUS[flags.anonymous])
