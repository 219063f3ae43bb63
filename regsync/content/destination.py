"""A target repository during a run: what is known to be in it."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

import anyio

from regsync.content.protocol import Claims, Mounts, Store
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest


def _unwatched(count: int) -> None:
    """Nobody watches."""


def _unguarded() -> None:
    """Nothing forbids to write."""


class BlobMemory(Protocol):
    """What outlives the run of a destination's content: true until the place says otherwise."""

    def known(self) -> Mapping[Digest, int]:
        """What earlier runs put there, with its size in bytes."""
        ...

    def put(self, digest: Digest, size: int) -> None:
        """It is there now, with so many bytes."""
        ...

    def lost(self) -> None:
        """The place lacks something that was known: nothing of it is to be believed."""
        ...


class Destination:
    """A store that content is brought to, and what this run knows of its content.

    `may_have_content` is False for a repository without tags, or which does not exist: nothing in it
    is asked for, unless an earlier run put something there.
    """

    def __init__(
        self,
        store: Store,
        *,
        may_have_content: bool = True,
        memory: BlobMemory | None = None,
        on_sent: Callable[[int], None] = _unwatched,
        on_reused: Callable[[int], None] = _unwatched,
        guard: Callable[[], None] = _unguarded,
    ) -> None:
        self.store = store
        self.on_sent, self.on_reused = on_sent, on_reused  # told bytes
        self.guard = guard  # called before every write; raises when this process may not write any more
        self._memory = memory
        self._known = dict(memory.known()) if memory is not None else {}
        self._seen: dict[Digest, int] = {}  # with its size in bytes, as in `_known`
        self._in_work: dict[Digest, anyio.Event] = {}
        self._listed: set[Digest] = set()  # referrers
        self.may_have_content = may_have_content or bool(self._known)

    @property
    def name(self) -> str:
        """The store's name."""
        return self.store.name

    def has(self, desc: Descriptor) -> bool:
        """Whether it is known to hold exactly this without asking."""
        seen = self._seen.get(desc.digest)
        # Of two sizes for one digest one is a lie; the place is asked which.
        return desc.size == (seen if seen is not None else self._known.get(desc.digest))

    async def keeps(self, desc: Descriptor) -> bool:
        """Whether it holds exactly this, and goes on to until what relies on it can be there.

        Asks where that is not known. A place that deletes by itself is asked always, since what was there
        an hour ago may be about to go.
        """
        known = self.has(desc)
        if not known and not (self.may_have_content and await self.store.exists(desc)):
            return False
        if isinstance(self.store, Claims) and not await self.store.claim(desc.digest):
            self._seen.pop(desc.digest, None)
            return False
        if not known:
            self.holds(desc)
        return True

    def holds(self, desc: Descriptor) -> None:
        """This run put it there, or saw it there."""
        if desc.digest not in self._seen:
            self._seen[desc.digest] = desc.size
            if self._memory is not None:
                self._memory.put(desc.digest, desc.size)

    def has_listed(self, desc: Descriptor) -> bool:
        """Whether this run put that referrer, so that who asks for its subject's referrers is shown it."""
        return desc.digest in self._listed

    def lists(self, desc: Descriptor) -> None:
        """This run put that referrer."""
        self._listed.add(desc.digest)

    @asynccontextmanager
    async def alone(self, digest: Digest) -> AsyncIterator[None]:
        """Be the only one who works on `digest` here; ask again what is there once it is your turn."""
        while (other := self._in_work.get(digest)) is not None:
            await other.wait()
        self._in_work[digest] = done = anyio.Event()
        try:
            yield
        finally:
            del self._in_work[digest]
            done.set()

    def forget(self, digests: Iterable[Digest]) -> None:
        """The place says that it lacks them, whatever was known: ask again."""
        if self._memory is not None:
            self._memory.lost()
        self._known.clear()
        for digest in digests:
            self._seen.pop(digest, None)
            self._listed.discard(digest)
        self.may_have_content = True

    @property
    def can_mount(self) -> bool:
        """Whether it can take blobs without their bytes at all."""
        return isinstance(self.store, Mounts)

    def can_mount_from(self, other: "Destination") -> bool:
        """Whether a blob in `other` can be taken without its bytes."""
        return isinstance(self.store, Mounts) and self.store.can_mount_from(other.store)
