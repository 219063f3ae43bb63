"""Templates of tags: text with fields in braces, as `rename` and `history` have them."""

import re
from collections.abc import Sequence

MAX_LENGTH = 200  # characters of a template

_FIELD = re.compile(r"\{([a-z]*)(?::([0-9]{1,3}))?\}")
_IN_TAGS = re.compile(r"[a-zA-Z0-9_.-]*")

Pieces = tuple[tuple[str, str, int], ...]  # text before, field (or ""), characters of a digest


def read_pieces(text: str, known: Sequence[str]) -> Pieces:
    """Fixed text and fields in turn; raises ValueError with what is wrong."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"longer than {MAX_LENGTH} characters")
    pieces: list[tuple[str, str, int]] = []
    position = 0
    for found in _FIELD.finditer(text):
        name, length = found.groups()
        if name not in known:
            raise ValueError(f"{{{name}}} is not one of {' '.join(f'{{{one}}}' for one in known)}")
        if length is not None and name != "digest":
            raise ValueError(f"only {{digest}} takes a length, not {{{name}}}")
        if length is not None and not 4 <= int(length) <= 64:
            raise ValueError("the length of {digest} is from 4 to 64 characters")
        pieces.append((text[position : found.start()], name, int(length or 64)))
        position = found.end()
    pieces.append((text[position:], "", 0))
    if any("{" in before or "}" in before for before, _, _ in pieces):
        raise ValueError("a brace stands alone")
    if any(_IN_TAGS.fullmatch(before) is None for before, _, _ in pieces):
        raise ValueError("tags are made of letters, digits and _ . -")
    return tuple(pieces)
