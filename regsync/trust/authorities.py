"""Whoever may vouch for an image, ready to be asked: their keys and trust roots read, each once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from regsync.spec.model import Position
from regsync.spec.problems import Problems
from regsync.spec.verification import (
    PUBLIC_GOOD,
    KeyAuthority,
    KeylessAuthority,
    LogUse,
    NotationAuthority,
    NotationRoot,
    SigstoreRoot,
    TrustRoot,
    VerificationPolicy,
)
from regsync.spec.verification import (
    Authority as Declared,
)
from regsync.trust.envelopes import NotationEnvelope, Proven, Question, SigstoreEnvelope
from regsync.trust.keyless import Keyless
from regsync.trust.keys import InvalidKeyError, ManagedKey
from regsync.trust.notation.errors import NotationTrustError
from regsync.trust.notation.verifier import Notary, NotationTrust
from regsync.trust.trusted_root import TrustRootError, public_good
from regsync.trust.witnesses import SigstoreTrust


class Authority(Protocol):
    """Whoever may vouch for an image: a key, an identity, certificates."""

    @property
    def name(self) -> str:
        """Its name in the policy."""
        ...

    def verify(self, envelope: SigstoreEnvelope | NotationEnvelope, question: Question) -> Proven:
        """Who signed, and the checks made.

        Raises EvidenceRejectedError; TrustRootTooOldError for a log or an authority that the root lacks.
        """
        ...


@dataclass(slots=True)
class Roots:
    """Trust roots by name, understood when they are first asked for; what is wrong goes to `problems`."""

    declared: Mapping[str, TrustRoot]
    problems: Problems
    _sigstore: dict[str, SigstoreTrust | None] = field(default_factory=dict)
    _notation: dict[str, NotationTrust | None] = field(default_factory=dict)

    def read_all(self) -> None:
        """Understand every root that is declared, whether a policy uses it or not."""
        for name, root in self.declared.items():
            if isinstance(root.root, SigstoreRoot):
                self.sigstore(name)
            else:
                self.notation(name)

    def sigstore(self, name: str) -> SigstoreTrust | None:
        """A Sigstore instance; None where something is wrong with it."""
        if name not in self._sigstore:
            self._sigstore[name] = self._read_sigstore(name)
        return self._sigstore[name]

    def notation(self, name: str) -> NotationTrust | None:
        """Trust stores; None where something is wrong with them."""
        if name not in self._notation:
            self._notation[name] = self._read_notation(self.declared[name])
        return self._notation[name]

    def documents(self, names: set[str]) -> Mapping[str, bytes]:
        """The trusted roots, as bytes, of those among `names` that have one."""
        found = {name: self._sigstore.get(name) for name in sorted(names)}
        return {name: trust.document for name, trust in found.items() if trust is not None}

    def _read_sigstore(self, name: str) -> SigstoreTrust | None:
        declared = self.declared.get(name)
        position = _somewhere(name) if declared is None else declared.position or _somewhere(name)
        root = SigstoreRoot() if declared is None else declared.root
        if not isinstance(root, SigstoreRoot):
            self.problems.add(position, "spec", f"trust root {name} is not one of Sigstore")
            return None
        material = root.trusted_root
        try:
            return SigstoreTrust.parse(
                public_good() if material is None else material.data,
                tlog_threshold=root.tlog_threshold,
                timestamp_threshold=root.timestamp_threshold,
                ctlog_threshold=root.ctlog_threshold,
            )
        except TrustRootError as cause:
            where = position if material is None else material.position or position
            named = "" if material is None else f"{material.name}: "
            self.problems.add(where, "spec.sigstore.trustedRoot", f"{named}{cause}")
            return None

    def _read_notation(self, declared: TrustRoot) -> NotationTrust | None:
        position = declared.position or _somewhere(declared.name)
        if not isinstance(declared.root, NotationRoot):
            self.problems.add(position, "spec", f"trust root {declared.name} is not one of notation")
            return None
        try:
            return NotationTrust.parse(declared.root)
        except NotationTrustError as cause:
            self.problems.add(cause.position or position, "spec.notation", str(cause))
            return None


def authorities(policy: VerificationPolicy, roots: Roots) -> Mapping[str, Authority]:
    """Those of a policy by name, without the ones that something is wrong with: that is in the problems."""
    found = {name: _authority(name, one, policy, roots) for name, one in policy.authorities.items()}
    return {name: one for name, one in found.items() if one is not None}


def _authority(name: str, declared: Declared, policy: VerificationPolicy, roots: Roots) -> Authority | None:
    path = f"spec.authorities.{name}"
    position = policy.position or _somewhere(policy.name)
    match declared:
        case KeylessAuthority():
            root = roots.sigstore(declared.trust_root)
            if root is None:
                return None
            return Keyless(name, root, declared.issuer, declared.subject, declared.extensions)
        case KeyAuthority():
            return _managed_key(name, declared, roots, path, position)
        case NotationAuthority():
            trust = roots.notation(declared.trust_root)
            if trust is None:
                return None

            def notary(trust: NotationTrust = trust) -> Authority:
                return Notary.of(name, trust, declared.level, declared.trusted_identities)

            return _or_problem(notary, roots.problems, position, f"{path}.notation")


def _managed_key(
    name: str, declared: KeyAuthority, roots: Roots, path: str, position: Position
) -> Authority | None:
    # Without a log there is nothing that the public-good root would be asked for.
    needs_root = declared.tlog is not LogUse.IGNORE or declared.trust_root != PUBLIC_GOOD
    root = roots.sigstore(declared.trust_root) if needs_root else None
    if needs_root and root is None:
        return None

    def key() -> Authority:
        return ManagedKey.parse(
            name, declared.key.data, hash_algorithm=declared.hash_algorithm, tlog=declared.tlog, root=root
        )

    where = declared.key.position or position
    return _or_problem(key, roots.problems, where, f"{path}.key", f"{declared.key.name}: ")


def _or_problem(
    make: Callable[[], Authority], problems: Problems, position: Position, path: str, what: str = ""
) -> Authority | None:
    try:
        return make()
    except (InvalidKeyError, NotationTrustError) as cause:
        problems.add(position, path, f"{what}{cause}")
        return None


def _somewhere(name: str) -> Position:
    """For what no file declares: the built-in root."""
    return Position(name, 1, 1)
