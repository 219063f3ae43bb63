"""A target repository during a run: what is known to be in it."""

from collections.abc import Callable, Iterable

from regsync.content.protocol import Mounts, Store
from regsync.oci.digest import Digest


def _unwatched(count: int) -> None:
    """Nobody watches."""


def _unguarded() -> None:
    """Nothing forbids to write."""


class Destination:
    """A store that content is brought to, and what this run knows of its content.

    `may_have_content` is False for a repository that is known not to exist: nothing in it has to be
    asked for. `known` are blobs that an earlier run put there, whose word holds until the registry
    says otherwise.
    """

    def __init__(
        self,
        store: Store,
        *,
        may_have_content: bool = True,
        known: Iterable[Digest] = (),
        on_blob: Callable[[Digest], None] | None = None,
        on_sent: Callable[[int], None] = _unwatched,
        on_reused: Callable[[int], None] = _unwatched,
        guard: Callable[[], None] = _unguarded,
    ) -> None:
        self.store = store
        self.may_have_content = may_have_content
        self.on_sent, self.on_reused = on_sent, on_reused  # told bytes
        self.guard = guard  # called before every write; raises when this process may not write any more
        self._on_blob = on_blob
        self._known = set(known)
        self._seen: set[Digest] = set()

    @property
    def name(self) -> str:
        """The store's name."""
        return self.store.name

    def has(self, digest: Digest) -> bool:
        """Whether it is known to hold `digest` without asking."""
        return digest in self._seen or digest in self._known

    def holds(self, digest: Digest) -> None:
        """This run put `digest` there, or saw it there."""
        if digest not in self._seen:
            self._seen.add(digest)
            if self._on_blob is not None:
                self._on_blob(digest)

    def forget(self, digests: Iterable[Digest]) -> None:
        """The place says that it lacks them, whatever was known: ask again."""
        self._known.clear()
        self._seen.difference_update(digests)
        self.may_have_content = True

    def can_mount_from(self, other: "Destination") -> bool:
        """Whether a blob in `other` can be taken without its bytes."""
        return isinstance(self.store, Mounts) and self.store.can_mount_from(other.store)
