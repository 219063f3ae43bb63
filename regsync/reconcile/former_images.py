"""`Mirror.history`: what a tag pointed to on a target stays there under a tag of its own, for `rollback`.

The former image gets its tag before the tag moves, by its digest, so that no moment is without it; its
evidence is where it was. A kill in between leaves one tag too many, which is that of an image the tag points
to still. Beyond `keep`, former images are tags of ours that nothing keeps: `prune` deletes them, within its
limits and after its grace, and where a mirror has no `prune` nothing does.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from regsync.content.errors import ContentNotFoundError
from regsync.errors import RefusedError
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.plan.model import Action
from regsync.reconcile.engine import Run
from regsync.reconcile.pruning_writers import Selected
from regsync.reconcile.repositories import TargetView
from regsync.spec.history import Former, History
from regsync.spec.model import Unit

_UNKNOWN = datetime.max.replace(tzinfo=UTC)  # when an image was first seen: so that in doubt it is new


class FormerImageTakenError(RefusedError):
    """The tag under which a former image is to stay points to something else."""

    usual_hint = "somebody else made that tag: delete it, or change history.tag; the tag was not moved"

    def __init__(self, name: str, expected: Digest, actual: Digest) -> None:
        super().__init__(f"{name} is to keep the former image {expected}, and it is {actual}")


async def keep_former_image(run: Run, unit: Unit, action: Action, target: TargetView) -> None:
    """Tag what the action's tag points to, before it moves. Raises why it may not move.

    HistoryTagError, FormerImageTakenError, ContentNotFoundError, and what writing raises.
    """
    former = action.replaces
    if unit.history is None or action.tag is None or former is None or former == action.digest:
        return
    name, store = unit.history.name(action.tag, former, run.now), target.destination.store
    try:
        there = (await store.resolve(name)).digest
    except ContentNotFoundError:
        run.engine.check_lease()
        await store.tag(await store.resolve(former), name)
    else:
        if there != former:
            raise FormerImageTakenError(f"{target.location}:{name}", former, there)
        if name not in target.ours:
            return  # it says what it has to, and whoever made it may keep it
    run.engine.ledger.wrote(target.spot, name, former, run.now, run.spot(unit.source))


def former_images(
    target: TargetView, ours: Mapping[Tag, Digest | None], here: Iterable[Selected]
) -> dict[Tag, str]:
    """The former images at a target that `history` keeps, with the reason: the newest of each tag."""
    histories = {one.unit.history for one in here if one.unit.history is not None}
    return {tag: why for history in histories for tag, why in _kept(history, target, ours).items()}


def _kept(history: History, target: TargetView, ours: Mapping[Tag, Digest | None]) -> dict[Tag, str]:
    by_tag: dict[Tag, list[tuple[tuple[str, datetime], Tag]]] = {}
    for name, digest in ours.items():
        if (former := history.former(name, digest)) is not None:
            by_tag.setdefault(former.tag, []).append((_age(former, digest, target), name))
    kept: dict[Tag, str] = {}
    for tag, found in by_tag.items():
        found.sort(reverse=True)
        # Of those that are as old as the last that is kept, none is known to be older: they stay too.
        oldest = found[min(history.keep, len(found)) - 1][0] if history.keep else None
        for age, name in found:
            if oldest is not None and age >= oldest:
                kept[name] = f"a former image of {tag}, of which history keeps {history.keep}"
    return kept


def _age(former: Former, digest: Digest | None, target: TargetView) -> tuple[str, datetime]:
    """By what former images are sorted: until when they were in use, then since when."""
    seen = target.sightings.get(digest) if digest is not None else None
    return former.date, seen.first_seen if seen is not None else _UNKNOWN
