"""`Mirror.history`: the tag under which a moved tag's former image stays, for `rollback`."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from regsync.errors import RegsyncError, SpecError
from regsync.oci.digest import Digest
from regsync.oci.reference import InvalidReferenceError, Tag

DEFAULT_TEMPLATE = "{tag}-{date}-{digest:12}"
DEFAULT_KEEP = 10  # former images per tag
MAX_LENGTH = 200  # characters of a template

_FIELD = re.compile(r"\{([a-z]*)(?::([0-9]{1,3}))?\}")
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


@lru_cache(maxsize=256)
def history_pieces(template: str) -> tuple[tuple[str, str, int], ...]:
    """Fixed text, then the field behind it (or "") with the length of a digest; raises InvalidHistoryError.

    `{tag}` and `{digest}` have to be in it: without the one two tags, without the other two moves of one day
    would fight for one name.
    """
    if len(template) > MAX_LENGTH:
        raise InvalidHistoryError(template, f"longer than {MAX_LENGTH} characters")
    pieces: list[tuple[str, str, int]] = []
    position = 0
    for found in _FIELD.finditer(template):
        name, length = found.groups()
        if name not in _FIELDS:
            raise InvalidHistoryError(template, f"{{{name}}} is not one of {{tag}} {{date}} {{digest:12}}")
        if length is not None and name != "digest":
            raise InvalidHistoryError(template, f"only {{digest}} takes a length, not {{{name}}}")
        if length is not None and not 4 <= int(length) <= 64:
            raise InvalidHistoryError(template, "the length of {digest} is from 4 to 64 characters")
        pieces.append((template[position : found.start()], name, int(length or 64)))
        position = found.end()
    pieces.append((template[position:], "", 0))
    if any("{" in before or "}" in before for before, _, _ in pieces):
        raise InvalidHistoryError(template, "a brace stands alone")
    for wanted in ("tag", "digest"):
        if wanted not in {name for _, name, _ in pieces}:
            raise InvalidHistoryError(
                template, f"{{{wanted}}} has to be in it, so that names are not used twice"
            )
    return tuple(pieces)
