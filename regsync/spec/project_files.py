"""Which file is under which Project, and what kinds of documents may stand there."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from regsync.regular_file import STDIN
from regsync.spec.globs import matches_any
from regsync.spec.problems import Problems
from regsync.spec.projects import Project
from regsync.spec.reading import Document


@dataclass(slots=True)
class Ownership:
    """The Projects of a spec, and whose each file is: by its name, and by where its name leads."""

    projects: tuple[Project, ...]
    _owners: dict[Path, tuple[Project, ...]] = field(default_factory=dict)

    def of(self, file: Path) -> Project | None:
        """The Project of a file, or None."""
        return next(iter(self.all_of(file)), None)

    def all_of(self, file: Path) -> tuple[Project, ...]:
        """Every Project of a file; more than one is a problem."""
        if file not in self._owners:
            self._owners[file] = tuple(one for one in self.projects if _holds(one, file))
        return self._owners[file]


def _holds(project: Project, file: Path) -> bool:
    """Whether the file is the project's, or a link to one of its files, which says what the team wants."""
    pairs = (
        (os.path.abspath(file), str(project.directory)),
        (os.path.realpath(file), os.path.realpath(project.directory)),
    )
    return any(
        matches_any(project.files, Path(path).relative_to(above).as_posix()) is not None
        for path, above in pairs
        if Path(path).is_relative_to(above)
    )


def check_files(documents: Sequence[Document], ownership: Ownership, problems: Problems) -> None:
    """Every file is under one Project, with documents of the kinds it allows, or beside the Settings."""
    central = _central(documents, ownership)
    told: set[Path] = set()
    for document in documents:
        owners = ownership.all_of(document.file)
        if len(owners) == 1:
            _check_kind(document, owners[0], problems)
        elif document.file not in told and (owners or not _is_central(document.file, central)):
            told.add(document.file)
            problems.add(document.root.position, "", _objection(document, owners, ownership))


def _central(documents: Sequence[Document], ownership: Ownership) -> set[tuple[str, str]]:
    """Where the Settings are; those in a project's file are none."""
    return {
        _places(document.file)
        for document in documents
        if document.kind == "Settings" and ownership.of(document.file) is None
    }


def _is_central(file: Path, central: set[tuple[str, str]]) -> bool:
    return file != STDIN and _places(file) in central


def _places(file: Path) -> tuple[str, str]:
    return os.path.dirname(os.path.abspath(file)), os.path.dirname(os.path.realpath(file))


def _check_kind(document: Document, project: Project, problems: Problems) -> None:
    if document.kind not in project.kinds:
        spot = document.at("kind")
        message = f"{document.kind} in this file: Project {project.name} ({project.position}) allows kinds "
        problems.add(spot.position, spot.path, message + ", ".join(project.kinds))


def _objection(document: Document, owners: Sequence[Project], ownership: Ownership) -> str:
    if document.file == STDIN:
        return "where there is a Project, documents come from files, not from stdin: whose is this one?"
    if owners:
        return f"this file is under more than one Project: {_shown(owners)}"
    return (
        "this file is under no Project; where there is one, such a file may stand only in the directory of "
        f"the Settings. There is {_shown(ownership.projects)}"
    )


def _shown(projects: Sequence[Project]) -> str:
    return ", ".join(
        f"Project {one.name} ({one.position}) with files {', '.join(one.files)}" for one in projects
    )
