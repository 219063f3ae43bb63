"""Authorities of a policy: keys, identities and certificates, and the roots that they are under."""

from collections.abc import Mapping, Set
from dataclasses import dataclass

from regsync.spec.materials import read_material, written_material
from regsync.spec.nodes import Step
from regsync.spec.problems import Problems, nearest
from regsync.spec.reading import Document
from regsync.spec.verification import (
    PUBLIC_GOOD,
    Authority,
    HashChoice,
    KeyAuthority,
    KeylessAuthority,
    LogUse,
    NotationAuthority,
    NotationLevel,
    NotationRoot,
    SigstoreRoot,
    TextMatch,
    TrustRoot,
)
from regsync.spec.verification_keys import AuthorityKeys, KeyKeys, KeylessKeys, NotationKeys


def text_match(exact: str | None, regex: str | None) -> TextMatch | None:
    """Of two keys of which at most one is given; None where none is."""
    return None if exact is None and regex is None else TextMatch(exact, regex)


@dataclass(frozen=True, slots=True)
class AuthorityReader:
    """One policy's document, being read for its authorities."""

    document: Document
    roots: Mapping[str, TrustRoot | None]  # None: known, but its document is broken
    problems: Problems

    def read(self, name: str, keys: AuthorityKeys) -> Authority | None:
        """What an authority is; None with a problem."""
        if keys.keyless is not None:
            return self._keyless(keys.keyless, "authorities", name, "keyless")
        if keys.key is not None:
            return self._key(keys.key, "authorities", name, "key")
        assert keys.notation is not None  # noqa: S101 - exactly one is there
        return self._notation(keys.notation, "authorities", name, "notation")

    def _keyless(self, keys: KeylessKeys, *path: Step) -> KeylessAuthority | None:
        self._sigstore_root(keys.trust_root, *path)
        issuer = text_match(keys.issuer, keys.issuer_reg_exp)
        assert issuer is not None  # noqa: S101 - exactly one is there
        subject = text_match(keys.subject, keys.subject_reg_exp)
        return KeylessAuthority(keys.trust_root, issuer, subject, dict(keys.extensions or {}))

    def _key(self, keys: KeyKeys, *path: Step) -> KeyAuthority | None:
        self._sigstore_root(keys.trust_root, *path)
        if keys.file is not None:
            spot = self.document.at("spec", *path, "file")
            material = read_material(self.document, keys.file, spot, self.problems)
        else:
            spot = self.document.at("spec", *path, "data")
            material = written_material(keys.data or "", spot, self.problems)
        if material is None:
            return None
        return KeyAuthority(material, HashChoice(keys.hash_algorithm), LogUse(keys.tlog), keys.trust_root)

    def _notation(self, keys: NotationKeys, *path: Step) -> NotationAuthority | None:
        root = self._root(keys.trust_root, *path)
        if root is None:
            return None
        if isinstance(root.root, SigstoreRoot):
            message = f"{root.name} is a sigstore root; notation needs one with notation"
            self._problem(message, *path, "trustRoot")
            return None
        identities = tuple(dict.fromkeys(keys.trusted_identities or ()))
        if root.root.policy is not None:
            for key, value in (("level", keys.level), ("trustedIdentities", keys.trusted_identities)):
                if value is not None:
                    self._problem(f"the trust policy of {root.name} says it; leave it out", *path, key)
            return NotationAuthority(root.name)
        if not identities:
            self._problem(
                "the key is missing; `*` alone is whoever has a certificate", *path, "trustedIdentities"
            )
        level = NotationLevel.STRICT if keys.level is None else NotationLevel(keys.level)
        return NotationAuthority(root.name, level, identities)

    def _sigstore_root(self, name: str, *path: Step) -> None:
        root = None if name == PUBLIC_GOOD else self._root(name, *path)
        if root is not None and isinstance(root.root, NotationRoot):
            message = f"{name} is a notation root; {path[-1]} needs one with sigstore"
            self._problem(message, *path, "trustRoot")

    def _root(self, name: str, *path: Step) -> TrustRoot | None:
        if name not in self.roots:
            guess = nearest(name, self.roots.keys() | {PUBLIC_GOOD})
            self._problem(f"there is no TrustRoot named {name!r}", *path, "trustRoot", guess=guess)
        return self.roots.get(name)

    def _problem(self, message: str, *path: Step, guess: str | None = None) -> None:
        spot = self.document.at("spec", *path)
        key = str(path[-1])
        where = spot.path if spot.path.endswith(key) else f"{spot.path}.{key}"
        self.problems.add(spot.position, where, message, guess)


def roots_of(authorities: Mapping[str, AuthorityKeys]) -> Set[str]:
    """The names of the roots that authorities use."""
    forms = [form for keys in authorities.values() for form in (keys.keyless, keys.key, keys.notation)]
    return {form.trust_root for form in forms if form is not None}
