"""What content of an upstream has to meet before it is served, and what a client is told when it does not."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from regsync.content.protocol import Source
from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName
from regsync.server.failures import RETRY_AFTER, ApiError
from regsync.spec.model import Location
from regsync.spec.verification import Skip, VerificationPolicy

if TYPE_CHECKING:
    from regsync.trust.policy import CompiledPolicy

MAX_REASON = 500  # characters of a policy's reason that clients and the audit log get

_NEXT = (
    "see what `regsync verify` says of it at its source; have it signed there, and pull again. What only an "
    "index that is signed lists can be pulled after that index"
)


@dataclass(frozen=True, slots=True, eq=False)
class Required:
    """The policies that the content of one repository of an upstream has to meet, each in the spec's words.

    `skip` is the exception of a policy that the repository falls under now, if there is one.
    """

    policies: "tuple[CompiledPolicy, ...]"
    location: Location  # at the upstream
    host: str
    elsewhere: Callable[[Location], Source]  # where a policy says that evidence is kept as well
    skip: Callable[[VerificationPolicy, datetime], Skip | None]

    @property
    def key(self) -> tuple[str, ...]:
        """Changes with whatever could change a verdict, but for the content."""
        return str(self.location), *(policy.fingerprint for policy in self.policies)


@dataclass(frozen=True, slots=True)
class Denial:
    """What a policy refused, and why."""

    policy: str
    digest: Digest
    reason: str  # at most MAX_REASON characters


class NotLetPassError(ApiError):
    """A policy refuses a manifest."""

    def __init__(self, name: RepositoryName, denial: Denial) -> None:
        super().__init__(
            403,
            "DENIED",
            f"{name}: policy {denial.policy} refuses {denial.digest}: {denial.reason}",
            detail={
                "policy": denial.policy,
                "digest": str(denial.digest),
                "reason": denial.reason,
                "next": _NEXT,
            },
        )
        self.denial = denial


class PolicyNotAskedError(ApiError):
    """It cannot be told now whether a policy lets a manifest pass. The cause is for the log alone."""

    def __init__(self, name: RepositoryName, policy: str, digest: Digest, why: str) -> None:
        super().__init__(
            503,
            "UNAVAILABLE",
            f"{name}: policy {policy} cannot be asked about {digest} now: {why}",
            detail={"policy": policy, "digest": str(digest)},
            headers={"Retry-After": str(RETRY_AFTER)},
        )
