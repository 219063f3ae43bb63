"""toxiproxy between a client and a registry: latency, cuts, resets.

link = toxiproxy.proxy(registry.url)       # link.url stands in for registry.url
link.latency(20)                           # milliseconds, each way towards the client
link.cut_after(1_000_000)                  # every connection ends after so many bytes of answers
link.clear()                               # plain forwarding again
"""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

import httpx

from tests.support import images
from tests.support.processes import ServerProcess, free_port

Direction = Literal["downstream", "upstream"]
"""downstream: what the server sends; upstream: what the client sends."""


@dataclass
class Link:
    """One proxied registry. Toxics add up until `clear`."""

    name: str
    url: str
    _api: httpx.Client

    @property
    def host(self) -> str:
        """`127.0.0.1:PORT` of the proxy."""
        return urlsplit(self.url).netloc

    def latency(self, milliseconds: int, *, jitter: int = 0, direction: Direction = "downstream") -> None:
        """Delay everything in one direction by so many milliseconds."""
        self._add("latency", direction, latency=milliseconds, jitter=jitter)

    def bandwidth(self, kibibytes_per_second: int, *, direction: Direction = "downstream") -> None:
        """Let at most so much through."""
        self._add("bandwidth", direction, rate=kibibytes_per_second)

    def cut_after(self, size: int, *, direction: Direction = "downstream") -> None:
        """End each connection once so many bytes went in that direction."""
        self._add("limit_data", direction, bytes=size)

    def reset(self, after_milliseconds: int = 0, *, direction: Direction = "downstream") -> None:
        """Answer with a TCP reset, at once or a while after the connection was made."""
        self._add("reset_peer", direction, timeout=after_milliseconds)

    def stall(self, *, direction: Direction = "downstream") -> None:
        """Swallow all data and keep connections open."""
        self._add("timeout", direction, timeout=0)

    def down(self) -> None:
        """Refuse connections and end those that exist."""
        self._api.post(f"/proxies/{self.name}", json={"enabled": False}).raise_for_status()

    def up(self) -> None:
        """Accept connections again."""
        self._api.post(f"/proxies/{self.name}", json={"enabled": True}).raise_for_status()

    def clear(self) -> None:
        """Remove every toxic."""
        for toxic in self._api.get(f"/proxies/{self.name}/toxics").raise_for_status().json():
            self._api.delete(f"/proxies/{self.name}/toxics/{toxic['name']}").raise_for_status()

    def _add(self, kind: str, direction: Direction, **attributes: int) -> None:
        toxic = {"type": kind, "stream": direction, "toxicity": 1.0, "attributes": attributes}
        self._api.post(f"/proxies/{self.name}/toxics", json=toxic).raise_for_status()


class Toxiproxy:
    """A running toxiproxy with its HTTP API."""

    def __init__(self, process: ServerProcess) -> None:
        self.process = process
        self._api = images.client(base_url=f"http://127.0.0.1:{process.port}")
        self._count = 0

    def proxy(self, url: str) -> Link:
        """A new proxy in front of the registry at `url`, with the same scheme and host 127.0.0.1."""
        target = urlsplit(url)
        self._count += 1
        name = f"link-{self._count}"
        for attempt in range(8):
            port = free_port()
            made = self._api.post(
                "/proxies",
                json={
                    "name": name,
                    "listen": f"127.0.0.1:{port}",
                    "upstream": target.netloc,
                    "enabled": True,
                },
            )
            if made.is_success or attempt == 7:
                break
        made.raise_for_status()
        return Link(name, f"{target.scheme}://127.0.0.1:{port}", self._api)

    def close(self) -> None:
        """Remove every proxy and end the API client; the process goes on for the next test."""
        for name in self._api.get("/proxies").raise_for_status().json():
            self._api.delete(f"/proxies/{name}").raise_for_status()
        self._api.close()
