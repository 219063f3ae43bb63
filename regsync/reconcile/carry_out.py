"""Carrying out one action: ask the target again, copy, bring the evidence, then the tag."""

from dataclasses import dataclass, replace
from enum import Enum

from regsync.content.copy import Copied, copy_graph
from regsync.content.errors import ContentNotFoundError
from regsync.content.evidence_copy import EvidenceCopy
from regsync.errors import RefusedError, RegsyncError
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.plan.model import Action, Cause, Outcome, Problem, Result, Verb
from regsync.reconcile.engine import Run
from regsync.reconcile.events import ActionFinished, ActionStarted
from regsync.reconcile.former_images import keep_former_image
from regsync.reconcile.judged import reference
from regsync.reconcile.lease import LeaseLostError
from regsync.reconcile.look import Found
from regsync.reconcile.observe import Observer
from regsync.reconcile.repositories import TargetView
from regsync.reconcile.untagged import lost_its_tag
from regsync.reconcile.verification import Memory

ALREADY_THERE = "already there"
EVIDENCE_ONLY = "already there, its evidence was not"


class Recheck(Enum):
    """Which targets are asked again before they are written."""

    UPDATES = "updates"  # the observation is seconds old
    ALL = "all"  # the plan was made in another run


class TargetMovedError(RefusedError):
    """The target is not as it was when the action was planned."""

    def __init__(self, name: str, expected: Digest | None, actual: Digest | None) -> None:
        was = str(expected) if expected is not None else "absent"
        super().__init__(f"{name} moved since it was observed: it was {was}, it is {actual or 'absent'}")

    @property
    def hint(self) -> str:
        """What to do next."""
        return "somebody else writes there; look at what they wrote, then plan again"


@dataclass(frozen=True, slots=True)
class CarryOut:
    """Carries out the actions of one unit."""

    run: Run
    observer: Observer
    recheck: Recheck = Recheck.UPDATES

    async def result_of(self, action: Action, found: Found, target: TargetView) -> Result:
        """The action's outcome; an error on the way is part of it, not an exception."""
        self.run.engine.emit(ActionStarted(action, action.size or 0))
        try:
            result = await self._attempt(action, found, target)
        except RegsyncError as error:
            result = Result(action, *outcome_of(error))
            if isinstance(error, LeaseLostError):
                self.run.end(error)
        self.run.engine.emit(ActionFinished(result))
        return result

    async def _attempt(self, action: Action, found: Found, target: TargetView) -> Result:
        if self.recheck is Recheck.ALL:  # the plan was made in another run, and is data from outside
            action = await self._verified(action, found)
        is_there = await self._is_there(action, target)
        evidence = await self.observer.evidence(found, target)
        if not evidence:
            await self.observer.require_evidence(found)
        if is_there and not evidence:
            # It is what this plan was to write; the run that did may have died before its ledger was on disk.
            self._remember(action, found, target, complete=True)
            return Result(replace(action, reason=ALREADY_THERE), Outcome.DONE, was_there=True)
        if is_there and action.verb is Verb.CREATE:
            action = replace(action, verb=Verb.UPDATE, replaces=action.digest, reason=EVIDENCE_ONLY)
        bringing = EvidenceCopy(
            self.run.transfers,
            self.run.manifests,
            self.observer.shelf_of(found),
            target.destination,
            self.observer.takes,
        )
        verification, unit = self.run.verification, self.observer.unit

        async def bring() -> Copied:
            await bringing.bring(evidence)
            if bringing.refused and self.observer.unit.referrers.required:
                raise bringing.refused[0]
            if not is_there:
                await verification.at_target(self.observer, found, action.source_tag, target, evidence)
                await keep_former_image(self.run, unit, action, target)
            return bringing.copied

        if is_there:
            copied = await bring()
        else:
            copied = await copy_graph(
                self.run.transfers,
                self.observer.stores,
                await self.observer.graph(found),
                target.destination,
                tag=action.tag,
                before_tag=bring if evidence or self._has_to_wait(action, target) else None,
            )
        self._remember(action, found, target, complete=not bringing.refused)
        if bringing.refused:
            problem = _degraded(bringing.refused)
            return Result(action, Outcome.DEGRADED, problem, copied.sent, copied.reused)
        return Result(action, Outcome.DONE, None, copied.sent, copied.reused)

    def _has_to_wait(self, action: Action, target: TargetView) -> bool:
        """Whether something comes between the content and its tag."""
        unit = self.observer.unit
        moves = unit.history is not None and action.replaces is not None
        return moves or bool(self.run.verification.policies(unit, target.location))

    async def _verified(self, action: Action, found: Found) -> Action:
        """The action with what policies say now; raises why they refuse it."""
        verification, unit = self.run.verification, self.observer.unit
        applying = verification.policies(unit, action.target)
        if not applying:
            return action
        judged = await verification.at_source(self.observer, found, action.source_tag, Memory.NONE)
        here = [judged[policy.name] for policy in applying]
        name = reference(found, action.source_tag)
        for one in here:
            if (error := one.refusal(name, stays=action.replaces)) is not None:
                raise error
        return replace(action, verdicts=tuple(one.judgement for one in here))

    async def _is_there(self, action: Action, target: TargetView) -> bool:
        """Ask the target again, evidence aside; raises TargetMovedError if it moved to anything else."""
        if self.recheck is Recheck.UPDATES and action.verb is Verb.CREATE:
            return False
        name: Tag | Digest | None = action.tag or action.digest
        assert name is not None  # noqa: S101 - only actions without a problem are carried out
        try:
            actual = (await target.destination.store.resolve(name)).digest
        except ContentNotFoundError:
            actual = None
        if actual not in (action.replaces, action.digest):
            raise TargetMovedError(f"{action.target}:{name}", action.replaces, actual)
        return actual == action.digest

    def _remember(self, action: Action, found: Found, target: TargetView, *, complete: bool) -> None:
        ledger, now = self.run.engine.ledger, self.run.now
        if action.tag is not None:
            origin = self.run.spot(self.observer.unit.source)
            ledger.wrote(target.spot, action.tag, found.digest, now, origin)
            if action.replaces is not None and action.replaces != found.digest:
                lost_its_tag(self.run, target.location, action.replaces)
        ledger.saw(target.spot, found.digest, now)
        if complete:
            ledger.compared(target.spot, found.digest, now)


def outcome_of(error: RegsyncError) -> tuple[Outcome, Problem]:
    """What an error on the way makes of an action."""
    problem = Problem.of(error)
    if isinstance(error, TargetMovedError):
        problem = Problem(Outcome.REFUSED, Cause.POLICY, problem.message, problem.hint)
    return problem.outcome, problem


def _degraded(refused: list[RegsyncError]) -> Problem:
    more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
    return Problem(Outcome.DEGRADED, None, f"evidence was not taken: {refused[0]}{more}", refused[0].hint)
