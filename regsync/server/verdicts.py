"""What policies say of manifests of upstreams, asked before the first byte of one is served.

A manifest passes if a policy says so of it, or of an index of the same repository that lists it, where the
policy is about indexes. What is evidence of a manifest that passes is served too, since clients verify
as well (`evidence_shape` tells what can be that).

Passes are remembered until something in them expires, refusals only for moments, since pipelines sign
after they push. Both go by the policy's fingerprint: a policy that was edited is asked anew.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from anyio import CapacityLimiter

from regsync.clock import Clock
from regsync.content.errors import ContentNotFoundError
from regsync.content.references import Children
from regsync.content.single_flight import SingleFlight
from regsync.content.verified import verified_manifest
from regsync.errors import RegsyncError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import Index, Manifest
from regsync.oci.reference import RepositoryName, Tag
from regsync.server.asking_policies import ask_policies, denial_of, is_refusal, not_asked, unanswered
from regsync.server.evidence_shape import has_types_of_evidence, is_no_image, may_be_evidence, subject_of
from regsync.server.passes import Ground, Key, Passes, key_of
from regsync.server.pull import Pull
from regsync.server.refusals import Decision, Refusals, decision_of
from regsync.server.required import NotLetPassError, PolicyNotAskedError, Required
from regsync.spec.verification import Scope
from regsync.store.builtin import BuiltinStore
from regsync.store.repository import BuiltinRepository
from regsync.trust.verdict import Result

if TYPE_CHECKING:
    from regsync.trust.inquiry import Answer
    from regsync.trust.policy import CompiledPolicy

_log = logging.getLogger(__name__)

AT_ONCE = 8  # manifests of one upstream: the evidence of one may come to 128 MiB in memory
MAX_INDEXES = 4  # that list a manifest and are asked about for its sake
MAX_DEPTH = 4  # evidence of evidence, indexes within indexes


class Verdicts:
    """Asks, and remembers. `counts` has the verdicts by policy and result."""

    def __init__(self, store: BuiltinStore, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._passes = Passes(clock)
        self._refusals = Refusals(clock)
        self._flights: SingleFlight[Decision, None] = SingleFlight()
        self._turns: dict[RepositoryName, CapacityLimiter] = {}  # by the prefix of an upstream
        self.counts: Counter[tuple[str, str]] = Counter()

    async def admit(self, pull: Pull, desc: Descriptor, raw: bytes, tag: Tag | None) -> None:
        """Return if every policy lets a manifest pass; `tag` is that by which it is pulled, if any.

        Raises NotLetPassError, PolicyNotAskedError, or `pull.stranger` to who may not have them asked.
        """
        required = pull.required
        if required is None or not self._open(pull, required, desc.digest, tag):
            return
        if pull.stranger is not None:
            raise pull.stranger
        decision = decision_of(pull, required, desc.digest, tag)
        self._refusals.repeat(decision)
        manifest = verified_manifest(raw, desc, where=str(pull.name))
        try:
            await self._flights.run(decision, partial(self._decide, pull, required, manifest, tag))
        except NotLetPassError as error:
            self._refusals.note(decision, error)
            raise

    def _open(
        self, pull: Pull, required: Required, digest: Digest, tag: Tag | None
    ) -> "Sequence[CompiledPolicy]":
        """The policies that are not known to let it pass."""
        stale = pull.stranger is not None  # who may not have anybody asked
        found = [
            (policy, self._passes.get(key_of(policy, pull, digest, tag), stale=stale))
            for policy in required.policies
        ]
        return [
            policy
            for policy, known in found
            if known is None or (known.ground is Ground.EVIDENCE and not may_be_evidence(tag))
        ]

    async def _decide(
        self, pull: Pull, required: Required, manifest: Manifest | Index, tag: Tag | None, depth: int = 0
    ) -> None:
        trouble: PolicyNotAskedError | None = None
        remaining = self._open(pull, required, manifest.descriptor.digest, tag)
        if depth < MAX_DEPTH:
            try:
                remaining = await self._not_listed(pull, required, manifest, tag, remaining, depth)
                if remaining and await self._is_evidence(pull, required, manifest, tag, depth):
                    self._note_evidence(pull, manifest, tag, remaining)
                    return
            except PolicyNotAskedError as error:
                trouble = error  # which counts where the policies do not let it pass for itself
        if remaining:
            await self._ask(pull, required, manifest, tag, remaining, trouble)

    async def _not_listed(
        self,
        pull: Pull,
        required: Required,
        manifest: Manifest | Index,
        tag: Tag | None,
        policies: "Sequence[CompiledPolicy]",
        depth: int,
    ) -> "Sequence[CompiledPolicy]":
        """The policies among these by which no index passes that lists the manifest.

        A policy about platforms has to be met by each of them, one about names by each name.
        """
        digest = manifest.descriptor.digest

        def still(index: Digest) -> "Sequence[CompiledPolicy]":
            return [
                policy
                for policy in policies
                if policy.policy.scope is Scope.PLATFORMS
                or (policy.uses_image and tag is not None)
                or not self._passes_like(pull, policy, index, digest)
            ]

        indexes = await self._repository(pull).listing(digest)
        for index in indexes:
            policies = still(index)
        for index in indexes[:MAX_INDEXES]:
            if not all(policy.policy.scope is Scope.PLATFORMS for policy in policies):
                await self._is_let_pass(pull, required, index, depth)
                policies = still(index)
        return policies

    def _passes_like(self, pull: Pull, policy: "CompiledPolicy", index: Digest, digest: Digest) -> bool:
        found = self._passes.get(key_of(policy, pull, index, None), stale=pull.stranger is not None)
        if found is None or found.ground is Ground.EVIDENCE:
            return False
        self._passes.put(key_of(policy, pull, digest, None), replace(found, ground=Ground.LISTED))
        return True

    async def _is_evidence(
        self, pull: Pull, required: Required, manifest: Manifest | Index, tag: Tag | None, depth: int
    ) -> bool:
        """Whether it is evidence of a manifest that passes, or a list of it, which makes nothing pass."""
        if not may_be_evidence(tag):
            return False
        if isinstance(manifest, Manifest) and not has_types_of_evidence(manifest):
            return False
        for subject in await self._subjects(pull, manifest, tag, depth):
            if await self._is_let_pass(pull, required, subject, depth):
                return isinstance(manifest, Index) or await self._is_no_image(pull, required, manifest)
        return False

    async def _subjects(
        self, pull: Pull, manifest: Manifest | Index, tag: Tag | None, depth: int
    ) -> Sequence[Digest]:
        """Whose evidence it may be: as it says itself, as an index does, as its tags do.

        Of an index as its tags do alone. Tags count only for what was asked for: they can name each other
        in a circle.
        """
        digest, repository = manifest.descriptor.digest, self._repository(pull)
        found: list[Digest] = []
        if isinstance(manifest, Manifest):
            found += [manifest.subject.digest] if manifest.subject is not None else []
            found += (await repository.listing(digest))[:MAX_INDEXES]
        if depth == 0:
            tags = [tag] if tag is not None else await repository.tags_at(digest)
            found += [subject for one in tags if (subject := subject_of(one)) is not None]
        return found

    async def _is_no_image(self, pull: Pull, required: Required, manifest: Manifest) -> bool:
        try:
            return await is_no_image(manifest, pull.upstream.source(pull.name))
        except RegsyncError as error:
            raise not_asked(pull, required.policies[0], manifest.descriptor.digest, error) from error

    async def _is_let_pass(self, pull: Pull, required: Required, digest: Digest, depth: int) -> bool:
        """Whether every policy lets another manifest of the repository pass. Raises PolicyNotAskedError."""
        if not self._open(pull, required, digest, None):
            return True
        decision = decision_of(pull, required, digest, None)
        try:
            self._refusals.repeat(decision)
            manifest = await self._read(pull, digest)
            await self._decide(pull, required, manifest, None, depth + 1)
        except NotLetPassError as error:
            self._refusals.note(decision, error)
            return False
        except ContentNotFoundError:
            return False
        except PolicyNotAskedError:
            raise
        except RegsyncError as error:
            raise not_asked(pull, required.policies[0], digest, error) from error
        return True

    async def _read(self, pull: Pull, digest: Digest) -> Manifest | Index:
        try:
            desc, raw = await self._repository(pull).manifest(digest)
        except ContentNotFoundError:
            desc, raw = await pull.upstream.source(pull.name).manifest(digest)
        return verified_manifest(raw, desc, where=str(pull.name))

    async def _ask(
        self,
        pull: Pull,
        required: Required,
        manifest: Manifest | Index,
        tag: Tag | None,
        policies: "Sequence[CompiledPolicy]",
        trouble: PolicyNotAskedError | None,
    ) -> None:
        digest, here = manifest.descriptor.digest, self._repository(pull)
        turns = self._turns.setdefault(pull.upstream.prefix, CapacityLimiter(AT_ONCE))
        try:
            async with turns:
                now = self._clock.now()
                found = await ask_policies(pull, required, policies, manifest, tag, here=here, now=now)
        except RegsyncError as error:
            raise not_asked(pull, policies[0], digest, error) from error
        for policy, answer, subjects in found:
            self._note(pull, policy, answer, digest, subjects, tag)
        for _, answer, _ in found:
            if is_refusal(answer.verdict):
                if trouble is not None:
                    raise trouble
                raise NotLetPassError(pull.name, denial_of(pull, required, answer.verdict))
        for policy, answer, _ in found:
            if not answer.verdict.lets_pass and not self._is_put_off(pull, policy, digest, tag):
                raise unanswered(pull, policy, answer)

    def _is_put_off(self, pull: Pull, policy: "CompiledPolicy", digest: Digest, tag: Tag | None) -> bool:
        """Whether a pass that was to be looked at again holds while nobody can be asked."""
        return self._passes.put_off(key_of(policy, pull, digest, tag), pull.upstream.max_stale)

    def _note(
        self,
        pull: Pull,
        policy: "CompiledPolicy",
        answer: "Answer",
        digest: Digest,
        subjects: Sequence[Digest],
        tag: Tag | None,
    ) -> None:
        """Count a verdict, and remember it if it lets pass what was asked about."""
        verdict = answer.verdict
        self.counts[policy.name, verdict.result.value] += 1
        if not verdict.lets_pass:
            return
        if verdict.result in (Result.PASS, Result.SKIPPED):
            found = self._passes.of_verdict(news=policy.newer_evidence_counts, expires=verdict.expires)
        else:
            _log.warning(
                "%s: policy %s (mode: warn) would refuse %s: %s",
                pull.name,
                policy.name,
                digest,
                verdict.reason,
            )
            found = self._passes.of_warning()
        # By its digest it may be had as well: what a name had to do with it was seen.
        keys: set[Key] = {key_of(policy, pull, digest, tag), key_of(policy, pull, digest, None)}
        if not policy.uses_image:
            keys |= {key_of(policy, pull, one, None) for one in subjects}
        for key in keys:
            self._passes.put(key, found)

    def _note_evidence(
        self, pull: Pull, manifest: Manifest | Index, tag: Tag | None, policies: "Sequence[CompiledPolicy]"
    ) -> None:
        found = replace(self._passes.of_verdict(news=True, expires=None), ground=Ground.EVIDENCE)
        for policy in policies:
            for name in (tag, None):
                self._passes.put(key_of(policy, pull, manifest.descriptor.digest, name), found)

    def _repository(self, pull: Pull) -> BuiltinRepository:
        return self._store.repository(pull.name, children=Children.ON_DEMAND)
