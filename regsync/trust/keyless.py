"""Signatures by an identity: a certificate that a Fulcio gave to it for a few minutes.

Source: sigstore/architecture-docs, `client-spec.md`, "Verification". The order is that of what a person
wants to hear first: is it a signature over this at all, who vouches for it and when, then who made it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from regsync.spec.verification import TextMatch
from regsync.trust.certificates import FulcioCertificate, verify_chain
from regsync.trust.envelopes import NotationEnvelope, Proven, Question, Signer, SigstoreEnvelope
from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.library_coverage import why_not_covered
from regsync.trust.sct import verify_sct
from regsync.trust.signatures import PublicKey, UnusableKeyError, usable, verify_signature
from regsync.trust.witnesses import (
    TIME,
    SigstoreTrust,
    Witnessed,
    refuse_future,
    seen_by_authorities,
    seen_by_logs,
)
from regsync.trust.x509_reading import InvalidCertificateError, read_certificate

_IDENTITY = "identity"
_SCT = "certificate timestamp (SCT)"


@dataclass(frozen=True, slots=True)
class Keyless:
    """An authority: whoever an issuer vouched for. `extensions` are Fulcio's names with exact values."""

    name: str
    root: SigstoreTrust
    issuer: TextMatch
    subject: TextMatch | None
    extensions: Mapping[str, str] = field(default_factory=dict)

    def verify(self, envelope: SigstoreEnvelope | NotationEnvelope, question: Question) -> Proven:
        """Who signed, and the checks made. Raises EvidenceRejectedError, TrustRootTooOldError."""
        if isinstance(envelope, NotationEnvelope):
            raise EvidenceRejectedError("certificate", "a notation signature has none of a Fulcio")
        if not envelope.certificates:
            raise EvidenceRejectedError("certificate", "it has none: it was signed by a key")
        signature = verify_signature(_key(envelope.certificates[0]), envelope)
        stamps = seen_by_authorities(envelope, self.root, needed=self.root.timestamp_threshold)
        logs = self._logs(envelope, stamps.times)
        times = _trusted(stamps, logs, question.now)
        certificate = self._certificate(envelope, times)
        counted = self._count_logs_of(certificate)
        identity = self._identify(certificate)
        second = self._ask_library(envelope, certificate, times)
        chain = f"certificate chain ({', '.join(one.isoformat() for one in times)})"
        return Proven(
            Signer(
                self.name,
                f"{certificate.issuer} {certificate.subject}",
                certificate.issuer,
                certificate.subject,
                certificate.extensions,
            ),
            (signature, *stamps.checks, *logs.checks, chain, *counted.checks, identity, *second.checks),
            (*stamps.relaxed, *logs.relaxed, *counted.relaxed, *second.relaxed),
            min(times),
        )

    def _logs(self, envelope: SigstoreEnvelope, at: Sequence[datetime]) -> Witnessed:
        leaf, needed = envelope.certificates[0], self.root.tlog_threshold
        return seen_by_logs(envelope, self.root, leaf, at=at, needed=needed)

    def _certificate(self, envelope: SigstoreEnvelope, times: Sequence[datetime]) -> FulcioCertificate:
        """The leaf, proven at every time that anyone vouches for."""
        *_, found = (verify_chain(envelope.certificates, self.root.root, at) for at in times)
        return found

    def _count_logs_of(self, certificate: FulcioCertificate) -> Witnessed:
        needed = self.root.ctlog_threshold
        if needed == 0:
            return Witnessed(relaxed=(f"{_SCT}: not looked at, the trust root wants none",))
        found = verify_sct(certificate, self.root.root)
        if found < needed:
            raise EvidenceRejectedError(_SCT, f"{found} logs have seen it, the trust root wants {needed}")
        return Witnessed(checks=(_SCT,))

    def _identify(self, certificate: FulcioCertificate) -> str:
        if not self.issuer.matches(certificate.issuer):
            raise _stranger("issuer", certificate.issuer, self.issuer)
        if self.subject is not None and not self.subject.matches(certificate.subject):
            raise _stranger("subject", certificate.subject, self.subject)
        for name, wanted in self.extensions.items():
            found = certificate.extensions.get(name)
            if found != wanted:
                has = "has none" if found is None else f"is {found:.200}"
                raise EvidenceRejectedError(_IDENTITY, f"extension {name} {has}, not {wanted:.200}")
        what = ("issuer", *(("subject",) if self.subject is not None else ()), *self.extensions)
        return f"{_IDENTITY} ({', '.join(what)})"

    def _ask_library(
        self, envelope: SigstoreEnvelope, certificate: FulcioCertificate, times: Sequence[datetime]
    ) -> Witnessed:
        lacks = why_not_covered(envelope, self.root, certificate, times)
        if lacks is not None:
            return Witnessed(relaxed=(f"sigstore-python: not asked, it does not cover {lacks}",))
        from regsync.trust.sigstore_library import UnreadableForLibraryError, verify_with_library

        try:
            return Witnessed(checks=(verify_with_library(envelope, self.root.document),))
        except UnreadableForLibraryError as cause:
            return Witnessed(relaxed=(f"sigstore-python: it cannot read this: {cause}",))


def _key(leaf: bytes) -> PublicKey:
    try:
        return usable(read_certificate(leaf).public_key())
    except (InvalidCertificateError, UnusableKeyError) as cause:
        raise EvidenceRejectedError("certificate", f"it cannot be used: {cause}") from cause


def _trusted(stamps: Witnessed, logs: Witnessed, now: datetime) -> tuple[datetime, ...]:
    """The verified times at which the signature was there: at least one."""
    times = tuple(dict.fromkeys((*stamps.times, *logs.times)))
    for one in (*stamps.unknown, *logs.unknown):
        if not times:
            raise one
    if not times:
        raise EvidenceRejectedError(TIME, "no log and no timestamp authority says when it was signed")
    refuse_future(times, now)
    return times


def _stranger(what: str, found: str, wanted: TextMatch) -> EvidenceRejectedError:
    expected = wanted.exact if wanted.regex is None else f"one that matches {wanted.regex}"
    return EvidenceRejectedError(_IDENTITY, f"{what} is {found:.300}, not {expected:.300}")
