"""The built-in store against a model: whatever is done in whatever order, both say the same."""

import tempfile
from contextlib import AsyncExitStack
from typing import Any

import hypothesis.strategies as st
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from regsync.content.memory import MemoryPlace, MemoryRepository
from regsync.content.references import ContentInUseError
from regsync.errors import RegsyncError
from regsync.oci.reference import RepositoryName, Tag
from regsync.store.builtin import BuiltinStore
from regsync.store.repository import BuiltinRepository
from tests.contract.places import blob, described, read, stream
from tests.support.images import Content, image, index, referrer

IMAGES = [image(f"image {number}", layers=1, layer_size=20) for number in range(3)]
CONTENTS = [*IMAGES, index(*IMAGES[:2]), referrer(IMAGES[0]), referrer(IMAGES[1], data=b"1")]
BLOBS = sorted({data for content in CONTENTS for data in content.all_blobs().values()})
REPOSITORIES, TAGS = ("one", "two"), ("v1", "v2", "v3")

repositories = st.sampled_from(REPOSITORIES)
contents = st.sampled_from(CONTENTS)
tags = st.sampled_from(TAGS)


async def outcome(function: Any, *arguments: Any) -> Any:
    """The result, or the type of the error."""
    try:
        result = await function(*arguments)
    except RegsyncError as error:
        return type(error)
    return list(result) if isinstance(result, list | tuple) else result


async def observed(store: BuiltinRepository | MemoryRepository) -> list[Any]:
    """All that can be seen of a repository."""
    digests = [described(content).digest for content in CONTENTS]
    return [
        *[await outcome(store.manifest, one) for one in (*map(Tag, TAGS), *digests)],
        *[await outcome(read, store, blob(data)) for data in BLOBS],
        *[await outcome(store.referrers, digest) for digest in digests],
    ]


class StoreMachine(RuleBasedStateMachine):
    """Runs each step against the store on disk and against the store in memory."""

    def __init__(self) -> None:
        super().__init__()
        self._entered = start_blocking_portal()
        self.portal: BlockingPortal = self._entered.__enter__()
        self.directory = tempfile.TemporaryDirectory()
        self.stack = AsyncExitStack()
        self.model = MemoryPlace()

    @initialize()
    def open(self) -> None:
        self.store = self.portal.call(self._open)

    async def _open(self) -> BuiltinStore:
        return await self.stack.enter_async_context(BuiltinStore.open(self.directory.name))

    @rule()
    def reopen(self) -> None:
        self.portal.call(self.stack.aclose)
        self.store = self.portal.call(self._open)

    @rule(name=repositories, data=st.sampled_from(BLOBS))
    def push(self, name: str, data: bytes) -> None:
        self.both(name, lambda one: one.push(blob(data), stream(data)))

    @rule(name=repositories, data=st.sampled_from(BLOBS), wrong=st.binary(max_size=30))
    def push_what_it_is_not(self, name: str, data: bytes, wrong: bytes) -> None:
        known = self.portal.call(self.of_model(name).exists, blob(data))
        if wrong != data and not known and not self.known_elsewhere(data):
            self.both(name, lambda one: one.push(blob(data), stream(wrong)))

    def known_elsewhere(self, data: bytes) -> bool:
        return any(self.portal.call(self.of_model(name).exists, blob(data)) for name in REPOSITORIES)

    @rule(name=repositories, data=st.sampled_from(BLOBS))
    def mount(self, name: str, data: bytes) -> None:
        other = REPOSITORIES[1 - REPOSITORIES.index(name)]
        ours = self.portal.call(self.of_store(name).mount, blob(data), self.of_store(other))
        assert ours == self.portal.call(self.of_model(name).mount, blob(data), self.of_model(other))

    @rule(name=repositories, content=contents, tag=st.none() | tags)
    def push_manifest(self, name: str, content: Content, tag: str | None) -> None:
        put = Tag(tag) if tag is not None else None
        self.both(name, lambda one: one.push_manifest(described(content), content.data, tag=put))

    @rule(name=repositories, content=contents, tag=tags)
    def push_whole(self, name: str, content: Content, tag: str) -> None:
        for node in content.walk():
            for data in node.blobs:
                self.push(name, data)
            self.push_manifest(name, node, tag if node is content else None)

    @rule(name=repositories, content=contents, tag=tags)
    def tag(self, name: str, content: Content, tag: str) -> None:
        self.both(name, lambda one: one.tag(described(content), Tag(tag)))

    @rule(name=repositories, tag=tags)
    def untag(self, name: str, tag: str) -> None:
        self.both(name, lambda one: one.untag(Tag(tag)))

    @rule(name=repositories, content=contents)
    def delete(self, name: str, content: Content) -> None:
        done = self.outcome(self.of_store(name).delete, described(content))
        if done is ContentInUseError:  # the model lets an index break; the store must not
            assert any(self.leads_to(name, parent, content) for parent in CONTENTS)
        else:
            assert done == self.outcome(self.of_model(name).delete, described(content))

    def leads_to(self, name: str, parent: Content, content: Content) -> bool:
        return content in parent.children and self.portal.call(self.of_model(name).exists, described(parent))

    @invariant()
    def both_say_the_same(self) -> None:
        if not hasattr(self, "store"):
            return
        for name in REPOSITORIES:
            ours = self.portal.call(observed, self.of_store(name))
            assert ours == self.portal.call(observed, self.of_model(name))

    def both(self, name: str, step: Any) -> None:
        assert self.outcome(step, self.of_store(name)) == self.outcome(step, self.of_model(name))

    def outcome(self, function: Any, *arguments: Any) -> Any:
        """The result, or the type of the error."""
        return self.portal.call(outcome, function, *arguments)

    def of_store(self, name: str) -> BuiltinRepository:
        return self.store.repository(RepositoryName(name))

    def of_model(self, name: str) -> MemoryRepository:
        return self.model.repository(name)

    def teardown(self) -> None:
        self.portal.call(self.stack.aclose)
        self._entered.__exit__(None, None, None)
        self.directory.cleanup()


TestStoreAgainstModel = StoreMachine.TestCase
TestStoreAgainstModel.settings = settings(
    max_examples=10,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
