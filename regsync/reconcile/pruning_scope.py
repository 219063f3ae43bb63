"""One mirror and one of its target repositories: all that may be deleted there, and all that may keep it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from regsync.content.concurrently import for_each
from regsync.content.errors import ContentNotFoundError
from regsync.content.protocol import Deletes, DropsUntagged
from regsync.content.throw_away import ThrowAway
from regsync.errors import RegsyncError, UnsupportedError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.plan.model import Problem
from regsync.plan.pruning import PruneSeen, Scope, decide, refusal
from regsync.reconcile.engine import Run
from regsync.reconcile.former_images import former_images
from regsync.reconcile.ledger import Spot
from regsync.reconcile.look import Unseen
from regsync.reconcile.pruning_recheck import doubts_of
from regsync.reconcile.pruning_writers import Selected, Writers
from regsync.reconcile.repositories import TargetView
from regsync.reconcile.retention_graphs import Graphs
from regsync.spec.model import Location
from regsync.spec.pruning import Owns, PrunePolicy

LOOKS_AT_ONCE = 16  # tags whose digest the listing does not show
_IDENTITY = "{tag}"


class CannotDeleteTagsError(UnsupportedError):
    """A place has no way to delete a tag."""

    usual_hint = "take `prune` out of the mirror, or delete the tags there by hand"

    def __init__(self, target: Location) -> None:
        super().__init__(f"{target}: tags cannot be deleted there")


@dataclass(frozen=True, slots=True)
class Before:
    """What became of tags of a target earlier: in this run, and in one that was killed."""

    going: frozenset[Tag]  # that another mirror of this run deletes
    begun: Mapping[Tag, Digest]  # that an earlier run had begun to delete, with what they pointed to


async def decide_scope(
    run: Run,
    writers: Writers,
    mirror: str,
    target: TargetView | Unseen,
    policy: PrunePolicy,
    before: Before,
    planned: frozenset[Tag] | None,
) -> Scope:
    """Decide what goes. `planned` is all that may go; None: whatever is due."""
    seen, ours = _seen(run, writers, mirror, target, policy, before.going)
    if not isinstance(target, Unseen) and not seen.doubts:
        due = [one.tag for one in decide(seen, now=run.now).due if planned is None or one.tag in planned]
        if due:
            seen = replace(seen, doubts=await doubts_of(run, writers, mirror, due))
    reads = tuple(one for unit in writers.units(mirror, target.location) for one in unit.sources)
    written = {**before.begun, **ours} if policy.owns is Owns.LEDGER else before.begun
    return await conclude(run, seen, ours, target, written, planned, reads)


async def conclude(
    run: Run,
    seen: PruneSeen,
    ours: Mapping[Tag, Digest | None],
    target: TargetView | Unseen,
    written: Mapping[Tag, Digest | None],
    planned: frozenset[Tag] | None = None,
    reads: tuple[Location, ...] = (),
) -> Scope:
    """The decision, and what the tags that go point to; `ours` are the digests that are known of them.

    Where `written` says what regsync wrote, a tag that somebody moved since stays.
    """
    decision = decide(seen, now=run.now)
    due = [one.tag for one in decision.due if planned is None or one.tag in planned]
    if (error := refusal(seen, decision, len(due))) is not None:
        known = {tag: digest for tag, digest in ours.items() if digest is not None}
        return Scope(seen, decision, known, planned, Problem.of(error), reads)
    if not due or isinstance(target, Unseen):
        return Scope(seen, decision, {}, planned, reads=reads)
    digests, originals, kept = await _look_up(target, due, written, seen.policy.owns)
    kept |= {**_locked(run, digests), **await _needed(run, target, digests)}
    if kept:
        seen = replace(seen, kept={**seen.kept, **kept})
        decision = decide(seen, now=run.now)
    can = isinstance(target.destination.store, Deletes)
    problem = None if can else Problem.of(CannotDeleteTagsError(target.location))
    return Scope(seen, decision, digests, planned, problem, reads, originals)


def _seen(
    run: Run,
    writers: Writers,
    mirror: str,
    target: TargetView | Unseen,
    policy: PrunePolicy,
    going: frozenset[Tag],
) -> tuple[PruneSeen, Mapping[Tag, Digest | None]]:
    """All that decides, and the digests that are known of our tags."""
    units = writers.units(mirror, target.location)
    seen = PruneSeen(mirror, units[0].source, target.location, policy, ours=())
    if isinstance(target, Unseen):
        return replace(seen, doubts=(f"it could not be looked at: {target.error}",)), {}
    if target.listed is None:
        return replace(seen, ours=target.ours.keys(), doubts=("it does not list its tags",)), {}
    here = writers.at(target.spot)
    _claim(run, target.spot, here)
    mine = {run.spot(unit.source) for unit in units}
    ours = {tag: digest for tag, digest in _ours(run, target, policy, mine).items() if tag not in going}
    wanted = frozenset[Tag]().union(*(one.wanted for one in here))
    who = writers.may_want(mirror, target.spot)
    others = {
        tag: f"mirror {name}, which was not asked, may want it"
        for tag in ours.keys() - wanted
        if (name := who(tag)) is not None
    }
    immutable = [glob for unit in units for glob in unit.immutable]
    immutable += writers.immutable(mirror, target.spot, mine)
    return (
        replace(
            seen,
            ours=ours.keys(),
            wanted=wanted,
            immutable=tuple(dict.fromkeys(immutable)),
            kept={**others, **former_images(target, ours, here), **_lapsed(here), **_locked(run, ours)},
            absences=run.engine.ledger.absences(target.spot),
            doubts=writers.doubts(mirror),
            unselected=_reasons([one for one in here if one.unit.mirror == mirror]),
        ),
        ours,
    )


def _claim(run: Run, spot: Spot, here: list[Selected]) -> None:
    """A tag that is ours belongs to the mirror that wants it now, wherever it came from once."""
    ledger = run.engine.ledger
    ours, origins = ledger.ours(spot), ledger.origins(spot)
    for selected in here:
        origin = run.spot(selected.unit.source)
        for tag in selected.wanted:
            if origins.get(tag) != origin and (digest := ours.get(tag)) is not None:
                ledger.wrote(spot, tag, digest, run.now, origin)


def _ours(run: Run, target: TargetView, policy: PrunePolicy, mine: set[Spot]) -> dict[Tag, Digest | None]:
    """Tags that are there and the mirror's to delete, with the digest that is ours, or shown."""
    listed = target.listed or {}
    if policy.owns is Owns.REPOSITORY:
        return {tag: desc.digest if desc is not None else None for tag, desc in listed.items()}
    origins = run.engine.ledger.origins(target.spot)
    return {
        tag: digest
        for tag, digest in target.ours.items()
        if tag in listed and (tag not in origins or origins[tag] in mine)
    }


def _locked(run: Run, digests: Mapping[Tag, Digest | None]) -> dict[Tag, str]:
    """Tags without which something that a lock file names could become garbage."""
    locked = run.spec.lock.digests
    return {tag: "the lock file names what it points to" for tag, one in digests.items() if one in locked}


def _lapsed(here: list[Selected]) -> dict[Tag, str]:
    return {tag: "it left the selection through maxAge alone" for one in here for tag in one.lapsed}


def _reasons(mine: list[Selected]) -> Callable[[Tag], str]:
    """Why a tag of a target is not wanted any more; looked up when a tag goes, for all at once."""
    dropped: list[tuple[Selected, Mapping[Tag, str]]] = []

    def why(tag: Tag) -> str:
        if not dropped:
            dropped.extend((one, one.why_not()) for one in mine)
        return "; ".join(dict.fromkeys(_reason(one, reasons, tag) for one, reasons in dropped))

    return why


def _reason(selected: Selected, dropped: Mapping[Tag, str], tag: Tag) -> str:
    unit = selected.unit
    if not unit.needs_tags:
        return f"the mirror names no such tag of {unit.source}"
    if unit.rename != _IDENTITY:
        return f"no tag that is taken of {unit.source} is renamed so"
    return f"{unit.source}: {dropped.get(tag, 'it is not there any more')}"


async def _look_up(
    target: TargetView, tags: list[Tag], written: Mapping[Tag, Digest | None], owns: Owns
) -> tuple[dict[Tag, Digest], dict[Tag, Digest], dict[Tag, str]]:
    """What tags point to, what they did before a kill amid their deletion, and why some stay.

    A tag of none of these is gone already. One that somebody moved since regsync wrote it is not ours any
    more, unless the repository is.
    """
    digests: dict[Tag, Digest] = {}
    originals: dict[Tag, Digest] = {}
    kept: dict[Tag, str] = {}

    async def look(tag: Tag) -> None:
        shown = (target.listed or {}).get(tag)
        try:
            digest = (shown or await target.destination.store.resolve(tag)).digest
        except ContentNotFoundError:
            return
        except RegsyncError as error:
            kept[tag] = f"it could not be looked at: {error}"
            return
        before = written.get(tag) or digest
        if digest == ThrowAway.for_tag(tag, before).desc.digest:
            originals[tag] = before
        elif digest != before and owns is Owns.LEDGER:
            kept[tag] = f"somebody moved it from {before} to {digest} since regsync wrote it"
            return
        digests[tag] = digest

    await for_each(look, tags, at_once=LOOKS_AT_ONCE)
    return digests, originals, kept


async def _needed(run: Run, target: TargetView, going: Mapping[Tag, Digest]) -> dict[Tag, str]:
    """Tags whose image is part of an index that stays, where the place deletes an image with its last tag."""
    store, listed = target.destination.store, target.listed or {}
    if not (isinstance(store, DropsUntagged) and store.drops_untagged):
        return {}
    graphs = Graphs(run, store, listed)

    async def look(tag: Tag) -> Descriptor | None:
        try:
            return listed[tag] or await store.resolve(tag)
        except ContentNotFoundError:
            return None

    try:
        staying = await for_each(look, [tag for tag in listed if tag not in going], at_once=LOOKS_AT_ONCE)
        await graphs.read(desc for desc in staying if desc is not None)
    except RegsyncError as error:
        return dict.fromkeys(going, f"whether an index that stays needs it could not be told: {error}")
    below = {digest for graph in graphs.known.values() for digest in graph[1:]}
    why = "an index that stays needs its image, which this registry deletes with its last tag"
    return {tag: why for tag, digest in going.items() if digest in below}
