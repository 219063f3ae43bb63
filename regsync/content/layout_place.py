"""A directory of OCI layouts as a place: each repository is a sub-directory."""

import os
from collections.abc import Iterator
from pathlib import Path

from regsync.content.errors import ContentError
from regsync.content.layout import LayoutRepository
from regsync.content.layout_files import MARKER_FILE, RESERVED
from regsync.oci.reference import InvalidReferenceError, RepositoryName

MAX_DEPTH = 16  # directories
MAX_LAYOUTS = 100_000


class LayoutNameError(ContentError):
    """A repository whose directory would be a file of the layout above it."""

    def __init__(self, name: str, part: str, *, where: str) -> None:
        super().__init__(
            f"{where}: repository {name} cannot be a directory of layouts here: {part!r} is the name of a "
            "layout's own file; rename it on this target"
        )


def layouts(root: Path) -> Iterator[RepositoryName]:
    """The repositories below `root`, sorted, symbolic links not followed. Blocking."""
    found = _layouts(root, ())
    for count, name in enumerate(sorted(found)):
        if count >= MAX_LAYOUTS:
            return
        yield name


def _layouts(directory: Path, parts: tuple[str, ...]) -> Iterator[RepositoryName]:
    try:
        with os.scandir(directory) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return
    for name in names:
        below = (*parts, name)
        if name in RESERVED:
            continue
        try:
            repository = RepositoryName.parse("/".join(below))
        except InvalidReferenceError:
            continue
        if (directory / name / MARKER_FILE).is_file():
            yield repository
        if len(below) < MAX_DEPTH:
            yield from _layouts(directory / name, below)


class LayoutPlace:
    """The layouts below `path`, each one object for as long as this is."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._repositories: dict[str, LayoutRepository] = {}

    def repository(self, name: RepositoryName) -> LayoutRepository:
        """The layout in the sub-directory `name`; raises LayoutNameError."""
        for part in name.split("/"):
            if part in RESERVED:
                raise LayoutNameError(name, part, where=str(self.path))
        if name not in self._repositories:
            self._repositories[name] = LayoutRepository(self.path / name)
        return self._repositories[name]

    def repositories(self) -> Iterator[RepositoryName]:
        """The repositories that are there, sorted. Blocking."""
        return layouts(self.path)
