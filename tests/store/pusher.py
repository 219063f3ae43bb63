"""A process that pushes images for ever and says which are acknowledged: `pusher STORE NAME FIRST`."""

import sys

import anyio

from regsync.oci.reference import RepositoryName
from regsync.store.builtin import BuiltinStore
from tests.contract.places import put
from tests.support.images import Content, image

TAGS = 7  # few, so that tags move
AT_ONCE = 6


def content_of(number: int) -> Content:
    """The image of a number: one small layer, one of more than a MiB now and then."""
    return image(f"image {number}", layers=2, layer_size=1_500_000 if number % 10 == 0 else 3000)


async def push_for_ever(path: str, name: str, first: int) -> None:
    async with BuiltinStore.open(path) as store, anyio.create_task_group() as group:
        for lane in range(AT_ONCE):
            group.start_soon(push_lane, store, name, first + lane)


def place_of(number: int) -> tuple[str, str]:
    """Repository and tag of a number; no two lanes write the same tag."""
    return f"{number % 3}", f"v{number % AT_ONCE}-{number % TAGS}"


async def push_lane(store: BuiltinStore, name: str, number: int) -> None:
    while True:
        where, tag = place_of(number)
        repository = store.repository(RepositoryName(f"{name}/{where}"))
        await put(repository, content_of(number), tag)
        sys.stdout.write(f"{repository.repository} {tag} {number}\n")
        sys.stdout.flush()
        number += AT_ONCE


if __name__ == "__main__":
    anyio.run(push_for_ever, sys.argv[1], sys.argv[2], int(sys.argv[3]))
