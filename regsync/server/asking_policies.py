"""Policies asked about one manifest of an upstream, with the evidence that is found there and elsewhere."""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from regsync.content.evidence import Shelf
from regsync.content.manifests import Manifests
from regsync.content.protocol import Source
from regsync.errors import RegsyncError, TemporaryError
from regsync.oci.digest import Digest
from regsync.oci.manifest import Index, Manifest
from regsync.oci.reference import Tag
from regsync.server.pull import Pull
from regsync.server.required import MAX_REASON, Denial, PolicyNotAskedError, Required
from regsync.trust.verdict import Result, Verdict

if TYPE_CHECKING:
    from regsync.trust.inquiry import Answer
    from regsync.trust.policy import CompiledPolicy

_log = logging.getLogger(__name__)


async def ask_policies(
    pull: Pull,
    required: Required,
    policies: "Sequence[CompiledPolicy]",
    manifest: Manifest | Index,
    tag: Tag | None,
    *,
    here: Source,
    now: datetime,
) -> "Sequence[tuple[CompiledPolicy, Answer, Sequence[Digest]]]":
    """What each policy says, and of which digests.

    `here` is the repository of our own, for indexes below one that are here. Raises what reading an index
    raises; registries that fail after that are a part of the verdict.
    """
    # Only now: a server without policies needs nothing of what verifies signatures.
    from regsync.trust.envelopes import Image, Question
    from regsync.trust.inquiry import Answer, Asked, inquire, subjects_of
    from regsync.trust.judge import skipped

    desc, location = manifest.descriptor, required.location
    image = Image(location.registry, location.repository, tag, desc.digest, required.host)
    question, manifests = Question(image, now), Manifests()
    manifests.keep(manifest)
    shelf = Shelf(pull.upstream.source(pull.name), None)
    found: list[tuple[CompiledPolicy, Answer, Sequence[Digest]]] = []
    asked = []
    for policy in policies:
        skip = required.skip(policy.policy, now)
        if skip is not None:
            found.append((policy, Answer(skipped(policy, skip, question)), (desc.digest,)))
            continue
        subjects = await subjects_of(policy.policy.scope, desc, manifests, (here, shelf.store))
        others = [Shelf(required.elsewhere(one), None) for one in policy.policy.evidence]
        asked.append(Asked(policy, subjects, (shelf, *others)))
    answers = await inquire(asked, question, top=manifest)
    found += [(one.policy, answer, tuple(one.subjects)) for one, answer in zip(asked, answers, strict=True)]
    return found


def denial_of(pull: Pull, required: Required, verdict: Verdict) -> Denial:
    """A verdict's reason as clients may see it: places under the names that they know."""
    reason = (verdict.reason or "").replace(pull.upstream.source(pull.name).name, str(pull.name))
    for policy in required.policies:
        for location in policy.policy.evidence:
            reason = reason.replace(required.elsewhere(location).name, str(location))
    return Denial(verdict.policy, verdict.digest, _shortened(reason))


def not_asked(
    pull: Pull, policy: "CompiledPolicy", digest: Digest, error: RegsyncError
) -> PolicyNotAskedError:
    """The answer where something failed on the way to a verdict; the cause goes into the log."""
    _log.warning("%s: policy %s cannot be asked about %s: %s", pull.name, policy.name, digest, error)
    why = "a registry does not answer" if isinstance(error, TemporaryError) else "a registry refuses"
    return PolicyNotAskedError(pull.name, policy.name, digest, why)


def unanswered(pull: Pull, policy: "CompiledPolicy", answer: "Answer") -> PolicyNotAskedError:
    """The same where the verdict is that it cannot be told."""
    verdict = answer.verdict
    said = verdict.reason
    _log.warning("%s: policy %s cannot be asked about %s: %s", pull.name, policy.name, verdict.digest, said)
    why = "a registry does not answer" if answer.is_temporary else "the log of this registry says why"
    return PolicyNotAskedError(pull.name, policy.name, verdict.digest, why)


def is_refusal(verdict: Verdict) -> bool:
    """Whether it is a no, not a warning and not a failure to ask."""
    return not verdict.lets_pass and verdict.result is Result.FAIL


def _shortened(text: str) -> str:
    """On one line: others wrote parts of it, and it goes into a header."""
    plain = "".join(character if character.isprintable() else " " for character in text[: MAX_REASON + 1])
    return plain if len(plain) <= MAX_REASON else f"{plain[: MAX_REASON - 1]}…"
