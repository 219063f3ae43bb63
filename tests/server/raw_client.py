"""A connection to a server of the tests, byte by byte: for requests that no HTTP client would send."""

import socket
from types import TracebackType
from typing import Self

LIMIT = 20.0  # seconds for anything to happen


class RawClient:
    """One TCP connection to 127.0.0.1; use it as a context manager."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=LIMIT)

    def send(self, data: bytes) -> None:
        """Send it all."""
        self._socket.sendall(data)

    def request(self, method: str, target: str, *headers: str) -> None:
        """Send the head of a request."""
        lines = [f"{method} {target} HTTP/1.1", "Host: test", *headers, "", ""]
        self.send("\r\n".join(lines).encode())

    def read(self, size: int) -> bytes:
        """What has come, at least a byte and at most `size`; nothing when the server has closed."""
        try:
            return self._socket.recv(size)
        except ConnectionResetError:
            return b""

    def head(self) -> str:
        """The head of an answer, to the byte; empty when the server has closed."""
        found = b""
        while not found.endswith(b"\r\n\r\n") and (byte := self.read(1)):
            found += byte
        return found.decode("latin-1")

    def rest(self) -> bytes:
        """All until the server closes."""
        parts = []
        while part := self.read(1 << 20):
            parts.append(part)
        return b"".join(parts)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
