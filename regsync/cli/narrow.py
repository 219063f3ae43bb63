"""`--mirror` and `-l`: running a part of a spec."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from regsync.errors import UsageError
from regsync.plan.model import Plan
from regsync.spec.model import Mirror, Spec
from regsync.spec.problems import nearest


class NoSuchMirrorError(UsageError):
    """`--mirror` or `-l` leave nothing to do, which is a typing error more often than a wish."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self._hint = hint

    @property
    def hint(self) -> str | None:
        """What to do next."""
        return self._hint


def narrow(spec: Spec, names: Sequence[str], labels: Mapping[str, str]) -> Spec:
    """`spec` with the mirrors of one of `names` that have all `labels`; its digest stays the whole's."""
    if not names and not labels:
        return spec
    _check_names(spec, names)
    chosen = tuple(
        mirror
        for mirror in spec.mirrors
        if (not names or mirror.name in names) and _has_labels(mirror, labels)
    )
    if not chosen:
        wanted = ", ".join(f"{key}={value}" for key, value in labels.items())
        raise NoSuchMirrorError(f"no mirror has the labels {wanted}", "labels stand under metadata.labels")
    return replace(spec, mirrors=chosen)


def narrow_plan(plan: Plan, spec: Spec) -> Plan:
    """`plan` with the actions of the mirrors that `narrow` has left in `spec`."""
    names = {mirror.name for mirror in spec.mirrors}
    return replace(plan, actions=tuple(action for action in plan.actions if action.mirror in names))


def _check_names(spec: Spec, names: Sequence[str]) -> None:
    known = [mirror.name for mirror in spec.mirrors]
    for name in names:
        if name not in known:
            near = nearest(name, known)
            hint = f"did you mean {near}?" if near else None
            raise NoSuchMirrorError(f"no mirror is named {name[:80]!r}", hint)


def _has_labels(mirror: Mirror, labels: Mapping[str, str]) -> bool:
    return all(mirror.labels.get(key) == value for key, value in labels.items())
