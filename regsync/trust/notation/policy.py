"""Trust policies as notation users have them: `trustpolicy.oci.json`, version 1.0.

Source: notaryproject specifications, trust-store-trust-policy.md, "OCI Trust Policy". A field that is not
known is an error: it may ask for more than is checked here.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Self

from regsync.oci.strict_json import InvalidJSONError, loads
from regsync.spec.verification import Material
from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.notation.errors import NotationTrustError
from regsync.trust.notation.identities import Identity, InvalidIdentityError, parse_identities
from regsync.trust.notation.levels import Level, TimestampUse

POLICY = "trust policy"
EVERYWHERE = "*"

_DOCUMENT_KEYS = {"version", "trustPolicies"}
_STATEMENT_KEYS = {"name", "registryScopes", "signatureVerification", "trustStores", "trustedIdentities"}
_VERIFICATION_KEYS = {"level", "override", "verifyTimestamp"}

_WORD = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_SCOPE = re.compile(rf"{_LABEL}(?:\.{_LABEL})*(?::[0-9]+)?/{_WORD}(?:/{_WORD})*")


@dataclass(frozen=True, slots=True)
class Statement:
    """How the signatures of some repositories are verified. Level SKIP has neither stores nor identities."""

    name: str
    level: Level
    stores: tuple[str, ...] = ()  # `ca:NAME`
    identities: tuple[Identity, ...] | None = None  # None: whoever the stores vouch for
    timestamps: TimestampUse = TimestampUse.ALWAYS


@dataclass(frozen=True, slots=True)
class TrustPolicies:
    """The statements of a document, by `HOST/REPOSITORY`, and the one for all others."""

    by_scope: Mapping[str, Statement] = field(default_factory=dict)
    elsewhere: Statement | None = None

    @classmethod
    def parse(cls, document: Material, stores: Collection[str]) -> Self:
        """Read a `trustpolicy.oci.json`; `stores` are those that there are. Raises NotationTrustError."""
        try:
            return cls._read(document.data, stores)
        except (_WrongError, InvalidJSONError) as cause:
            raise NotationTrustError(document.name, str(cause), document.position) from cause

    @classmethod
    def _read(cls, data: bytes, stores: Collection[str]) -> Self:
        top = _object(loads(data), "the document", _DOCUMENT_KEYS)
        if top.get("version") != "1.0":
            raise _WrongError(f"version is {top.get('version')!r:.80}; 1.0 is supported")
        items = top.get("trustPolicies")
        if not isinstance(items, list) or not items:
            raise _WrongError("trustPolicies is missing or empty")
        by_scope: dict[str, Statement] = {}
        names: set[str] = set()
        for number, item in enumerate(items):
            where = f"trustPolicies[{number}]"
            statement, scopes = _statement(item, where, stores)
            if statement.name in names:
                raise _WrongError(f"{where}.name {statement.name!r:.80} stands twice")
            names.add(statement.name)
            for scope in scopes:
                if scope in by_scope:
                    raise _WrongError(f"{where}.registryScopes: {scope} has a statement already")
                by_scope[scope] = statement
        return cls(by_scope, by_scope.pop(EVERYWHERE, None))

    def applying(self, scope: str) -> Statement:
        """The one statement for a repository; raises EvidenceRejectedError where there is none."""
        found = self.by_scope.get(scope, self.elsewhere)
        if found is None:
            raise EvidenceRejectedError(POLICY, f"no statement has {scope} among its registryScopes")
        return found


class _WrongError(ValueError):
    """What is wrong, and where in the document."""


def _statement(item: object, where: str, stores: Collection[str]) -> tuple[Statement, list[str]]:
    given = _object(item, where, _STATEMENT_KEYS)
    name = given.get("name")
    if not isinstance(name, str) or not name:
        raise _WrongError(f"{where}.name is missing")
    level, timestamps = _verification(given.get("signatureVerification"), f"{where}.signatureVerification")
    scopes = _scopes(_texts(given, "registryScopes", where), where)
    named, identities = _texts(given, "trustStores", where), _texts(given, "trustedIdentities", where)
    if level.skips:
        if named or identities:
            raise _WrongError(f"{where} skips verification, and has trustStores or trustedIdentities")
        return Statement(name, level), scopes
    if not named:
        raise _WrongError(f"{where}.trustStores is missing or empty")
    if absent := [store for store in named if store not in stores]:
        raise _WrongError(f"{where}.trustStores: there are no certificates in {', '.join(absent)!s:.200}")
    try:
        trusted = parse_identities(identities)
    except InvalidIdentityError as cause:
        raise _WrongError(f"{where}.trustedIdentities: {cause}") from cause
    return Statement(name, level, tuple(dict.fromkeys(named)), trusted, timestamps), scopes


def _verification(item: object, where: str) -> tuple[Level, TimestampUse]:
    given = _object(item, where, _VERIFICATION_KEYS)
    override = given.get("override") or {}
    if not isinstance(override, dict):
        raise _WrongError(f"{where}.override is no object")
    try:
        return Level.parse(given.get("level"), override), TimestampUse.parse(
            given.get("verifyTimestamp") or TimestampUse.ALWAYS.value
        )
    except ValueError as cause:
        raise _WrongError(f"{where}: {cause}") from cause


def _scopes(scopes: list[str], where: str) -> list[str]:
    if not scopes:
        raise _WrongError(f"{where}.registryScopes is missing or empty")
    if EVERYWHERE in scopes and len(scopes) > 1:
        raise _WrongError(f"{where}.registryScopes: `*` stands alone or not at all")
    for scope in scopes:
        if scope != EVERYWHERE and _SCOPE.fullmatch(scope) is None:
            raise _WrongError(
                f"{where}.registryScopes: {scope!r:.200} is no HOST/REPOSITORY, whole and without wildcards"
            )
    return scopes


def _object(value: object, where: str, known: Collection[str]) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise _WrongError(f"{where} is missing or no object")
    if unknown := sorted(value.keys() - known):
        raise _WrongError(f"{where} has {unknown[0]!r:.80}, which is not known in version 1.0")
    return value


def _texts(given: Mapping[str, object], key: str, where: str) -> list[str]:
    value = given.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _WrongError(f"{where}.{key} is no list of texts")
    return value
