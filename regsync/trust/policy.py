"""Policies made ready to judge by: authorities with their keys and roots, expressions compiled."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol

from regsync.spec.verification import (
    AllOf,
    AtLeast,
    AttestationRequirement,
    Material,
    NotationRoot,
    Requirement,
    Select,
    SignatureRequirement,
    TrustRoot,
    VerificationPolicy,
)
from regsync.trust.envelopes import NotationEnvelope, Proven, Question, SigstoreEnvelope
from regsync.trust.expressions import Expressions

JUDGING = 1  # counts what changes a verdict over the same policy and evidence

_SPEAKS_OF_IMAGE = re.compile(r"\bimage\b")
_POSITION = "position"


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


def compiled(
    policy: VerificationPolicy,
    authorities: Mapping[str, Authority],
    roots: Mapping[str, TrustRoot],
    expressions: Expressions,
) -> CompiledPolicy:
    """Put a policy together. `roots` are those its authorities name, each with its bytes."""
    return CompiledPolicy(
        policy,
        authorities,
        expressions,
        _fingerprint(policy, roots),
        _uses_image(policy, roots),
    )


def _uses_image(policy: VerificationPolicy, roots: Mapping[str, TrustRoot]) -> bool:
    """By an expression, or by a trust policy whose scopes are names of repositories."""
    by_scope = any(
        isinstance(one.root, NotationRoot) and one.root.policy is not None for one in roots.values()
    )
    conditions = (
        condition.expression
        for leaf in leaves(policy.require)
        if isinstance(leaf, AttestationRequirement)
        for condition in leaf.conditions
    )
    return by_scope or any(_SPEAKS_OF_IMAGE.search(one) is not None for one in conditions)


def _fingerprint(policy: VerificationPolicy, roots: Mapping[str, TrustRoot]) -> str:
    meaning = _plain((JUDGING, policy, {name: one.root for name, one in roots.items()}))
    return hashlib.sha256(meaning.encode("utf-8")).hexdigest()


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
        case datetime() | timedelta() | str() | int() | None:
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
