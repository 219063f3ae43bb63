"""`prune --undo RUN`: tags that a run deleted are put back, while what they pointed to is still there."""

from collections.abc import Sequence
from dataclasses import replace

import anyio

from regsync.content.errors import ContentNotFoundError
from regsync.errors import RegsyncError, UsageError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName
from regsync.plan.model import Action, Outcome, Report, Result, Verb
from regsync.reconcile.abandoned import location_at
from regsync.reconcile.carry_out import ALREADY_THERE, TargetMovedError, outcome_of
from regsync.reconcile.engine import Engine, Run
from regsync.reconcile.events import ActionFinished, ActionStarted
from regsync.reconcile.lease import LeaseLostError
from regsync.reconcile.ledger import Deletion, Ledger
from regsync.reconcile.reported import reported
from regsync.reconcile.unit_work import Progress
from regsync.spec.model import Location, Spec

NOBODY = "(undo)"  # in place of a mirror
AGAIN = (
    "a tag that was put back is deleted again when its grace is over, unless its mirror selects it or "
    "prune.protect names it"
)


class NothingToUndoError(UsageError):
    """The ledger knows of no deletion by that run."""

    usual_hint = "`regsync history` lists runs; deletions are remembered for 400 days"

    def __init__(self, run: str) -> None:
        super().__init__(f"the ledger knows of no tag that run {run[:80]!r} deleted")


class ContentGoneError(RegsyncError):
    """What a tag pointed to is not there any more."""

    usual_hint = "it was collected as garbage; copy it again from where it came from"

    def __init__(self, name: str, digest: Digest) -> None:
        super().__init__(f"{name} cannot be put back: {digest} is not there any more")


class NoRegistryThereError(RegsyncError):
    """No Registry of the spec is at the place of a tag."""

    usual_hint = "declare a Registry with that url, store or layout"

    def __init__(self, deletion: Deletion) -> None:
        super().__init__(
            f"{deletion.spot.repository}:{deletion.tag} cannot be put back: no Registry of the spec is at "
            f"{deletion.spot.place}"
        )


def deletions_of(ledger: Ledger, run: str) -> Sequence[Deletion]:
    """What a run deleted, or may have; raises NothingToUndoError."""
    if not (found := ledger.deletions(run)):
        raise NothingToUndoError(run)
    return found


async def undo(spec: Spec, engine: Engine, of: str, *, stop: anyio.Event | None = None) -> Report:
    """Put back the tags that run `of` deleted; raises NothingToUndoError. A tag that is taken stays."""
    deletions = deletions_of(engine.ledger, of)

    async def body(run: Run, progress: Progress) -> None:
        for deletion in deletions:
            action = _action(run, deletion, of)
            run.engine.emit(ActionStarted(action, 0))
            try:
                result = await _restore(run, action, deletion)
            except RegsyncError as error:
                result = Result(action, *outcome_of(error))
                if isinstance(error, LeaseLostError):
                    run.end(error)
            run.engine.emit(ActionFinished(result))
            progress.left.append(result)
        if any(one.outcome is Outcome.DONE for one in progress.left):
            run.warn(AGAIN)

    return await reported("prune", spec, engine, body, stop)


def _action(run: Run, deletion: Deletion, of: str) -> Action:
    location = location_at(run, deletion.spot)
    # A place without a name in the spec is shown by its own.
    target = location or Location(deletion.spot.place, RepositoryName(deletion.spot.repository))
    reason = f"run {of} deleted it"
    return Action(
        Verb.CREATE, NOBODY, target, target, deletion.tag, deletion.digest, None, None, reason, deletion.tag,
        deletion.digest,
    )  # fmt: skip


async def _restore(run: Run, action: Action, deletion: Deletion) -> Result:
    if action.target.registry not in run.spec.registries:
        raise NoRegistryThereError(deletion)
    store, name = run.engine.places.connect(action.target), f"{action.target}:{deletion.tag}"
    ledger, spot = run.engine.ledger, deletion.spot
    try:
        actual: Descriptor | None = await store.resolve(deletion.tag)
    except ContentNotFoundError:
        actual = None
    if actual is not None and actual.digest != deletion.digest:
        raise TargetMovedError(name, None, actual.digest)
    if actual is None:
        try:
            desc = await store.resolve(deletion.digest)
        except ContentNotFoundError:
            raise ContentGoneError(name, deletion.digest) from None
        run.engine.check_lease()
        await store.tag(desc, deletion.tag)
    ledger.not_deleted(deletion)
    if deletion.origin is not None:  # what another made, and retention deleted, is not ours now either
        ledger.wrote(spot, deletion.tag, deletion.digest, run.now, deletion.origin)
    if actual is not None:
        return Result(replace(action, reason=ALREADY_THERE), Outcome.DONE, was_there=True)
    return Result(action, Outcome.DONE)
