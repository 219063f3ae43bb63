"""What policies refused a moment ago, so that nobody is asked again at once."""

import logging
from collections import OrderedDict

from regsync.clock import Clock
from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName, Tag
from regsync.server.evidence_shape import may_be_evidence
from regsync.server.pull import Pull
from regsync.server.required import NotLetPassError, Required

_log = logging.getLogger(__name__)

REFUSED_FOR = 10.0  # seconds for which what was refused is not asked for again
MAX_REFUSED = 10_000  # manifests of which that is remembered

Decision = tuple[RepositoryName, Digest, Tag | None, tuple[str, ...]]
_ANY_TAG = Tag("")  # of those for images, where no policy asks which


def decision_of(pull: Pull, required: Required, digest: Digest, tag: Tag | None) -> Decision:
    """What one decision is good for: by its digest, or by a digest tag, a manifest may be evidence."""
    by_name = any(policy.uses_image for policy in required.policies)
    if tag is not None and not by_name and not may_be_evidence(tag):
        return pull.name, digest, _ANY_TAG, required.key
    return pull.name, digest, tag, required.key


class Refusals:
    """Remembers, and logs each once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._refused: OrderedDict[Decision, tuple[float, NotLetPassError]] = OrderedDict()

    def repeat(self, decision: Decision) -> None:
        """Raise what was said a moment ago, if anything was."""
        until, error = self._refused.get(decision, (0.0, None))
        if error is not None and self._clock.monotonic() < until:
            raise error

    def note(self, decision: Decision, error: NotLetPassError) -> None:
        """Remember it, unless it is what is remembered, or came to several at the same time."""
        if decision in self._refused and self._refused[decision][1] is error:
            return
        _log.warning("%s", error)
        self._refused[decision] = (self._clock.monotonic() + REFUSED_FOR, error)
        self._refused.move_to_end(decision)
        while len(self._refused) > MAX_REFUSED:
            self._refused.popitem(last=False)
