"""Where in the user's files the cause of a finding stands: the mirror, its rule, a policy's requirement.

Nothing that is planned carries a position: plans are saved, and read back elsewhere. Whoever reports has
the spec, and asks here.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

from regsync.oci.reference import Tag
from regsync.spec.files import git_top
from regsync.spec.matching import candidates
from regsync.spec.model import Location, Mirror, Position, RepositoryEntry, Spec, TagRule
from regsync.spec.verification import AllOf, AtLeast, Requirement, VerificationPolicy


class Sites:
    """Positions by what is found there, in files named relative to the top of their git tree."""

    def __init__(self, spec: Spec, here: Path) -> None:
        self._here, self._top = here, git_top(spec.root) or spec.root
        self._mirrors = {mirror.name: mirror for mirror in spec.mirrors}
        self._requirements = {
            (policy.name, label): position
            for policy in spec.policies.values()
            for label, position in _requirements(policy.require)
        }
        self._policies = dict(spec.policies)
        self._first = spec.files[0] if spec.files else None

    @classmethod
    def of(cls, spec: Spec, here: Path) -> Self:
        """The sites of `spec`, whose paths are relative to the directory `here`."""
        return cls(spec, here)

    def of_tag(self, mirror: str, source: Location, tag: Tag | None) -> Position | None:
        """The rule that may have chosen a tag, else the mirror, else the beginning of the spec."""
        known = self._mirrors.get(mirror)
        if known is None:
            return self.beginning
        rules = _rules(known, source) if tag is not None else ()
        rule = next((one for one in rules if tag is not None and candidates(one, [tag])), None)
        position = rule.position if rule is not None and rule.position is not None else known.position
        return self._shown(position) or self.beginning

    def of_requirement(self, policy: str, label: str | None) -> Position | None:
        """A requirement by its name, else the policy, if the spec has it."""
        position = self._requirements.get((policy, label or ""))
        known: VerificationPolicy | None = self._policies.get(policy)
        return self._shown(position or (known.position if known is not None else None))

    @property
    def beginning(self) -> Position | None:
        """The first line of the spec, for what stands nowhere in it."""
        return self._shown(Position(str(self._first), 1, 1)) if self._first is not None else None

    def _shown(self, position: Position | None) -> Position | None:
        """With the file as whoever checks the tree out knows it; an absolute path where it is outside."""
        if position is None:
            return None
        path = Path(os.path.normpath(self._here / position.file))
        file = path.relative_to(self._top) if path.is_relative_to(self._top) else path
        return Position(file.as_posix(), position.line, position.column)


def _rules(mirror: Mirror, source: Location) -> Iterable[TagRule]:
    """The rules of one repository: its own where it has any."""
    entries = mirror.repositories if isinstance(mirror.repositories, tuple) else ()
    own = next((one for one in entries if _is_of(one, source)), None)
    return mirror.rules if own is None or own.tags is None else own.tags


def _is_of(entry: RepositoryEntry, source: Location) -> bool:
    return f"/{source.repository}".endswith(f"/{entry.name}")


def _requirements(requirement: Requirement) -> Iterator[tuple[str, Position | None]]:
    """The innermost requirements by the names that verdicts have for them."""
    if isinstance(requirement, AllOf | AtLeast):
        for one in requirement.of:
            yield from _requirements(one)
    else:
        yield requirement.label, requirement.position
