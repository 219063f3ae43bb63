"""Which proxy is in the way of a request: the transport's library finds it itself, and tells nobody.

It reads HTTPS_PROXY, HTTP_PROXY and ALL_PROXY, the first of upper and lower case that is set, even to
nothing; NO_PROXY names hosts with all below them, addresses and networks, and `*` every name. What is
said here is compared with what it does by a test.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

_SCHEMES = frozenset({"http", "https", "socks4", "socks4a", "socks5", "socks5h"})

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Proxies:
    """Proxies without their credentials, fit for a message."""

    by_scheme: Mapping[str, str]
    no_names: Sequence[str] = ()  # lower case
    no_networks: Sequence[Network] = ()

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Proxies":
        """What the environment says."""
        every = _proxy(environ, "ALL_PROXY")
        found = {scheme: _proxy(environ, f"{scheme.upper()}_PROXY") or every for scheme in ("http", "https")}
        if "REQUEST_METHOD" in environ:
            del found["http"]  # in CGI the variable would be a header of a client's
        no_names, no_networks = [], []
        for part in _first(environ, "NO_PROXY").split(","):
            try:
                no_networks.append(ipaddress.ip_network(part.strip(), strict=False))
            except ValueError:
                no_names.append(part.strip().lower())
        return cls({scheme: proxy for scheme, proxy in found.items() if proxy}, no_names, no_networks)

    def on_the_way_to(self, url: str) -> str | None:
        """The proxy through which a valid `url` is asked, such as `http://proxy.example.com:3128`."""
        if not self.by_scheme:
            return None
        parts = urlsplit(url)
        proxy, host = self.by_scheme.get(parts.scheme), parts.hostname or ""
        return None if proxy is None or self._leaves_out(host) else proxy

    def _leaves_out(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return any(_covers(name, host) for name in self.no_names)
        return any(address in network for network in self.no_networks)


def _covers(name: str, host: str) -> bool:
    bare = name.removeprefix(".")
    return bool(bare) and (name == "*" or host == bare or host.endswith(f".{bare}"))


def _first(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, environ.get(name.lower(), ""))


def _proxy(environ: Mapping[str, str], name: str) -> str | None:
    text = _first(environ, name)
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in _SCHEMES or not host or not text.isprintable() or " " in text:
        return None
    if "@" in text and "@" not in parts.netloc:
        return None  # a password with an unescaped `/`, `?` or `#`: what stands before is a part of it
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" if port is None else f"{parts.scheme}://{host}:{port}"
