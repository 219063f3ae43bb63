"""Deleting tags, the last step of a run: written down first, asked again, then one after another.

What is about to go is on the ledger's disk before the first request. Whatever moment a kill comes at, the
next run that looks at the target finds out what happened: a tag that is gone was deleted, one that is there
was not. Source: DESIGN.md, section 6, rule 9.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from regsync.content.concurrently import for_each
from regsync.content.errors import ContentNotFoundError
from regsync.content.protocol import Deletes
from regsync.errors import DeferredError, RegsyncError
from regsync.oci.reference import Tag
from regsync.plan.arrivals import Lacking, held_back, lacking
from regsync.plan.model import Action, Outcome, Problem, Result
from regsync.plan.pruning import Scope
from regsync.reconcile.carry_out import TargetMovedError, outcome_of
from regsync.reconcile.engine import Run
from regsync.reconcile.events import ActionFinished, ActionStarted
from regsync.reconcile.lease import LeaseLostError
from regsync.reconcile.ledger import Deletion, LedgerError, Spot
from regsync.reconcile.unit_work import not_done
from regsync.reconcile.untagged import lost_its_tag
from regsync.spec.model import Location

REPOSITORIES_AT_ONCE = 16
GONE = "gone already"

Key = tuple[str, Location, Tag | None]


class SourceNotPrunedError(DeferredError):
    """What a mirror reads still has a tag that it was to follow in losing."""

    usual_hint = "run again when the deletions there succeed"

    def __init__(self, source: Location, target: Location) -> None:
        super().__init__(
            f"{target}: nothing is deleted, since not all that was to be deleted at {source} was"
        )


async def delete(
    run: Run,
    waves: Sequence[Sequence[Scope]],
    results: list[Result],
    absent: Lacking,
    planned: Mapping[Key, Action] | None = None,
) -> None:
    """Carry out decisions in the order in which they were made; `planned` are the actions to carry out.

    Nothing goes where something is `absent` that a mirror wants there. What a chain deletes at its end goes
    only when it went at the beginning. What became of each is added to `results` as soon as it is known: the
    run may end at any moment.
    """
    unfinished: dict[Spot, Location] = {}

    async def one(scope: Scope) -> None:
        held = held_back(scope.actions, absent)
        results.extend(not_done(held))
        pending = [action for action in held if action.problem is None]
        if held and not pending:
            unfinished[run.spot(scope.seen.target)] = scope.seen.target
        actions = [planned[key_of(action)] for action in pending] if planned else pending
        if not actions:
            return
        source = next(
            (unfinished[spot] for one in scope.reads if (spot := run.spot(one)) in unfinished), None
        )
        if source is not None:
            problem = Problem.of(SourceNotPrunedError(source, scope.seen.target))
            done = [Result(action, problem.outcome, problem) for action in actions]
            results.extend(done)
        else:
            done = await delete_tags(run, scope.seen.target, actions, results)
        if any(result.outcome is not Outcome.DONE for result in done):
            unfinished[run.spot(scope.seen.target)] = scope.seen.target

    for wave in waves:
        await for_each(one, wave, at_once=REPOSITORIES_AT_ONCE)


def lacking_of(results: Iterable[Result]) -> Lacking:
    """What was to be copied and is not there."""
    return lacking((result.action, result.outcome) for result in results)


async def delete_tags(
    run: Run, target: Location, actions: Sequence[Action], results: list[Result]
) -> list[Result]:
    """Delete tags of one repository, one after another. The place can delete them: it is a `Deletes`.

    What became of each is added to `results` as soon as it is known: the run may end at any moment.
    """
    spot = run.spot(target)
    begun = {
        # A tag that a kill left on a throw-away manifest was another's before: that is what can be undone.
        action.tag: Deletion(run.id, spot, action.tag, action.source_digest or action.replaces, run.now)
        for action in actions
        if action.tag is not None and action.replaces is not None
    }
    ledger = run.engine.ledger
    ours, origins = ledger.ours(spot), ledger.origins(spot)
    begun = {
        # What somebody else put there is not ours when it is put back.
        tag: replace(one, origin=origins.get(tag) if ours.get(tag) == one.digest else None)
        for tag, one in begun.items()
    }
    try:
        run.engine.check_lease()
        await ledger.begin_deletions(list(begun.values()))
    except RegsyncError as error:
        _end_with(run, error)
        problem = Problem.of(error)
        done = [Result(action, problem.outcome, problem) for action in actions]
        results.extend(done)
        return done
    done = []
    for action in actions:
        if action.tag in begun:
            done.append(await _attempt(run, action, begun[action.tag]))
            results.append(done[-1])
    return done


async def _attempt(run: Run, action: Action, deletion: Deletion) -> Result:
    run.engine.emit(ActionStarted(action, 0))
    try:
        result = await _untag(run, action, deletion)
    except RegsyncError as error:
        result = Result(action, *outcome_of(error))
        _end_with(run, error)
    run.engine.emit(ActionFinished(result))
    return result


async def _untag(run: Run, action: Action, deletion: Deletion) -> Result:
    store, ledger = run.engine.places.connect(action.target), run.engine.ledger
    assert isinstance(store, Deletes)  # noqa: S101 - else the scope has a problem
    try:
        actual = (await store.resolve(deletion.tag)).digest
        if actual != action.replaces:
            ledger.not_deleted(deletion)
            raise TargetMovedError(f"{action.target}:{deletion.tag}", action.replaces, actual)
        run.engine.check_lease()
        await store.untag(deletion.tag)
    except ContentNotFoundError:
        ledger.deleted(deletion, run.engine.clock.now())
        return Result(replace(action, reason=GONE), Outcome.DONE, was_there=True)
    ledger.deleted(deletion, run.engine.clock.now())
    lost_its_tag(run, action.target, deletion.digest)
    return Result(action, Outcome.DONE)


def _end_with(run: Run, error: RegsyncError) -> None:
    if isinstance(error, LeaseLostError):
        run.end(error)
    if isinstance(error, LedgerError):
        run.warn(str(error))


def key_of(action: Action) -> Key:
    """What tells a deletion of one plan from every other."""
    return action.mirror, action.target, action.tag
