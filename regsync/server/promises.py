"""What whoever pushes is told is there, kept for it without waiting for long for those who write."""

from anyio import Event, create_task_group, move_on_after, sleep_forever
from anyio.abc import TaskGroup

from regsync.errors import TemporaryError
from regsync.oci.digest import Digest
from regsync.store.repository import BuiltinRepository

WITHIN = 2.0  # seconds that a request waits for it


class Promises:
    """Claims content beside the requests that ask for it: a transaction once begun cannot be left."""

    def __init__(self) -> None:
        self._group: TaskGroup | None = None

    async def run(self) -> None:
        """Claim what is asked for, until this is cancelled."""
        async with create_task_group() as group:
            self._group = group
            await sleep_forever()

    async def claim(self, repository: BuiltinRepository, digest: Digest) -> bool | None:
        """Whether content is there and stays for a push; None when the store is too busy to promise it.

        Raises StoreError.
        """
        if self._group is None:
            return await repository.claim(digest)
        claiming = _Claiming(repository, digest)
        self._group.start_soon(claiming.run)
        with move_on_after(WITHIN):
            await claiming.ended.wait()
        return claiming.outcome()


class _Claiming:
    def __init__(self, repository: BuiltinRepository, digest: Digest) -> None:
        self._repository, self._digest = repository, digest
        self.ended = Event()
        self._found: bool | None = None
        self._failure: Exception | None = None

    async def run(self) -> None:
        try:
            self._found = await self._repository.claim(self._digest)
        except TemporaryError:
            pass  # as when it takes too long
        except Exception as error:  # noqa: BLE001 - told to whoever waits for it
            self._failure = error
        finally:
            self.ended.set()

    def outcome(self) -> bool | None:
        if self._failure is not None:
            raise self._failure
        return self._found
