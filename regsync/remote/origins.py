"""Where requests and credentials may go: the rules for realms, redirects and absolute URLs.

A registry that is taken over, or that lies, must not be able to make regsync send credentials
elsewhere, or reach what only regsync's own machine can reach (REGISTRIES.md, 19 and 20). Addresses
are judged as written; names are not resolved, since what they resolve to may change a moment later.
"""

import ipaddress
import socket
from collections.abc import Collection
from dataclasses import dataclass
from typing import Self
from urllib.parse import urljoin, urlsplit

from regsync.remote.errors import UnsafeRedirectError, shown_url

MAX_URL = 16 * 1024  # characters; signed URLs are long
_DEFAULT_PORTS = {"http": 80, "https": 443}
_PRIVATE_SUFFIXES = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".svc", ".test")
# Token services that serve registries of other domains. They authenticate for themselves.
PUBLIC_REALMS = frozenset(
    {
        "auth.docker.io",
        "ghcr.io",
        "quay.io",
        "gcr.io",
        "public.ecr.aws",
        "gitlab.com",
        "auth.docker.com",
        "login.microsoftonline.com",
        "sso.redhat.com",
    }
)
# Public suffixes under which unrelated people have names: a shared parent there says nothing.
_SHARED_PARENTS = frozenset(
    {"amazonaws.com", "azurecr.io", "cloudfront.net", "github.io", "appspot.com", "run.app", "pkg.dev"}
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port: what credentials belong to."""

    scheme: str  # "http" or "https"
    host: str  # lower case, without brackets
    port: int

    @classmethod
    def of(cls, url: str) -> Self:
        """The origin of an absolute URL; raises ValueError where it has none that HTTP could use."""
        if len(url) > MAX_URL or any(character <= " " or character == "\x7f" for character in url):
            raise ValueError("longer than a URL can be, or with blanks in it")
        parts = urlsplit(url)
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
            raise ValueError("not an http or https URL")
        if "@" in parts.netloc or "\\" in parts.netloc:
            raise ValueError("a URL with a user in it")
        host = parts.hostname.rstrip(".")
        return cls(parts.scheme, host, parts.port or _DEFAULT_PORTS[parts.scheme])

    @property
    def is_private(self) -> bool:
        """Whether only machines near by can mean it: loopback, private, link-local, a local name."""
        address = _address(self.host)
        if address is not None:
            return not address.is_global
        return "." not in self.host or self.host.endswith(_PRIVATE_SUFFIXES)

    def is_one_of(self, hosts: Collection[str]) -> bool:
        """Whether `hosts` (`host:port`, or `host` for the scheme's own port) name it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        is_usual = self.port == _DEFAULT_PORTS[self.scheme]
        return f"{host}:{self.port}" in hosts or (is_usual and host in hosts)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def followed(url: str, location: str, *, where: str) -> str:
    """The absolute URL that `location` in the answer from `url` leads to, if it may be followed.

    Raises UnsafeRedirectError.
    """
    try:
        target = urljoin(url, location.strip())
        origin = Origin.of(target)
    except ValueError as cause:
        message = f"{where}: redirected to {shown_url(location)}: {cause}"
        raise UnsafeRedirectError(message) from cause
    check_reachable(Origin.of(url), origin, where=where)
    return target


def check_reachable(here: Origin, there: Origin, *, where: str) -> None:
    """Raise UnsafeRedirectError unless `here` may send us to `there`."""
    if there == here:
        return
    _check_encrypted(here, there, where=where)
    if there.is_private and not here.is_private:
        hint = f"a public registry has no business at {there}; name the registry by its internal address"
        raise UnsafeRedirectError(f"{where}: sent to the private address {there}", hint=hint)


def check_realm(registry: Origin, realm: str, named: Collection[str], *, where: str) -> None:
    """Raise UnsafeRedirectError unless a request without credentials may go to `realm`.

    `named` are hosts that the spec names as token servers (`auth.realms`): private ones are fine too.
    """
    try:
        origin = Origin.of(realm)
    except ValueError as cause:
        raise UnsafeRedirectError(f"{where}: the token realm {shown_url(realm)} is {cause}") from cause
    where = f"{where}: the token realm"
    _check_encrypted(registry, origin, where=where)
    if origin.is_private and not registry.is_private and not origin.is_one_of(named):
        raise UnsafeRedirectError(f"{where}: sent to the private address {origin}", hint=_name_realm(origin))


def check_credentials(registry: Origin, realm: str, named: Collection[str], *, where: str) -> None:
    """Raise UnsafeRedirectError unless the registry's credentials may go to `realm`.

    `check_realm` has let it pass. It may be the registry's own host, one that shares its domain, one of
    the known public token services, for a registry at a private address any private one, or `named`.
    """
    origin = Origin.of(realm)
    if origin.host == registry.host or _related(registry.host, origin.host) or origin.is_one_of(named):
        return
    if origin.is_private and registry.is_private:
        return
    if origin.scheme == "https" and origin.host in PUBLIC_REALMS:
        return
    message = f"{where}: the token realm {shown_url(realm)} is of another domain and gets no credentials"
    raise UnsafeRedirectError(message, hint=_name_realm(origin))


def _check_encrypted(here: Origin, there: Origin, *, where: str) -> None:
    if here.scheme == "https" and there.scheme == "http":
        raise UnsafeRedirectError(f"{where}: sent from HTTPS to plain HTTP at {there}")


def _name_realm(origin: Origin) -> str:
    host = str(origin).partition("://")[2].removesuffix(f":{_DEFAULT_PORTS[origin.scheme]}")
    return f'if that is the registry\'s token server: `auth: {{realms: ["{host}"]}}` in its Registry'


def _related(one: str, other: str) -> bool:
    """Whether two names share a domain that one party owns: one below the other, or siblings."""
    if _address(one) is not None or _address(other) is not None:
        return False
    if one.endswith("." + other) or other.endswith("." + one):
        return min(one, other, key=len).count(".") >= 1
    first, second = one.split("."), other.split(".")
    common = 0
    while common < min(len(first), len(second)) and first[-1 - common] == second[-1 - common]:
        common += 1
    parent = ".".join(first[len(first) - common :])
    # example.com is one owner's; co.uk and com.cn are not, and neither are clouds' shared domains.
    needed = 3 if len(first[-1]) == 2 and common >= 2 and len(first[-2]) <= 3 else 2
    return common >= needed and not _is_shared(parent)


def _is_shared(parent: str) -> bool:
    """Whether unrelated people have names under it: also under a cloud's regions, as `a.run.app`."""
    return any(parent == shared or parent.endswith("." + shared) for shared in _SHARED_PARENTS)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a host is, also in the old forms (`127.1`, `0x7f000001`) that resolvers take."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        if not host or not (host[0].isdigit() or host.startswith("0x")):
            return None
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except (OSError, ValueError):
            return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
