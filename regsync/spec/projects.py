"""What the files of a team may do (DESIGN.md, section 3, `Project`)."""

from dataclasses import dataclass, field
from pathlib import Path

from regsync.spec.model import Position
from regsync.spec.pruning import PrunePolicy


@dataclass(frozen=True, slots=True)
class Project:
    """What may stand in the files of `files`; nothing in them can widen it."""

    name: str
    directory: Path  # what `files` are relative to; absolute
    files: tuple[str, ...]  # globs
    kinds: tuple[str, ...]
    sources: tuple[str, ...]  # globs over REGISTRY/REPOSITORY, groups expanded
    targets: tuple[str, ...]
    verify: tuple[str, ...] = ()  # policies that all its mirrors meet, whether they name them or not
    prune: PrunePolicy | None = None  # the most that may be deleted; None: nothing
    position: Position | None = field(default=None, compare=False)
