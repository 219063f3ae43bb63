"""Errors that a person has to act on: each names the thing, the place and the cause.

One root, few branches. The branches decide what a run does next, and which exit code it ends with
(DESIGN.md, section 4): a `TemporaryError` is worth another run, a `RefusedError` is a policy's no,
an `UnsupportedError` stays whatever one tries, a `SpecError` is the user's YAML. Rooms define the
leaves beside the code that raises them.
"""

from typing import ClassVar


class RegsyncError(Exception):
    """Root of every error that regsync raises on purpose. Anything else that escapes is a defect."""

    usual_hint: ClassVar[str | None] = None  # of every error of the kind, unless one knows better

    @property
    def hint(self) -> str | None:
        """What to do next, in one sentence, where that is not plain from the message."""
        return self.usual_hint


class TemporaryError(RegsyncError):
    """It may work later without any change: 429, 5xx, a timeout, a refused connection, a lease held.

    `is_exhausted`: it was tried again for as long as anything is, so that nobody further out has to.
    """

    is_exhausted = False


class DeferredError(TemporaryError):
    """Not now: it would take a wait longer than this run may wait."""


class DeniedError(RegsyncError):
    """The place does not say: who asks may not see this, or it is hidden because it is not there."""


class RefusedError(RegsyncError):
    """A rule said no: an immutable tag moved, a target moved since it was observed, a plan is stale."""


class UnsupportedError(RegsyncError):
    """It cannot be done there: the registry lacks the ability, or regsync does not carry such content."""


class UsageError(RegsyncError):
    """The command line is wrong."""


class SpecError(RegsyncError):
    """The spec is invalid."""
