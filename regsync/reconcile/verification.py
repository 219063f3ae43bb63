"""Signing requirements in a run: no tag moves on a target before every policy that applies let it.

The source is asked when a tag is observed, so that a plan shows what would be refused, and the target
after evidence has arrived there and before its tag moves. A pass at the source is remembered in the
ledger until something in it expires; a refusal never is, since pipelines sign after they push.
Sources: DESIGN.md, section 6, rules 2 and 11; SIGNING.md, section 0.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING

from regsync.content.evidence import Evidence, Shelf
from regsync.content.protocol import KnowsItself
from regsync.content.referrers import fallback_tag
from regsync.content.single_flight import SingleFlight
from regsync.oci.digest import Digest
from regsync.oci.manifest import Index, Manifest
from regsync.oci.reference import Tag
from regsync.plan.judgement import Judgement
from regsync.reconcile.judged import Judged, reference
from regsync.reconcile.ledger import PassedVerdict
from regsync.spec.applying import host_of, policies_for, skip_of
from regsync.spec.model import Location, RemotePlace, Unit
from regsync.spec.verification import Mode, Scope, Skip
from regsync.trust.verdict import Result

if TYPE_CHECKING:
    from regsync.reconcile.engine import Run
    from regsync.reconcile.look import Found
    from regsync.reconcile.observe import Observer
    from regsync.reconcile.repositories import TargetView
    from regsync.trust.envelopes import Question
    from regsync.trust.inquiry import Answer, Asked
    from regsync.trust.policy import CompiledPolicy

REMEMBERED = timedelta(days=400)  # a pass in which nothing expires
NEWS_AFTER = timedelta(hours=24)  # a pass that newer evidence may undo is asked again after that
WARNED_IN_FULL = 3  # images of one policy and mirror whose reasons a warning names

_MAY_BE_EVIDENCE = (
    "application/vnd.dev.sigstore.",
    "application/vnd.dev.cosign.",
    "application/vnd.cncf.notary.",
    "application/vnd.in-toto",
    "application/vnd.dsse.",
    "application/vnd.oci.empty.v1+json",  # what registries and tools say that lost the real one
)


def takes_evidence(artifact_type: str | None) -> bool:
    """Whether a referrer may be what a policy asks for; where a listing does not say its type it may."""
    return artifact_type is None or artifact_type.startswith(_MAY_BE_EVIDENCE)


class Memory(Enum):
    """Which remembered passes are enough."""

    ALL = "all"  # nothing is to be done
    FINAL = "final"  # a tag is to move: those that no newer evidence can undo
    NONE = "none"  # evidence came since, or who asks trusts no earlier run


@dataclass(slots=True)
class Verification:
    """The policies of a run. Each is asked once of the same content of a repository."""

    run: "Run"
    _applying: dict[tuple[tuple[Location, ...], Location, tuple[str, ...]], tuple["CompiledPolicy", ...]] = (
        field(default_factory=dict)
    )
    _skips: dict[tuple[str, Location], Skip | None] = field(default_factory=dict)
    _judged: dict[Digest, Judged] = field(default_factory=dict)
    _asking: SingleFlight[Digest, Judged] = field(default_factory=SingleFlight)
    _tolerated: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)

    def policies(self, unit: Unit, target: Location) -> tuple["CompiledPolicy", ...]:
        """What has to be met before an image of `unit` stands at `target`, by name."""
        compiled = self.run.engine.policies
        if not compiled:
            return ()
        key = (unit.sources, target, unit.verify)
        if key not in self._applying:
            found = policies_for(self.run.spec, unit.sources, target, unit.verify)
            self._applying[key] = tuple(compiled[policy.name] for policy in found)
        return self._applying[key]

    def policies_of(self, unit: Unit) -> tuple["CompiledPolicy", ...]:
        """Every policy that applies at any target of a unit, by name."""
        found = {one.name: one for target in unit.targets for one in self.policies(unit, target)}
        return tuple(found[name] for name in sorted(found))

    def has_passed(self, unit: Unit, found: "Found", tag: Tag | None) -> bool:
        """Whether every policy of a unit is known to let the content pass, so that nobody has to ask."""
        return all(
            self._skip(policy, found) is not None or self._known(policy, unit, found, tag) is not None
            for policy in self.policies_of(unit)
        )

    async def at_source(
        self, observer: "Observer", found: "Found", tag: Tag | None, trusting: Memory
    ) -> Mapping[str, Judged]:
        """What every policy of the unit says of content at its source, by name."""
        judged: dict[str, Judged] = {}
        for policy in self.policies_of(observer.unit):
            trusted = trusting is Memory.ALL or (
                trusting is Memory.FINAL and not policy.newer_evidence_counts
            )
            known = self._known(policy, observer.unit, found, tag) if trusted else None
            judged[policy.name] = known or await self._judge(observer, policy, found, tag)
        self._tell_tolerated(observer.unit, reference(found, tag), judged)
        return judged

    async def at_target(
        self, observer: "Observer", found: "Found", tag: Tag | None, target: "TargetView", brought: Evidence
    ) -> None:
        """See, before its tag moves, that the target has the evidence too; raises why it may not move.

        What `brought` names is there by now, though the listing of the target is older.
        """
        policies = self.policies(observer.unit, target.location)
        if not policies:
            return
        from regsync.trust.inquiry import inquire

        question = self._question(found, tag)
        shelf = await self._shelf(observer, found, target, brought)
        asked = [
            await self._asked(observer, policy, found, (shelf,))
            for policy in policies
            if self._skip(policy, found) is None
        ]
        # Read from the target alone: what the run has read before came from the source.
        for answer in await inquire(asked, question, top=await self._index(observer, policies, found)):
            judged = Judged(Judgement.of(answer.verdict), answer.is_temporary)
            told = self._tolerated.get((observer.unit.mirror, judged.judgement.policy), {})
            if reference(found, tag) not in told:
                where = f"{target.location}@{found.digest}, as it arrived there"
                self._tell_tolerated(observer.unit, where, {judged.judgement.policy: judged})
            error = judged.refusal(f"{target.location}@{found.digest}", arrived=", as it arrived there")
            if error is not None:
                raise error

    def warnings(self) -> list[str]:
        """What policies that only warn would have refused, a line for each policy and mirror."""
        lines = []
        for (mirror, policy), images in sorted(self._tolerated.items()):
            shown = sorted(images.items())[:WARNED_IN_FULL]
            more = f"; and {len(images) - len(shown)} more" if len(images) > len(shown) else ""
            reasons = "; ".join(f"{name}: {reason}" for name, reason in shown)
            lines.append(f"mirror {mirror}: policy {policy} (mode: warn) would refuse {reasons}{more}")
        return lines

    async def _judge(
        self, observer: "Observer", policy: "CompiledPolicy", found: "Found", tag: Tag | None
    ) -> Judged:
        key = self._key(policy, observer.unit, found, tag)

        async def ask() -> Judged:
            if (judged := self._judged.get(key)) is not None:
                return judged  # by who was faster
            answer = await self._ask(observer, policy, found, tag)
            judged = self._judged[key] = Judged(Judgement.of(answer.verdict), answer.is_temporary)
            self._remember(policy, key, answer)
            return judged

        return await self._asking.run(key, ask)

    async def _ask(
        self, observer: "Observer", policy: "CompiledPolicy", found: "Found", tag: Tag | None
    ) -> "Answer":
        from regsync.trust.inquiry import Answer, inquire
        from regsync.trust.judge import skipped

        question = self._question(found, tag)
        if (skip := self._skip(policy, found)) is not None:
            return Answer(skipped(policy, skip, question))
        elsewhere = (observer.view.elsewhere[one] for one in policy.policy.evidence)
        asked = await self._asked(observer, policy, found, (found.source.shelf, *elsewhere))
        top = await self._index(observer, [policy], found)
        (answer,) = await inquire([asked], question, manifests=self.run.manifests, top=top)
        return answer

    async def _index(
        self, observer: "Observer", policies: Sequence["CompiledPolicy"], found: "Found"
    ) -> Index | Manifest | None:
        """The index that was found, for what was put inside it, where a policy asks about what is in it."""
        if not found.desc.is_index or all(one.policy.scope is Scope.INDEX for one in policies):
            return None
        return await self.run.manifests.read(observer.stores, found.desc)

    async def _asked(
        self, observer: "Observer", policy: "CompiledPolicy", found: "Found", shelves: tuple[Shelf, ...]
    ) -> "Asked":
        from regsync.trust.inquiry import Asked, subjects_of

        subjects = await subjects_of(
            policy.policy.scope,
            found.desc,
            self.run.manifests,
            observer.stores,
            shape=observer.shape,
            root=found.digest,
        )
        return Asked(policy, subjects, shelves)

    def _skip(self, policy: "CompiledPolicy", found: "Found") -> Skip | None:
        key = (policy.name, found.source.location)
        if key not in self._skips:
            self._skips[key] = skip_of(policy.policy, key[1], self.run.spec.registries, self.run.now)
        return self._skips[key]

    def _known(self, policy: "CompiledPolicy", unit: Unit, found: "Found", tag: Tag | None) -> Judged | None:
        key, now = self._key(policy, unit, found, tag), self.run.now
        if (judged := self._judged.get(key)) is not None:
            return judged
        passed = self.run.engine.ledger.passed_verdict(key, now)
        # What is remembered for longer than anything is was written by a clock that was ahead.
        if passed is None or passed.until > now + REMEMBERED:
            return None
        judgement = Judgement(policy.name, policy.policy.mode, Result.PASS, None, passed.signers)
        return Judged(judgement)

    def _remember(self, policy: "CompiledPolicy", key: Digest, answer: "Answer") -> None:
        verdict, now = answer.verdict, self.run.now
        if verdict.result is not Result.PASS:
            return
        until = now + (NEWS_AFTER if policy.newer_evidence_counts else REMEMBERED)
        if verdict.expires is not None:
            until = min(until, verdict.expires)
        self.run.engine.ledger.remember_verdict(key, PassedVerdict(until, verdict.signers))

    def _key(self, policy: "CompiledPolicy", unit: Unit, found: "Found", tag: Tag | None) -> Digest:
        """Everything that a verdict rests on, but for the time."""
        spot, platforms = found.source.spot, unit.platforms
        # Two Registries may be one place; an expression is told the name of the one that the mirror reads.
        name = [found.source.location.registry, tag] if policy.uses_image else None
        # Of an index that is left whole the digest does not tell which platforms were looked at.
        looked_at = None if policy.policy.scope is Scope.INDEX or platforms is None else map(str, platforms)
        parts = [
            policy.fingerprint,
            spot.place,
            spot.repository,
            name,
            None if looked_at is None else sorted(looked_at),
            str(found.desc.digest),
            str(found.digest),
        ]
        return Digest.of(json.dumps(parts).encode())

    def _question(self, found: "Found", tag: Tag | None) -> "Question":
        from regsync.trust.envelopes import Image, Question

        location = found.source.location
        place = self.run.spec.place(location)
        host = host_of(place) if isinstance(place, RemotePlace) else None
        image = Image(location.registry, location.repository, tag, found.desc.digest, host)
        return Question(image, self.run.now)

    async def _shelf(
        self, observer: "Observer", found: "Found", target: "TargetView", brought: Evidence
    ) -> Shelf:
        if target.listed is None:
            return Shelf(target.destination.store, None)
        arrived = dict.fromkeys(brought.tags)
        store = target.destination.store
        if not (isinstance(store, KnowsItself) and store.has_referrers_api):
            arrived |= dict.fromkeys(fallback_tag(one) for one in await observer.subjects(found))
        return Shelf(store, {**target.listed, **arrived})

    def _tell_tolerated(self, unit: Unit, image: str, judged: Mapping[str, Judged]) -> None:
        for name, one in judged.items():
            judgement = one.judgement
            if judgement.mode is Mode.WARN and judgement.result in (Result.FAIL, Result.ERROR):
                self._tolerated.setdefault((unit.mirror, name), {})[image] = judgement.reason or ""
