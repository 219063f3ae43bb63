r"""Regular expressions from a spec: compiled once, bounded, and refused where they could hang.

Python's engine backtracks, so `(a+)+` over a tag of 128 characters would take longer than anyone
waits. Refused are repeats in a repeat that can part the same text in several ways, and many repeats
that run into each other; `(\.\d+)*` and what else people write for versions is fine, since its pieces
cannot be mistaken for each other.

What can be mistaken depends on the characters that a text may have: of a tag they are known, an
identity (a URL, a mail address, the name of a workflow) may have any.
"""

import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from regsync.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MAX_LENGTH = 500  # characters
MAX_OVERLAPS = 3  # repeats that run into what follows; each multiplies the ways by a tag's length
MAX_IDENTITY_LENGTH = 1024  # characters of a text that an identity's regex is tried on; time is cubic in it
MAX_IDENTITY_OVERLAPS = 2  # fewer, since the texts are longer

_TAG_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
# Printable ASCII, and of the rest one of each kind that a class can tell apart: control character, space,
# digit, letter (those too that (?i) takes for an ASCII one), and what is none of these.
_TEXT_ALPHABET = frozenset(map(chr, range(128))) | frozenset(
    "\u0085\u2003\u0663éÉ\u017f\u212a\u0131\u0130\u2014"
)
_NAMING = ("LITERAL", "NOT_LITERAL", "RANGE")
_MANY = 16  # a repeat with a higher bound counts as open


class InvalidRegexError(SpecError, ValueError):
    """The text is no regular expression, or one that could take for ever."""

    def __init__(self, regex: str, cause: str) -> None:
        super().__init__(f"invalid regex {regex[:80]!r}: {cause}")


@lru_cache(maxsize=1024)
def compile_regex(regex: str) -> re.Pattern[str]:
    """The pattern to call `fullmatch` on with tags; raises InvalidRegexError."""
    pattern = _compile(regex)
    _refuse_slow(regex, _TAG_ALPHABET, MAX_OVERLAPS)
    return pattern


@lru_cache(maxsize=1024)
def compile_identity_regex(regex: str) -> re.Pattern[str]:
    """The same for texts of at most MAX_IDENTITY_LENGTH, of whatever characters."""
    pattern = _compile(regex)
    _refuse_slow(regex, _TEXT_ALPHABET | _named_in(_parse(regex)), MAX_IDENTITY_OVERLAPS)
    return pattern


def is_identity(regex: str, text: str) -> bool:
    """Whether the whole of `text` matches; one that is too long never does. Raises InvalidRegexError."""
    return len(text) <= MAX_IDENTITY_LENGTH and compile_identity_regex(regex).fullmatch(text) is not None


def _compile(regex: str) -> re.Pattern[str]:
    if len(regex) > MAX_LENGTH:
        raise InvalidRegexError(regex, f"longer than {MAX_LENGTH} characters")
    try:
        return re.compile(regex)
    except (re.error, OverflowError, RecursionError) as cause:
        at = f" at character {cause.pos + 1}" if isinstance(cause, re.error) and cause.pos is not None else ""
        message = cause.msg if isinstance(cause, re.error) else str(cause)
        raise InvalidRegexError(regex, f"{message}{at}") from cause


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a piece of a regex can begin with and may swallow at its end, as characters of the alphabet."""

    first: frozenset[str]  # what it can begin with
    greedy: frozenset[str]  # what an open repeat at its end goes on to take
    empty: bool  # whether it can match nothing


_NOTHING = _Shape(frozenset(), frozenset(), empty=True)


class _Slow(Exception):  # noqa: N818 - never leaves this module
    """The regex may take for ever."""


def _parse(regex: str) -> list[tuple[Any, Any]]:
    # The parser of `re` is not documented, but it alone reads the syntax exactly as `re` does.
    return list(__import__("re._parser", fromlist=["parse"]).parse(regex))


def _refuse_slow(regex: str, alphabet: frozenset[str], max_overlaps: int) -> None:
    scan = _Scan(
        alphabet,
        ignores_case=re.search(r"\(\?[a-zA-Z-]*i", regex) is not None,
        has_ascii=re.search(r"\(\?[a-zA-Z-]*a", regex) is not None,
    )
    try:
        scan.sequence(_parse(regex), nested=False)
    except _Slow as cause:
        raise InvalidRegexError(regex, str(cause)) from None
    if scan.overlaps > max_overlaps:
        too_many = f"more than {max_overlaps} repeats such as .* that run into what follows them"
        raise InvalidRegexError(regex, too_many)


def _named_in(tree: Any) -> frozenset[str]:
    """The characters that a parsed regex names, and those beside them, where its classes begin and end."""
    found: set[str] = set()
    waiting: list[Any] = [tree]
    while waiting:
        piece = waiting.pop()
        if isinstance(piece, tuple) and len(piece) == 2 and str(piece[0]) in _NAMING:
            ends = piece[1] if isinstance(piece[1], tuple) else (piece[1],)
            near = {code + step for code in ends for step in (-1, 0, 1)}
            found |= {chr(code) for code in near if 0 <= code <= sys.maxunicode}
        elif not isinstance(piece, str | int) and hasattr(piece, "__getitem__"):
            waiting += list(piece)
    return frozenset(found)


class _Scan:
    """A walk over the parsed regex that knows what may stand beside what."""

    def __init__(self, alphabet: frozenset[str], *, ignores_case: bool, has_ascii: bool) -> None:
        self.overlaps = 0
        self._alphabet = alphabet
        self._ignores_case = ignores_case
        self._has_ascii = has_ascii

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
                return _Shape(self._alphabet, frozenset(), empty=True)

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
        """The characters of the alphabet that a single-character item takes."""
        if not self._ignores_case:
            return self._characters(operator, argument)
        # Of what a class leaves out, the other case may be let in: too many characters is the safe side.
        return self._alike(self._characters(operator, argument))

    def _alike(self, found: frozenset[str]) -> frozenset[str]:
        """With the characters that are the same where case is ignored."""
        forms = {form for character in found for form in _cases(character)}
        return frozenset(one for one in self._alphabet if not forms.isdisjoint(_cases(one)))

    def _characters(self, operator: str, argument: Any) -> frozenset[str]:
        """The same, case observed."""
        match operator:
            case "ANY":
                return self._alphabet
            case "LITERAL":
                return frozenset(chr(argument)) & self._alphabet
            case "NOT_LITERAL":
                return self._alphabet - {chr(argument)}
            case "CATEGORY":
                return self._category(str(argument))
        found: set[str] = set()
        negated = False
        for kind, value in argument:
            if str(kind) == "NEGATE":
                negated = True
            elif str(kind) == "RANGE":
                found.update(one for one in self._alphabet if value[0] <= ord(one) <= value[1])
            else:
                found |= self._characters(str(kind), value)
        return self._alphabet - found if negated else frozenset(found)

    def _category(self, name: str) -> frozenset[str]:
        r"""The characters of `\d` and the like; with (?a) somewhere, all that may be meant."""
        kind = name.removeprefix("CATEGORY_")
        negated = kind.startswith("NOT_")
        belongs = _CATEGORIES.get(kind.removeprefix("NOT_"))
        if belongs is None:
            return self._alphabet
        inside = frozenset(one for one in self._alphabet if belongs(one))
        if not negated:
            return inside
        return self._alphabet - (
            frozenset(one for one in inside if one.isascii()) if self._has_ascii else inside
        )


_CATEGORIES: "dict[str, Callable[[str], bool]]" = {
    "DIGIT": str.isdecimal,
    "WORD": lambda one: one.isalnum() or one == "_",
    "SPACE": str.isspace,
}


def _cases(character: str) -> set[str]:
    return {character, character.lower(), character.upper(), character.casefold()}
