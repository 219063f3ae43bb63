"""What the built-in store costs for the corpus of the benchmark, by hand: `python -m tests.bench.ingest`.

500 images of 20 repositories, 1,021 distinct blobs of 2-200 KB, everything durable. The source is memory,
so that what is seen is the store alone; 64 images at once, as a run has them.
"""

import argparse
import os
import random
import resource
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio

from regsync.content.layout_place import LayoutPlace
from regsync.content.protocol import Store
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.media_type import OCI_MANIFEST
from regsync.oci.reference import RepositoryName, Tag
from tests.support.images import Content, image, noise

IMAGES, REPOSITORIES, SHARED = 500, 20, 521


@dataclass(frozen=True)
class Job:
    repository: RepositoryName
    tag: Tag
    content: Content
    blobs: tuple[tuple[Descriptor, bytes], ...]


def corpus() -> list[Job]:
    """Each image has a config of its own and three layers from a shared pool."""
    sizes = random.Random("sizes")
    layers = [noise(f"layer {number}", sizes.randint(2_000, 200_000)) for number in range(SHARED)]
    chosen = random.Random("chosen")
    jobs = []
    for number in range(IMAGES):
        content = image(f"image-{number}", layers=chosen.sample(layers, 3))
        blobs = tuple(
            (Descriptor("application/octet-stream", Digest.of(one), len(one)), one) for one in content.blobs
        )
        jobs.append(
            Job(RepositoryName(f"team/app-{number % REPOSITORIES}"), Tag(f"v{number}"), content, blobs)
        )
    return jobs


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 65536):
        yield data[start : start + 65536]


async def copy(job: Job, store: Store) -> None:
    async with anyio.create_task_group() as group:
        for desc, blob in job.blobs:
            group.start_soon(store.push, desc, chunks(blob))
    raw = job.content.data
    await store.push_manifest(Descriptor(OCI_MANIFEST, Digest.of(raw), len(raw)), raw, tag=job.tag)


async def run_jobs(jobs: list[Job], store_of: object) -> None:
    at_once = anyio.CapacityLimiter(64)

    async def one(job: Job) -> None:
        async with at_once:
            await copy(job, store_of(job.repository))  # type: ignore[operator]

    async with anyio.create_task_group() as group:
        for job in jobs:
            group.start_soon(one, job)


async def builtin(jobs: list[Job], path: Path) -> None:
    started = time.perf_counter()
    from regsync.store.builtin import BuiltinStore

    imported = time.perf_counter()
    async with BuiltinStore.open(path) as store:
        opened = time.perf_counter()
        cpu = time.process_time()
        await run_jobs(jobs, store.repository)
        done, used = time.perf_counter(), time.process_time() - cpu
        print(await store.stats())
    closed = time.perf_counter()
    print(
        f"import {imported - started:.3f}  open {opened - imported:.3f}  ingest {done - opened:.3f} "
        f"(cpu {used:.3f})  close {closed - done:.3f}  all {closed - started:.3f} s"
    )


async def layout(jobs: list[Job], path: Path) -> None:
    place = LayoutPlace(path)
    started, cpu = time.perf_counter(), time.process_time()
    await run_jobs(jobs, place.repository)
    print(f"ingest {time.perf_counter() - started:.3f} (cpu {time.process_time() - cpu:.3f}) s")


async def big(path: Path) -> None:
    from regsync.store.builtin import BuiltinStore

    data = os.urandom(128 * 1024 * 1024)
    desc = Descriptor("application/octet-stream", Digest.of(data), len(data))
    async with BuiltinStore.open(path) as store:
        repository = store.repository(RepositoryName("big"))
        started = time.perf_counter()
        await repository.push(desc, chunks(data))
        pushed = time.perf_counter()
        async with repository.fetch(desc) as stream:
            size = sum([len(chunk) async for chunk in stream])
    fetched = time.perf_counter() - pushed
    print(f"128 MiB: push {pushed - started:.3f} s, fetch {size / fetched / 1e9:.2f} GB/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["builtin", "layout", "big"], nargs="?", default="builtin")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--directory", type=Path, help="where to write; by default the system's temporary one"
    )
    arguments = parser.parse_args()
    jobs = corpus() if arguments.what != "big" else []
    runs: dict[str, Callable[[Path], Awaitable[None]]] = {
        "big": big,
        "builtin": partial(builtin, jobs),
        "layout": partial(layout, jobs),
    }
    for _ in range(arguments.rounds):
        path = Path(tempfile.mkdtemp(dir=arguments.directory))
        try:
            anyio.run(runs[arguments.what], path)
        finally:
            shutil.rmtree(path)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
