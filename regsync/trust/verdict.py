"""What a policy said of an image, requirement by requirement, with all that was looked at."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from regsync.oci.digest import Digest
from regsync.spec.verification import Mode


class Result(Enum):
    """What became of a requirement, or of a whole policy."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"  # the policy says no
    ERROR = "error"  # it cannot be told: a registry failed, a bound was hit, a trust root is too old
    SKIPPED = "skipped"  # the policy says not to look, with reason and end date


@dataclass(frozen=True, slots=True)
class Searched:
    """One place where evidence was looked for."""

    subject: Digest
    repository: str
    location: str  # referrers | fallback-tag | tag:.sig | tag:.att | tag:.sbom | index
    found: int
    problem: str | None = None  # what kept it from being looked at
    is_error: bool = False  # the registry failed or a bound was hit, so that "none" would be a guess


@dataclass(frozen=True, slots=True)
class EvidenceSeen:
    """One piece of evidence as one requirement saw it."""

    digest: Digest  # of the manifest that holds it
    repository: str
    location: str
    format: str
    subject: Digest  # whose evidence it is: the digest asked about, or a platform's
    predicate_type: str | None
    checks: tuple[str, ...]
    relaxed: tuple[str, ...] = ()
    signer: str | None = None
    signed_at: datetime | None = None
    reason: str | None = None  # why it does not count; None: it counts


@dataclass(frozen=True, slots=True)
class RequirementVerdict:
    """What became of one requirement, with those below it.

    `opening` is the reason without those of what is below it, for who shows these as well.
    """

    requirement: str  # as a person would say it: `signature by release-ci`
    result: Result
    reason: str | None = None
    authority: str | None = None
    evidence: tuple[EvidenceSeen, ...] = ()
    of: tuple["RequirementVerdict", ...] = ()
    opening: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one policy said of one image. `expires` is when something in it may turn out otherwise."""

    policy: str
    mode: Mode
    digest: Digest
    result: Result
    reason: str | None
    requirements: tuple[RequirementVerdict, ...] = ()
    searched: tuple[Searched, ...] = ()
    signers: tuple[str, ...] = ()
    expires: datetime | None = None

    @property
    def lets_pass(self) -> bool:
        """Whether a tag may move to the image."""
        return self.result in (Result.PASS, Result.SKIPPED) or self.mode is Mode.WARN
