"""Access rules, compiled once: what somebody may do, found by one look-up for a repository seen before."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from re import Pattern

from regsync.oci.reference import RepositoryName
from regsync.server.access import Action, Principal
from regsync.spec.globs import compile_glob
from regsync.spec.server import AccessRule, Subject, SubjectKind

MAX_NAMES = 4096  # repositories whose answer is remembered, for each set of rules
MAX_SETS = 1024  # sets of rules that apply together

Actions = frozenset[Action]
_EVERYTHING = frozenset(Action)


@dataclass(frozen=True, slots=True)
class _Rule:
    is_for: tuple[Callable[[Principal], bool], ...]
    repositories: tuple[Pattern[str], ...]
    actions: Actions


class Grants:
    """The rules that apply to somebody. Rules add up, and what none allows is denied."""

    __slots__ = ("_known", "_rules")

    def __init__(self, rules: Sequence[_Rule]) -> None:
        self._rules = tuple(rules)
        self._known: dict[RepositoryName, Actions] = {}

    def on(self, name: RepositoryName) -> Actions:
        """What may be done with a repository, whether there is one of that name or not."""
        found = self._known.get(name)
        if found is None:
            if len(self._known) >= MAX_NAMES:
                self._known.clear()
            found = self._known[name] = self._find(name)
        return found

    def _find(self, name: RepositoryName) -> Actions:
        found: Actions = frozenset()
        for rule in self._rules:
            if not rule.actions <= found and any(one.fullmatch(name) for one in rule.repositories):
                found |= rule.actions
        return found


@dataclass(frozen=True, slots=True)
class Granted(Principal):
    """Somebody, with the rules that apply."""

    grants: Grants = field(default_factory=lambda: Grants(()))


class Roles:
    """All rules of a server."""

    def __init__(self, rules: Sequence[AccessRule]) -> None:
        self._rules = tuple(
            _Rule(
                tuple(_subject(one) for one in rule.subjects),
                tuple(compile_glob(glob) for glob in rule.repositories),
                _actions(rule.actions),
            )
            for rule in rules
        )
        self._grants: dict[tuple[int, ...], Grants] = {}

    def granted(self, principal: Principal) -> Granted:
        """The same principal, with what applies to it."""
        return Granted(
            principal.name,
            principal.groups,
            principal.claims,
            principal.issuer,
            principal.is_local,
            self.grants(principal),
        )

    def grants(self, principal: Principal) -> Grants:
        """What applies to somebody; the same object for all to whom the same rules apply."""
        applying = tuple(
            number
            for number, rule in enumerate(self._rules)
            if any(is_for(principal) for is_for in rule.is_for)
        )
        found = self._grants.get(applying)
        if found is None:
            if len(self._grants) >= MAX_SETS:
                self._grants.clear()
            found = self._grants[applying] = Grants([self._rules[number] for number in applying])
        return found


def _actions(words: frozenset[str]) -> Actions:
    actions = frozenset(Action(word) for word in words)
    return _EVERYTHING if Action.ADMIN in actions else actions


def _subject(subject: Subject) -> Callable[[Principal], bool]:
    match subject.kind:
        case SubjectKind.ANONYMOUS:
            return lambda principal: True  # nobody loses by logging in what anybody may do
        case SubjectKind.AUTHENTICATED:
            return lambda principal: not principal.is_anonymous
        case SubjectKind.USER:
            return lambda principal: principal.name == subject.name
        case SubjectKind.GROUP:
            return lambda principal: subject.name in principal.groups
        case SubjectKind.CLAIM:
            whole = compile_glob(subject.glob)
            return lambda principal: (
                principal.issuer == subject.issuer and claim_matches(principal.claims, subject.name, whole)
            )


def claim_matches(claims: Mapping[str, object], key: str, glob: Pattern[str]) -> bool:
    """Whether a claim, or an entry of one that is a list, matches; whole numbers are as JSON has them."""
    value = claims.get(key)
    values = value if isinstance(value, list) else [value]
    return any((text := _text(one)) is not None and glob.fullmatch(text) is not None for one in values)


def _text(value: object) -> str | None:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int():
            return str(value)
        case _:
            return None
