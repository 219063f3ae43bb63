"""Semantic versions and ranges as people write them in tags (DESIGN.md, section 3, "Selection").

Versions: semver.org 2.0 with a `v` before, missing parts 0, `_` read as `+` (a tag cannot hold `+`;
Helm writes it so), and leading zeros forgiven, since dates are tagged `2026.01.05`.
Ranges: space or comma is and, `||` is or, `^ ~ x * -` as in npm. A missing part is 0: `15` and `=15`
are 15.0.0 alone, `<=1.2` ends at 1.2.0; `15.x` is every 15. A pre-release matches only an
alternative (what `||` parts) that itself names a pre-release.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from regsync.errors import SpecError

MAX_RANGE_LENGTH = 500  # characters
_DIGITS = 18  # in one number; longer ones are hashes or dates with a time, not versions

_VERSION = re.compile(
    rf"v?(\d{{1,{_DIGITS}}})(?:\.(\d{{1,{_DIGITS}}}))?(?:\.(\d{{1,{_DIGITS}}}))?"
    r"(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:[+_]([0-9A-Za-z-]+(?:[._][0-9A-Za-z-]+)*))?",
    re.ASCII,
)
_NUMBER = rf"(?:\d{{1,{_DIGITS}}}|[xX*])"
_COMPARATOR = re.compile(
    rf"(?P<op>[<>]=?|=[<>]|!=|==?|\^|~>?|)\s*v?(?P<major>{_NUMBER})(?:\.(?P<minor>{_NUMBER}))?"
    rf"(?:\.(?P<patch>{_NUMBER}))?(?:-(?P<pre>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
    r"(?:\+[0-9A-Za-z.-]+)?(?=[\s,]|$)",
    re.ASCII,
)
_HYPHEN = re.compile(r"\s*(\S+)\s+-\s+(\S+)\s*")
_SPELLINGS = {"": "=", "==": "=", "=>": ">=", "=<": "<=", "~>": "~"}
_RUNS = re.compile(r"(\d+)", re.ASCII)

Identifier = tuple[int, int, str]
Prerelease = tuple[int, tuple[Identifier, ...]]
Key = tuple[int, int, int, Prerelease]

RELEASE: Prerelease = (1, ())
_FIRST: Prerelease = (0, ())  # sorts before every pre-release: what npm writes as `-0`


class InvalidRangeError(SpecError, ValueError):
    """The text is no range of versions."""

    def __init__(self, text: str, cause: str) -> None:
        super().__init__(f"invalid semver range {text[:80]!r}: {cause}")


@dataclass(frozen=True, slots=True)
class Version:
    """A version; `key` orders it by semver's precedence, in which `build` has no part."""

    key: Key
    build: str = ""

    @property
    def major(self) -> int:
        """The first number."""
        return self.key[0]

    @property
    def minor(self) -> int:
        """The second number."""
        return self.key[1]

    @property
    def patch(self) -> int:
        """The third number."""
        return self.key[2]


def parse_version(text: str) -> Version | None:
    """Read a tag, or the part of one, as a version; None when it is none."""
    found = _VERSION.fullmatch(text)
    if found is None:
        return None
    major, minor, patch, pre, build = found.groups()
    prerelease = RELEASE if pre is None else _prerelease(pre)
    return Version((int(major), int(minor or 0), int(patch or 0), prerelease), build or "")


def natural_key(text: str) -> tuple[str | int, ...]:
    """A key by which runs of digits compare as numbers: `pr-9` before `pr-10`."""
    pieces: list[str | int] = list(_RUNS.split(text))
    pieces[1::2] = map(int, pieces[1::2])
    return tuple(pieces)


@dataclass(frozen=True, slots=True)
class Range:
    """Alternatives, of which one has to hold."""

    alternatives: "tuple[_Span, ...]"

    def contains(self, version: Version) -> bool:
        """Whether `version` is in the range."""
        return any(span.contains(version.key) for span in self.alternatives)

    def meets(self, other: "Range") -> bool:
        """Whether some version could be in both; holes cut by `!=` are not looked at."""
        return any(one.meets(two) for one in self.alternatives for two in other.alternatives)


@dataclass(frozen=True, slots=True)
class _Span:
    """What one alternative amounts to: from `lower` up to `upper`, less some versions."""

    lower: tuple[Key, int]  # (key, 0) holds the key itself, (key, 1) begins behind it
    upper: tuple[Key, int] | None  # (key, 0) ends before it, (key, 1) holds it; None: no end
    without: tuple[tuple[Key, Key], ...]  # the first, and from there to before the second
    prereleases: bool

    def contains(self, key: Key) -> bool:
        if key[3][0] == 0 and not self.prereleases:
            return False
        if (key, 0) < self.lower or (self.upper is not None and (key, 0) >= self.upper):
            return False
        return not any(key == first or first <= key < end for first, end in self.without)

    def meets(self, other: "_Span") -> bool:
        lower = max(self.lower, other.lower)
        return all(span.upper is None or lower < span.upper for span in (self, other))


@lru_cache(maxsize=4096)
def parse_range(text: str) -> Range:
    """Read a range; raises InvalidRangeError."""
    if len(text) > MAX_RANGE_LENGTH:
        raise InvalidRangeError(text, f"longer than {MAX_RANGE_LENGTH} characters")
    if not text.strip():
        raise InvalidRangeError(text, "it is empty; '*' takes every version")
    return Range(tuple(_span(text, part) for part in text.split("||")))


def _span(text: str, part: str) -> _Span:
    hyphen = _HYPHEN.fullmatch(part)
    if hyphen is not None:
        low, high = (_COMPARATOR.fullmatch(side) for side in hyphen.groups())
        if low is None or high is None or low["op"] or high["op"]:
            raise InvalidRangeError(text, f"'{part.strip()}' has no version on each side of ' - '")
        return _intersect([_bounds(">=", low, zeros=True), _bounds("<=", high, zeros=False)])
    bounds, position = [], 0
    while position < len(part):
        if part[position] in " \t,":
            position += 1
            continue
        found = _COMPARATOR.match(part, position)
        if found is None:
            raise InvalidRangeError(text, f"cannot read {part[position:].strip()[:40]!r}")
        operator = _SPELLINGS.get(found["op"], found["op"])
        bounds.append(_bounds(operator, found, zeros=True))
        position = found.end()
    if not bounds:
        raise InvalidRangeError(text, "one side of '||' is empty")
    return _intersect(bounds)


@dataclass(frozen=True, slots=True)
class _Bound:
    """What one comparator allows."""

    lower: tuple[Key, int] = ((0, 0, 0, _FIRST), 0)
    upper: tuple[Key, int] | None = None
    hole: tuple[Key, Key] | None = None
    names_prerelease: bool = False


def _bounds(operator: str, found: re.Match[str], *, zeros: bool) -> _Bound:
    """Read one comparator. `zeros`: a missing part is 0, not any number."""
    numbers, known = _numbers(found)
    pre = found["pre"]
    first: Key = (*numbers, RELEASE if pre is None else _prerelease(pre))
    written = sum(found[name] is not None for name in ("major", "minor", "patch"))
    many = known < written or (not zeros and known < 3)  # it stands for more than one version
    after = _next(numbers, known)  # the least version above everything that `1.2.x` stands for
    named = pre is not None
    match operator:
        case "^":
            return _Bound((first, 0), _ends(_next(numbers, _caret(numbers, known))), None, named)
        case "~":
            return _Bound((first, 0), _ends(_next(numbers, min(known, 2))), None, named)
        case "=":
            return _Bound((first, 0), _ends(after) if many else (first, 1), None, named)
        case "!=":
            return _Bound(hole=((*numbers, _FIRST), after or _TOP[0]) if many else (first, first))
        case ">=":
            return _Bound((first, 0), None, None, named)
        case ">":
            return _Bound((first, 1) if not many else _ends(after) or _TOP, None, None, named)
        case "<=":
            return _Bound(upper=_ends(after) if many else (first, 1), names_prerelease=named)
        case _:
            # Without a pre-release of its own, `<2` ends before 2.0.0-rc.1 too.
            return _Bound(upper=(first if named else (*numbers, _FIRST), 0), names_prerelease=named)


_TOP: tuple[Key, int] = ((10 ** (_DIGITS + 1), 0, 0, RELEASE), 0)


def _numbers(found: re.Match[str]) -> tuple[tuple[int, int, int], int]:
    """The three numbers, and how many of them were written before the first x or gap."""
    values: list[int] = []
    for name in ("major", "minor", "patch"):
        text = found[name]
        if text is None or text in "xX*":
            break
        values.append(int(text))
    known = len(values)
    values += [0] * (3 - known)
    return (values[0], values[1], values[2]), known


def _next(numbers: tuple[int, int, int], known: int) -> Key | None:
    """The first version after all that share the first `known` numbers; None: there is none."""
    major, minor, patch = numbers
    match known:
        case 0:
            return None
        case 1:
            return (major + 1, 0, 0, _FIRST)
        case 2:
            return (major, minor + 1, 0, _FIRST)
        case _:
            return (major, minor, patch + 1, _FIRST)


def _caret(numbers: tuple[int, int, int], known: int) -> int:
    """How many numbers `^` holds fast: up to the first that is not zero."""
    for count, number in enumerate(numbers[:known], start=1):
        if number:
            return count
    return known


def _ends(key: Key | None) -> tuple[Key, int] | None:
    return None if key is None else (key, 0)


def _intersect(bounds: list[_Bound]) -> _Span:
    uppers = [bound.upper for bound in bounds if bound.upper is not None]
    return _Span(
        lower=max(bound.lower for bound in bounds),
        upper=min(uppers) if uppers else None,
        without=tuple(bound.hole for bound in bounds if bound.hole is not None),
        prereleases=any(bound.names_prerelease for bound in bounds),
    )


def _prerelease(text: str) -> Prerelease:
    return 0, tuple(
        (0, int(part), "") if part.isdigit() and len(part) <= _DIGITS else (1, 0, part)
        for part in text.split(".")
    )
