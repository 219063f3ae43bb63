"""What a policy requires, as a tree of signatures and attestations."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from regsync.spec.authority_reading import text_match
from regsync.spec.model import Position
from regsync.spec.nodes import Step
from regsync.spec.predicates import PREDICATE_ALIASES
from regsync.spec.problems import Problems, nearest
from regsync.spec.reading import Document
from regsync.spec.requirement_keys import (
    AttestationKeys,
    RequirementKeys,
    SignatureKeys,
    SlsaKeys,
    VulnerabilityKeys,
)
from regsync.spec.verification import (
    AllOf,
    Allowed,
    AtLeast,
    AttestationRequirement,
    Authority,
    Condition,
    KeyAuthority,
    NotationAuthority,
    Requirement,
    ScanFormat,
    Select,
    Severity,
    SignatureRequirement,
    SlsaCondition,
    VulnerabilityCondition,
)

MAX_DEPTH = 8  # of all, any and atLeast in each other
MAX_LEAVES = 100  # signatures and attestations of one policy
Path = tuple[Step, ...]


def below(keys: RequirementKeys) -> Iterator[tuple[RequirementKeys, Path]]:
    """What is listed in a requirement, and the path to it."""
    lists: tuple[tuple[Sequence[RequirementKeys] | None, Path], ...] = (
        (keys.all_, ("all",)),
        (keys.any_, ("any",)),
        (None if keys.at_least is None else keys.at_least.of, ("atLeast", "of")),
    )
    for of, path in lists:
        for number, one in enumerate(of or ()):
            yield one, (*path, number)


def outgrows(keys: RequirementKeys) -> str | None:
    """Why a tree of requirements is too large to be one; None where it is not."""
    level, leaves = [keys], 0
    for _ in range(MAX_DEPTH + 1):
        leaves += sum(1 for one in level if one.signature is not None or one.attestation is not None)
        level = [one for each in level for one, _ in below(each)]
        if leaves + len(level) > MAX_LEAVES * MAX_DEPTH or leaves > MAX_LEAVES:
            return f"more than {MAX_LEAVES} signatures and attestations in one policy"
    return f"nested deeper than {MAX_DEPTH} levels" if level else None


@dataclass(slots=True)
class RequirementReader:
    """One policy's document, being read for what it requires."""

    document: Document
    authorities: Mapping[str, Authority | None]
    problems: Problems
    used: set[str] = field(default_factory=set)  # names of authorities
    _names: dict[str, int] = field(default_factory=dict)  # of attestations, with the line of the first

    def read(self, keys: RequirementKeys, *path: Step) -> Requirement:
        """The tree below `path`."""
        if keys.signature is not None:
            return self._signature(keys.signature, *path, "signature")
        if keys.attestation is not None:
            return self._attestation(keys.attestation, *path, "attestation")
        of = tuple(self.read(one, *path, *more) for one, more in below(keys))
        if keys.all_ is not None:
            return AllOf(of)
        if keys.at_least is None:
            return AtLeast(1, of)
        self._refuse_too_few_signers(keys.at_least.count, of, *path, "atLeast", "count")
        return AtLeast(keys.at_least.count, of)

    def _signature(self, keys: SignatureKeys, *path: Step) -> SignatureRequirement:
        self._uses(keys.authority, *path)
        return SignatureRequirement(keys.authority, dict(keys.annotations or {}), self._at(*path))

    def _attestation(self, keys: AttestationKeys, *path: Step) -> AttestationRequirement:
        self._uses(keys.authority, *path)
        if isinstance(self.authorities.get(keys.authority), NotationAuthority):
            message = f"{keys.authority} is notation, which signs images and no statements about them"
            self._problem(message, *path, "authority")
        if keys.name is not None:
            line = self._at(*path, "name").line
            if self._names.setdefault(keys.name, line) != line:
                first = self._names[keys.name]
                self._problem(f"the name {keys.name!r} is used twice; first in line {first}", *path, "name")
        scan = keys.vulnerabilities
        usual = Select.ANY if scan is None else Select.NEWEST
        return AttestationRequirement(
            predicate_type=keys.predicate_type or PREDICATE_ALIASES["vuln" if scan else "slsaprovenance1"],
            authority=keys.authority,
            name=keys.name,
            select=usual if keys.select is None else Select(keys.select),
            max_age=keys.max_age if scan is None or scan.max_age is None else scan.max_age,
            conditions=tuple(
                Condition(text, self._at(*path, "conditions", number))
                for number, text in enumerate(keys.conditions or ())
            ),
            slsa=None if keys.slsa is None else _slsa(keys.slsa),
            vulnerabilities=None if scan is None else self._vulnerabilities(scan, *path, "vulnerabilities"),
            position=self._at(*path),
        )

    def _vulnerabilities(self, keys: VulnerabilityKeys, *path: Step) -> VulnerabilityCondition:
        ids = [one.id.upper() for one in keys.allow or ()]
        for number, one in enumerate(ids):
            if ids.index(one) != number:
                self._problem(f"{one[:80]!r} stands twice in this list", *path, "allow", number, "id")
        return VulnerabilityCondition(
            max_severity=None if keys.max_severity is None else Severity(keys.max_severity),
            fixable_only=keys.fixable_only,
            allow=tuple(Allowed(one.id, one.reason, one.until) for one in keys.allow or ()),
            format=ScanFormat(keys.format),
        )

    def _uses(self, name: str, *path: Step) -> None:
        self.used.add(name)
        if name not in self.authorities:
            guess = nearest(name, self.authorities)
            self._problem(f"there is no authority named {name!r}", *path, "authority", guess=guess)

    def _refuse_too_few_signers(self, count: int, of: Sequence[Requirement], *path: Step) -> None:
        """A key is one signer, under however many names: two signatures by it are never two signers."""
        keys = set()
        for one in of:
            if not isinstance(one, SignatureRequirement | AttestationRequirement):
                return
            authority = self.authorities.get(one.authority)
            if not isinstance(authority, KeyAuthority):
                return
            keys.add(authority.key.data.strip())
        if len(keys) < count:
            message = f"{count} signers that differ cannot be had of {len(keys)} different keys"
            self._problem(message, *path)

    def _at(self, *path: Step) -> Position:
        return self.document.position("spec", *path)

    def _problem(self, message: str, *path: Step, guess: str | None = None) -> None:
        spot = self.document.at("spec", *path)
        self.problems.add(spot.position, spot.path, message, guess)


def _slsa(keys: SlsaKeys) -> SlsaCondition:
    return SlsaCondition(
        builder=text_match(keys.builder, keys.builder_reg_exp),
        source_repository=keys.source_repository,
        source_ref=text_match(keys.source_ref, keys.source_ref_reg_exp),
        build_type=keys.build_type,
    )
