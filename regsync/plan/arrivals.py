"""What has to be at a target before anything goes from it: the tags that its mirror wants there."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from regsync.errors import DeferredError
from regsync.oci.reference import Tag
from regsync.plan.model import Action, Outcome, Problem, Verb
from regsync.spec.model import Location

_NAMED = 3  # tags in a message

Lacking = Mapping[tuple[str, Location], Collection[Tag]]  # by mirror and target


class NotArrivedError(DeferredError):
    """What a mirror wants at a target is not there, so what it is to follow stays too."""

    usual_hint = "see what keeps it from arriving; what nothing keeps goes once that is there"

    def __init__(self, mirror: str, target: Location, lacking: Collection[Tag]) -> None:
        names = ", ".join(sorted(lacking)[:_NAMED])
        more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
        super().__init__(
            f"mirror {mirror}: nothing is deleted at {target}, since {names}{more}, which it wants there, "
            "did not arrive"
        )


def lacking(copies: Iterable[tuple[Action, Outcome]]) -> Lacking:
    """The tags that were to be created and are not there, by what became of each copy.

    Otherwise a newest tag that cannot be copied, or is not signed, would take the last good one away.
    """
    found: dict[tuple[str, Location], list[Tag]] = {}
    for action, outcome in copies:
        is_there = outcome in (Outcome.DONE, Outcome.DEGRADED)
        if action.verb is Verb.CREATE and action.tag is not None and not is_there:
            found.setdefault((action.mirror, action.target), []).append(action.tag)
    return found


def held_back(actions: Iterable[Action], absent: Lacking) -> tuple[Action, ...]:
    """Deletions, those with a problem that wait for what is absent."""
    return tuple(
        replace(action, problem=Problem.of(NotArrivedError(action.mirror, action.target, tags)))
        if action.problem is None and (tags := absent.get((action.mirror, action.target)))
        else action
        for action in actions
    )
