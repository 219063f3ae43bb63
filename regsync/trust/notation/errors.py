"""What is wrong with what a user trusts: a certificate file, a trust policy, an identity."""

from regsync.errors import SpecError
from regsync.spec.model import Position


class NotationTrustError(SpecError):
    """A trust store, a trust policy or an identity that cannot be used; says which and why.

    `position` is where the user's YAML names it, if it does.
    """

    def __init__(self, what: str, cause: str, position: Position | None = None) -> None:
        super().__init__(f"{what}: {cause}")
        self.what, self.cause, self.position = what, cause, position
