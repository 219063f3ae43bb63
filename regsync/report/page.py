"""One self-contained HTML page: no script, nothing loaded from anywhere, and a policy that says so.

Whatever comes from outside is text in an element, never part of a tag's name, an attribute or the style.
"""

import hashlib
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from regsync.report.escape import MAX_MESSAGE, message

OPEN_UP_TO = 300  # rows of the whole page; what is longer begins folded
CHUNK = 500  # rows that are folded together

Title = Callable[[int, int], str]  # of rows from a number to another, both counted from 1

STYLE = """
:root{color-scheme:light dark;--line:#8886;--good:#2a8a3e;--warn:#b36b00;--bad:#c62828;--dim:#888}
body{font:15px/1.45 system-ui,sans-serif;max-width:110rem;margin:1.5rem auto;padding:0 1rem}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:1.8rem}
table{border-collapse:collapse;margin:.5rem 0}
th,td{border:1px solid var(--line);padding:.2rem .55rem;text-align:left;vertical-align:top}
th{font-weight:600}tbody th{font-family:ui-monospace,monospace;font-weight:400;overflow-wrap:anywhere}
code{font-family:ui-monospace,monospace;overflow-wrap:anywhere}
details{margin:.3rem 0}summary{cursor:pointer}details details{margin-left:1rem}
.n{text-align:right;font-variant-numeric:tabular-nums}
.s{overflow-x:auto}
.good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad)}.dim{color:var(--dim)}
li{margin:.3rem 0}
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """What a matrix says of one tag at one place."""

    word: str
    colour: str  # a class of STYLE
    detail: str = ""
    problem: int | None = None  # the number of what is told of it elsewhere on the page


@dataclass(frozen=True, slots=True)
class Line:
    """One tag with its places, by the names of the matrix's columns."""

    name: str
    cells: Mapping[str, Cell]
    notes: tuple[str, ...] = ()  # as many as the matrix has further columns


@dataclass(frozen=True, slots=True)
class Matrix:
    """Tags and places of one mirror and source."""

    title: str
    places: tuple[str, ...]
    lines: Sequence[Line]
    further: tuple[str, ...] = ()  # names of columns behind the places
    absent: str = ""  # what an empty cell means


def escaped(text: str, limit: int = MAX_MESSAGE) -> str:
    """Text for an element: on one line, what does not print written as an escape, nothing that is HTML."""
    shown = message(text, limit).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return shown.replace('"', "&quot;").replace("'", "&#39;")


def document(title: str, body: Iterable[str]) -> Iterator[str]:
    """The page around its body."""
    digest = b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
    yield '<meta name="referrer" content="no-referrer">\n'
    yield '<meta name="viewport" content="width=device-width">\n'
    yield f"<title>{escaped(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
    yield f"<h1>{escaped(title)}</h1>\n"
    yield from body
    yield "</body>\n</html>\n"


def figures(pairs: Sequence[tuple[str, str]]) -> str:
    """A table of one row: names above values."""
    head = "".join(f"<th>{escaped(name)}</th>" for name, _ in pairs)
    row = "".join(f'<td class="n">{escaped(value)}</td>' for _, value in pairs)
    return f"<table><thead><tr>{head}</tr></thead><tbody><tr>{row}</tr></tbody></table>\n"


def folded(title: str, body: Iterable[str], *, is_open: bool) -> Iterator[str]:
    """A part of the page that can be closed; `title` is text."""
    yield f"<details{' open' if is_open else ''}><summary>{escaped(title)}</summary>\n"
    yield from body
    yield "</details>\n"


def listed(title: str, items: Sequence[str]) -> Iterator[str]:
    """A heading and a list; `items` are HTML already. Nothing where there is none."""
    if not items:
        return
    yield f"<h2>{escaped(title)}</h2>\n<ul>\n"
    yield from (f"<li>{item}</li>\n" for item in items)
    yield "</ul>\n"


def matrices(found: Iterable[Matrix], rows: int) -> Iterator[str]:
    """Every matrix, folded where the page would be long; `rows` are those of all of them."""
    for matrix in found:
        yield from folded(matrix.title, _rows(matrix), is_open=rows <= OPEN_UP_TO)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table of text, folded by CHUNK rows where there are more."""
    lines = ("".join(f"<td>{escaped(cell)}</td>" for cell in row) for row in rows)
    heading = "".join(f"<th>{escaped(name)}</th>" for name in head)
    yield from _chunked(heading, lines, lambda first, last: f"{first} to {last}")


def _rows(matrix: Matrix) -> Iterator[str]:
    names = ("tag", *matrix.places, *matrix.further)
    heading = "".join(f"<th>{escaped(name)}</th>" for name in names)
    lines = (_row(line, matrix) for line in matrix.lines)

    def title(first: int, last: int) -> str:
        return f"{matrix.lines[first - 1].name} … {matrix.lines[last - 1].name}"

    yield from _chunked(heading, lines, title, total=len(matrix.lines))


def _chunked(heading: str, lines: Iterator[str], title: Title, *, total: int | None = None) -> Iterator[str]:
    """Rows in one table, or in one for each CHUNK of them, which is folded."""
    opening = f'<div class="s"><table><thead><tr>{heading}</tr></thead><tbody>\n'
    done = 0
    while chunk := list(islice(lines, CHUNK)):
        last = done + len(chunk)
        is_only = done == 0 and (total == last if total is not None else len(chunk) < CHUNK)
        if not is_only:
            yield f"<details><summary>{escaped(title(done + 1, last))}</summary>\n"
        yield opening
        yield from (f"<tr>{line}</tr>\n" for line in chunk)
        yield "</tbody></table></div>\n"
        yield "" if is_only else "</details>\n"
        done = last


def _row(line: Line, matrix: Matrix) -> str:
    cells = "".join(_cell(line.cells.get(place), matrix.absent) for place in matrix.places)
    notes = "".join(f"<td>{escaped(note)}</td>" for note in line.notes)
    return f"<th>{escaped(line.name)}</th>{cells}{notes}"


def _cell(cell: Cell | None, absent: str) -> str:
    if cell is None:
        return f'<td class="dim">{escaped(absent)}</td>'
    word = f'<span class="{cell.colour}">{escaped(cell.word)}</span>'
    if cell.problem is not None:
        word = f'<a href="#p{cell.problem}">{word}</a>'
    detail = f" <code>{escaped(cell.detail)}</code>" if cell.detail else ""
    return f"<td>{word}{detail}</td>"
