"""Why nothing was found under a name: it is not there, or all of its repository is not.

Many registries answer both alike, and a HEAD has no words at all: their list of tags tells the two apart.
It is asked for when something is missing, and never otherwise.
"""

import anyio

from regsync.content.errors import ContentNotFoundError
from regsync.content.protocol import ListsTags, Source
from regsync.errors import RegsyncError
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.reconcile.look import UnitView


class TagNotFoundError(RegsyncError):
    """A tag that the spec names, or that was listed a moment ago, is at none of its sources."""

    usual_hint = "correct the name in the spec, or see what is there with `regsync plan --explain`"

    def __init__(self, tag: Tag | Digest, sources: str) -> None:
        super().__init__(f"{tag} is not at {sources}")


class Absence:
    """Says why names were not found at the sources of one unit; each repository is asked once."""

    def __init__(self, view: UnitView) -> None:
        self._view = view
        self._lock = anyio.Lock()
        self._is_asked = False
        self._no_repository: RegsyncError | None = None

    async def why(self, name: Tag | Digest) -> RegsyncError:
        """What to say of a name that no source has; of the first repository, if none of them is there."""
        async with self._lock:
            if not self._is_asked:
                self._no_repository = await self._ask()
                self._is_asked = True
        sources = ", ".join(str(one) for one in self._view.unit.sources)
        return self._no_repository or TagNotFoundError(name, sources)

    async def _ask(self) -> RegsyncError | None:
        missing: RegsyncError | None = None
        for source in self._view.sources:
            if source.listed is not None:
                return None
            try:
                await check_repository(source.store)
            except ContentNotFoundError as error:
                missing = missing or error
            else:
                return None
        return missing


async def check_repository(store: Source) -> None:
    """Raise ContentNotFoundError where the place says that there is no such repository."""
    if not isinstance(store, ListsTags):
        return
    try:
        async with store.tags():
            return
    except ContentNotFoundError:
        raise
    except RegsyncError:
        return  # it does not say
