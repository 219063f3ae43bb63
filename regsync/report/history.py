"""Earlier runs, as `regsync history` lists them."""

from collections.abc import Iterator, Sequence

from regsync.plan.codec import summary_to_json
from regsync.plan.document import API_VERSION, encode, timestamp
from regsync.plan.record import Record
from regsync.report.entries import summary_sentence
from regsync.report.escape import message, visible
from regsync.report.style import PLAIN, RED, Style
from regsync.report.units import human_bytes, human_seconds

_SHOWN_MIRRORS = 3
_HEAD = ("RUN", "STARTED (UTC)", "TOOK", "COMMAND", "MIRRORS", "OUTCOME")


def text(records: Sequence[Record], style: Style = PLAIN) -> Iterator[str]:
    """A table, the newest run first."""
    if not records:
        yield "no runs\n"
        return
    rows = [_HEAD, *(_row(record) for record in records)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD) - 1)]
    for number, row in enumerate(rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        bad = number > 0 and records[number - 1].exit_code != 0
        yield "  ".join([*cells, style.paint(row[-1], RED) if bad else row[-1]]) + "\n"


def json(records: Sequence[Record]) -> Iterator[str]:
    """The same as JSON."""
    return encode({"apiVersion": API_VERSION, "kind": "RunHistory", "runs": map(_document, records)})


def _row(record: Record) -> tuple[str, ...]:
    return (
        visible(record.id),
        f"{record.started:%Y-%m-%d %H:%M:%S}",
        human_seconds((record.ended - record.started).total_seconds()),
        visible(record.command),
        _mirrors(record),
        _outcome(record),
    )


def _outcome(record: Record) -> str:
    copied = f", {human_bytes(record.copied)} copied" if record.copied else ""
    return f"{record.outcome}: {summary_sentence(record.summary)}{copied}"


def _mirrors(record: Record) -> str:
    shown = record.mirrors[:_SHOWN_MIRRORS]
    more = len(record.mirrors) + record.more_mirrors - len(shown)
    return message(", ".join(shown) + (f" and {more} more" if more else "")) or "-"


def _document(record: Record) -> dict[str, object]:
    return {
        "id": record.id,
        "command": record.command,
        "started": timestamp(record.started),
        "ended": timestamp(record.ended),
        "mirrors": list(record.mirrors),
        "moreMirrors": record.more_mirrors,
        "outcome": record.outcome,
        "exitCode": record.exit_code,
        "summary": summary_to_json(record.summary) | {"bytes": record.copied},
    }
