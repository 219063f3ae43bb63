"""Copying graphs: order, healing, what is reused, what cannot be."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.lowlevel import checkpoint

from regsync.content.copy import Copied, copy_graph
from regsync.content.destination import Destination
from regsync.content.errors import IndexNotCompleteError
from regsync.content.graph import Graph, Shape, Sparse, read_graph
from regsync.content.in_hand import AbandonedError
from regsync.content.manifests import Manifests
from regsync.content.references import Children, MissingReferencesError
from regsync.content.transfers import Transfers
from regsync.errors import RegsyncError
from regsync.oci.digest import Digest
from regsync.oci.platform import Platform
from regsync.oci.reference import Tag
from tests.content.places import NoError, Repository
from tests.support.images import Content, image, index

pytestmark = pytest.mark.anyio

V1 = Tag("v1")


@asynccontextmanager
async def transfers() -> AsyncIterator[Transfers]:
    async with anyio.create_task_group() as group:
        yield Transfers(group, pause=lambda attempt: checkpoint())
        group.cancel_scope.cancel()


async def graph_of(source: Repository, content: Content, shape: Shape = None) -> Graph:
    return await read_graph(Manifests(), [source], await source.add_image(content), shape=shape)


async def copy(source: Repository, content: Content, to: Destination, shape: Shape = None) -> Copied:
    """Copy to tag v1; the error is raised outside the group."""
    graph = await graph_of(source, content, shape)
    source.calls.clear()
    failures: list[RegsyncError] = []
    copied = Copied()
    async with transfers() as moving:
        try:
            copied = await copy_graph(moving, [source], graph, to, tag=V1)
        except RegsyncError as error:
            failures.append(error)
    if failures:
        raise failures[0]
    return copied


async def nothing() -> Copied:
    """No evidence."""
    return Copied()


class Memory:
    """What a ledger knew."""

    def __init__(self, *blobs: bytes) -> None:
        self.sizes = {Digest.of(blob): len(blob) for blob in blobs}

    def known(self) -> dict[Digest, int]:
        return self.sizes

    def put(self, digest: Digest, size: int) -> None:
        self.sizes[digest] = size

    def lost(self) -> None:
        self.sizes.clear()


@pytest.fixture
def source() -> Repository:
    return Repository("source")


@pytest.fixture
def target() -> Repository:
    return Repository("target")


async def test_children_go_before_their_parent_and_the_tag_goes_last(
    source: Repository, target: Repository
) -> None:
    inner = index(image("a"), image("b", arch="arm64"))
    app = index(inner, image("c"))

    await copy(source, app, Destination(target))

    puts = [name for call, name in target.log if call == "push_manifest"]
    assert puts[-1] == "v1"
    assert puts.index(inner.digest) > max(puts.index(child.digest) for child in inner.children)
    pushed = [number for number, (call, _) in enumerate(target.log) if call == "push"]
    assert max(pushed) < target.log.index(("push_manifest", puts[0]))


async def test_what_is_sent_and_what_is_reused_add_up_to_the_image(
    source: Repository, target: Repository
) -> None:
    app = image("app", layers=[b"there already", b"new"])
    target.add(b"there already")

    copied = await copy(source, app, Destination(target))

    assert copied.reused == len(b"there already")
    assert copied.sent + copied.reused == app.total_size()
    assert await copy(source, app, Destination(target)) == Copied(0, app.total_size())


async def test_bytes_of_evidence_come_on_top_and_nothing_is_negative(
    source: Repository, target: Repository
) -> None:
    app = image("app")

    async def evidence() -> Copied:
        return Copied(sent=10**9)

    graph = await graph_of(source, app)
    async with transfers() as moving:
        copied = await copy_graph(moving, [source], graph, Destination(target), tag=V1, before_tag=evidence)

    assert copied == Copied(sent=10**9 + app.total_size(), reused=0)


async def test_a_tag_does_not_move_when_what_comes_before_it_fails(
    source: Repository, target: Repository
) -> None:
    async def evidence() -> Copied:
        raise NoError("unsigned")

    graph = await graph_of(source, image("app"))
    async with transfers() as moving:
        with pytest.raises(NoError):
            await copy_graph(moving, [source], graph, Destination(target), tag=V1, before_tag=evidence)

    assert V1 not in target._tags


async def test_nothing_is_asked_of_a_repository_that_is_not_there(
    source: Repository, target: Repository
) -> None:
    await copy(source, index(image("a"), image("b")), Destination(target, may_have_content=False))

    assert target.calls["exists"] == 0


async def test_a_target_that_lost_what_was_known_is_filled_in_the_same_copy(
    source: Repository, target: Repository
) -> None:
    app = image("app", layers=[b"one", b"two"])
    memory = Memory(*app.blobs, b"long gone")

    await copy(source, app, Destination(target, memory=memory))

    assert target._tags == {V1: Digest.parse(app.digest)}
    assert Digest.of(b"long gone") not in memory.sizes, "nothing of it is believed any more"


async def test_a_target_that_kept_a_manifest_but_lost_its_blob_is_filled_too(
    source: Repository, target: Repository
) -> None:
    app = image("app")
    await target.add_image(app)
    del target._blobs[Digest.of(app.blobs[1])]

    await copy(source, app, Destination(target))

    assert target._tags == {V1: Digest.parse(app.digest)}
    assert len(target._blobs) == len(app.all_blobs())


async def test_a_target_that_still_lacks_something_afterwards_says_what(
    source: Repository, target: Repository
) -> None:
    app = image("app")
    target.fails("push_manifest", MissingReferencesError(Digest.parse(app.digest), [], where="target"))

    with pytest.raises(MissingReferencesError):
        await copy(source, app, Destination(target))

    assert target.calls["push_manifest"] == 2


async def test_an_index_with_children_left_out_says_where_it_is_not_taken(source: Repository) -> None:
    app = index(image("app"), image("app", arch="arm64"))
    sparse = Sparse((Platform.parse("linux/amd64"),))
    strict = Repository("strict")
    lenient = Repository("lenient")
    lenient._children = Children.OPTIONAL

    with pytest.raises(IndexNotCompleteError, match=r"strict: .*1 of them") as refused:
        await copy(source, app, Destination(strict), sparse)
    await copy(source, app, Destination(lenient), sparse)

    assert "as a list" in (refused.value.hint or "")
    assert lenient._tags == {V1: Digest.parse(app.digest)}
    assert Digest.parse(app.children[1].digest) not in lenient._manifests


async def test_a_stopped_copy_moves_no_tag(source: Repository, target: Repository) -> None:
    graph = await graph_of(source, image("app"))
    begun = anyio.Event()

    async def stall() -> None:
        begun.set()
        await anyio.sleep_forever()

    target.hooks["push"] = stall
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: copy_graph(Transfers(group), [source], graph, Destination(target), tag=V1))
        await begun.wait()
        group.cancel_scope.cancel()

    assert not target._tags
    assert not target._manifests


async def test_a_tag_that_is_being_put_is_put_to_its_end(source: Repository, target: Repository) -> None:
    graph = await graph_of(source, image("app"))
    done: list[Copied] = []

    async def copying() -> None:
        done.append(await copy_graph(Transfers(group), [source], graph, Destination(target), tag=V1))

    async def stop() -> None:
        group.cancel_scope.cancel()
        await checkpoint()

    target.hooks["push_manifest"] = stop
    async with anyio.create_task_group() as group:
        group.start_soon(copying)

    assert V1 in target._tags
    assert len(done) == 1, "and it is told"


async def test_a_tag_that_is_put_for_ever_is_given_up_once_the_run_was_stopped(
    source: Repository, target: Repository
) -> None:
    graph = await graph_of(source, image("app"))
    told: list[RegsyncError] = []

    async def copying() -> None:
        moving = Transfers(group, stop_within=0.0)
        try:
            await copy_graph(moving, [source], graph, Destination(target), tag=V1)
        except AbandonedError as error:
            told.append(error)

    async def stop() -> None:
        group.cancel_scope.cancel()
        await anyio.sleep_forever()

    target.hooks["push_manifest"] = stop
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(copying)

    assert [str(one) for one in told] == [
        "target: tag v1 was given up: the run was stopped, and no answer came in time"
    ]
    assert not target._tags


async def test_two_tags_of_one_image_put_what_is_below_them_once(
    source: Repository, target: Repository
) -> None:
    graph = await graph_of(source, index(image("a"), index(image("b", arch="arm64"))))
    to = Destination(target, may_have_content=False)
    copied: list[Copied] = []

    async def others_come_first() -> None:
        for _ in range(20):
            await checkpoint()

    target.hooks["push_manifest"] = others_come_first

    async with transfers() as moving, anyio.create_task_group() as group:

        async def one(tag: str) -> None:
            copied.append(await copy_graph(moving, [source], graph, to, tag=Tag(tag), before_tag=nothing))

        for tag in ("v1", "v1.2", "latest"):
            group.start_soon(one, tag)

    puts = [name for call, name in target.log if call == "push_manifest"]
    assert sorted(puts) == sorted(
        [*(str(node.descriptor.digest) for node in graph.nodes), "v1", "v1.2", "latest"]
    )
    assert sum(one.sent for one in copied) == graph.size
