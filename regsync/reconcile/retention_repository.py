"""One repository of a RetentionPolicy: all that there is looked at, and what goes decided.

Tags are decided twice: at first by what a listing and times tell, then, for those that would go, by what they
point to and by mirrors whose selection is in doubt.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from regsync.content.digest_tags import DigestTag, fallback_subject
from regsync.content.protocol import Deletes, DropsUntagged
from regsync.errors import RegsyncError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.plan.model import Problem
from regsync.plan.retention import RetentionDecision, RetentionSeen, decide_retention
from regsync.plan.retention_content import (
    ContentDecision,
    ContentSeen,
    decide_content,
    doubtful,
    needed_from_above,
)
from regsync.reconcile.engine import Run
from regsync.reconcile.repositories import Listing
from regsync.reconcile.retention_graphs import Graphs
from regsync.reconcile.retention_keeping import Declared, InUseImages, Running, in_use_at
from regsync.reconcile.retention_listing import list_tags, look_up
from regsync.reconcile.retention_scope import CannotDeleteHereError, RetentionLimitError, RetentionScope
from regsync.reconcile.retention_times import PlaceTimes
from regsync.reconcile.untagged import lost_at
from regsync.spec.matching import is_digest_tag
from regsync.spec.model import Location
from regsync.spec.retention import RetentionPolicy


@dataclass(frozen=True, slots=True)
class Looking:
    """What decisions of one run rest on."""

    run: Run
    declared: Declared
    running: Running
    times: PlaceTimes

    async def decide(self, policy: RetentionPolicy, location: Location) -> RetentionScope:
        """Decide of one repository. Raises why it, or what is in use, cannot be read."""
        in_use = await self.running.images(policy.in_use)
        listed = await list_tags(self.run, location)
        repository = _Repository(self, policy, location, listed)
        return await repository.decide(in_use)


@dataclass(slots=True)
class _Repository:
    """One repository while it is decided."""

    looking: Looking
    policy: RetentionPolicy
    location: Location
    listed: Listing
    graphs: Graphs = field(init=False)
    found: dict[Tag, Descriptor] = field(default_factory=dict)  # what tags point to, as far as it was asked

    def __post_init__(self) -> None:
        run = self.looking.run
        self.graphs = Graphs(run, run.engine.places.connect(self.location), self.listed)

    async def decide(self, in_use: InUseImages) -> RetentionScope:
        run = self.looking.run
        seen = await self._seen(in_use)
        decision = decide_retention(self.policy, seen, now=run.now)
        if not decision.is_refused or seen.kept_digests:
            seen = await self._looked_up(seen, decision)
            decision = decide_retention(self.policy, seen, now=run.now)
        if decision.is_refused:
            count = f"{len(decision.going)} of {decision.total} tags"
            error = RetentionLimitError(self.policy, self.location, count, decision.allowed)
            return self._scope(decision, refused=error)
        decision, content = await self._with_content(decision)
        return self._scope(decision, content)

    async def _seen(self, in_use: InUseImages) -> RetentionSeen:
        """All tags, and what keeps them whatever the policy says."""
        looking, spot = self.looking, self.looking.run.spot(self.location)
        units = looking.declared.units_at(spot)
        states = await looking.times.states(self.policy, self.location, self.listed, units)
        alike = {self.location, *(one for unit in units for one in (*unit.targets, *unit.sources))}
        kept = {**in_use_at(looking.run, alike, in_use), **looking.declared.wanted(spot)}
        locked = dict.fromkeys(looking.run.spec.lock.digests, "a lock file names what it points to")
        digests = {**locked, **looking.declared.pinned(spot), **in_use.digests}
        return RetentionSeen(self.location, states, kept, digests)

    async def _looked_up(self, seen: RetentionSeen, decision: RetentionDecision) -> RetentionSeen:
        """`seen` with what the tags that would go point to, and what else then keeps some of them."""
        run = self.looking.run
        found, failed = await look_up(run, self.location, self.listed, decision.going)
        self.found.update(found)
        kept = {tag: f"it could not be looked at: {error}" for tag, error in failed.items()}
        digests = {tag: desc.digest for tag, desc in found.items()}
        wanted: dict[Tag, Digest | None] = {tag: digests.get(tag) for tag in decision.going}
        kept.update(self.looking.declared.may_be_wanted(run.spot(self.location), wanted))
        if seen.kept_digests:
            kept.update(await self._led_to(seen, found))
        gone = {*decision.going} - found.keys() - failed.keys()
        states = {
            tag: replace(state, digest=digests[tag]) if tag in digests else state
            for tag, state in seen.tags.items()
            if tag not in gone
        }
        return replace(seen, tags=states, kept={**kept, **seen.kept})

    async def _led_to(self, seen: RetentionSeen, found: Mapping[Tag, Descriptor]) -> dict[Tag, str]:
        """Tags without which a digest that is kept would not be led to any more."""
        kept: dict[Tag, str] = {}
        for tag, desc in found.items():
            try:
                await self.graphs.read([desc])
            except RegsyncError as error:
                kept[tag] = f"what it leads to could not be read: {error}"
                continue
            why = (seen.kept_digests.get(one) for one in self.graphs.known[desc.digest])
            kept.update((tag, reason) for reason in why if reason is not None)
        return kept

    async def _with_content(
        self, decision: RetentionDecision
    ) -> tuple[RetentionDecision, ContentDecision | None]:
        """What goes with the tags; nothing where it cannot be told."""
        run = self.looking.run
        lost = lost_at(run, run.spot(self.location))
        digest_tags = self._digest_tags()
        drops = isinstance(self.graphs.store, DropsUntagged) and self.graphs.store.drops_untagged
        untagged = self.policy.untagged_keep_for is not None
        if not (decision.going or lost) or not (digest_tags or untagged or drops):
            return decision, None
        try:
            staying = await self._staying(decision)
            if drops:
                decision = self._hold_what_indexes_need(decision, staying)
                staying = await self._staying(decision)
            return decision, await self._content(decision, staying, digest_tags)
        except RegsyncError as error:
            if drops:
                raise
            run.warn(
                f"{self.location}: what its tags lead to could not be read, so no evidence goes: {error}"
            )
            return decision, None

    async def _content(
        self, decision: RetentionDecision, staying: frozenset[Digest], digest_tags: Mapping[Tag, Digest]
    ) -> ContentDecision:
        run, graphs = self.looking.run, self.graphs
        remembered = lost_at(run, run.spot(self.location))
        going = frozenset(self.found[tag].digest for tag in decision.going)
        await graphs.read(self.found[tag] for tag in decision.going)
        gone = await graphs.read_lost(remembered.keys() - going)
        there = {digest: since for digest, since in remembered.items() if digest not in gone}
        in_doubt = doubtful(staying, (*going, *there), graphs.known)
        await graphs.read_relations(in_doubt)
        pointed = await self._evidence(digest_tags, in_doubt)

        def decided() -> ContentDecision:
            seen = ContentSeen(
                staying, going, digest_tags, pointed, there, graphs.known, graphs.subjects, graphs.referrers
            )
            return decide_content(self._content_policy(), seen, now=run.now)

        found = decided()
        if found.due:  # what is kept without a tag may need some of it
            await graphs.read_lost(decision.seen.kept_digests)
            found = decided()
        return found

    async def _evidence(
        self, digest_tags: Mapping[Tag, Digest], in_doubt: frozenset[Digest]
    ) -> dict[Tag, Digest]:
        """What digest tags point to, of what may go and its evidence; of all others where manifests go too.

        Raises where one cannot be looked at.
        """
        found: dict[Tag, Digest] = {}
        subjects = {*in_doubt}
        while new := [
            tag for tag, subject in digest_tags.items() if subject in subjects and tag not in found
        ]:
            pointed = await self._look_at(new)
            await self.graphs.read(pointed.values())
            found.update((tag, desc.digest) for tag, desc in pointed.items())
            subjects = {desc.digest for desc in pointed.values()}
        if self.policy.untagged_keep_for is not None:
            rest = await self._look_at([tag for tag in digest_tags if tag not in found])
            found.update((tag, desc.digest) for tag, desc in rest.items())
        return found

    async def _look_at(self, tags: Collection[Tag]) -> dict[Tag, Descriptor]:
        found, failed = await look_up(self.looking.run, self.location, self.listed, tags)
        for error in failed.values():
            raise error
        self.found.update(found)
        return found

    def _content_policy(self) -> RetentionPolicy:
        """The policy; without `untagged` where content without a tag is wanted whose digest is not known."""
        run = self.looking.run
        mirror = self.looking.declared.makes_untagged(run.spot(self.location))
        if mirror is None or self.policy.untagged_keep_for is None:
            return self.policy
        run.warn(
            f"{self.location}: mirror {mirror} keeps content there without a tag: no untagged manifest goes"
        )
        return replace(self.policy, untagged_keep_for=None)

    async def _staying(self, decision: RetentionDecision) -> frozenset[Digest]:
        """What tags that stay point to, with all that it leads to read; and digests that are kept anyway."""
        going = {*decision.going}
        tags = [tag for tag in self.listed if tag not in going and not is_digest_tag(tag)]
        found = await self._look_at(tags)
        await self.graphs.read(found.values())
        here = {desc.digest for desc in found.values()}
        return frozenset(here | decision.seen.kept_digests.keys())

    def _hold_what_indexes_need(
        self, decision: RetentionDecision, staying: frozenset[Digest]
    ) -> RetentionDecision:
        """Where an image goes with its last tag, tags stay whose image an index needs that stays."""
        points = {tag: self.found[tag].digest for tag in decision.going}
        needed = needed_from_above(staying, points.values(), self.graphs.known)
        why = "an index that stays needs it, and this registry deletes an image with its last tag"
        kept = {tag: why for tag, digest in points.items() if digest in needed}
        seen = replace(decision.seen, kept={**decision.seen.kept, **kept})
        return decide_retention(self.policy, seen, now=decision.now)

    def _digest_tags(self) -> dict[Tag, Digest]:
        found: dict[Tag, Digest] = {}
        for tag in self.listed:
            parsed = DigestTag.parse(tag)
            subject = parsed.subject if parsed is not None else fallback_subject(tag)
            if subject is not None:
                found[tag] = subject
        return found

    def _scope(
        self,
        decision: RetentionDecision,
        content: ContentDecision | None = None,
        refused: RegsyncError | None = None,
    ) -> RetentionScope:
        problem = Problem.of(refused) if refused is not None else None
        if problem is None and not isinstance(self.graphs.store, Deletes):
            problem = Problem.of(CannotDeleteHereError(self.location))
        why = {fate.tag: fate.why for fate in decision.fates(decision.going)}
        digests = {tag: desc.digest for tag, desc in self.found.items()}
        return RetentionScope(self.location, decision, digests, content, problem, why)
