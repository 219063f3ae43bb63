"""What running the command line in this process gives."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart"


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


Regsync = Callable[..., Ran]
