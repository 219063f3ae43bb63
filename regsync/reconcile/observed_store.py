"""A repository as it was seen, and what remembers its answers."""

from collections.abc import AsyncIterator, Awaitable, Callable, Container, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from regsync.content import image_config
from regsync.content.image_config import Config
from regsync.content.protocol import KnowsItself, ListsReferrers, ListsTags, Store
from regsync.content.verified import verified
from regsync.errors import RegsyncError, UnsupportedError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.reconcile.recording import Name, SeenRepository

MAX_BLOB = 16 * 1024 * 1024  # bytes of one piece of evidence that is kept
K = TypeVar("K")
V = TypeVar("V")
L = TypeVar("L")


class NotObservedError(RegsyncError):
    """A plan from an observation needs what that does not have."""

    usual_hint = "record what the spec needs with `regsync plan --record FILE`, where registries may be asked"

    def __init__(self, what: str, where: str) -> None:
        super().__init__(f"{where}: not in the observation: {what}")
        self.what, self.where = what, where


@dataclass(slots=True)
class Answers:
    """What was answered, by whichever repository, and what nobody can be asked for."""

    contents: dict[Digest, bytes]
    missing: dict[str, None] = field(default_factory=dict)  # in order

    def not_observed(self, what: str, where: str) -> NotObservedError:
        """The error for what is missing, which is remembered."""
        error = NotObservedError(what, where)
        self.missing[str(error)] = None
        return error

    async def answer(
        self,
        memory: dict[K, V | RegsyncError],
        key: K,
        ask: Callable[[L], Awaitable[V]],
        live: L | None,
        what: str,
        where: str,
    ) -> V:
        """What is remembered under `key`, else what `ask` gives or raises, which is remembered."""
        if key not in memory:
            if live is None:
                raise self.not_observed(what, where)
            try:
                memory[key] = await ask(live)
            except RegsyncError as error:
                memory[key] = error
        found = memory[key]
        if isinstance(found, RegsyncError):
            raise found
        return found


class ObservedStore:
    """One repository as it was seen; it is only read."""

    def __init__(self, answers: Answers, name: str, seen: SeenRepository, live: Store | None) -> None:
        self._answers, self._name, self._memory, self._live = answers, name, seen, live
        self._contents = answers.contents

    @property
    def name(self) -> str:
        """The place as a person knows it."""
        return self._name

    @property
    def has_referrers_api(self) -> bool | None:
        """Whether the place lists referrers itself."""
        if self._live is not None:
            self._look_at_itself(self._live)
        return self._memory.has_referrers_api

    @property
    def checks_references(self) -> bool:
        """Whether it is known to refuse a manifest whose blobs are missing."""
        if self._live is not None:
            self._look_at_itself(self._live)
        return self._memory.checks_references

    async def resolve(self, name: Name) -> Descriptor:
        """What a tag pointed to, or the descriptor of a manifest's digest."""
        return await self._answer(self._memory.names, name, lambda live: live.resolve(name), _spoken(name))

    async def manifest(self, name: Name) -> tuple[Descriptor, bytes]:
        """A manifest's exact bytes."""
        known = self._memory.names.get(name)
        if isinstance(known, RegsyncError):
            raise known
        if known is None or known.digest not in self._contents:
            known = await self._read(name if known is None else known.digest, name)
        return known, self._contents[known.digest]

    async def exists(self, desc: Descriptor) -> bool:
        """Whether the content was there, complete."""
        return await self._answer(
            self._memory.there,
            desc.digest,
            lambda live: live.exists(desc),
            f"whether {desc.digest} is there",
        )

    @asynccontextmanager
    async def fetch(self, desc: Descriptor) -> AsyncIterator[AsyncIterator[bytes]]:
        """A blob; what is read to its end is kept."""
        known = self._memory.blobs.get(desc.digest)
        if isinstance(known, RegsyncError):
            raise known
        if known is not None:
            yield _once(self._contents[desc.digest])
        elif self._live is None:
            raise self._answers.not_observed(f"blob {desc.digest}", self.name)
        else:
            try:
                async with self._live.fetch(desc) as chunks:
                    yield self._kept(desc, chunks)
            except RegsyncError as error:
                self._memory.blobs.setdefault(desc.digest, error)
                raise

    async def config(self, desc: Descriptor) -> Config:
        """What an image's config says that selection and platforms go by, and nothing else of it."""

        async def ask(live: Store) -> Config:
            return image_config.needed(await image_config.read_from(live, desc))

        what = f"config {desc.digest}"
        return await self._answer(self._memory.configs, desc.digest, ask, what)

    @asynccontextmanager
    async def tags(self) -> AsyncIterator[AsyncIterator[tuple[Tag, Descriptor | None]]]:
        """Every tag that was there."""
        if self._memory.tags is None:
            if self._live is None:
                raise self._answers.not_observed("its tags", self.name)
            self._memory.tags = await _list(self._live)
        if isinstance(self._memory.tags, RegsyncError):
            raise self._memory.tags
        yield _each(self._memory.tags)

    async def referrers(
        self, subject: Digest, *, listed: Container[Tag] | None = None
    ) -> Sequence[Descriptor]:
        """The referrers that were listed."""

        async def ask(live: Store) -> tuple[Descriptor, ...]:
            if not isinstance(live, ListsReferrers):
                return ()
            return tuple(await live.referrers(subject, listed=listed))

        what = f"referrers of {subject}"
        return await self._answer(self._memory.referrers, subject, ask, what)

    async def _answer(
        self,
        memory: dict[K, V | RegsyncError],
        key: K,
        ask: Callable[[Store], Awaitable[V]],
        what: str,
    ) -> V:
        return await self._answers.answer(memory, key, ask, self._live, what, self.name)

    async def _read(self, wanted: Name, name: Name) -> Descriptor:
        """Read a manifest whose bytes are not known; `wanted` is what `name` is known to be."""
        if self._live is None:
            raise self._answers.not_observed(f"manifest {_spoken(name)}", self.name)
        try:
            desc, raw = await self._live.manifest(wanted)
        except RegsyncError as error:
            self._memory.names[wanted] = error
            raise
        self._contents[desc.digest] = raw
        self._memory.names[name] = self._memory.names[desc.digest] = desc
        return desc

    async def _kept(self, desc: Descriptor, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        held: list[bytes] = []
        size = 0
        async for chunk in verified(chunks, desc, where=self.name):
            size += len(chunk)
            if size <= MAX_BLOB:
                held.append(chunk)
            yield chunk
        if size <= MAX_BLOB:
            self._contents[desc.digest] = b"".join(held)
            self._memory.blobs[desc.digest] = size

    def _look_at_itself(self, live: Store) -> None:
        # Without the power it is taken to have the API, and to check nothing.
        self._memory.has_referrers_api = True
        if isinstance(live, KnowsItself):
            self._memory.has_referrers_api = live.has_referrers_api
            self._memory.checks_references = live.checks_references


class ObservedDeletingStore(ObservedStore):
    """One that can delete tags, so that a plan may show deletions; nothing is deleted through it."""

    async def delete(self, desc: Descriptor) -> None:
        """Raises UnsupportedError."""
        raise UnsupportedError(f"{self.name}: nothing is deleted while a plan is made")

    async def untag(self, tag: Tag) -> None:
        """Raises UnsupportedError."""
        raise UnsupportedError(f"{self.name}: nothing is deleted while a plan is made")


async def _list(live: Store) -> Mapping[Tag, Descriptor | None] | RegsyncError:
    if not isinstance(live, ListsTags):
        return UnsupportedError(f"{live.name}: its tags cannot be listed")
    try:
        async with live.tags() as tags:
            return {tag: desc async for tag, desc in tags}
    except RegsyncError as error:
        return error


async def _each(found: Mapping[Tag, Descriptor | None]) -> AsyncIterator[tuple[Tag, Descriptor | None]]:
    for tag, desc in found.items():
        yield tag, desc


async def _once(raw: bytes) -> AsyncIterator[bytes]:
    yield raw


def _spoken(name: Name) -> str:
    return str(name) if isinstance(name, Digest) else f"tag {name}"
