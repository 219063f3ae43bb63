"""Globs over tags, repositories and label values (DESIGN.md, section 3, "Selection").

`*` and `?` stop at `/`, a part `**` stands for any number of parts, also none, `[…]` is a class, the
whole string has to match, and case counts. They compile to regular expressions that cannot
backtrack beyond part boundaries, so a hostile pattern costs no more than a kind one.
"""

import re
from functools import lru_cache

from regsync.errors import SpecError

WILDCARDS = "*?["
MAX_LENGTH = 500  # characters
MAX_CROSSING = 4  # `**` in one glob; each multiplies the ways to part a string


class InvalidGlobError(SpecError, ValueError):
    """The text is no glob."""

    def __init__(self, glob: str, cause: str) -> None:
        super().__init__(f"invalid glob {glob[:80]!r}: {cause}")


def is_glob(text: str) -> bool:
    """Whether `text` has a wildcard; without one it is a name."""
    return any(character in text for character in WILDCARDS)


@lru_cache(maxsize=4096)
def compile_glob(glob: str) -> re.Pattern[str]:
    """The pattern to call `fullmatch` on; raises InvalidGlobError."""
    if not glob:
        raise InvalidGlobError(glob, "it is empty")
    if len(glob) > MAX_LENGTH:
        raise InvalidGlobError(glob, f"longer than {MAX_LENGTH} characters")
    parts = _parts(glob)
    if parts.count("**") > MAX_CROSSING:
        raise InvalidGlobError(glob, f"more than {MAX_CROSSING} times '**'")
    return re.compile(_join([part if part == "**" else _part(glob, part) for part in parts]), re.DOTALL)


def matches(glob: str, text: str) -> bool:
    """Whether the whole of `text` matches; raises InvalidGlobError."""
    return compile_glob(glob).fullmatch(text) is not None


def matches_any(globs: tuple[str, ...], text: str) -> str | None:
    """The first of `globs` that `text` matches."""
    return next((glob for glob in globs if matches(glob, text)), None)


def _parts(glob: str) -> list[str]:
    """Split at `/`, and let a run of `**` parts be one."""
    parts: list[str] = []
    for part in glob.split("/"):
        if part == "**" and parts and parts[-1] == "**":
            continue
        parts.append(part)
    return parts


def _join(parts: list[str]) -> str:
    """Join part patterns by `/`; a `**` takes the slash beside it along, since it may be nothing."""
    if parts == ["**"]:
        return ".*"
    pattern = ""
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if part != "**":
            pattern += part if last or parts[number + 1 :] == ["**"] else f"{part}/"
        elif last:
            pattern += "(?:/.*)?"
        else:
            pattern += "(?:[^/]*/)*"
    return pattern


def _part(glob: str, part: str) -> str:
    """One part. `*` with the fixed text behind it is atomic: its first place is as good as any other."""
    pattern, position, open_star = "", 0, False
    while position < len(part):
        character = part[position]
        if character == "*":
            if part[position : position + 2] == "**":
                raise InvalidGlobError(glob, "'**' stands alone between slashes")
            pattern += ")" if open_star else ""
            pattern += "(?>[^/]*?"
            open_star = True
            position += 1
            continue
        atom, position = _atom(glob, part, position)
        pattern += atom
    if not open_star:
        return pattern
    # The last star takes what is left: text behind it has to stand at the end of the part.
    head, _, tail = pattern.rpartition("(?>[^/]*?")
    return f"{head}[^/]*{tail}"


def _atom(glob: str, part: str, position: int) -> tuple[str, int]:
    character = part[position]
    if character == "?":
        return "[^/]", position + 1
    if character != "[":
        return re.escape(character), position + 1
    start = position + 1
    negated = part[start : start + 1] in ("!", "^")
    start += negated
    end = part.find("]", start + 1)  # a `]` at the start is a member
    if end < 0:
        raise InvalidGlobError(glob, "a '[' is not closed")
    members = part[start:end]
    escaped = re.sub(r"([\\\[\]^&~|])", r"\\\1", members)
    pattern = f"[^/{escaped}]" if negated else f"(?!/)[{escaped}]"
    try:
        re.compile(pattern)
    except re.error as cause:
        raise InvalidGlobError(glob, f"the class '[{members}]': {cause.msg}") from cause
    return pattern, end + 1
