"""What a plan says of its base revision, in sentences."""

from collections.abc import Iterator

from regsync.plan.model import Base, Left, Unguarded
from regsync.report.units import counted


def opening(base: Base) -> str:
    """What the plan is the difference to."""
    none = ", where there was no spec" if base.spec_digest is None else ""
    return f"Since {base.revision} ({base.commit[:12]}){none}"


def aside(base: Base) -> str:
    """What is left out; empty where nothing is."""
    return f"; {counted(base.anyway, 'action')} pending without the change too" if base.anyway else ""


def sentences(base: Base) -> Iterator[str]:
    """What the change does beside its actions."""
    yield from map(unguarded, base.unguarded)
    yield from map(left, base.left)


def unguarded(one: Unguarded) -> str:
    """Content that may come without what was asked of it before."""
    if not one.policies:
        return f"mirror {one.mirror}: no policy is enforced at {one.target}, which is new"
    lost = ", ".join(one.policies)
    still = f"; still enforced: {', '.join(one.remaining)}" if one.remaining else "; none is any more"
    return f"mirror {one.mirror}: at {one.target} no longer enforced: policy {lost}{still}"


def left(one: Left) -> str:
    """Content that stays where it is, and is not kept up to date any more."""
    named = ", ".join(one.tags)
    more = f" and {one.count - len(one.tags)} more" if one.count > len(one.tags) else ""
    return (
        f"mirror {one.mirror}: {counted(one.count, 'tag')} at {one.target} no longer kept: {named}{more}; "
        "nothing is deleted there by this change"
    )
