"""Reading the journal back: record by record, with what cannot be read told and not guessed at."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from regsync.content.durable import storage_errors
from regsync.store.journal import GAP, START, FileJournal, Position

Record = dict[str, object]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal. `record` is None where it says nothing that can be understood."""

    record: Record | None
    where: str  # file and offset, for people
    end: Position  # behind it


def segments(directory: Path) -> Sequence[int]:
    """The numbers of the journal's files, in order; empty without a journal."""
    with storage_errors(directory):
        names = [one.stem for one in directory.glob("*.jsonl")] if directory.is_dir() else []
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


def is_whole(directory: Path) -> bool:
    """Whether the journal goes back to the store's first day, without a file or a part missing."""
    numbers = segments(directory)
    if not numbers or numbers[0] != START.segment or len(numbers) != numbers[-1]:
        return False
    return not any(_begins_with_gap(FileJournal(directory).path(number)) for number in numbers)


def read(directory: Path, start: Position = START) -> Iterator[Entry]:
    """Every entry behind `start`; raises StorageError.

    A last line without its end was being written when the power went, and was never acknowledged: it
    is not given.
    """
    numbers = [number for number in segments(directory) if number >= start.segment]
    for number in numbers:
        path = FileJournal(directory).path(number)
        offset = start.length if number == start.segment else 0
        with storage_errors(path), path.open("rb") as file:
            file.seek(offset)
            for line in file:
                where = f"{path.name}, byte {offset}"
                offset += len(line)
                if not line.endswith(b"\n") and number == numbers[-1]:
                    return
                yield Entry(_record(line), where, Position(number, offset))


def _record(line: bytes) -> Record | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get("op"), str) else None


def _begins_with_gap(path: Path) -> bool:
    """A file that goes on where history is missing says so in its first line."""
    with storage_errors(path), path.open("rb") as file:
        return _record(file.readline()) == GAP
