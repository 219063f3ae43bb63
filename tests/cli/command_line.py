"""What running the command line in this process gives."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart"


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


class Stdin:
    """What `sys.stdin` is when these bytes are piped into the command."""

    def __init__(self, raw: bytes) -> None:
        self.buffer = io.BytesIO(raw)


Regsync = Callable[..., Ran]
