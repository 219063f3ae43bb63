"""A world in memory for runs: registries under names, images in them, and what goes wrong."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from regsync.content.memory import MemoryPlace, MemoryRepository
from regsync.content.protocol import Store
from regsync.content.tag_times import TagTimes
from regsync.errors import RegsyncError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName, Tag
from regsync.plan.model import Plan, Report
from regsync.reconcile.engine import Engine
from regsync.reconcile.events import Event
from regsync.reconcile.ledger import Ledger
from regsync.reconcile.ledger_memory import MemoryLedger
from regsync.reconcile.run import Explain, apply, make_plan, sync
from regsync.spec.lock import Lock, LockEntry, LockFile
from regsync.spec.model import (
    Binding,
    Location,
    LocationTemplate,
    Mirror,
    Registry,
    RemotePlace,
    RepositoryEntry,
    Settings,
    Spec,
    TagRule,
)
from regsync.spec.verification import VerificationPolicy
from regsync.trust.policy import compile_policies
from tests.support.clock import FrozenClock
from tests.support.images import Content

LOCK = Path("regsync.lock")


class CountingRepository(MemoryRepository):
    """Counts what it is asked, and fails where a test says so."""

    def __init__(self, name: str, place: MemoryPlace) -> None:
        super().__init__(name, place=place)
        self.calls: list[tuple[str, str]] = []
        self.failing: dict[str, Callable[[object], RegsyncError | None]] = {}
        self.tag_times: Mapping[Tag, TagTimes] | None = None  # as most registries: not told

    def fail(self, call: str, error: RegsyncError, *, times: int | None = None, when: object = None) -> None:
        """Raise `error` from `call`, the first `times` it is made (for `when`, if given)."""
        left = [times]

        def decide(argument: object) -> RegsyncError | None:
            if when is not None and argument != when:
                return None
            if left[0] is not None:
                if left[0] == 0:
                    return None
                left[0] -= 1
            return error

        self.failing[call] = decide

    def count(self, call: str) -> int:
        """How often `call` was made."""
        return sum(name == call for name, _ in self.calls)

    def _called(self, call: str, argument: object) -> None:
        self.calls.append((call, str(argument)))
        if call in self.failing and (error := self.failing[call](argument)) is not None:
            raise error

    async def resolve(self, name: Tag | Digest) -> Descriptor:
        self._called("resolve", name)
        return await super().resolve(name)

    async def manifest(self, name: Tag | Digest) -> tuple[Descriptor, bytes]:
        self._called("manifest", name)
        return await super().manifest(name)

    async def exists(self, desc: Descriptor) -> bool:
        self._called("exists", desc.digest)
        return await super().exists(desc)

    @asynccontextmanager
    async def fetch(self, desc: Descriptor) -> AsyncIterator[AsyncIterator[bytes]]:  # type: ignore[override]
        self._called("fetch", desc.digest)
        async with super().fetch_from(desc, 0) as chunks:
            yield chunks

    async def push(self, desc: Descriptor, chunks: Any) -> None:
        self._called("push", desc.digest)
        await super().push(desc, chunks)

    async def push_manifest(self, desc: Descriptor, raw: bytes, *, tag: Tag | None = None) -> None:
        self._called("push_manifest", tag or desc.digest)
        await super().push_manifest(desc, raw, tag=tag)

    async def tag(self, desc: Descriptor, tag: Tag) -> None:
        self._called("tag", tag)
        await super().tag(desc, tag)

    @asynccontextmanager
    async def tags(self) -> AsyncIterator[AsyncIterator[tuple[Tag, Descriptor | None]]]:
        self._called("tags", self.name)
        async with super().tags() as found:
            yield _without_descriptors(found)

    async def times(self) -> Mapping[Tag, TagTimes] | None:
        self._called("times", self.name)
        return self.tag_times

    async def untag(self, tag: Tag) -> None:
        self._called("untag", tag)
        await super().untag(tag)

    async def delete(self, desc: Descriptor) -> None:
        self._called("delete", desc.digest)
        await super().delete(desc)

    async def mount(self, desc: Descriptor, source: Any) -> bool:
        self._called("mount", desc.digest)
        return await super().mount(desc, source)


async def _without_descriptors(
    found: AsyncIterator[tuple[Tag, Descriptor | None]],
) -> AsyncIterator[tuple[Tag, Descriptor | None]]:
    """As most registries list: names alone."""
    async for tag, _ in found:
        yield tag, None


class CountingPlace(MemoryPlace):
    """Makes counting repositories."""

    def repository(self, name: str) -> CountingRepository:
        if name not in self._repositories:
            self._repositories[name] = CountingRepository(f"{self.name}:{name}", self)
        found = self._repositories[name]
        assert isinstance(found, CountingRepository)
        return found


@dataclass
class World:
    """Registries, a clock, a ledger, and runs over them."""

    clock: FrozenClock = field(default_factory=FrozenClock)
    ledger: Ledger = field(default_factory=MemoryLedger)
    places: dict[str, CountingPlace] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    unwritable: dict[str, RegsyncError] = field(default_factory=dict)
    mirrors: list[Mirror] = field(default_factory=list)
    policies: list[VerificationPolicy] = field(default_factory=list)
    hosts: dict[str, str] = field(default_factory=dict)  # of registries that are not called like them
    locks: list[LockEntry] = field(default_factory=list)  # one file for all mirrors
    binding: Binding = Binding.HOLDS
    check_lease: Callable[[], None] = lambda: None

    def repository(self, path: str) -> CountingRepository:
        """`registry/repository`, made when first named."""
        registry, _, name = path.partition("/")
        return self.places.setdefault(registry, CountingPlace(registry)).repository(name)

    # Places

    def connect(self, location: Location) -> Store:
        return self.repository(str(location))

    async def repositories(self, registry: str) -> Sequence[RepositoryName]:
        return tuple(RepositoryName(name) for name in sorted(self.places[registry]._repositories))

    async def may_push(self, location: Location) -> None:
        if str(location) in self.unwritable:
            raise self.unwritable[str(location)]

    def requests(self) -> Mapping[str, Mapping[str, int]]:
        return {}

    def warnings(self) -> Sequence[str]:
        return ()

    # Building

    async def put(self, path: str, content: Content, *tags: str) -> Content:
        """Put an image with all below it, at its tags or by digest alone."""
        repository = self.repository(path)
        for node in content.walk():
            for blob in node.blobs:
                digest = Digest.of(blob)
                desc = Descriptor("application/octet-stream", digest, len(blob))
                await MemoryRepository.push(repository, desc, once(blob))
            desc = Descriptor(node.media_type, Digest.of(node.data), len(node.data))
            await MemoryRepository.push_manifest(repository, desc, node.data)
        for tag in tags:
            await MemoryRepository.push_manifest(repository, desc, content.data, tag=Tag.parse(tag))
        return content

    def mirror(self, name: str, source: str | Sequence[str], targets: Sequence[str], **more: Any) -> Mirror:
        """Declare a mirror; `tags` are literal names or globs."""
        rules = tuple(more.pop("rules", ())) or tuple(
            TagRule(glob=tag) if "*" in tag else TagRule(names=(Tag.parse(tag),))
            for tag in more.pop("tags", ["*"])
        )
        sources = [source] if isinstance(source, str) else source
        if "images" in more or "digests" in more:
            rules = more.pop("own_rules", ())
        mirror = Mirror(
            name,
            tuple(template(one) for one in sources),
            tuple(template(one) for one in targets),
            rules=rules,
            repositories=tuple(RepositoryEntry(RepositoryName(one)) for one in more.pop("repositories", ()))
            or None,
            **more,
        )
        self.mirrors.append(mirror)
        for one in (*mirror.sources, *mirror.targets):
            self.places.setdefault(one.registry, CountingPlace(one.registry))
        return mirror

    def spec(self) -> Spec:
        """What was declared."""
        registries = {
            name: Registry(name, RemotePlace("https", f"{self.hosts.get(name, name)}.test"))
            for name in self.places
        }
        return Spec(
            registries,
            tuple(self.mirrors),
            Settings(Path("ledger.db")),
            Digest.of(repr(self.mirrors).encode()),
            Path(),
            (),
            policies={policy.name: policy for policy in self.policies},
            lock=Lock({LOCK: LockFile(LOCK, tuple(self.locks))}, {one.name: LOCK for one in self.mirrors}),
            binding=self.binding,
        )

    def locked(self, mirror: str, path: str, digest: str, **more: Any) -> None:
        """Have the lock file say `registry/repository:tag@digest`."""
        name, _, tag = path.partition(":")
        registry, _, repository = name.partition("/")
        source = f"{self.hosts.get(registry, registry)}.test/{repository}"
        entry = LockEntry(source, Tag(tag) if tag else None, Digest.parse(digest), mirror=mirror, **more)
        self.locks.append(entry)

    def engine(self, **more: Any) -> Engine:
        policies = compile_policies({policy.name: policy for policy in self.policies}, {})
        return Engine(
            self,
            self.ledger,
            self.clock,
            self.events.append,
            check_lease=self.check_lease,
            policies=policies,
            **more,
        )

    async def sync(self) -> Report:
        return await sync(self.spec(), self.engine())

    async def plan(self, explain: Explain = Explain.NO) -> Plan:
        return await make_plan(self.spec(), self.engine(), explain=explain)

    async def apply(self, plan: Plan) -> Report:
        return await apply(plan, self.spec(), self.engine())

    # Looking

    async def tag(self, path: str, tag: str) -> str | None:
        """The digest that a tag points to."""
        repository = self.repository(path)
        digest = repository._tags.get(Tag(tag))
        return str(digest) if digest is not None else None

    def forget_calls(self) -> None:
        for place in self.places.values():
            for repository in place._repositories.values():
                assert isinstance(repository, CountingRepository)
                repository.calls.clear()


async def once(data: bytes) -> AsyncIterator[bytes]:
    """The bytes as one chunk."""
    yield data


def template(path: str) -> LocationTemplate:
    registry, _, rest = path.partition("/")
    return LocationTemplate(registry, rest)
