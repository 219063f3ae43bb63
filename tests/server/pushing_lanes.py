"""Clients that push without a pause and note what was acknowledged, until their server dies under them."""

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urljoin

import httpx

from tests.support.images import Content, image, put_manifest, sha256
from tests.support.regsync_server import RegsyncServer

REPOSITORIES = ("team/app", "team/base")
TAGS = 5  # few, so that tags move
PIECE = 16 * 1024  # bytes that a body sends at once
LARGE = 300_000  # bytes of some layers


@dataclass
class Upload:
    """One upload as its client knows it: `acknowledged` bytes of `data`; the server may have more."""

    repository: str
    path: str
    data: bytes
    acknowledged: int = 0
    is_finishing: bool = False


@dataclass
class Known:
    """What one client was told. A manifest is `put` from the moment its PUT begins."""

    blobs: set[tuple[str, bytes]] = field(default_factory=set)  # acknowledged: repository, bytes
    begun: set[tuple[str, bytes]] = field(default_factory=set)
    tags: dict[tuple[str, str], Content] = field(default_factory=dict)
    put: dict[tuple[str, str], Content] = field(default_factory=dict)
    upload: Upload | None = None


class Lane(threading.Thread):
    """One client. `step` is called at each of its steps; `known` is whole when it has ended."""

    def __init__(self, server: RegsyncServer, name: str, step: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._server, self._seed, self._step = server, name, step
        self._chance = random.Random(name)
        self.known = Known()
        self.failure: AssertionError | None = None

    def run(self) -> None:
        """Push until the connection breaks."""
        try:
            with self._server.client() as http:
                number = 0
                while True:
                    self._push(http, number)
                    number += 1
        except httpx.TransportError:
            pass
        except AssertionError as failure:
            self.failure = failure

    def _push(self, http: httpx.Client, number: int) -> None:
        size = LARGE if number % 3 == 0 else 3000
        content = image(f"{self._seed} {number}", layers=2, layer_size=size)
        repository = self._chance.choice(REPOSITORIES)
        for data in content.blobs:
            self.known.begun.add((repository, data))
            self._chance.choice((self._at_once, self._put, self._in_chunks))(http, repository, data)
            self.known.blobs.add((repository, data))
            self.known.upload = None
        place = (repository, f"{self._seed.split()[0]}-{number % TAGS}")
        self.known.put[place] = content
        self._step()
        put_manifest(self._server.url, repository, place[1], content, http)
        self.known.tags[place] = content
        self._step()

    def _at_once(self, http: httpx.Client, repository: str, data: bytes) -> None:
        url = f"{self._server.url}/v2/{repository}/blobs/uploads/?digest={sha256(data)}"
        self._check(http.post(url, content=self._body(data), headers=_length(data)), 201)

    def _put(self, http: httpx.Client, repository: str, data: bytes) -> None:
        url = self._begin(http, repository, data)
        self._finish(http, url, data, data)

    def _in_chunks(self, http: httpx.Client, repository: str, data: bytes) -> None:
        url = self._begin(http, repository, data)
        cut = self._chance.randrange(2, len(data))
        for start, end in ((0, cut), (cut, len(data))):
            chunk = data[start:end]
            headers = {**_length(chunk), "Content-Range": f"{start}-{end - 1}"}
            self._check(http.patch(url, content=self._body(chunk), headers=headers), 202)
            assert self.known.upload is not None
            self.known.upload.acknowledged = end
        self._finish(http, url, data, b"")

    def _begin(self, http: httpx.Client, repository: str, data: bytes) -> str:
        answer = http.post(f"{self._server.url}/v2/{repository}/blobs/uploads/")
        self._check(answer, 202)
        self.known.upload = Upload(repository, answer.headers["location"], data)
        return urljoin(self._server.url, answer.headers["location"])

    def _finish(self, http: httpx.Client, url: str, data: bytes, last: bytes) -> None:
        assert self.known.upload is not None
        self.known.upload.is_finishing = True
        answer = http.put(f"{url}?digest={sha256(data)}", content=self._body(last), headers=_length(last))
        self._check(answer, 201)

    def _body(self, data: bytes) -> Iterator[bytes]:
        self._step()
        for start in range(0, len(data), PIECE):
            yield data[start : start + PIECE]
            self._step()

    def _check(self, answer: httpx.Response, status: int) -> None:
        self._step()
        assert answer.status_code == status, answer.text


def _length(data: bytes) -> dict[str, str]:
    return {"Content-Length": str(len(data))}
