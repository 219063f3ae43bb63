"""kill -9 of the server at any moment of any request: what was acknowledged is there, nothing is half there.

`REGSYNC_SOAK=200` scales at how many moments.
"""

import os
import random
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urljoin

import httpx

from tests.server.pushing_lanes import Known, Lane
from tests.support.images import Content, sha256
from tests.support.registry_state import read_registry
from tests.support.regsync_server import RegsyncServer

MOMENTS = int(os.environ.get("REGSYNC_SOAK", "20"))
LANES = 4
STEPS = 400  # within which the moment lies: pieces sent, requests begun and answered


class Trigger:
    """Kills the server in the midst of step number `after` of all clients together."""

    def __init__(self, server: RegsyncServer, after: int) -> None:
        self._server, self._left = server, after
        self._lock = threading.Lock()
        self._is_dead = False

    def step(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left <= 0 and not self._is_dead:
                self._is_dead = True
                self._server.process.kill()


def push_until_killed(server: RegsyncServer, round_number: int, after: int) -> list[Known]:
    trigger = Trigger(server, after)
    lanes = [Lane(server, f"lane{number} {round_number}", trigger.step) for number in range(LANES)]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    assert [lane.failure for lane in lanes] == [None] * LANES
    return [lane.known for lane in lanes]


def test_kill_9_at_any_moment_loses_nothing_acknowledged_and_shows_nothing_partial(
    regsync_server_factory: Callable[..., RegsyncServer],
) -> None:
    server = regsync_server_factory()
    chance = random.Random("moments")
    tags: dict[tuple[str, str], Content] = {}
    resumed = 0
    for round_number in range(MOMENTS):
        known = push_until_killed(server, round_number, chance.randint(1, STEPS))
        server.restart()
        with server.client() as http:
            for one in known:
                check_blobs(server, http, one)
                tags.update(check_tags(server, http, one))
                resumed += resume(server, http, one)
            for (repository, tag), content in tags.items():
                assert manifest(server, http, repository, tag) == content.data
    assert parts(server.store) == []
    assert resumed > MOMENTS / 4
    for name, state in read_registry(server.url).items():
        assert state.complete, f"{name}: {state.missing} is missing below a tag"


def blob(server: RegsyncServer, http: httpx.Client, repository: str, data: bytes) -> bytes | None:
    answer = http.get(f"{server.url}/v2/{repository}/blobs/{sha256(data)}")
    assert answer.status_code in (200, 404)
    return answer.content if answer.status_code == 200 else None


def manifest(server: RegsyncServer, http: httpx.Client, repository: str, tag: str) -> bytes | None:
    answer = http.get(f"{server.url}/v2/{repository}/manifests/{tag}")
    assert answer.status_code in (200, 404)
    return answer.content if answer.status_code == 200 else None


def check_blobs(server: RegsyncServer, http: httpx.Client, known: Known) -> None:
    for repository, data in known.begun:
        found = blob(server, http, repository, data)
        assert found in ((data,) if (repository, data) in known.blobs else (data, None))


def check_tags(server: RegsyncServer, http: httpx.Client, known: Known) -> Mapping[tuple[str, str], Content]:
    """Where each tag is: at what was acknowledged last, or at what was being put."""
    found = {}
    for (repository, tag), begun in known.put.items():
        acknowledged = known.tags.get((repository, tag))
        now = manifest(server, http, repository, tag)
        if now == begun.data:
            found[repository, tag] = begun
        elif acknowledged is not None:
            assert now == acknowledged.data
            found[repository, tag] = acknowledged
    return found


def resume(server: RegsyncServer, http: httpx.Client, known: Known) -> bool:
    """Go on with the upload that was under way from where the server says; whether there was one."""
    upload = known.upload
    if upload is None:
        return False
    url = urljoin(server.url, upload.path)
    answer = http.get(url)
    if answer.status_code == 404:
        assert upload.is_finishing  # it was over; whether the blob is there was looked at
        return False
    assert answer.status_code == 204
    last = int(answer.headers["range"].removeprefix("0-"))
    offset = last + 1 if last else 0
    assert upload.acknowledged <= offset <= len(upload.data)
    if rest := upload.data[offset:]:
        sent = http.patch(url, content=rest, headers={"Content-Range": f"{offset}-{offset + len(rest) - 1}"})
        assert sent.status_code == 202, sent.text
    assert http.put(f"{url}?digest={sha256(upload.data)}").status_code == 201
    assert blob(server, http, upload.repository, upload.data) == upload.data
    return True


def parts(store: Path) -> list[str]:
    return [one.name for one in store.rglob("part-*")]
