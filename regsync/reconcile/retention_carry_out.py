"""Carrying out what retention decided of one repository: tags, their evidence, and manifests at the end.

Evidence goes only when every tag went. What loses its last way is in the ledger before the first deletion, so
that a killed run leaves nothing that no later one knows of. Before manifests go the tags are listed once
more: deleting a manifest takes whatever tag it has got meanwhile.
"""

from collections.abc import Sequence

from regsync.content.errors import ContentNotFoundError
from regsync.content.protocol import Deletes
from regsync.errors import RefusedError, RegsyncError
from regsync.oci.digest import Digest
from regsync.plan.model import Action, Outcome, Problem, Result
from regsync.reconcile.carry_out import outcome_of
from regsync.reconcile.deleting import delete_tags
from regsync.reconcile.engine import Run
from regsync.reconcile.events import ActionFinished, ActionStarted
from regsync.reconcile.lease import LeaseLostError
from regsync.reconcile.retention_listing import list_tags, look_up
from regsync.reconcile.retention_scope import RetentionScope
from regsync.reconcile.unit_work import not_done
from regsync.reconcile.untagged import forget_lost, remember_lost
from regsync.spec.model import Location


async def carry_out(run: Run, scope: RetentionScope, results: list[Result]) -> None:
    """Delete what `scope` says; what became of it is added to `results`."""
    if scope.problem is not None:
        results += not_done(scope.actions)
        return
    location, spot, content = scope.location, run.spot(scope.location), scope.content
    if content is not None:
        remember_lost(run, spot, content.unreached)
    for actions in (scope.tags, scope.evidence):
        if actions and not _all_done(await delete_tags(run, location, actions, results)):
            return
    if scope.manifests:
        await _delete_manifests(run, location, scope.manifests, results)
    elif content is not None and scope.decision.policy.untagged_keep_for is None:
        for digest in content.unreached:  # its evidence is gone, and it stays for good
            forget_lost(run, spot, digest)


def _all_done(results: Sequence[Result]) -> bool:
    return all(result.outcome is Outcome.DONE for result in results)


async def _delete_manifests(
    run: Run, location: Location, actions: Sequence[Action], results: list[Result]
) -> None:
    """One after another, up to the first failure: what comes later may lie under what stayed."""
    try:
        await run.engine.ledger.flush()
        tagged = await _tagged(run, location)
    except RegsyncError as error:
        results += [_failed(run, action, error) for action in actions]
        return
    for action in actions:
        if action.digest is None or action.digest in tagged:
            return  # somebody tagged it meanwhile: decided anew by the next run
        result = await _delete(run, location, action, action.digest)
        results.append(result)
        if result.outcome is not Outcome.DONE:
            return


async def _tagged(run: Run, location: Location) -> frozenset[Digest]:
    """What tags point to now. Raises where one cannot be looked at."""
    listed = await list_tags(run, location)
    found, failed = await look_up(run, location, listed, listed)
    for error in failed.values():
        raise error
    return frozenset(desc.digest for desc in found.values())


async def _delete(run: Run, location: Location, action: Action, digest: Digest) -> Result:
    store, spot = run.engine.places.connect(location), run.spot(location)
    assert isinstance(store, Deletes)  # noqa: S101 - else the scope has a problem
    run.engine.emit(ActionStarted(action, 0))
    try:
        run.engine.check_lease()
        try:
            await store.delete(await store.resolve(digest))
            result = Result(action, Outcome.DONE)
        except ContentNotFoundError:
            result = Result(action, Outcome.DONE, was_there=True)
        forget_lost(run, spot, digest)
    except RegsyncError as error:
        result = _failed(run, action, error)
    run.engine.emit(ActionFinished(result))
    return result


def _failed(run: Run, action: Action, error: RegsyncError) -> Result:
    if isinstance(error, LeaseLostError):
        run.end(error)
    elif isinstance(error, RefusedError):  # the place knows of a use, or has a rule, and keeps it
        return Result(action, Outcome.BLOCKED, Problem(Outcome.BLOCKED, None, str(error), error.hint))
    return Result(action, *outcome_of(error))
