"""How far `check --deep` has come, in a file of lines: after kill -9 the next run goes on behind it.

The first line says when the pass began and by what it samples; each other one names a blob that was read.
Losing the file costs reading again, nothing else.
"""

import json
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from regsync.clock import Clock
from regsync.errors import RegsyncError
from regsync.oci.digest import Digest
from regsync.reconcile.ledger import Spot

GOES_ON_FOR = timedelta(days=7)  # after its beginning a pass is over, finished or not
MAX_SIZE = 512 * 1024 * 1024  # bytes; three million blobs
FORM = 1


class UnwritableProgressError(RegsyncError):
    """Where `check --deep` has come to cannot be written down."""

    def __init__(self, path: Path, cause: OSError) -> None:
        super().__init__(f"{path}: cannot be written: {cause.strerror or cause}")

    @property
    def hint(self) -> str:
        """What to do next."""
        return "name a ledger in a directory that can be written (`--state`), or run without `--deep`"


class Progress:
    """The blobs that this pass has read. One process at a time uses a file; a second one only reads twice."""

    def __init__(self, path: Path, stream: TextIO, seed: str, done: set[tuple[str, str, str]]) -> None:
        self._path, self._stream, self.seed, self._done = path, stream, seed, done

    @classmethod
    def open(cls, path: Path, clock: Clock) -> Self:
        """Go on where the last pass stopped, or begin one. Raises UnwritableProgressError."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            seed, done = _read(path, clock.now())
            if seed is not None:
                # A line that a kill cut short stays behind as one that says nothing.
                stream = path.open("a", encoding="utf-8")
                stream.write("\n")
                return cls(path, stream, seed, done)
            seed = clock.new_id()
            stream = path.open("w", encoding="utf-8")
            head = {"form": FORM, "began": clock.now().isoformat(), "seed": seed}
            stream.write(json.dumps(head) + "\n")
            stream.flush()
        except OSError as cause:
            raise UnwritableProgressError(path, cause) from cause
        return cls(path, stream, seed, set())

    def is_done(self, spot: Spot, digest: Digest) -> bool:
        """Whether this pass has read it, and found it well."""
        return (spot.place, spot.repository, str(digest)) in self._done

    def note(self, spot: Spot, digest: Digest) -> None:
        """It was read and is well. Raises UnwritableProgressError."""
        line = (spot.place, spot.repository, str(digest))
        try:
            self._stream.write(json.dumps(line) + "\n")
            self._stream.flush()
        except OSError as cause:
            raise UnwritableProgressError(self._path, cause) from cause

    def finish(self) -> None:
        """The pass is over: the next one begins anew."""
        self._stream.close()
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()  # the file stays for the run that goes on


def _read(path: Path, now: datetime) -> tuple[str | None, set[tuple[str, str, str]]]:
    """The seed of the pass that goes on, None where there is none, and what it has read."""
    done: set[tuple[str, str, str]] = set()
    if not path.is_file() or path.stat().st_size > MAX_SIZE:
        return None, done
    with path.open(encoding="utf-8", errors="replace") as lines:
        seed = _seed(lines.readline(), now)
        if seed is None:
            return None, done
        for line in lines:
            try:
                place, repository, digest = json.loads(line)
            except (ValueError, TypeError, RecursionError):
                continue
            done.add((str(place), str(repository), str(digest)))
    return seed, done


def _seed(line: str, now: datetime) -> str | None:
    try:
        head = json.loads(line)
        began, seed = datetime.fromisoformat(head["began"]), head["seed"]
        goes_on = head["form"] == FORM and timedelta(0) <= now - began < GOES_ON_FOR
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return seed if goes_on and isinstance(seed, str) else None
