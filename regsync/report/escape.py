"""Text from registries and files made harmless for a terminal and for Markdown.

A tag, an annotation or an error body may hold escape sequences that move the cursor or recolour the
screen, characters that reverse the reading order, line breaks that forge a line of ours, or Markdown
and HTML that a pull request would render.
"""

import re

MAX_MESSAGE = 1_000  # characters of one message that are shown
_BACKTICKS = re.compile(r"`+")


def visible(text: str) -> str:
    r"""`text` on one line, with everything that does not print written as an escape: `\x1b`, `\u202e`."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escape(character) for character in text)


def message(text: str, limit: int = MAX_MESSAGE) -> str:
    """`visible`, and cut after `limit` characters with the count of what is left out."""
    if len(text) > limit:
        return f"{visible(text[:limit])}… ({len(text) - limit} more characters)"
    return visible(text)


def code_span(text: str) -> str:
    """A Markdown code span, also inside a table: nothing in it is a link, a mention, a tag or a column."""
    shown = message(text).replace("|", "\\|")
    longest = max((len(run) for run in _BACKTICKS.findall(shown)), default=0)
    fence = "`" * (longest + 1)
    padding = " " if shown.startswith("`") or shown.endswith("`") or not shown.strip() else ""
    return f"{fence}{padding}{shown}{padding}{fence}"


def html_text(text: str) -> str:
    """Text inside an HTML element of a Markdown document; `@` and `#` notify nobody."""
    shown = message(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return shown.replace("@", "@<!-- -->").replace("#", "#<!-- -->")


def _escape(character: str) -> str:
    match character:
        case "\n":
            return "\\n"
        case "\r":
            return "\\r"
        case "\t":
            return "\\t"
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
