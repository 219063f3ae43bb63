"""What a policy said of a tag's content, as short as plans and reports carry it.

Requirement by requirement, with every check, `regsync verify` says it.
"""

from dataclasses import dataclass
from typing import Self

from regsync.spec.verification import Mode
from regsync.trust.verdict import Result, Verdict


@dataclass(frozen=True, slots=True)
class Judgement:
    """One policy's word."""

    policy: str
    mode: Mode
    result: Result
    reason: str | None = None
    signers: tuple[str, ...] = ()

    @property
    def lets_pass(self) -> bool:
        """Whether a tag may move to the content."""
        return self.result in (Result.PASS, Result.SKIPPED) or self.mode is Mode.WARN

    @classmethod
    def of(cls, verdict: Verdict) -> Self:
        """A verdict without its details."""
        return cls(verdict.policy, verdict.mode, verdict.result, verdict.reason, verdict.signers)
