"""`Mirror.history`: the tag under which a moved tag's former image stays, for `rollback`."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from regsync.errors import RegsyncError, SpecError
from regsync.oci.digest import Digest
from regsync.oci.reference import InvalidReferenceError, Tag
from regsync.spec.tag_templates import Pieces, read_pieces

DEFAULT_TEMPLATE = "{tag}-{date}-{digest:12}"
DEFAULT_KEEP = 10  # former images per tag
_FIELDS = ("tag", "date", "digest")


class InvalidHistoryError(SpecError, ValueError):
    """The text is no template for tags of former images."""

    def __init__(self, template: str, cause: str) -> None:
        super().__init__(f"invalid history tag {template[:80]!r}: {cause}")


class HistoryTagError(RegsyncError):
    """A former image cannot be kept: the template, filled, is no tag."""

    def __init__(self, template: str, tag: Tag, cause: str) -> None:
        super().__init__(f"history of tag {tag}, as {template!r}: {cause}")

    @property
    def hint(self) -> str | None:
        """What to do next."""
        return "a tag has at most 128 characters: shorten history.tag"


@dataclass(frozen=True, slots=True)
class History:
    """Under which tag a former image is kept, and how many of them per tag."""

    tag: str = DEFAULT_TEMPLATE
    keep: int = DEFAULT_KEEP

    def __str__(self) -> str:
        return f"{self.tag}, {self.keep} per tag"

    def name(self, tag: Tag, digest: Digest, moved: datetime) -> Tag:
        """The tag for what `tag` pointed to until `moved` (aware); raises HistoryTagError."""
        text = ""
        for before, field, length in history_pieces(self.tag):
            text += before
            match field:
                case "tag":
                    text += tag
                case "date":
                    text += moved.astimezone(UTC).strftime("%Y%m%d")
                case "digest":
                    text += digest.short(length)
        try:
            return Tag.parse(text)
        except InvalidReferenceError as cause:
            raise HistoryTagError(self.tag, tag, str(cause)) from cause

    def former(self, name: Tag, digest: Digest | None) -> "Former | None":
        """What a tag that points to `digest` keeps, if its name is one of this template; None: not known."""
        found = _pattern(self.tag).fullmatch(name)
        if found is None:
            return None
        if digest is not None and not digest.encoded.startswith(found["digest"]):
            return None
        return Former(Tag(found["tag"]), found.groupdict().get("date", ""))


@dataclass(frozen=True, slots=True)
class Former:
    """What the name of a former image says: the tag that pointed to it, and until when."""

    tag: Tag
    date: str  # YYYYMMDD, UTC; empty where the template has none


@lru_cache(maxsize=256)
def _pattern(template: str) -> re.Pattern[str]:
    """What the names of former images look like; a field that stands there twice has to be the same twice."""
    shapes = {"tag": r"[\w.-]+", "date": "[0-9]{8}"}
    pattern, seen = "", set[str]()
    for before, name, length in history_pieces(template):
        pattern += re.escape(before)
        if name and name not in seen:
            shape = shapes.get(name, f"[0-9a-f]{{{length}}}")
            pattern += f"(?P<{name}>{shape})"
        elif name:
            pattern += f"(?P={name})" if name != "digest" else f"[0-9a-f]{{{length}}}"
        seen.add(name)
    return re.compile(pattern, re.ASCII)


@lru_cache(maxsize=256)
def history_pieces(template: str) -> Pieces:
    """Fixed text and fields in turn; raises InvalidHistoryError.

    `{tag}` and `{digest}` have to be in it: without the one two tags, without the other two moves of one day
    would fight for one name.
    """
    try:
        pieces = read_pieces(template, _FIELDS)
    except ValueError as cause:
        raise InvalidHistoryError(template, str(cause)) from cause
    for wanted in ("tag", "digest"):
        if wanted not in {name for _, name, _ in pieces}:
            raise InvalidHistoryError(
                template, f"{{{wanted}}} has to be in it, so that no name is used for two images"
            )
    return pieces
