"""Compare `regsync serve` with other registries, in turn on this machine.

    python -m tests.bench.serving                          # every row: some minutes
    python -m tests.bench.serving --row manifest-get --row blob-put --rounds 5
    python -m tests.bench.serving --directory DIR --markdown report.md

Needs wrk and curl, distribution's registry and, where it is installed, Debian's docker-registry. Ours runs
as one process with roles, metrics and access log on; theirs write their access logs too. Nothing else
should run meanwhile.
"""

import argparse
import contextlib
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Protocol

import anyio
import httpx

from regsync.clock import SystemClock
from regsync.content.concurrently import for_each
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.media_type import OCTET_STREAM
from regsync.oci.reference import RepositoryName
from regsync.store.builtin import BuiltinStore
from regsync.store.gc_report import Kind, Rules, Run
from tests.bench import contenders, corpus, measure
from tests.support import images, servers, tools
from tests.support.regsync_server import RegsyncServer

MIB = 1 << 20
BIG = 128 * MIB  # bytes
WRK_SECONDS = 3
MANY_TAGS, FEW_TAGS = 100_000, 100
MANY_BLOBS = 100_000
UPLOADS, UPLOAD_SIZE = 100, 8 * MIB
SPEC = """\
access:
  - {subjects: [anonymous], repositories: ["**"], actions: [pull, push, overwrite, delete]}
"""


class Server(Protocol):
    """A registry that runs."""

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        ...

    @property
    def host(self) -> str:
        """Host and port."""
        ...


@dataclass
class Row:
    """What one row found: figures by contender, in the order of the runs."""

    title: str
    unit: str
    goal: str
    met: Callable[[Mapping[str, float]], bool]
    figures: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, figure: float) -> None:
        """Note a run."""
        self.figures.setdefault(name, []).append(figure)

    def medians(self) -> dict[str, float]:
        """By contender."""
        return {name: median(found) for name, found in self.figures.items()}


@contextlib.contextmanager
def contestants(directory: Path) -> Iterator[dict[str, Server]]:
    """Ours and theirs, each on an empty store, as processes that end with the block."""
    with contextlib.ExitStack() as stack:
        running: dict[str, Server] = {"regsync": stack.enter_context(ours(directory / "ours"))}
        (directory / "distribution").mkdir()
        running["distribution"] = stack.enter_context(servers.distribution(directory / "distribution"))
        if tools.find("docker-registry") is not None:
            (directory / "debian").mkdir()
            running["docker-registry"] = stack.enter_context(servers.debian_registry(directory / "debian"))
        yield running


def ours(directory: Path) -> RegsyncServer:
    """`regsync serve` with roles; its access log goes to a file."""
    directory.mkdir(parents=True, exist_ok=True)
    return RegsyncServer(directory, spec=SPEC)


def manifest_get(directory: Path, rounds: int) -> Row:
    """GET of one manifest by its tag, small answers as fast as they come."""
    row = Row("manifest GET by tag", "requests/s", "≥ 3.5 x distribution", _at_least(3.5))
    with contestants(directory) as running:
        for server in running.values():
            _push(server, "app", images.image("app"), "v1")
        for _ in range(rounds):
            for name, server in running.items():
                row.add(name, wrk(f"{server.url}/v2/app/manifests/v1", connections=16)[0])
    return row


def blob_get(directory: Path, rounds: int) -> Row:
    """GET of a blob of 128 MiB."""
    row = Row("blob GET, 128 MiB", "MB/s", "≥ 0.95 x distribution", _at_least(0.95))
    blob = images.noise("blob", MIB) * (BIG // MIB)
    with contestants(directory) as running:
        for server in running.values():
            with images.client() as http:
                images.push_blob(server.url, "app", blob, http)
        for _ in range(rounds):
            for name, server in running.items():
                found = wrk(f"{server.url}/v2/app/blobs/{images.sha256(blob)}", connections=2)
                row.add(name, found[1] / 1e6)
    return row


def blob_put(directory: Path, rounds: int) -> Row:
    """PUT of a blob of 128 MiB, new each time; ours syncs it to disk, and so does distribution."""
    row = Row("blob PUT, 128 MiB, fsync", "s", "≤ 0.75 x distribution", _at_most(0.75))
    file = directory / "blob"
    with contestants(directory) as running:
        for number in range(rounds):
            data = images.noise(f"{number}", MIB) * (BIG // MIB)
            file.write_bytes(data)
            for name, server in running.items():
                with images.client() as http:
                    location = http.post(f"{server.url}/v2/app/blobs/uploads/").headers["location"]
                url = str(httpx.URL(server.url).join(location).copy_add_param("digest", images.sha256(data)))
                began = time.perf_counter()
                _curl("-T", str(file), "-H", "Content-Type: application/octet-stream", url)
                row.add(name, time.perf_counter() - began)
    return row


def small_push(directory: Path, rounds: int) -> Row:
    """Our engine pushes the small corpus, 500 images, into each."""
    row = Row("push of 500 small images by `regsync sync`", "s", "≤ 0.5 x distribution", _at_most(0.5))
    (directory / "source").mkdir()
    with servers.distribution(directory / "source") as source:
        corpus.push(source.url, "small")
        for number in range(rounds):
            place = directory / f"round-{number}"
            place.mkdir()
            with contestants(place) as running:
                for name, server in running.items():
                    row.add(name, _sync(place / f"sync-{name}", source, server))
    return row


def _sync(directory: Path, source: Server, target: Server) -> float:
    directory.mkdir()
    documents = [
        contenders.document("Registry", "source", {"url": source.url}),
        contenders.document("Registry", "target", {"url": target.url}),
        contenders.document(
            "Mirror",
            "bench",
            {
                "source": "source/{repository}",
                "targets": ["target/{repository}"],
                "repositories": corpus.repositories("small"),
                "tags": ["*"],
            },
        ),
    ]
    spec = directory / "regsync.yaml"
    spec.write_text("\n---\n".join(documents))
    command = [*contenders.our_program(), "sync", str(spec), "--state", str(directory / "state")]
    return measure.run(command, directory=directory, env=contenders.our_environment()).seconds


def many_tags(directory: Path, rounds: int) -> Row:
    """PUT and GET of a tag, and a page of the list, beside 100,000 tags and beside 100 (ours alone)."""
    row = Row(
        "100,000 tags in one repository",
        "ms",
        "PUT and GET as with 100 ± 20 %, a page of 100 ≤ 5 ms",
        lambda found: (
            found["PUT among 100,000"] <= 1.2 * found["PUT among 100"]
            and found["GET among 100,000"] <= 1.2 * found["GET among 100"]
            and found["list?n=100 among 100,000"] <= 5
        ),
    )
    content = images.image("app")
    with ours(directory / "ours") as server, images.client() as http:

        def put(base: str) -> None:
            headers = {"Content-Type": content.media_type}
            answer = http.put(f"{base}/manifests/t000042", content=content.data, headers=headers)
            assert answer.status_code == 201, answer.text

        for repository, count in (("few", FEW_TAGS), ("many", MANY_TAGS)):
            images.push(server.url, repository, content, http=http)
            _tag(server, repository, content, count)
        for _ in range(rounds):
            for repository, said in (("few", "100"), ("many", "100,000")):
                base = f"{server.url}/v2/{repository}"
                page = f"{base}/tags/list?n=100&last=t00005"
                row.add(f"PUT among {said}", _each(partial(put, base), 200))
                row.add(f"GET among {said}", _each(partial(http.get, f"{base}/manifests/t000042"), 200))
                row.add(f"list?n=100 among {said}", _each(partial(http.get, page), 50))
    return row


def _tag(server: Server, repository: str, content: images.Content, count: int) -> None:
    """Tags t000000 on, a hundred with each manifest."""
    headers = {"Content-Type": content.media_type}
    with images.client() as http:
        for start in range(0, count, 100):
            tags = [("tag", f"t{number:06}") for number in range(start, min(start + 100, count))]
            url = httpx.URL(f"{server.url}/v2/{repository}/manifests/{content.digest}", params=tags)
            assert http.put(url, content=content.data, headers=headers).status_code == 201


def ready(directory: Path, rounds: int) -> Row:
    """From the start of the process to the first answer, with 100,000 manifests in the store."""
    row = Row("start to ready, 100,000 manifests", "s", "≤ 0.5 s", lambda found: found["regsync"] <= 0.5)
    home = directory / "ours"
    with ours(home) as server:
        _fill(server, MANY_TAGS)
    for number in range(rounds):
        place = directory / f"start-{number}"
        place.mkdir()
        with RegsyncServer(place, spec=SPEC, store=home / "store") as server:
            row.add("regsync", _restart(server))
    return row


def _restart(server: RegsyncServer) -> float:
    server.process.stop()
    began = time.perf_counter()
    server.process.start()
    with images.client() as http:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if http.get(f"{server.url}/v2/").status_code == 200:
                    return time.perf_counter() - began


def _fill(server: Server, count: int) -> None:
    """So many manifests, each with an annotation of its own, in repositories of a thousand."""

    def fill(number: int) -> None:
        repository = f"fill/{number:03}"
        base = images.image("base")
        with images.client() as http:
            images.push(server.url, repository, base, http=http)
            for one in range(1000):
                document = {**base.document, "annotations": {"n": f"{number}-{one}"}}
                headers = {"Content-Type": base.media_type}
                url = f"{server.url}/v2/{repository}/manifests/t{one}"
                assert http.put(url, content=images.as_json(document), headers=headers).status_code == 201

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(fill, range(count // 1000)))


def uploads(directory: Path, rounds: int) -> Row:
    """Peak memory of the server while 100 clients upload 8 MiB each at once."""
    row = Row("100 uploads at once", "MiB", "≤ 100 MB", lambda found: found["regsync"] * MIB <= 100e6)
    for number in range(rounds):
        with ours(directory / f"ours-{number}") as server:
            together = threading.Barrier(UPLOADS)

            def upload(one: int, server: Server = server, together: threading.Barrier = together) -> None:
                data = images.noise(f"{one}", UPLOAD_SIZE)
                with images.client() as http:
                    location = http.post(f"{server.url}/v2/app/blobs/uploads/").headers["location"]
                    together.wait()
                    pieces = (data[at : at + 65536] for at in range(0, len(data), 65536))
                    answer = http.put(
                        f"{server.url}{location}", params={"digest": images.sha256(data)}, content=pieces
                    )
                    assert answer.status_code == 201, answer.text

            with ThreadPoolExecutor(UPLOADS) as pool:
                list(pool.map(upload, range(UPLOADS)))
            status = Path(f"/proc/{server.process.pid}/status").read_text()
            row.add("regsync", int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024)  # type: ignore[index]
    return row


class _Later(SystemClock):
    """A month from now, when no lease of today holds."""

    def now(self) -> datetime:
        return super().now() + timedelta(days=30)


def garbage(directory: Path, rounds: int) -> Row:
    """One collection that deletes 100,000 blobs which nothing leads to, in a store that nobody uses."""
    row = Row("gc of 100,000 blobs", "s", "≤ 10 s", lambda found: found["regsync"] <= 10)
    for number in range(rounds):
        row.add("regsync", anyio.run(_collect, directory / f"store-{number}"))
    return row


async def _collect(path: Path) -> float:
    async with BuiltinStore.open(path) as store:

        async def push(one: int) -> None:
            raw = f"blob {one}".encode()
            repository = store.repository(RepositoryName(f"fill/{one % 100:03}"))
            await repository.push(Descriptor(OCTET_STREAM, Digest.of(raw), len(raw)), _once(raw))

        await for_each(push, range(MANY_BLOBS), at_once=64)
    async with BuiltinStore.open(path, clock=_Later()) as store:
        began = time.perf_counter()
        report = await store.collect_garbage(Rules(grace=0, untagged=0), Run.FOR_REAL)
        took = time.perf_counter() - began
    assert report.counts[Kind.BLOB].deleted == MANY_BLOBS, report
    return took


async def _once(raw: bytes) -> AsyncIterator[bytes]:
    yield raw


def wrk(url: str, *, connections: int) -> tuple[float, float]:
    """Requests and bytes a second, from one thread."""
    accept = "Accept: application/vnd.oci.image.manifest.v1+json"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{WRK_SECONDS}s", "-H", accept, url]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in said:
        raise measure.RunFailedError(f"{url} did not answer well:\n{said}")
    requests = float(re.search(r"Requests/sec:\s+([0-9.]+)", said)[1])  # type: ignore[index]
    amount = re.search(r"Transfer/sec:\s+([0-9.]+)([KMG]?)B", said)
    assert amount is not None, said
    return requests, float(amount[1]) * {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}[amount[2]]


def _push(server: Server, repository: str, content: images.Content, tag: str) -> None:
    with images.client() as http:
        images.push(server.url, repository, content, tag, http=http)


def _curl(*arguments: str) -> None:
    subprocess.run(["curl", "-sS", "--fail", "-o", "/dev/null", "-H", "Expect:", *arguments], check=True)


def _each(action: Callable[[], object], times: int) -> float:
    """Milliseconds that one takes, the median."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        took.append(time.perf_counter() - began)
    return median(took) * 1000


def _at_least(ratio: float) -> Callable[[Mapping[str, float]], bool]:
    return lambda found: found["regsync"] >= ratio * found["distribution"]


def _at_most(ratio: float) -> Callable[[Mapping[str, float]], bool]:
    return lambda found: found["regsync"] <= ratio * found["distribution"]


ROWS: Mapping[str, Callable[[Path, int], Row]] = {
    "manifest-get": manifest_get,
    "blob-get": blob_get,
    "blob-put": blob_put,
    "small-push": small_push,
    "many-tags": many_tags,
    "ready": ready,
    "uploads": uploads,
    "gc": garbage,
}


def table(rows: Sequence[Row]) -> str:
    """As Markdown."""
    lines = ["| work | contender | median | of | unit | ratio | goal |", "|---|---|---:|---:|---|---:|---|"]
    for row in rows:
        found = row.medians()
        verdict = f"{row.goal}: {'met' if row.met(found) else 'MISSED'}"
        for number, (name, figure) in enumerate(found.items()):
            ratio = f"{found['regsync'] / figure:.2f}" if "regsync" in found and number else ""
            first = (row.title, verdict) if number == 0 else ("", "")
            runs = len(row.figures[name])
            lines.append(
                f"| {first[0]} | {name} | {figure:,.3g} | {runs} | {row.unit} | {ratio} | {first[1]} |"
            )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run the chosen rows and print the table; 0 also when a goal was missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--row", action="append", choices=list(ROWS), help="only this row; may be repeated")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contender, in turn (default 3)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the table there")
    parser.add_argument("--directory", type=Path, help="where data goes: 8 GiB free; default a temporary one")
    arguments = parser.parse_args()
    rows = []
    for name in arguments.row or ROWS:
        with tempfile.TemporaryDirectory(prefix="regsync-bench-", dir=arguments.directory) as place:
            rows.append(ROWS[name](Path(place), arguments.rounds))
        print(f"{name}: {json.dumps(rows[-1].medians())}", file=sys.stderr, flush=True)
    report = table(rows)
    print(report)
    if arguments.markdown:
        arguments.markdown.write_text(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
