"""Colour for a terminal, or none of it."""

from dataclasses import dataclass

RED, GREEN, YELLOW, CYAN, BOLD, DIM = "31", "32", "33", "36", "1", "2"
BY_MARK = {"+": GREEN, "~": YELLOW, "-": RED, "=": DIM, "*": YELLOW, "!": RED, "?": CYAN, "x": RED}


@dataclass(frozen=True, slots=True)
class Style:
    """Wraps text in ANSI codes; PLAIN leaves it alone."""

    colours: bool

    def paint(self, text: str, code: str) -> str:
        """`text` in a colour or weight."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colours and text else text


PLAIN = Style(colours=False)
COLOUR = Style(colours=True)
