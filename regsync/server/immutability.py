"""Tags that nobody moves or deletes, by the rules of the spec."""

from collections.abc import Sequence
from re import Pattern

from regsync.oci.reference import RepositoryName, Tag
from regsync.spec.globs import compile_glob
from regsync.spec.server import ImmutableRule

MAX_NAMES = 4096  # repositories whose rules are remembered

Patterns = tuple[Pattern[str], ...]


class Immutability:
    """The rules, compiled once: call it with a repository and a tag."""

    def __init__(self, rules: Sequence[ImmutableRule]) -> None:
        self._rules = [(_compiled(rule.repositories), _compiled(rule.tags)) for rule in rules]
        self._known: dict[RepositoryName, Patterns] = {}

    def __call__(self, name: RepositoryName, tag: Tag) -> bool:
        """Whether the tag, once it is there, stays what it is."""
        patterns = self._known.get(name)
        if patterns is None:
            if len(self._known) >= MAX_NAMES:
                self._known.clear()
            patterns = self._known[name] = tuple(
                one
                for repositories, tags in self._rules
                if any(glob.fullmatch(name) for glob in repositories)
                for one in tags
            )
        return any(one.fullmatch(tag) for one in patterns)


def _compiled(globs: Sequence[str]) -> Patterns:
    return tuple(compile_glob(glob) for glob in globs)
