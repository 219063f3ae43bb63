"""What `regsync serve` serves, from its flags and its Server document; read again while it runs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from regsync.clock import Clock
from regsync.errors import UsageError
from regsync.server.access import Action, AnonymousAccess
from regsync.server.configured import Configured
from regsync.server.policy import Policy
from regsync.server.reloading import states_of
from regsync.spec.files import default_paths, find_files
from regsync.spec.problems import NoSpecError
from regsync.spec.server import DEFAULT_LISTEN, Listen, Server, parse_listen

if TYPE_CHECKING:
    from regsync.cli.server_document import ServerDocument
    from regsync.reconcile.events import Emit

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


class ServerConfiguration:
    """Implements the server's `Configuration`."""

    def __init__(self, flags: Flags, clock: Clock, emit: "Emit") -> None:
        self._flags, self._clock, self._emit = flags, clock, emit
        self._paths = _paths(flags)
        self._document: ServerDocument | None = None

    def read(self) -> Configured:
        """How it stands now. Blocking. Raises SpecError, ServerUsageError, HtpasswdError."""
        before = states_of(self.files())
        server, policy = self._with_document() if self._paths else self._without_document()
        return Configured(server, self._store(server), policy, before | states_of(self._materials()))

    def files(self) -> Iterable[Path]:
        """The files that `read` reads. Blocking."""
        try:
            return [*(file.path for file in find_files(self._paths)), *self._materials()]
        except NoSpecError:
            return []  # reading them tells why

    def _materials(self) -> Iterable[Path]:
        return self._document.materials if self._document is not None else ()

    async def close(self) -> None:
        """Close what reading has opened."""
        if self._document is not None:
            await self._document.close()

    def _with_document(self) -> tuple[Server, Policy]:
        from regsync.cli.server_document import ServerDocument  # a laptop starts sooner without all that

        if self._document is None:
            self._document = ServerDocument(self._paths, self._clock, self._emit)
        spec = self._document.read()
        if spec.server is None and self._flags.paths:
            named = ", ".join(str(path) for path in self._paths)
            raise ServerUsageError(f"there is no Server document in {named}")
        server = _listening(spec.server or _default(), self._flags)
        anonymous = _anonymous(server, self._flags)
        return server, self._document.policy(spec, server, self._store(server), anonymous)

    def _without_document(self) -> tuple[Server, Policy]:
        server = _listening(_default(), self._flags)
        return server, Policy(_anonymous(server, self._flags))

    def _store(self, server: Server) -> Path:
        return (self._flags.store or server.store or DEFAULT_STORE).absolute()


def _paths(flags: Flags) -> Sequence[Path]:
    if flags.paths:
        return flags.paths
    try:
        paths = default_paths(Path())
        find_files(paths)
    except NoSpecError:
        return ()
    return paths


def _default() -> Server:
    return Server(parse_listen(DEFAULT_LISTEN))


def _listening(server: Server, flags: Flags) -> Server:
    return server if flags.listen is None else replace(server, listen=_listen(flags.listen))


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
