"""What policies say of one tag and its targets, while it is observed."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from regsync.content.graph import Trimmed
from regsync.oci.descriptor import UNKNOWN_SIZE, Descriptor
from regsync.oci.digest import Digest
from regsync.plan.model import Problem
from regsync.plan.observation import TargetSeen
from regsync.reconcile.judged import Judged, reference
from regsync.reconcile.look import Found, Wanted
from regsync.reconcile.repositories import TargetView
from regsync.reconcile.verification import Memory

if TYPE_CHECKING:
    from regsync.reconcile.observe import Observer


class TagJudging:
    """The policies of one unit, asked for each of its tags."""

    def __init__(self, observer: "Observer") -> None:
        self._observer, self._unit = observer, observer.unit
        self._verification = observer.run.verification
        self._policies = self._verification.policies_of(observer.unit)

    def kept_and_unjudged(self, wanted: Wanted) -> Digest | None:
        """What an immutable tag is at a target, if a policy is not known to have let it pass.

        Of a trimmed index the target does not tell what it was made of; it is judged with its evidence.
        """
        if not self._policies or wanted.tag is None or isinstance(self._observer.shape, Trimmed):
            return None
        for target in self._observer.view.targets:
            if isinstance(target, TargetView) and (digest := target.ours.get(wanted.tag)) is not None:
                desc = Descriptor("", digest, UNKNOWN_SIZE)
                found = (Found(source, desc, digest) for source in self._observer.view.sources)
                if not any(
                    self._verification.has_passed(self._unit, one, wanted.source_tag) for one in found
                ):
                    return digest
        return None

    async def targets(self, targets: list[TargetSeen], wanted: Wanted, found: Found) -> list[TargetSeen]:
        """Targets with what policies say of the content that stands or would stand there."""
        if not any(self._concerns(target, found) for target in targets):
            return targets
        trusting = Memory.ALL if all(one.digest == found.digest for one in targets) else Memory.FINAL
        if any(target.evidence_lacking for target in targets):
            trusting = Memory.NONE
        judged = await self._verification.at_source(self._observer, found, wanted.source_tag, trusting)
        return [
            self._with_verdicts(target, wanted, found, judged) if self._concerns(target, found) else target
            for target in targets
        ]

    def _concerns(self, target: TargetSeen, found: Found) -> bool:
        """Whether the content is, or is to be, at the target."""
        if target.unseen or target.problem is not None:
            return False
        may_move = found.source.location == self._unit.source and not target.kept
        return target.digest in (None, found.digest) or may_move

    def _with_verdicts(
        self, target: TargetSeen, wanted: Wanted, found: Found, judged: Mapping[str, Judged]
    ) -> TargetSeen:
        applying = self._verification.policies(self._unit, target.location)
        here = [judged[policy.name] for policy in applying]
        name = reference(found, wanted.source_tag)
        stays = target.digest if target.digest != found.digest else None
        problem = next(
            (Problem.of(e) for one in here if (e := one.refusal(name, stays=stays)) is not None), None
        )
        return replace(target, verdicts=tuple(one.judgement for one in here), problem=problem)
