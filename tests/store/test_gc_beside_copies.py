"""Copies into the store by this process, with a collection before the last step: nothing goes missing."""

from datetime import timedelta
from pathlib import Path

import pytest

from regsync.content.memory import MemoryPlace
from regsync.content.references import Children
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName, Tag
from regsync.reconcile.copy_image import copy_image
from regsync.store.builtin import BuiltinStore
from regsync.store.gc_report import Rules, Run
from regsync.store.repository import BuiltinRepository
from tests.contract.places import put
from tests.support.clock import FrozenClock
from tests.support.images import image, index

pytestmark = pytest.mark.anyio

APP, V1, OLD = RepositoryName("team/app"), Tag("v1"), Tag("old")


async def condemned(store: BuiltinStore, clock: FrozenClock) -> None:
    """What has no tag could go with the next collection; there is a tag, so content is looked for."""
    repository = store.repository(APP)
    await put(repository, image("other"), "other")
    await repository.untag(OLD)
    await store.collect_garbage(Rules(), Run.FOR_REAL)
    clock.advance(timedelta(days=8))


def collect_before(
    monkeypatch: pytest.MonkeyPatch, store: BuiltinStore, repository: BuiltinRepository
) -> None:
    """Collect whenever a manifest is put."""
    push = repository.push_manifest

    async def put_later(desc: Descriptor, raw: bytes, *, tag: Tag | None = None) -> None:
        await store.collect_garbage(Rules(), Run.FOR_REAL)
        await push(desc, raw, tag=tag)

    monkeypatch.setattr(repository, "push_manifest", put_later)


@pytest.mark.parametrize("children", [Children.REQUIRED, Children.OPTIONAL])
async def test_an_index_never_lacks_a_child_that_its_copy_left_out(
    tmp_path: Path, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch, children: Children
) -> None:
    there, new = image("a", arch="amd64"), image("a", arch="arm64")
    multi, source = index(there, new), MemoryPlace().repository("source")
    await put(source, multi, "v1")
    async with BuiltinStore.open(tmp_path, clock=clock) as store:
        repository = store.repository(APP, children=children)
        await put(repository, there, "old")
        await condemned(store, clock)
        collect_before(monkeypatch, store, repository)
        await copy_image(source, V1, repository, V1)
        for content in (multi, there, new):
            await repository.manifest(Digest.parse(content.digest))
