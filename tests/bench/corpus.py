"""Push a deterministic corpus of images into a registry, so that figures of different tools and days compare.

    python -m tests.bench.corpus http://127.0.0.1:5000 small

The same profile is the same bytes for ever. Profiles:

    small     20 repositories x 25 tags; 4 blobs an image, 200 KB shared by all, 80 KB by a repository, 20
    KB own multi     10 repositories x 5 tags; indexes of two platforms large     4 images x 2 layers of 128
    MiB, random bytes: 1 GiB in 8 blobs wide      1 repository x 5,000 tags on 50 images tags100k  1
    repository x 100,000 tags on 50 images
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import httpx

from tests.support import images
from tests.support.images import Content

MIB = 1 << 20
WORKERS = 8
WORKERS_FOR_LARGE = 1  # 256 MiB in memory each


@dataclass(frozen=True)
class Tagged:
    """Content made when it is needed, and the tags that point to it."""

    repository: str
    make: Callable[[], Content]
    tags: tuple[str, ...]


def small() -> Iterator[Tagged]:
    """500 images that share most of their bytes."""
    for app in range(20):
        for build in range(25):
            yield Tagged(f"bench/app{app:02d}", _Small(app, build), (f"v1.{build}.0",))


def multi() -> Iterator[Tagged]:
    """50 indexes of two images each."""
    for app in range(10):
        for build in range(5):
            yield Tagged(f"multi/app{app:02d}", _Multi(app, build), (f"v1.{build}",))


def large() -> Iterator[Tagged]:
    """1 GiB in 8 blobs."""
    for number in range(4):
        yield Tagged("large/app", _Large(number), (f"v{number}",))


def wide() -> Iterator[Tagged]:
    """5,000 tags on 50 images."""
    yield from _many("wide/app", 5_000)


def tags100k() -> Iterator[Tagged]:
    """100,000 tags on 50 images."""
    yield from _many("many/app", 100_000)


PROFILES: Mapping[str, Callable[[], Iterator[Tagged]]] = {
    "small": small,
    "multi": multi,
    "large": large,
    "wide": wide,
    "tags100k": tags100k,
}


def repositories(profile: str) -> list[str]:
    """The repositories that a profile fills, sorted."""
    return sorted({one.repository for one in PROFILES[profile]()})


def count_tags(profile: str) -> int:
    """How many tags a profile pushes."""
    return sum(len(one.tags) for one in PROFILES[profile]())


def push(url: str, profile: str) -> int:
    """Push a profile by raw HTTP; returns the count of tags.

    Raises httpx.HTTPStatusError when the registry refuses anything.
    """
    workers = WORKERS_FOR_LARGE if profile == "large" else WORKERS
    limits = httpx.Limits(max_connections=WORKERS)
    with images.client(limits=limits) as http, ThreadPoolExecutor(workers) as pool:

        def push_one(one: Tagged) -> int:
            content = images.push(url, one.repository, one.make(), http=http)
            for tag in one.tags:
                images.put_manifest(url, one.repository, tag, content, http)
            return len(one.tags)

        return sum(pool.map(push_one, PROFILES[profile]()))


@dataclass(frozen=True)
class _Small:
    app: int
    build: int

    def __call__(self) -> Content:
        layers = [
            _noise("base", 200_000),
            _noise(f"mid{self.app}", 80_000),
            images.noise(f"top{self.app}.{self.build}", 20_000),
        ]
        return images.image(f"{self.app}.{self.build}", layers=layers)


@dataclass(frozen=True)
class _Multi:
    app: int
    build: int

    def __call__(self) -> Content:
        return images.index(self._one("amd64"), self._one("arm64"))

    def _one(self, arch: str) -> Content:
        own = images.noise(f"{self.app}.{self.build}.{arch}", 30_000)
        layers = [_noise(f"base-{arch}", 100_000), own]
        return images.image(f"{self.app}.{self.build}", layers=layers, arch=arch)


@dataclass(frozen=True)
class _Large:
    number: int

    def __call__(self) -> Content:
        layers = [images.noise(f"large{self.number}.{layer}", 128 * MIB) for layer in range(2)]
        return images.image(f"large{self.number}", layers=layers)


@dataclass(frozen=True)
class _Seed:
    number: int

    def __call__(self) -> Content:
        return images.image(f"seed{self.number}", layers=[images.noise(f"seed{self.number}", 5_000)])


def _many(repository: str, count: int, seeds: int = 50) -> Iterator[Tagged]:
    for seed in range(seeds):
        tags = (f"v{build // 1000}.{build // 10 % 100}.{build % 10}" for build in range(seed, count, seeds))
        yield Tagged(repository, _Seed(seed), tuple(tags))


@cache
def _noise(seed: str, size: int) -> bytes:
    return images.noise(seed, size)


def main() -> None:
    """Push one profile from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url", help="the registry, http://127.0.0.1:5000")
    parser.add_argument("profile", choices=sorted(PROFILES))
    arguments = parser.parse_args()
    count = push(arguments.url, arguments.profile)
    print(f"{arguments.profile}: {count} tags pushed to {arguments.url}")


if __name__ == "__main__":
    main()
