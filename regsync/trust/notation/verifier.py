"""Whether a notation signature is good enough for a trust policy, and exactly which checks say so.

Source: notaryproject specifications, trust-store-trust-policy.md, "Signature Verification". Revocation is
never checked, since that would ask the network; every verdict says so.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from regsync.spec.verification import NotationLevel, NotationRoot
from regsync.trust.envelopes import Image, NotationEnvelope, Proven, Question, Signer, SigstoreEnvelope
from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.notation.algorithms import verify_signature
from regsync.trust.notation.certificate import Certificate
from regsync.trust.notation.chain import Purpose, check_chain, outside_validity, parse_chain
from regsync.trust.notation.envelope import ENVELOPE, Scheme, SignedEnvelope
from regsync.trust.notation.errors import NotationTrustError
from regsync.trust.notation.identities import ANY, InvalidIdentityError, parse_identities
from regsync.trust.notation.levels import Action, Check, Level, TimestampUse
from regsync.trust.notation.policy import POLICY, Statement, TrustPolicies
from regsync.trust.notation.reading import open_envelope, read_payload
from regsync.trust.notation.store import StoreType, TrustStores
from regsync.trust.notation.timestamp import verify_token

_STORE_OF = {Scheme.X509: StoreType.CA, Scheme.SIGNING_AUTHORITY: StoreType.SIGNING_AUTHORITY}


@dataclass(frozen=True, slots=True)
class NotationTrust:
    """A root as understood: trust stores, and the trust policy if it has one."""

    stores: TrustStores
    policies: TrustPolicies | None = None

    @classmethod
    def parse(cls, root: NotationRoot) -> Self:
        """Read all files of a root; raises NotationTrustError."""
        stores = TrustStores.parse(root)
        policies = TrustPolicies.parse(root.policy, stores.by_name) if root.policy else None
        return cls(stores, policies)


@dataclass(frozen=True, slots=True)
class Notary:
    """An authority whose signatures are notation's."""

    name: str
    stores: TrustStores
    policies: TrustPolicies

    @classmethod
    def of(
        cls,
        name: str,
        trust: NotationTrust,
        level: NotationLevel | None = None,
        trusted_identities: Sequence[str] = (),
    ) -> Self:
        """An authority under `trust`; its trust policy says how to verify, else `level` and identities.

        Without a trust policy: level strict, and whoever the stores vouch for. Raises NotationTrustError.
        """
        if trust.policies is not None:
            return cls(name, trust.stores, trust.policies)
        try:
            identities = parse_identities(trusted_identities or (ANY,))
        except InvalidIdentityError as cause:
            raise NotationTrustError(f"authority {name}", f"trustedIdentities: {cause}") from cause
        chosen = Level.parse((level or NotationLevel.STRICT).value, {})
        statement = Statement(name, chosen, tuple(trust.stores.by_name), identities)
        return cls(name, trust.stores, TrustPolicies(elsewhere=statement))

    def verify(self, envelope: SigstoreEnvelope | NotationEnvelope, question: Question) -> Proven:
        """Check a signature the way the trust policy of the image's repository asks.

        Whether it speaks of the digest asked about is for the caller, by `envelope.message`. Raises
        EvidenceRejectedError.
        """
        if not isinstance(envelope, NotationEnvelope):
            raise EvidenceRejectedError(ENVELOPE, f"{envelope.format} is no signature of notation")
        statement = self.policies.applying(_scope(question.image))
        if statement.level.skips:
            reason = f"statement {statement.name!r:.80} skips verification, so that it vouches for nothing"
            raise EvidenceRejectedError(POLICY, f"{reason}; write `skip` in the VerificationPolicy instead")
        opened = open_envelope(envelope.raw, envelope.format)
        if read_payload(opened.payload) != envelope.message:
            raise EvidenceRejectedError(ENVELOPE, "what it is said to say is not what is signed")
        chain = parse_chain(opened.chain)
        algorithm = verify_signature(chain[0].key, opened.algorithm, opened.signature, opened.signed)
        check_chain(chain, Purpose.CODE_SIGNING)
        examination = _Examination(self.stores, statement, opened, chain, question.now)
        examination.checks += [f"signature ({algorithm})", "certificate chain"]
        return examination.run(self.name)


@dataclass(slots=True)
class _Examination:
    """The checks that a level decides about, of one signature whose integrity is proven."""

    stores: TrustStores
    statement: Statement
    opened: SignedEnvelope
    chain: tuple[Certificate, ...]
    now: datetime
    checks: list[str] = field(default_factory=list)
    relaxed: list[str] = field(default_factory=list)
    is_authentic: bool = False
    signed_at: datetime | None = None

    def run(self, authority: str) -> Proven:
        """Make them, in the order of the specification; each gives when its answer ends, if it does."""
        steps: Mapping[Check, Callable[[], datetime | None]] = {
            Check.AUTHENTICITY: self._authenticity,
            Check.EXPIRY: self._expiry,
            Check.AUTHENTIC_TIMESTAMP: self._authentic_timestamp,
        }
        ends = []
        for check, step in steps.items():
            is_enforced = self.statement.level.actions[check] is Action.ENFORCE
            try:
                end = step()
            except EvidenceRejectedError as failed:
                if is_enforced:
                    raise
                self.relaxed.append(f"{failed} (logged alone: {self._because()})")
            else:
                ends += [end] if end is not None and is_enforced else []
        self._revocation()
        signer, expires = self._signer(authority), min(ends, default=None)
        return Proven(signer, tuple(self.checks), tuple(self.relaxed), self.signed_at, expires)

    def _authenticity(self) -> datetime | None:
        kind = _STORE_OF[self.opened.attributes.scheme]
        trusted = {found.der for found in self.stores.certificates(kind, self.statement.stores)}
        if not any(certificate.der in trusted for certificate in self.chain):
            raise _failed(
                Check.AUTHENTICITY, f"no {kind.value} store of the policy has {self.chain[-1].subject:.200}"
            )
        leaf, identities = self.chain[0], self.statement.identities
        if identities is not None and not any(identity.matches(leaf) for identity in identities):
            raise _failed(Check.AUTHENTICITY, f"{leaf.subject:.200} is none of the trusted identities")
        self.is_authentic = True
        self.checks.append(f"authenticity ({kind.value} store{'' if identities is None else ', identity'})")
        return None

    def _expiry(self) -> datetime | None:
        expiry = self.opened.attributes.expiry
        if expiry is None:
            return None
        if self.now >= expiry:
            raise _failed(Check.EXPIRY, f"the signature expired at {expiry.isoformat()}")
        self.checks.append(f"expiry ({expiry.isoformat()})")
        return expiry

    def _authentic_timestamp(self) -> datetime | None:
        if self.opened.attributes.scheme is Scheme.SIGNING_AUTHORITY:
            moment = self.opened.attributes.signing_time
            self._valid(moment, moment, "when it was signed")
            if self.is_authentic:  # only then is the time an authority's
                self.signed_at = moment
        elif self._takes_timestamp():
            self._timestamp()
        else:
            self._valid(self.now, self.now, "now")
            return min(certificate.not_after for certificate in self.chain)
        return None

    def _takes_timestamp(self) -> bool:
        """Whether the signature's timestamp decides; what is not looked at is said."""
        if not any(store.startswith(f"{StoreType.TSA.value}:") for store in self.statement.stores):
            reason = "the policy names no tsa store"
        elif self.statement.timestamps is TimestampUse.ALWAYS or self._has_expired():
            return True
        else:
            reason = "the policy asks for it once certificates have expired"
        if self.opened.timestamp is not None:
            self.relaxed.append(f"timestamp: not looked at, since {reason}")
        return False

    def _has_expired(self) -> bool:
        return any(self.now > certificate.not_after for certificate in self.chain)

    def _timestamp(self) -> None:
        if self.opened.timestamp is None:
            raise _failed(Check.AUTHENTIC_TIMESTAMP, "the signature has no timestamp")
        roots = self.stores.certificates(StoreType.TSA, self.statement.stores)
        stamped = verify_token(self.opened.timestamp, self.opened.signature, roots)
        self._valid(stamped.earliest, stamped.latest, f"at the time of {stamped.authority:.200}")
        self.signed_at = stamped.latest

    def _valid(self, earliest: datetime, latest: datetime, when: str) -> None:
        if outside := outside_validity(self.chain, earliest, latest):
            raise _failed(
                Check.AUTHENTIC_TIMESTAMP,
                f"{outside.subject:.200} was not valid {when} ({latest.isoformat()}), but from "
                f"{outside.not_before.isoformat()} to {outside.not_after.isoformat()}",
            )
        self.checks.append(f"certificates valid {when}")

    def _revocation(self) -> None:
        action = self.statement.level.actions[Check.REVOCATION]
        self.relaxed.append(f"revocation: not checked, since that asks the network (policy: {action.value})")

    def _signer(self, authority: str) -> Signer:
        leaf = self.chain[0]
        if self.is_authentic:
            return Signer(authority, leaf.subject, leaf.issuer, leaf.subject)
        # A name that nobody vouches for is not shown as one.
        return Signer(authority, f"a certificate that is not trusted, {leaf.fingerprint}")

    def _because(self) -> str:
        return f"level {self.statement.level.name} of {self.statement.name!r:.80}"


def _scope(image: Image) -> str:
    return f"{image.host or image.registry}/{image.repository}"


def _failed(check: Check, reason: str) -> EvidenceRejectedError:
    return EvidenceRejectedError(check.value, reason)
