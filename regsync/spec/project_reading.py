"""Project documents to what they mean."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from regsync.oci.reference import is_host
from regsync.spec.globs import is_glob
from regsync.spec.nodes import Spot
from regsync.spec.place_globs import read_place_glob
from regsync.spec.problems import Problems
from regsync.spec.project_keys import ProjectDocument
from regsync.spec.projects import Project
from regsync.spec.pruning_keys import prune_policy
from regsync.spec.reading import Document
from regsync.spec.registries import Registries, refuse_repeated_names


def read_projects(
    documents: Sequence[Document], registries: Registries, problems: Problems
) -> tuple[Project, ...]:
    """Every Project, by name; none where one is broken, so that what may be is not known."""
    before = len(problems.found)
    own = refuse_repeated_names([one for one in documents if one.kind == "Project"], problems)
    found = [
        _project(document, document.model, registries, problems)
        for document in own
        if isinstance(document.model, ProjectDocument) and not document.dropped
    ]
    if len(found) < len(own) or len(problems.found) > before:
        return ()
    return tuple(sorted(found, key=lambda project: project.name))


def _project(
    document: Document, model: ProjectDocument, registries: Registries, problems: Problems
) -> Project:
    keys = model.spec

    def globs(key: str, written: Sequence[str] | None) -> tuple[str, ...]:
        return tuple(dict.fromkeys(_place_globs(document, key, written or (), registries, problems)))

    return Project(
        name=model.metadata.name,
        directory=Path(os.path.abspath(document.directory)),
        files=tuple(keys.files),
        kinds=tuple(dict.fromkeys(keys.kinds)),
        sources=globs("sources", keys.sources),
        targets=globs("targets", keys.targets),
        verify=tuple(dict.fromkeys(keys.verify or ())),
        prune=prune_policy(keys.prune),
        position=document.root.position,
    )


def _place_globs(
    document: Document, key: str, written: Sequence[str], registries: Registries, problems: Problems
) -> Iterator[str]:
    for number, text in enumerate(written):
        spot = document.at("spec", key, number)
        if not _is_of_a_host(text, spot, problems):
            yield from read_place_glob(text, spot, registries, problems)


def _is_of_a_host(text: str, spot: Spot, problems: Problems) -> bool:
    first = text.rpartition("://")[2].partition("/")[0]
    if is_glob(first) or not is_host(first) or "@" in text:
        return False
    message = "name a Registry, since full references are refused in the files of a Project"
    problems.add(spot.position, spot.path, message)
    return True
