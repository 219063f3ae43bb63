"""What an operator decided, as one value: replaced as a whole when the spec is read again."""

from collections.abc import Callable
from dataclasses import dataclass

from regsync.oci.reference import RepositoryName, Tag
from regsync.server.access import Access
from regsync.server.upstreams import NO_UPSTREAMS, Upstreams


def nothing_is_immutable(name: RepositoryName, tag: Tag) -> bool:
    """No rule."""
    return False


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may do what, and what nobody may."""

    access: Access
    is_immutable: Callable[[RepositoryName, Tag], bool] = nothing_is_immutable
    read_only: bool = False  # pulls alone are served
    upstreams: Upstreams = NO_UPSTREAMS
