"""`rename`: the tag under which a selected tag stands on the targets (DESIGN.md, section 3)."""

from dataclasses import dataclass
from datetime import UTC
from functools import lru_cache

from regsync.errors import RegsyncError, SpecError
from regsync.oci.reference import InvalidReferenceError, Tag
from regsync.spec.facts import TagFacts
from regsync.spec.tag_templates import Pieces, read_pieces
from regsync.spec.versions import Version

IDENTITY = "{tag}"
PLACEHOLDERS = ("tag", "major", "minor", "patch", "digest", "date")
_VERSION_PARTS = frozenset({"major", "minor", "patch"})


class InvalidRenameError(SpecError, ValueError):
    """The text is no template for tags."""

    def __init__(self, template: str, cause: str) -> None:
        super().__init__(f"invalid rename {template[:80]!r}: {cause}")


class RenameFailedError(RegsyncError):
    """A template cannot be filled for a tag, or the result is no tag."""

    def __init__(self, template: str, tag: Tag, cause: str) -> None:
        super().__init__(f"rename {template!r} of tag {tag}: {cause}")


@dataclass(frozen=True, slots=True)
class Template:
    """A template, read: fixed text and fields in turn."""

    text: str
    pieces: Pieces

    @property
    def is_identity(self) -> bool:
        """Whether tags keep their names."""
        return self.text == IDENTITY

    @property
    def fields(self) -> frozenset[str]:
        """The fields that stand in it."""
        return frozenset(name for _, name, _ in self.pieces if name)

    @property
    def needs_facts(self) -> bool:
        """Whether it speaks of content."""
        return not self.fields.isdisjoint({"digest", "date"})

    @property
    def needs_version(self) -> bool:
        """Whether only versions can be renamed by it."""
        return not self.fields.isdisjoint(_VERSION_PARTS)

    def fill(self, tag: Tag, version: Version | None, facts: TagFacts | None) -> Tag:
        """The new name; raises RenameFailedError."""
        if self.is_identity:
            return tag
        result = ""
        for before, name, length in self.pieces:
            result += before + self._value(name, length, tag, version, facts)
        try:
            return Tag.parse(result)
        except InvalidReferenceError as cause:
            raise RenameFailedError(self.text, tag, str(cause)) from cause

    def _value(
        self, name: str, length: int, tag: Tag, version: Version | None, facts: TagFacts | None
    ) -> str:
        match name:
            case "":
                return ""
            case "tag":
                return tag
            case "digest" | "date" if facts is None:
                raise RenameFailedError(self.text, tag, "what it holds is not known")
            case "digest" if facts is not None:
                return facts.digest.short(length)
            case "date" if facts is not None:
                return facts.first_seen.astimezone(UTC).strftime("%Y%m%d")
            case _ if version is None:
                raise RenameFailedError(self.text, tag, f"{{{name}}} needs a version and it is none")
            case _:
                return str(getattr(version, name))


@lru_cache(maxsize=256)
def parse_template(text: str) -> Template:
    """Read a template; raises InvalidRenameError."""
    try:
        return Template(text, read_pieces(text, PLACEHOLDERS))
    except ValueError as cause:
        raise InvalidRenameError(text, str(cause)) from cause
