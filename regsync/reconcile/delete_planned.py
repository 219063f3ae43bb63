"""The deletions of a saved plan: decided anew, and carried out where the plan and the decision agree.

A plan is data from outside. What it deletes must be due by what sources, targets and the ledger say now, by
the same decision that a run makes; of all that is due only what the plan names goes.
"""

from collections.abc import Sequence
from dataclasses import replace

from regsync.errors import RefusedError
from regsync.oci.reference import Tag
from regsync.plan.model import Action, Outcome, Result, Verb
from regsync.reconcile.apply_plan import refused
from regsync.reconcile.chain import Feeding
from regsync.reconcile.deleting import GONE, delete, key_of, lacking_of
from regsync.reconcile.engine import Run
from regsync.reconcile.expanding import expand
from regsync.reconcile.pruning import Pruning
from regsync.reconcile.repositories import Repositories
from regsync.reconcile.unit_work import Progress
from regsync.spec.model import Mirror


class NotDueError(RefusedError):
    """The plan deletes a tag, and by what is known now it stays."""

    usual_hint = "plan again, and look at `regsync prune --dry-run --explain`"

    def __init__(self, action: Action, why: str) -> None:
        super().__init__(f"{action.target}:{action.tag}: the plan deletes it, and now it stays: {why}")


async def delete_planned(
    run: Run, planned: Sequence[Action], levels: Sequence[Sequence[Mirror]], progress: Progress
) -> None:
    """Carry out the deletions of a plan; what the run has created before is no part of the limits."""
    if not planned:
        return
    done = (one.action for one in progress.results)
    created = {(one.target, one.tag) for one in done if one.verb is Verb.CREATE}
    run.pruning = pruning = Pruning(run)
    pruning.only(planned, created)
    names = {action.mirror for action in planned}
    for level in levels:
        repositories = Repositories(run)
        await pruning.decide(repositories, Feeding(run.spec, [level]))
        await expand(run, [mirror for mirror in level if mirror.name in names])
    await pruning.decide(Repositories(run))
    absent = lacking_of(progress.results)
    await delete(run, pruning.waves, progress.left, absent, {key_of(action): action for action in planned})
    answered = {key_of(one.action) for one in progress.left if one.action.verb is Verb.DELETE}
    progress.left += [_not_due(pruning, action) for action in planned if key_of(action) not in answered]


def _not_due(pruning: Pruning, action: Action) -> Result:
    if (why := pruning.why_not(action.mirror, action.target, action.tag or Tag(""))) is None:
        return Result(replace(action, reason=GONE), Outcome.DONE, was_there=True)
    return refused(action, NotDueError(action, why))
