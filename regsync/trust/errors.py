"""Why evidence proves nothing."""

from regsync.errors import RegsyncError


class EvidenceRejectedError(RegsyncError):
    """Evidence failed a check. `check` names it, as a verdict shows it: a deny, with its reason."""

    def __init__(self, check: str, reason: str) -> None:
        super().__init__(f"{check}: {reason}")
        self.check, self.reason = check, reason


class TrustRootTooOldError(EvidenceRejectedError):
    """Evidence names a log or an authority that the trust root lacks: an error, not a deny."""

    def __init__(self, check: str, what: str) -> None:
        super().__init__(
            check, f"{what} is not in the trust root; trust root too old: run regsync trust update"
        )
