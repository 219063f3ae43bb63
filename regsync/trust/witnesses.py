"""Who saw a signature, and when: the transparency logs and timestamp authorities that vouch for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from regsync.trust.envelopes import SigstoreEnvelope
from regsync.trust.errors import EvidenceRejectedError, TrustRootTooOldError
from regsync.trust.logs.entries import verify_entry
from regsync.trust.timestamps import Timestamp, verify_timestamp
from regsync.trust.trusted_root import TrustedRoot

LOG = "transparency log"
TIMESTAMP = "timestamp"
TIME = "trusted time"
CLOCK_SKEW = timedelta(minutes=5)  # how far the clocks of a log and of this machine may be apart


@dataclass(frozen=True, slots=True)
class SigstoreTrust:
    """A Sigstore instance, and how much of it evidence has to show. `document` is the root as written."""

    root: TrustedRoot
    document: bytes
    tlog_threshold: int = 1
    timestamp_threshold: int = 0
    ctlog_threshold: int = 1

    @classmethod
    def parse(
        cls,
        document: bytes,
        *,
        tlog_threshold: int = 1,
        timestamp_threshold: int = 0,
        ctlog_threshold: int = 1,
    ) -> "SigstoreTrust":
        """Read a trusted root; raises TrustRootError."""
        return cls(
            TrustedRoot.parse(document), document, tlog_threshold, timestamp_threshold, ctlog_threshold
        )


@dataclass(frozen=True, slots=True)
class Witnessed:
    """What witnesses prove: times at which the signature was there, and the checks that were made.

    `unknown` are those that the trust root lacks, which is why they did not count.
    """

    times: tuple[datetime, ...] = ()
    checks: tuple[str, ...] = ()
    relaxed: tuple[str, ...] = ()
    unknown: tuple[TrustRootTooOldError, ...] = ()


def seen_by_authorities(envelope: SigstoreEnvelope, trust: SigstoreTrust, *, needed: int) -> Witnessed:
    """The timestamps of the signature, by `needed` different authorities.

    One that is wrong is never passed over; one of an authority that the root lacks does not count. Raises
    EvidenceRejectedError, TrustRootTooOldError where too few are left for that.
    """
    found: list[Timestamp] = []
    unknown: list[TrustRootTooOldError] = []
    for stamp in envelope.timestamps:
        try:
            found.append(verify_timestamp(stamp, envelope.stamped, trust.root))
        except TrustRootTooOldError as cause:
            unknown.append(cause)
    _refuse_too_few(TIMESTAMP, len({one.authority for one in found}), needed, unknown)
    times = tuple(one.time for one in found)
    checks = tuple(f"{TIMESTAMP} ({time.isoformat()})" for time in times)
    return Witnessed(times, checks, tuple(map(str, unknown)), tuple(unknown))


def seen_by_logs(
    envelope: SigstoreEnvelope,
    trust: SigstoreTrust,
    verifier: bytes,
    *,
    at: Sequence[datetime],
    needed: int,
) -> Witnessed:
    """The logs that hold the signature by `verifier`, a key or certificate in DER: `needed` different ones.

    `at` are the times of its timestamps. What is wrong or unknown is dealt with, and raised, as there.
    """
    times: list[datetime] = []
    checks: list[str] = []
    relaxed: list[str] = []
    unknown: list[TrustRootTooOldError] = []
    logs: set[str] = set()
    for entry in envelope.entries:
        try:
            proof = verify_entry(entry, envelope, trust.root, verifier, at=at)
        except TrustRootTooOldError as cause:
            unknown.append(cause)
            continue
        logs.add(proof.log)
        checks += proof.checks
        relaxed += proof.relaxed
        times += [proof.time] if proof.time is not None else []
    _refuse_too_few(LOG, len(logs), needed, unknown)
    if not logs:
        relaxed.append(f"{LOG}: none vouches for it, and none has to")
    return Witnessed(tuple(times), tuple(checks), (*relaxed, *map(str, unknown)), tuple(unknown))


def refuse_future(times: Sequence[datetime], now: datetime) -> None:
    """Raise EvidenceRejectedError where something was seen at a time that is still to come."""
    if times and max(times) > now + CLOCK_SKEW:
        reason = f"{max(times).isoformat()} is still to come, it is {now.isoformat()}"
        raise EvidenceRejectedError(TIME, reason)


def _refuse_too_few(check: str, found: int, needed: int, unknown: Sequence[TrustRootTooOldError]) -> None:
    if found >= needed:
        return
    if found + len(unknown) >= needed:
        raise unknown[0]
    raise EvidenceRejectedError(check, f"{found} vouch for it, the trust root wants {needed}")
