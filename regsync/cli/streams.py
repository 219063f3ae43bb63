"""stdout, which is the answer, and stderr, which is the story."""

import os
import sys
from collections.abc import Iterable
from typing import TextIO

from regsync.errors import RegsyncError


class UnwritableOutputError(RegsyncError):
    """stdout takes no more: the disk behind it is full, for one."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(f"stdout cannot be written: {cause.strerror or cause}")


def prepare() -> None:
    """Make both streams take any text: what their encoding lacks is written as an escape."""
    # A stream that was closed before the start (`>&-`) is None.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - open to the end
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def answer(pieces: Iterable[str]) -> None:
    """Write the answer to stdout. A reader that has gone away (`| head`) has seen enough: no error.

    Raises UnwritableOutputError.
    """
    try:
        for piece in pieces:
            sys.stdout.write(piece)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence(sys.stdout)
    except OSError as cause:
        _silence(sys.stdout)
        raise UnwritableOutputError(cause) from cause


def tell(text: str) -> None:
    """Write a part of the story to stderr. A run goes on without its story, whatever befalls that."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        _silence(sys.stderr)


def wants_colour(stream: TextIO, *, forbidden: bool) -> bool:
    """Whether to colour `stream`: a terminal, unless `--no-color`, NO_COLOR or TERM=dumb say no."""
    if forbidden or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


def _silence(stream: TextIO) -> None:
    # The interpreter flushes at exit; into a closed pipe that would be an error message of its own.
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, stream.fileno())
    os.close(devnull)
