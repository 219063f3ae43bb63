"""Regular expressions and version ranges of other tools in our terms."""

import re
from typing import Any

from regsync.oci.reference import InvalidReferenceError, Tag
from regsync.spec.regexes import InvalidRegexError, compile_regex
from regsync.spec.versions import InvalidRangeError, parse_range

_COMPARATOR = re.compile(r"(?P<op>[<>]=?|=[<>]|!=|==?|\^|~>?|)\s*(?P<version>v?[0-9xX*][0-9A-Za-z.*+-]*)")


def literal(regex: str) -> str | None:
    """The only text that a regex matches; None when it matches more or other."""
    glob = as_glob(regex)
    return glob if glob is not None and not any(character in glob for character in "*?[") else None


def as_glob(regex: str, *, crossing: str = "*") -> str | None:
    """A glob that matches exactly what the regex does; None where there is none.

    `crossing` is what `.*` becomes: `*` for tags, `**` for repositories, where it has to stand
    alone between slashes.
    """
    try:
        items = list(__import__("re._parser", fromlist=["parse"]).parse(anchored(regex)))
    except (re.error, OverflowError, RecursionError):
        return None
    glob = ""
    for operator, argument in items:
        piece = _piece(str(operator), argument, crossing)
        if piece is None:
            return None
        glob += piece
    return glob if _well_formed(glob) else None


def _piece(operator: str, argument: Any, crossing: str) -> str | None:
    match operator:
        case "LITERAL":
            character = chr(argument)
            return None if character in "*?[" else character
        case "ANY":
            return "?"
        case "MAX_REPEAT":
            low, _, body = argument
            unbounded = str(argument[1]) == "MAXREPEAT"
            if not unbounded or len(body) != 1 or str(body[0][0]) != "ANY" or low > 1:
                return None
            return crossing if low == 0 else ("?*" if crossing == "*" else crossing)
        case _:
            return None


def _well_formed(glob: str) -> bool:
    return all(part == "**" or "**" not in part for part in glob.split("/")) and bool(glob)


def anchored(regex: str) -> str:
    """A regex less the anchors at its ends, which ours has anyway."""
    regex = regex.removeprefix("^")
    if regex.endswith("$") and not regex.endswith("\\$"):
        regex = regex[:-1]
    return regex


def union(regexes: list[str]) -> str:
    """One regex for several."""
    if len(regexes) == 1:
        return anchored(regexes[0])
    return "|".join(f"(?:{anchored(one)})" for one in regexes)


def is_tag(text: str) -> bool:
    """Whether a text can be a tag at all."""
    try:
        Tag.parse(text)
    except InvalidReferenceError:
        return False
    return True


def usable(regex: str) -> str | None:
    """Why our engine does not take a regex; None when it does."""
    try:
        compile_regex(regex)
    except InvalidRegexError as cause:
        return str(cause)
    return None


def unusable_range(text: str) -> str | None:
    """Why a range cannot be read; None when it can."""
    try:
        parse_range(text)
    except InvalidRangeError as cause:
        return str(cause)
    return None


def padded(text: str) -> str:
    """Regclient's range: to it `~1` is `~1.0.0` and `^0` is `^0.0.0`; the rest reads alike."""

    def pad(found: re.Match[str]) -> str:
        version = found["version"]
        if found["op"] in ("^", "~") and re.fullmatch(r"v?[0-9]+(\.[0-9]+)?", version):
            version += ".0" * (2 - version.count("."))
        return found["op"] + version

    return _COMPARATOR.sub(pad, text)


def widened(text: str) -> str:
    """Masterminds' range (skopeo, Helm): to it `1.2` is every 1.2, `<=1.2` holds 1.2.9, `>1.2` does not."""
    if " - " in text:
        return text

    def widen(found: re.Match[str]) -> str:
        operator, version = found["op"], found["version"]
        if operator in ("", "=", "==", "!=", ">", "<=", "=<") and re.fullmatch(
            r"v?[0-9]+(\.[0-9]+)?", version
        ):
            version += ".x"
        return operator + version

    return _COMPARATOR.sub(widen, text)
