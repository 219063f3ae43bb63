"""Observing one tag on both sides, with as few requests as it takes (DESIGN.md, section 6, rule 4)."""

from contextlib import suppress
from dataclasses import replace

from regsync.content.concurrently import for_each
from regsync.content.errors import ContentNotFoundError, NoPlatformError
from regsync.content.evidence import Evidence, Shelf, Shelves, lacking
from regsync.content.graph import Graph, Shape, Sparse, Trimmed, read_graph, subjects_below, unwanted_platform
from regsync.content.protocol import KnowsItself, ListsReferrers, Store
from regsync.errors import DeniedError, RegsyncError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.plan.model import Problem
from regsync.plan.observation import TagSeen, TargetSeen
from regsync.reconcile.absent import Absence
from regsync.reconcile.due import evidence_is_due
from regsync.reconcile.engine import Run
from regsync.reconcile.judging import TagJudging
from regsync.reconcile.lending import Lending
from regsync.reconcile.look import Found, UnitView, Unseen, Wanted
from regsync.reconcile.repositories import SourceView, TargetView
from regsync.reconcile.verification import takes_evidence
from regsync.spec.globs import matches_any
from regsync.spec.locked import entries_of
from regsync.spec.model import IndexForm, ReferrersMode, Unit


class EvidenceMissingError(RegsyncError):
    """The spec requires evidence, and the source has none."""

    usual_hint = "sign or attest the image at its source, or take `required` out of the mirror"

    def __init__(self, digest: Digest, where: str) -> None:
        super().__init__(f"{where}: {digest} has none of the referrers that the mirror requires")


def shape_of(unit: Unit) -> Shape:
    """What an index is reduced to."""
    if unit.platforms is None:
        return None
    return Sparse(unit.platforms) if unit.index is IndexForm.ORIGINAL else Trimmed(unit.platforms)


class Observer:
    """Observes the tags of one unit."""

    def __init__(self, run: Run, view: UnitView) -> None:
        self.run, self.view, self.unit = run, view, view.unit
        self.shape = shape_of(view.unit)
        self._platforms = view.unit.platforms or ()
        self._locked = {Wanted(one.source_tag, one.tag, one.digest): one for one in view.unit.locked}
        self._policies = run.verification.policies_of(view.unit)
        self._judging = TagJudging(self)
        self._absence = Absence(view)
        self._lending = Lending(view, entries_of(run.spec, view.unit))

    @property
    def stores(self) -> list[Store]:
        """Where content is read from, in the order in which it is tried."""
        return [*self.view.stores, *self._lending.stores]

    async def prepare(self) -> None:
        """Learn which sources list referrers, before many immutable tags would each have to ask.

        What fails here fails again, and is reported, for the tag that needs it.
        """
        if self.unit.referrers.mode is ReferrersMode.NONE or not self.unit.immutable:
            return
        ours = (
            one
            for target in self.view.targets
            if isinstance(target, TargetView)
            for one in target.ours.values()
        )
        digest = next(ours, None)
        for source in self.view.sources:
            store = source.store
            unknown = isinstance(store, KnowsItself) and store.has_referrers_api is None
            if digest is not None and unknown and isinstance(store, ListsReferrers):
                with suppress(RegsyncError):
                    await store.referrers(digest, listed=source.listed)

    async def observe(self, wanted: Wanted) -> tuple[TagSeen, Found | None]:
        """One tag and its targets. What fails is a problem of the result, not an exception."""
        glance = tuple(self._at_a_glance(target, wanted) for target in self.view.targets)
        if all(target.kept or target.problem for target in glance):
            due = self._kept_evidence_due(wanted) or self._judging.kept_and_unjudged(wanted)
            if due is None:
                return self._seen(wanted, None, glance), None
            if not isinstance(self.shape, Trimmed):
                wanted = replace(wanted, digest=due)  # its tag may have moved at the source
        try:
            absent = any(isinstance(one, TargetView) and _lacks(one, wanted) for one in self.view.targets)
            found = await self._find(wanted, read=absent)
            targets = await for_each(lambda target: self._look(target, wanted, found), self.view.targets)
            targets = await self.judged(targets, wanted, found)
            pending = _pending(targets, found)
            size = (await self.graph(found)).size if pending else None
            if pending:
                await self.require_evidence(found)
        except RegsyncError as error:
            return replace(self._seen(wanted, None, glance), problem=Problem.of(error)), None
        return replace(self._seen(wanted, found, tuple(targets)), size=size), found

    async def graph(self, found: Found) -> Graph:
        """Everything below what was found, reduced to the wanted platforms."""
        graph = await read_graph(self.run.manifests, self.stores, found.desc, shape=self.shape)
        if found.desc.is_index and not isinstance(self.shape, Sparse):
            digests = tuple(node.descriptor.digest for node in reversed(graph.nodes))
            self.run.engine.ledger.remember_graph(found.desc.digest, self._platforms, digests)
        return graph

    async def require_evidence(self, found: Found) -> None:
        """Raise EvidenceMissingError where the mirror requires evidence and the source has none."""
        policy = self.unit.referrers
        if not policy.required:
            return
        for subject in await self.subjects(found):
            if await found.source.shelf.find(subject, policy.takes):
                return
        raise EvidenceMissingError(found.desc.digest, str(found.source.location))

    def takes(self, artifact_type: str | None) -> bool:
        """Whether evidence of this type travels: what the mirror says, and what a policy may need."""
        return self.unit.referrers.takes(artifact_type) or (
            bool(self._policies) and takes_evidence(artifact_type)
        )

    async def find(self, digest: Digest) -> Found:
        """Content that a plan names by its digest at the source; raises TagNotFoundError."""
        return await self.look_up(Wanted(None, None, digest))

    async def look_up(self, wanted: Wanted) -> Found:
        """What a source has, whatever the targets have; raises what reading raises."""
        return await self._find(wanted, read=True)

    async def locate(self, wanted: Wanted) -> Found:
        """What a source has, as cheaply as it says; raises what `observe` makes a problem of."""
        return await self._find(wanted, read=False)

    async def judged(self, targets: list[TargetSeen], wanted: Wanted, found: Found) -> list[TargetSeen]:
        """Targets with what the policies of the unit say of what would be brought there."""
        return await self._judging.targets(targets, wanted, found) if self._policies else targets

    def may_have_evidence(self) -> bool:
        """Whether any source may have some that travels: False where its listing shows that there is none."""
        shelves = (*(source.shelf for source in self.view.sources), *self.view.elsewhere.values())
        return self.unit.referrers.mode is not ReferrersMode.NONE and any(map(_may_have_evidence, shelves))

    async def evidence(self, found: Found, target: TargetView) -> Evidence:
        """What the target lacks beside the manifests of an image."""
        source = self.shelf_of(found)
        result = Evidence()
        for subject in await self.subjects(found):
            if target.destination.may_have_content:
                result += await lacking(
                    source, target.shelf, subject, self.takes, manifests=self.run.manifests
                )
            else:
                result += await source.find(subject, self.takes)
        return result

    def shelf_of(self, found: Found) -> Shelf | Shelves:
        """Where evidence of an image is kept."""
        elsewhere = self.view.elsewhere.values()
        return Shelves((found.source.shelf, *elsewhere)) if elsewhere else found.source.shelf

    async def subjects(self, found: Found) -> tuple[Digest, ...]:
        """The manifests of an image that evidence may speak of, as targets have them."""
        if self.unit.referrers.mode is ReferrersMode.NONE:
            return ()
        if not found.desc.is_index or not any(
            map(_may_have_evidence, (found.source.shelf, *self.view.elsewhere.values()))
        ):
            return (found.digest,)
        return await self._manifests_of(found.source, found.desc)

    def _at_a_glance(self, target: TargetView | Unseen, wanted: Wanted) -> TargetSeen:
        """What the listing alone says."""
        if isinstance(target, Unseen):
            return TargetSeen(target.location, unseen=True, problem=Problem.of(target.error))
        if wanted.tag is None or target.listed is None or wanted.tag not in target.listed:
            return TargetSeen(target.location)
        listed = target.listed[wanted.tag]
        return TargetSeen(
            target.location,
            listed.digest if listed is not None else None,
            kept=matches_any(self.unit.immutable, wanted.tag) is not None,
        )

    def _kept_evidence_due(self, wanted: Wanted) -> Digest | None:
        """What an immutable tag is at a target, if evidence that came later has to be looked for."""
        if self.unit.referrers.mode is ReferrersMode.NONE or wanted.tag is None:
            return None
        for target in self.view.targets:
            if isinstance(target, TargetView) and (digest := target.ours.get(wanted.tag)) is not None:
                due = evidence_is_due(target.sightings.get(digest), self.run.now)
                if due and any(self._may_speak_of(digest, source.shelf) for source in self.view.sources):
                    return digest
        return None

    def _may_speak_of(self, digest: Digest, shelf: Shelf) -> bool:
        """Whether a source may hold evidence of an image, by its listing alone where that shows all."""
        if not _may_have_evidence(shelf):
            return False
        if _may_list_referrers(shelf) or shelf.listed is None or isinstance(self.shape, Trimmed):
            return True
        subjects = self.run.engine.ledger.known_graph(digest, self._platforms) or (digest,)
        return any(shelf.has_digest_tags_of(subject) for subject in subjects)

    async def _find(self, wanted: Wanted, *, read: bool) -> Found:
        """From the first source that has it; `read` when its manifest is going to be needed."""
        name: Tag | Digest | None = wanted.digest or wanted.source_tag
        failure: RegsyncError | None = self.view.unseen[0].error if self.view.unseen else None
        for source in self.view.sources:
            if name is None or (isinstance(name, Tag) and not source.may_have(name)):
                continue
            try:
                desc = await self._describe(source, name, read=read)
            except ContentNotFoundError:
                continue
            except RegsyncError as error:
                failure = failure or error
                continue
            self.run.engine.ledger.saw(source.spot, desc.digest, self.run.now)
            await self._check_platform(source, desc)
            return Found(source, desc, await self._reduced(source, desc))
        if (lent := await self._lent(name)) is not None:
            return lent
        if failure is not None:
            raise failure
        if isinstance(name, Digest) and (lost := self._lending.lost(name)) is not None:
            raise lost
        assert name is not None  # noqa: S101 - a Wanted has a tag or a digest
        raise await self._absence.why(name)

    async def _lent(self, name: Tag | Digest | None) -> Found | None:
        """Locked content from a target."""
        lent = await self._lending.find(name) if isinstance(name, Digest) else None
        if lent is None:
            return None
        lender, desc = lent
        await self._check_platform(lender, desc)
        return Found(lender, desc, await self._reduced(lender, desc))

    async def _describe(self, source: SourceView, name: Tag | Digest, *, read: bool) -> Descriptor:
        listed = source.listed.get(name) if source.listed and isinstance(name, Tag) else None
        if listed is not None:
            return listed
        if read and isinstance(name, Tag):
            return (await self.run.manifests.at_tag(source.store, name)).descriptor
        return await source.store.resolve(name)

    async def _check_platform(self, source: SourceView, desc: Descriptor) -> None:
        """Raise NoPlatformError for a single image of no wanted platform, whatever targets have; read once.

        What a run says must not depend on what an earlier one copied. The verdict alone is remembered: so
        the first run does not name the platform either.
        """
        if self.shape is None or desc.is_index:
            return
        ledger = self.run.engine.ledger
        known = ledger.known_graph(desc.digest, self._platforms)
        if known is None:
            top = await self.run.manifests.read((source.store,), desc)
            other = await unwanted_platform(self.run.manifests, (source.store,), top, self._platforms)
            known = (desc.digest,) if other is None else ()
            ledger.remember_graph(desc.digest, self._platforms, known)
        if not known:
            raise NoPlatformError(desc.digest, self._platforms, where=source.store.name)

    async def _reduced(self, source: SourceView, desc: Descriptor) -> Digest:
        """The digest that targets are to have."""
        if not desc.is_index or not isinstance(self.shape, Trimmed):
            return desc.digest
        return (await self._manifests_of(source, desc))[0]

    async def _manifests_of(self, source: SourceView, desc: Descriptor) -> tuple[Digest, ...]:
        """The manifests of an index as targets have it, the root first; read once and remembered for good."""
        read, ledger = (self.run.manifests, (source.store,), desc), self.run.engine.ledger
        if isinstance(self.shape, Sparse):
            return await subjects_below(*read, shape=self.shape)
        known = ledger.known_graph(desc.digest, self._platforms)
        if known is None:
            known = await subjects_below(*read, shape=self.shape)
            ledger.remember_graph(desc.digest, self._platforms, known)
        return known

    async def _look(self, target: TargetView | Unseen, wanted: Wanted, found: Found) -> TargetSeen:
        """What one target has, asked where the listing does not say."""
        seen = self._at_a_glance(target, wanted)
        if isinstance(target, Unseen):
            return seen
        try:
            if seen.kept:
                seen = replace(seen, digest=target.ours.get(wanted.tag or Tag(""), seen.digest))
            else:
                seen = replace(seen, digest=await self._digest_at(target, wanted, found))
            if seen.digest == found.digest:
                seen = replace(seen, evidence_lacking=await self._compare(target, found))
                seen = replace(seen, kept=seen.kept and not seen.evidence_lacking)
            elif seen.kept and seen.digest is not None:
                # The source has something else by now: beside it there is no evidence of this.
                self.run.engine.ledger.compared(target.spot, seen.digest, self.run.now)
        except RegsyncError as error:
            return replace(seen, problem=Problem.of(error))
        return seen

    async def _digest_at(self, target: TargetView, wanted: Wanted, found: Found) -> Digest | None:
        name: Tag | Digest = wanted.tag if wanted.tag is not None else found.digest
        if isinstance(name, Tag) and target.listed is not None:
            if name not in target.listed:
                return None
            listed = target.listed[name]
            if listed is not None:
                return listed.digest
        # A repository that shows no tags may hold what is pinned by digest; some deny that it exists.
        if not target.destination.may_have_content and isinstance(name, Tag):
            return None
        try:
            digest = (await target.destination.store.resolve(name)).digest
        except (ContentNotFoundError, DeniedError):  # a repository that is not there yet may be hidden
            return None
        target.destination.may_have_content = True
        return digest

    async def _compare(self, target: TargetView, found: Found) -> int:
        """How many pieces of evidence the target lacks; 0 when a look is not due."""
        if self.unit.referrers.mode is ReferrersMode.NONE:
            return 0
        if not evidence_is_due(target.sightings.get(found.digest), self.run.now):
            return 0
        missing = await self.evidence(found, target)
        count = len(missing.referrers) + len(missing.tags)
        if count == 0:
            self.run.engine.ledger.compared(target.spot, found.digest, self.run.now)
        return count

    def _seen(self, wanted: Wanted, found: Found | None, targets: tuple[TargetSeen, ...]) -> TagSeen:
        return TagSeen(
            found.source.location if found else self.unit.source,
            wanted.source_tag,
            wanted.tag,
            found.desc.digest if found else wanted.digest,
            found.digest if found else None,
            targets,
            moves=wanted.digest is not None or found is None or found.source.location == self.unit.source,
            locked=wanted in self._locked,
            held=wanted in self._locked and self._locked[wanted].hold,
        )


def _lacks(target: TargetView, wanted: Wanted) -> bool:
    """Whether it is plain without a request that there is something to copy."""
    if wanted.tag is None or target.listed is None:
        return not target.destination.may_have_content
    return wanted.tag not in target.listed


def _pending(targets: list[TargetSeen], found: Found) -> bool:
    return any(
        target.problem is None and not target.kept and target.digest != found.digest for target in targets
    )


def _may_have_evidence(shelf: Shelf) -> bool:
    """False where a listing shows no digest tags and there is no referrers API to ask."""
    return shelf.has_digest_tags or shelf.listed is None or _may_list_referrers(shelf)


def _may_list_referrers(shelf: Shelf) -> bool:
    return not isinstance(shelf.store, KnowsItself) or shelf.store.has_referrers_api is not False
