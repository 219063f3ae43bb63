"""What one policy said of an image, and the error that it is for who wants to move a tag."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from regsync.errors import RefusedError, RegsyncError, TemporaryError
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.plan.judgement import Judgement
from regsync.trust.verdict import Result

if TYPE_CHECKING:
    from regsync.reconcile.look import Found


def _how_to_see(image: str, judgement: Judgement) -> str:
    return (
        f"`regsync verify {image} --policy {judgement.policy}` shows every piece of evidence and every check"
    )


class UnverifiedError(RefusedError):
    """A policy refuses an image."""

    def __init__(self, image: str, judgement: Judgement, *, arrived: str, stays: Digest | None) -> None:
        kept = f"; the tag stays at {stays}" if stays is not None else ""
        super().__init__(f"{image}{arrived}: refused by policy {judgement.policy}: {judgement.reason}{kept}")
        self._hint = _how_to_see(image, judgement)

    @property
    def hint(self) -> str:
        """What to do next."""
        return self._hint


class VerificationFailedError(RegsyncError):
    """It cannot be told whether a policy lets an image pass; until it can, the tag does not move."""

    def __init__(self, image: str, judgement: Judgement, *, arrived: str) -> None:
        super().__init__(
            f"{image}{arrived}: policy {judgement.policy} could not be asked: {judgement.reason}"
        )
        self._hint = _how_to_see(image, judgement)

    @property
    def hint(self) -> str:
        """What to do next."""
        return self._hint


class VerificationPutOffError(VerificationFailedError, TemporaryError):
    """The same, for a reason that may be gone in the next run."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What one policy said, and the error that it is for who wants to move a tag; None: it may move."""

    judgement: Judgement
    is_temporary: bool = False

    def refusal(self, image: str, *, arrived: str = "", stays: Digest | None = None) -> RegsyncError | None:
        """Why no tag may move to it; `image` is a reference, `arrived` says that it is the target's."""
        if self.judgement.lets_pass:
            return None
        if self.judgement.result is Result.FAIL:
            return UnverifiedError(image, self.judgement, arrived=arrived, stays=stays)
        kind = VerificationPutOffError if self.is_temporary else VerificationFailedError
        return kind(image, self.judgement, arrived=arrived)


def reference(found: "Found", tag: Tag | None) -> str:
    """What was found, as the command line takes it."""
    location = found.source.location
    return f"{location}@{found.desc.digest}" if tag is None else f"{location}:{tag}"
