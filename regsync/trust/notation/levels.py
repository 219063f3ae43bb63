"""How much of a verification counts: notation's levels, and what a policy overrides of them.

Source: notaryproject specifications, trust-store-trust-policy.md, "Signature Verification details".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Self


class Check(Enum):
    """What a level decides about; integrity is always enforced."""

    AUTHENTICITY = "authenticity"
    AUTHENTIC_TIMESTAMP = "authenticTimestamp"
    EXPIRY = "expiry"
    REVOCATION = "revocation"


class Action(Enum):
    """What becomes of a check that fails."""

    ENFORCE = "enforce"
    LOG = "log"
    SKIP = "skip"  # it is not made


class TimestampUse(Enum):
    """When the timestamp of a signature is verified, given that a tsa store is named."""

    ALWAYS = "always"
    AFTER_CERT_EXPIRY = "afterCertExpiry"

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read it as a trust policy writes it; raises ValueError with the reason."""
        for use in cls:
            if value == use.value:
                return use
        raise ValueError(
            f"verifyTimestamp is {value!r:.80}, not one of {', '.join(use.value for use in cls)}"
        )


_LOGGED: Mapping[str, tuple[Check, ...]] = {
    "strict": (),
    "permissive": (Check.AUTHENTIC_TIMESTAMP, Check.EXPIRY, Check.REVOCATION),
    "audit": tuple(Check),
}
_SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Level:
    """A level with its overrides applied. `skips`: nothing at all is verified."""

    name: str  # strict | permissive | audit | skip
    actions: Mapping[Check, Action]

    @classmethod
    def parse(cls, name: object, override: Mapping[str, object]) -> Self:
        """Read a level as a trust policy writes it; raises ValueError with the reason."""
        if name == _SKIP:
            if override:
                raise ValueError("level skip takes no override")
            return cls(_SKIP, dict.fromkeys(Check, Action.SKIP))
        if not isinstance(name, str) or name not in _LOGGED:
            raise ValueError(f"level {name!r:.80} is none of {', '.join((*_LOGGED, _SKIP))}")
        actions = {check: Action.LOG if check in _LOGGED[name] else Action.ENFORCE for check in Check}
        actions.update(_overridden(check, action) for check, action in override.items())
        return cls(name, actions)

    @property
    def skips(self) -> bool:
        """Whether nothing at all is verified."""
        return self.name == _SKIP


def _overridden(check: str, action: object) -> tuple[Check, Action]:
    if check not in {known.value for known in Check}:
        raise ValueError(f"override of {check!r:.80}, which is no check that a policy may override")
    allowed = [known for known in Action if known is not Action.SKIP or check == Check.REVOCATION.value]
    for known in allowed:
        if action == known.value:
            return Check(check), known
    named = ", ".join(known.value for known in allowed)
    raise ValueError(f"override of {check} is {action!r:.80}, not one of {named}")
