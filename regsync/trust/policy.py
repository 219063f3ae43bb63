"""Policies made ready to judge by: authorities with their keys and roots, expressions compiled."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum

from regsync.spec.model import Position
from regsync.spec.problems import Problems
from regsync.spec.verification import (
    AllOf,
    AtLeast,
    AttestationRequirement,
    Condition,
    KeylessAuthority,
    Material,
    NotationRoot,
    Requirement,
    Select,
    SignatureRequirement,
    TrustRoot,
    VerificationPolicy,
)
from regsync.trust.authorities import Authority, Roots, authorities
from regsync.trust.expressions import Expressions, InvalidExpressionError

JUDGING = 1  # counts what changes a verdict over the same policy and evidence

_SPEAKS_OF_IMAGE = re.compile(r"\bimage\b")
_POSITION = "position"


@dataclass(frozen=True, slots=True)
class CompiledPolicy:
    """A policy, and all that is needed to judge by it without reading or asking anything more.

    `fingerprint` is hex; it changes with whatever could change a verdict: the policy, the bytes of its
    keys and roots, this code. `uses_image`: the verdict belongs to the image's name, not to its digest.
    """

    policy: VerificationPolicy
    authorities: Mapping[str, Authority]
    expressions: Expressions
    fingerprint: str
    uses_image: bool

    @property
    def name(self) -> str:
        """The policy's name."""
        return self.policy.name

    @property
    def is_quick(self) -> bool:
        """Whether examining a small piece is soon done: no conditions, and no certificates of Sigstore."""
        keyless = any(isinstance(one, KeylessAuthority) for one in self.policy.authorities.values())
        return not keyless and all(
            isinstance(leaf, SignatureRequirement) for leaf in leaves(self.policy.require)
        )

    @property
    def newer_evidence_counts(self) -> bool:
        """Whether more evidence can undo a pass: all of a type have to be good, or the newest."""
        return any(
            isinstance(leaf, AttestationRequirement) and leaf.select is not Select.ANY
            for leaf in leaves(self.policy.require)
        )


def leaves(requirement: Requirement) -> Iterator[SignatureRequirement | AttestationRequirement]:
    """The requirements that evidence is looked for, in the order written."""
    match requirement:
        case AllOf(of) | AtLeast(_, of):
            for one in of:
                yield from leaves(one)
        case _:
            yield requirement


def compile_policies(
    policies: Mapping[str, VerificationPolicy], roots: Mapping[str, TrustRoot]
) -> Mapping[str, CompiledPolicy]:
    """Understand every policy and every root, by name.

    Raises InvalidSpecError with all that is wrong, each at its place: keys, trusted roots, trust stores,
    expressions. Asks no network.
    """
    problems = Problems()
    known, expressions = Roots(roots, problems), Expressions()
    known.read_all()
    compiled = {name: _compile(policy, known, expressions) for name, policy in policies.items()}
    problems.raise_any()
    return compiled


def _compile(policy: VerificationPolicy, roots: Roots, expressions: Expressions) -> CompiledPolicy:
    for condition in _conditions(policy):
        try:
            expressions.check(condition.expression)
        except InvalidExpressionError as cause:
            position = condition.position or policy.position or Position(policy.name, 1, 1)
            roots.problems.add(position, "spec.require", f"{cause.cause} in: {condition.expression}")
    ready = authorities(policy, roots)
    names = {one.trust_root for one in policy.authorities.values()}
    used = {name: roots.declared[name].root for name in sorted(names) if name in roots.declared}
    meaning = _plain((JUDGING, policy, used, roots.documents(names)))
    fingerprint = hashlib.sha256(meaning.encode("utf-8")).hexdigest()
    by_scope = any(isinstance(one, NotationRoot) and one.policy is not None for one in used.values())
    spoken = any(_SPEAKS_OF_IMAGE.search(one.expression) is not None for one in _conditions(policy))
    return CompiledPolicy(policy, ready, expressions, fingerprint, uses_image=by_scope or spoken)


def _conditions(policy: VerificationPolicy) -> Iterator[Condition]:
    for leaf in leaves(policy.require):
        if isinstance(leaf, AttestationRequirement):
            yield from leaf.conditions


def _plain(value: object) -> str:
    """Text that two values share only when they mean the same, wherever they are written."""
    match value:
        case Material():
            return f"sha256:{hashlib.sha256(value.data).hexdigest()}"
        case Mapping():
            return "|".join(("{", *(f"{key!r}:{_plain(one)}" for key, one in sorted(value.items())), "}"))
        case tuple() | list():
            return "|".join(("[", *map(_plain, value), "]"))
        case Enum():
            return f"{type(value).__name__}.{value.name}"
        case datetime() | timedelta() | str() | bytes() | int() | None:
            return repr(value)
        case _ if is_dataclass(value):
            named = (
                f"{one.name}={_plain(getattr(value, one.name))}"
                for one in fields(value)
                if one.name != _POSITION
            )
            return f"{type(value).__name__}({','.join(named)})"
        case _:
            raise TypeError(f"{type(value).__name__} is no part of a policy")
