r"""Regular expressions from a spec: compiled once, bounded, and refused where they could hang.

Python's engine backtracks, so `(a+)+` over a tag of 128 characters would take longer than anyone
waits. Refused are repeats in a repeat that can part the same text in several ways, and many repeats
that run into each other; `(\.\d+)*` and what else people write for versions is fine, since its pieces
cannot be mistaken for each other.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from regsync.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_LENGTH = 500  # characters
MAX_OVERLAPS = 3  # repeats that run into what follows; each multiplies the ways by a tag's length

_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")  # of tags
_MANY = 16  # a repeat with a higher bound counts as open


class InvalidRegexError(SpecError, ValueError):
    """The text is no regular expression, or one that could take for ever."""

    def __init__(self, regex: str, cause: str) -> None:
        super().__init__(f"invalid regex {regex[:80]!r}: {cause}")


@lru_cache(maxsize=1024)
def compile_regex(regex: str) -> re.Pattern[str]:
    """The pattern to call `fullmatch` on; raises InvalidRegexError."""
    if len(regex) > MAX_LENGTH:
        raise InvalidRegexError(regex, f"longer than {MAX_LENGTH} characters")
    try:
        pattern = re.compile(regex)
    except (re.error, OverflowError, RecursionError) as cause:
        at = f" at character {cause.pos + 1}" if isinstance(cause, re.error) and cause.pos is not None else ""
        message = cause.msg if isinstance(cause, re.error) else str(cause)
        raise InvalidRegexError(regex, f"{message}{at}") from cause
    _refuse_slow(regex)
    return pattern


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a piece of a regex can begin with and may swallow at its end, as characters of tags."""

    first: frozenset[str]  # what it can begin with
    greedy: frozenset[str]  # what an open repeat at its end goes on to take
    empty: bool  # whether it can match nothing


_NOTHING = _Shape(frozenset(), frozenset(), empty=True)


class _Slow(Exception):  # noqa: N818 - never leaves this module
    """The regex may take for ever."""


def _refuse_slow(regex: str) -> None:
    # The parser of `re` is not documented, but it alone reads the syntax exactly as `re` does.
    parse = __import__("re._parser", fromlist=["parse"]).parse
    ignores_case = re.search(r"\(\?[a-zA-Z-]*i", regex) is not None
    scan = _Scan(ignores_case=ignores_case)
    try:
        scan.sequence(list(parse(regex)), nested=False)
    except _Slow as cause:
        raise InvalidRegexError(regex, str(cause)) from None
    if scan.overlaps > MAX_OVERLAPS:
        too_many = f"more than {MAX_OVERLAPS} repeats such as .* that run into what follows them"
        raise InvalidRegexError(regex, too_many)


class _Scan:
    """A walk over the parsed regex that knows what may stand beside what."""

    def __init__(self, *, ignores_case: bool) -> None:
        self.overlaps = 0
        self._ignores_case = ignores_case

    def sequence(self, items: "Iterable[tuple[Any, Any]]", *, nested: bool) -> _Shape:
        """The shape of items one after the other. `nested`: they stand in an open repeat."""
        shape = _NOTHING
        for operator, argument in items:
            after = self.item(str(operator), argument, nested=nested)
            if shape.greedy & after.first:
                if nested:
                    raise _Slow("a repeat in a repeat runs into what follows it, which can take for ever")
                self.overlaps += 1
            shape = _Shape(
                shape.first | after.first if shape.empty else shape.first,
                shape.greedy | after.greedy if after.empty else after.greedy,
                shape.empty and after.empty,
            )
        return shape

    def item(self, operator: str, argument: Any, *, nested: bool) -> _Shape:
        """The shape of one item of the parser's tree."""
        match operator:
            case "LITERAL" | "NOT_LITERAL" | "IN" | "ANY" | "CATEGORY":
                return _Shape(self.characters(operator, argument), frozenset(), empty=False)
            case "SUBPATTERN":
                return self.sequence(argument[3], nested=nested)
            case "ATOMIC_GROUP":
                return self.sequence(argument, nested=nested)
            case "BRANCH":
                return self.branch(argument[1], nested=nested)
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                return self.repeat(*argument, nested=nested)
            case "AT":
                return _NOTHING
            case _:
                if nested:
                    raise _Slow("a look-around or back-reference in a repeat is not taken")
                return _Shape(_ALPHABET, frozenset(), empty=True)

    def branch(self, choices: Any, *, nested: bool) -> _Shape:
        """The shape of alternatives."""
        shapes = [self.sequence(choice, nested=nested) for choice in choices]
        if nested:
            seen: frozenset[str] = frozenset()
            for shape in shapes:
                if shape.empty or seen & shape.first:
                    raise _Slow("alternatives in a repeat that begin alike can take for ever")
                seen |= shape.first
        return _Shape(
            frozenset().union(*(shape.first for shape in shapes)),
            frozenset().union(*(shape.greedy for shape in shapes)),
            empty=any(shape.empty for shape in shapes),
        )

    def repeat(self, low: int, high: Any, body: Any, *, nested: bool) -> _Shape:
        """The shape of `body` taken from `low` to `high` times."""
        is_open = int(high) > _MANY
        before = self.overlaps
        shape = self.sequence(body, nested=nested or is_open)
        if is_open:
            if shape.empty or shape.greedy & shape.first:
                raise _Slow("a repeat of what is itself a repeat, such as (a+)+, can take for ever")
            return _Shape(shape.first, shape.greedy | shape.first, empty=low == 0)
        # Taken several times, a piece runs into itself, and what overlaps in it does so each time.
        runs_on = bool(shape.greedy & shape.first)
        if runs_on and nested and int(high) > 1:
            raise _Slow("a repeat in a repeat runs into what follows it, which can take for ever")
        self.overlaps += (self.overlaps - before + runs_on) * max(0, int(high) - 1)
        greedy = shape.greedy | (shape.first if int(high) > low else frozenset())
        return _Shape(shape.first, greedy, empty=low == 0 or shape.empty)

    def characters(self, operator: str, argument: Any) -> frozenset[str]:
        """The characters of tags that a single-character item takes."""
        found = _characters(operator, argument)
        if not self._ignores_case:
            return found
        return found | {character.swapcase() for character in found if character.isalpha()}


def _characters(operator: str, argument: Any) -> frozenset[str]:
    """The same, case observed."""
    match operator:
        case "ANY":
            return _ALPHABET
        case "LITERAL":
            return frozenset(chr(argument)) & _ALPHABET
        case "NOT_LITERAL":
            return _ALPHABET - {chr(argument)}
        case "CATEGORY":
            return _category(str(argument))
    found: set[str] = set()
    negated = False
    for kind, value in argument:
        if str(kind) == "NEGATE":
            negated = True
        elif str(kind) == "RANGE":
            found.update(character for character in _ALPHABET if value[0] <= ord(character) <= value[1])
        else:
            found |= _characters(str(kind), value)
    return _ALPHABET - found if negated else frozenset(found)


def _category(name: str) -> frozenset[str]:
    digits = frozenset("0123456789")
    word = _ALPHABET - frozenset(".-")
    match name.removeprefix("CATEGORY_"):
        case "DIGIT":
            return digits
        case "NOT_DIGIT":
            return _ALPHABET - digits
        case "WORD":
            return word
        case "NOT_WORD":
            return _ALPHABET - word
        case "SPACE":
            return frozenset()
        case _:
            return _ALPHABET
