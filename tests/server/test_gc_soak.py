"""Pushes, pulls, mounts, deletions and signatures while two processes collect garbage without a pause.

`REGSYNC_SOAK=200` does 100,000 requests instead of 10,000.
"""

import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urljoin

import anyio
import httpx

from regsync.clock import SystemClock
from regsync.store.builtin import BuiltinStore
from regsync.store.fsck import Check
from regsync.store.gc_report import Kind, Rules, Run
from tests.server.gc_server import FastClock
from tests.support.images import Content, client, image, index, noise, referrer, sha256
from tests.support.processes import ServerProcess

OPERATIONS = 500 * int(os.environ.get("REGSYNC_SOAK", "20"))
PROJECT = Path(__file__).resolve().parents[2]
LANES = 8
REPOSITORIES = 8
PHASE = 1000  # operations, in which two repositories are pushed to and the others rest
LAYERS = [noise(f"layer {number}", 2000) for number in range(40)]


class Lane:
    """One client, with tags and manifests of its own; layers are everybody's."""

    def __init__(self, number: int, urls: list[str], http: httpx.Client) -> None:
        self._urls, self._http, self._number = urls, http, number
        self._chance = random.Random(f"lane {number}")
        self._tags: dict[tuple[str, str], Content] = {}
        self._signed: dict[tuple[str, str], Content] = {}  # by repository and subject
        self._busy = [0, 1]
        self.requests = 0
        self.counted: Counter[str] = Counter()

    def run(self, operations: int) -> Counter[str]:
        """Do them; an answer that should not be ends it."""
        steps: list[tuple[int, Callable[[], None]]] = [
            (35, self._push),
            (8, self._push_index),
            (30, self._pull),
            (15, self._untag),
            (5, self._delete),
            (7, self._sign),
        ]
        weights = [weight for weight, _ in steps]
        while self.requests < operations:
            phase = self.requests * LANES // PHASE
            self._busy = [phase % REPOSITORIES, (phase + 1) % REPOSITORIES]
            _, step = self._chance.choices(steps, weights)[0]
            step()
            self.counted[step.__name__] += 1
        for repository, tag in list(self._tags):
            self._check(repository, tag)
        return self.counted

    @property
    def tags(self) -> dict[tuple[str, str], Content]:
        """What it should be able to pull now."""
        return self._tags

    def _push(self) -> None:
        repository, tag = self._place()
        self._put(repository, self._image(), tag)

    def _push_index(self) -> None:
        repository, tag = self._place()
        children = [self._image(arch) for arch in ("amd64", "arm64")]
        for child in children:
            if self._ask("HEAD", repository, f"manifests/{child.digest}").status_code == 404:
                self._put(repository, child, child.digest)
        self._put(repository, index(*children), tag)

    def _pull(self) -> None:
        if self._tags:
            self._check(*self._chance.choice(list(self._tags)))

    def _untag(self) -> None:
        if self._tags:
            repository, tag = self._chance.choice(list(self._tags))
            del self._tags[repository, tag]
            self._expect(self._ask("DELETE", repository, f"manifests/{tag}"), 202)
            self._forget_signatures()

    def _delete(self) -> None:
        if not self._tags:
            return
        repository, tag = self._chance.choice(list(self._tags))
        digest = self._tags[repository, tag].digest
        answer = self._expect(self._ask("DELETE", repository, f"manifests/{digest}"), 202, 405)
        if answer.status_code == 202:  # else it is part of an index
            gone = [key for key, one in self._tags.items() if (key[0], one.digest) == (repository, digest)]
            for key in gone:
                del self._tags[key]
            self._forget_signatures()

    def _sign(self) -> None:
        signable = [key for key in self._tags if key[0] in map(name_of, self._busy)]
        if signable:
            repository, tag = self._chance.choice(signable)
            subject = self._tags[repository, tag]
            signature = referrer(subject, data=b"%d" % self._chance.randrange(5))
            self._put(repository, signature, signature.digest)
            self._signed[repository, subject.digest] = signature

    def _forget_signatures(self) -> None:
        """What no tag leads to any more may go with its signature, and come again without."""
        there = {(repository, one.digest) for (repository, _), one in self._tags.items()}
        self._signed = {key: one for key, one in self._signed.items() if key in there}

    def _place(self) -> tuple[str, str]:
        return name_of(self._chance.choice(self._busy)), f"l{self._number}-{self._chance.randrange(6)}"

    def _image(self, arch: str = "amd64") -> Content:
        name = f"lane {self._number} image {self._chance.randrange(30)}"
        layers = random.Random(f"{name} {arch}").sample(LAYERS, 3)
        return image(name, layers=layers, arch=arch)

    def _put(self, repository: str, content: Content, reference: str) -> None:
        """As clients do: ask for each blob first, send what is not there, then the manifest."""
        for data in content.blobs:
            if self._ask("HEAD", repository, f"blobs/{sha256(data)}").status_code == 404:
                self._send(repository, data)
        headers = {"Content-Type": content.media_type}
        body = {"content": content.data, "headers": headers}
        self._expect(self._ask("PUT", repository, f"manifests/{reference}", **body), 201)
        if ":" not in reference:
            self._tags[repository, reference] = content
            self._forget_signatures()

    def _send(self, repository: str, data: bytes) -> None:
        way = self._chance.choice(["mount", "whole", "pieces"])
        query = f"?mount={sha256(data)}" if way == "mount" else ""
        begun = self._expect(self._ask("POST", repository, f"blobs/uploads/{query}"), 202, 201)
        if begun.status_code == 201:
            return
        location = begun.headers["location"]
        if way == "pieces":
            part = self._http.patch(urljoin(self._url(), location), content=data[:700])
            location = self._expect(part, 202).headers["location"]
            data_left = data[700:]
        else:
            data_left = data
        done = self._http.put(
            urljoin(self._url(), location), params={"digest": sha256(data)}, content=data_left
        )
        self._expect(done, 201)

    def _check(self, repository: str, tag: str) -> None:
        """All of an image is there, with its signature."""
        content = self._tags[repository, tag]
        answer = self._expect(self._ask("GET", repository, f"manifests/{tag}"), 200)
        assert answer.content == content.data
        for node in content.walk():
            self._expect(self._ask("GET", repository, f"manifests/{node.digest}"), 200)
            for data in node.blobs:
                blob = self._expect(self._ask("GET", repository, f"blobs/{sha256(data)}"), 200)
                assert blob.content == data
        signature = self._signed.get((repository, content.digest))
        if signature is not None:
            listed = self._expect(self._ask("GET", repository, f"referrers/{content.digest}"), 200).json()
            assert signature.digest in [one["digest"] for one in listed["manifests"]]

    def _url(self) -> str:
        return self._chance.choice(self._urls)

    def _ask(self, method: str, repository: str, path: str, **options: object) -> httpx.Response:
        self.requests += 1
        return self._http.request(method, f"{self._url()}/v2/{repository}/{path}", **options)  # type: ignore[arg-type]

    def _expect(self, answer: httpx.Response, *statuses: int) -> httpx.Response:
        request = answer.request
        said = f"{request.method} {request.url}: {answer.status_code} {answer.text[:500]}"
        assert answer.status_code in statuses, f"lane {self._number}: {said}"
        return answer


def name_of(number: int) -> str:
    return f"soak/{number}"


@contextmanager
def servers(path: Path, epoch: float) -> Iterator[list[ServerProcess]]:
    """Two processes on one store."""
    env = {"PYTHONPATH": str(PROJECT), "PATH": os.environ.get("PATH", "")}

    def command(port: int) -> list[str]:
        return [sys.executable, "-m", "tests.server.gc_server", str(path / "store"), str(port), str(epoch)]

    with ExitStack() as stack:
        yield [
            stack.enter_context(ServerProcess(command, path / f"server{number}.log", env))
            for number in range(2)
        ]


def deleted(processes: list[ServerProcess]) -> dict[Kind, int]:
    """What the runs say that they deleted."""
    lines = [line.split()[1:] for one in processes for line in one.output().splitlines() if line[:3] == "gc "]
    return {kind: sum(int(line[number]) for line in lines) for number, kind in enumerate(Kind)}


def test_no_client_misses_what_it_was_told_is_there(tmp_path: Path) -> None:
    epoch = time.time()
    with servers(tmp_path, epoch) as processes, ExitStack() as stack:
        urls = [f"http://127.0.0.1:{one.port}" for one in processes]
        lanes = [Lane(number, urls, stack.enter_context(client())) for number in range(LANES)]
        with ThreadPoolExecutor(LANES) as threads:
            runs = [threads.submit(lane.run, OPERATIONS // LANES) for lane in lanes]
            wait(runs)
        lines = [line for one in processes for line in one.output().splitlines() if line[:3] != "gc "]
        assert [str(run.exception()) for run in runs if run.exception() is not None] == [], lines
        counted = sum((run.result() for run in runs), Counter[str]())
        gone = deleted(processes)
    print(dict(counted), gone)
    assert sum(lane.requests for lane in lanes) >= OPERATIONS
    for kind in (Kind.MANIFEST, Kind.LINK):  # else nothing was in anybody's way
        assert gone[kind] > 0
    anyio.run(check_what_is_left, tmp_path / "store", lanes, epoch)


async def check_what_is_left(path: Path, lanes: list[Lane], epoch: float) -> None:
    """Nothing is damaged, and all that tags lead to is there when everything else is gone."""
    async with BuiltinStore.open(path, clock=FastClock(epoch)) as store:
        found = await Check(store, SystemClock()).run()
        assert found.is_sound
        assert not found.contradictions
        await store.collect_garbage(Rules(0, 0, 0), Run.FOR_REAL)
        stats = await store.stats()
    kept = [(repository, one) for lane in lanes for (repository, _), one in lane.tags.items()]
    blobs = {digest: len(data) for _, one in kept for digest, data in one.all_blobs().items()}
    assert set(blobs) <= {f"sha256:{one.name}" for one in (path / "blobs").rglob("*") if one.is_file()}
    assert stats.tags == sum(len(lane.tags) for lane in lanes)
