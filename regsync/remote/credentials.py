"""Who we are to a registry: where credentials come from, and in which order.

The spec's own come first and alone. Without them the container tools' files are read as those tools
read them: Docker's, then Podman's; credential helpers where these files name one (`auth_files`).
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and a password, or a token in place of them. Never printed."""

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    identity_token: str | None = field(default=None, repr=False)  # OAuth2 refresh token
    registry_token: str | None = field(default=None, repr=False)  # sent as it is


class CredentialSource(Protocol):
    """Knows credentials, and who may see them."""

    @property
    def realms(self) -> Collection[str]:
        """Hosts (`host` or `host:port`) of token servers that may have them besides the registry's own."""
        ...

    async def find(self, host: str, repository: str | None) -> Credentials | None:
        """Those for a repository of a host (`docker.io`, `localhost:5000`), or None for anonymous.

        Raises CredentialsError where there are some that cannot be read.
        """
        ...

    def forget(self, host: str) -> None:
        """Keep nothing in memory for that host: it refused what was found."""
        ...


class Anonymous:
    """Never has credentials."""

    realms: Collection[str] = ()

    async def find(self, host: str, repository: str | None) -> Credentials | None:
        """None."""
        return None

    def forget(self, host: str) -> None:
        """Nothing is kept."""


class Given:
    """The spec's credentials: asked for when they are needed, so that a rotated secret is seen."""

    def __init__(self, read: Callable[[], Credentials | None], realms: Collection[str] = ()) -> None:
        self._read, self.realms = read, realms

    async def find(self, host: str, repository: str | None) -> Credentials | None:
        """What the spec gives, whatever the host: a session has only one."""
        return self._read()

    def forget(self, host: str) -> None:
        """Nothing is kept."""


class Shared:
    """Another's credentials, which one registry's token servers may have."""

    def __init__(self, source: CredentialSource, realms: Collection[str]) -> None:
        self._source, self.realms = source, realms

    async def find(self, host: str, repository: str | None) -> Credentials | None:
        """What the other finds."""
        return await self._source.find(host, repository)

    def forget(self, host: str) -> None:
        """Nothing is kept here."""
        self._source.forget(host)
