"""Why nothing was found under a name: it is not there, or all of its repository is not.

Many registries answer both alike, and a HEAD has no words at all: their list of tags tells the two apart.
It is asked for when something is missing, and never otherwise.
"""

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


async def why_absent(view: UnitView, name: Tag | Digest) -> RegsyncError:
    """What to say of a name that no source has: that of the first repository, if none of them is there."""
    missing: RegsyncError | None = None
    for source in view.sources:
        try:
            if source.listed is None:
                await check_repository(source.store)
        except ContentNotFoundError as error:
            missing = missing or error
        else:
            missing = None
            break
    return missing or TagNotFoundError(name, ", ".join(str(one) for one in view.unit.sources))


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
