"""Files to checked documents: which documents are ours, and what may be passed over."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from regsync.regular_file import STDIN, read_named
from regsync.spec.documents import API_VERSION, KINDS, Envelope
from regsync.spec.files import SourceFile, parent_directories, yaml_files
from regsync.spec.model import Position
from regsync.spec.nodes import Entries, Node, Spot, Step, locate
from regsync.spec.problems import Problems, SpecProblem, nearest
from regsync.spec.validation import is_marked, validate
from regsync.spec.yaml_source import MAX_DOCUMENTS, MAX_FILE_SIZE, read_documents

_OURS = re.compile(rb"regsync|^kind:\s*[\"']?(?:" + "|".join(KINDS).encode() + rb")\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Document:
    """One document that is ours. Without `model` it is broken, and only its name is known."""

    file: Path
    root: Entries
    model: Envelope | None
    dropped: frozenset[str] = frozenset()  # keys under `spec` that are wrong, and not in the model

    @property
    def kind(self) -> str:
        """Its kind, as written."""
        return self.root.text("kind") or ""

    @property
    def name(self) -> str | None:
        """`metadata.name`, as written."""
        metadata = self.root.entries.get("metadata")
        return metadata.text("name") if isinstance(metadata, Entries) else None

    @property
    def directory(self) -> Path:
        """What relative paths in it are relative to."""
        return self.file.parent

    def at(self, *path: Step) -> Spot:
        """Where a key's value stands."""
        return locate(self.root, path)

    def position(self, *path: Step) -> Position:
        """The same, without the path."""
        return self.at(*path).position


def read(files: Sequence[SourceFile], problems: Problems) -> list[Document]:
    """All documents of the files that are ours; what is wrong goes to `problems`."""
    documents: list[Document] = []
    for file in files:
        documents += _read_file(file, problems)
        if len(documents) > MAX_DOCUMENTS:
            problems.add(Position(str(file.path), 1, 1), "", f"more than {MAX_DOCUMENTS} documents in all")
            break
    return documents


def check_nothing_is_left_out(files: Sequence[SourceFile], problems: Problems) -> None:
    """A parent directory's defaults, Projects or policies that the paths leave out are an error.

    `sync teams/web` must not silently do without what teams/defaults.yaml says. What comes on stdin was
    put together by another tool, from the same files maybe: it is whole.
    """
    known = {file.absolute for file in files}
    for directory in parent_directories([file for file in files if file.path != STDIN]):
        for path in yaml_files(directory):
            if path in known:
                continue
            for document in _read_file(SourceFile(path, named=False), Problems()):
                if _applies_unnamed(document):
                    message = f"this {document.kind} applies to what was named, and is left out: name it too"
                    problems.add(document.root.position, "", message)


def _applies_unnamed(document: Document) -> bool:
    """Whether a document of a parent directory holds for what was named, without anything saying so.

    A policy does by its globs. One without, and a root, are missed by whatever names them.
    """
    if document.kind != "VerificationPolicy":
        return document.kind in ("MirrorDefaults", "Project")
    spec = document.root.entries.get("spec")
    return not isinstance(spec, Entries) or not spec.entries.keys().isdisjoint(("images", "targets"))


def _read_file(file: SourceFile, problems: Problems) -> list[Document]:
    shown = str(file.path)
    start = Position(shown, 1, 1)
    try:
        raw = read_named(file.path, MAX_FILE_SIZE + 1)
    except OSError as cause:
        problems.add(start, "", cause.strerror or "cannot be read")
        return []
    if not file.named and _OURS.search(raw) is None:
        return []  # Helm templates and the like need not even be YAML
    own = Problems()
    roots = read_documents(raw, shown, own)
    if file.named and not roots and not own.found:
        problems.add(start, "", "there is no document in this file")
    documents = [one for root in roots if (one := _document(file, root, own, problems)) is not None]
    # In a walked directory a file without a document of ours may be as broken as it likes.
    if file.named or documents or b"regsync.dev" in raw:
        problems.found += _without_foreign_keys(own, roots)
    return documents


def _without_foreign_keys(own: Problems, roots: Sequence[Node]) -> list[SpecProblem]:
    """The problems, with the keys of those documents alone that are marked as ours."""
    marked = [root for root in roots if isinstance(root, Entries) and is_marked(root)]
    lines = [range(root.position.line, root.last_line + 1) for root in marked]
    return [
        one
        if one.path in ("apiVersion", "kind") or any(one.position.line in span for span in lines)
        else replace(one, path="")
        for one in own.found
    ]


def _document(file: SourceFile, root: Node, own: Problems, problems: Problems) -> Document | None:
    if not isinstance(root, Entries):
        if file.named:
            problems.add(root.position, "", f"expected a document with apiVersion: {API_VERSION}, and kind")
        return None
    if not file.named and not _is_ours(root):
        _forget(own, root)
        return None
    checked = validate(root, own)
    return Document(file.path, root, checked.model, checked.dropped)


def _is_ours(root: Entries) -> bool:
    """Whether a document found in a directory is meant for us, also when it is slightly wrong."""
    version = root.text("apiVersion")
    if version is None:
        return "apiVersion" not in root.entries and root.text("kind") in KINDS
    return version.startswith("regsync.dev") or nearest(version, [API_VERSION]) is not None


def _forget(own: Problems, root: Entries) -> None:
    """Drop what was found wrong inside a document that is not ours."""
    first, last = root.position.line, root.last_line
    own.found = [problem for problem in own.found if not first <= problem.position.line <= last]
