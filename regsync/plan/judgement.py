"""What a policy said of a tag's content, as short as plans and reports carry it.

Requirement by requirement, with every check, `regsync verify` says it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from regsync.spec.verification import Mode
from regsync.trust.verdict import RequirementVerdict, Result, Verdict

MAX_UNMET = 50  # requirements of one policy that are named


@dataclass(frozen=True, slots=True)
class Judgement:
    """One policy's word."""

    policy: str
    mode: Mode
    result: Result
    reason: str | None = None
    signers: tuple[str, ...] = ()
    unmet: tuple[str, ...] = ()  # requirements that are not met, each by its name

    @property
    def lets_pass(self) -> bool:
        """Whether a tag may move to the content."""
        return self.result in (Result.PASS, Result.SKIPPED) or self.mode is Mode.WARN

    @classmethod
    def of(cls, verdict: Verdict) -> Self:
        """A verdict without its details."""
        unmet = tuple(dict.fromkeys(_unmet(verdict.requirements)))[:MAX_UNMET]
        return cls(verdict.policy, verdict.mode, verdict.result, verdict.reason, verdict.signers, unmet)


def _unmet(requirements: Iterable[RequirementVerdict]) -> Iterator[str]:
    """The innermost requirements of those that did not pass."""
    for one in requirements:
        if one.result is Result.PASS:
            continue
        if one.of:
            yield from _unmet(one.of)
        else:
            yield one.requirement
