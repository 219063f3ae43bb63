"""YAML text to nodes: bounded, positioned, and by the YAML 1.2 core schema.

PyYAML supplies the events; what they amount to is decided here, since its own construction reads
YAML 1.1 (`on` as true, `012` as ten, dates) and forgets what was written. Refused are duplicate
keys, merge keys, tags other than `!!str`, keys that are no text, and documents that grow beyond a
bound when their aliases are followed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import yaml

from regsync.spec.model import Position
from regsync.spec.nodes import Entries, Items, Node, Scalar
from regsync.spec.problems import Problems

if TYPE_CHECKING:
    from yaml.events import Event

MAX_FILE_SIZE = 4 * 1024 * 1024  # bytes
MAX_DEPTH = 64  # levels
MAX_NODES = 1_000_000  # in one document, aliases followed
MAX_DOCUMENTS = 10_000  # in one file, and in all files of a spec

_STR_TAG = "tag:yaml.org,2002:str"
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Dialect(Enum):
    """How much of YAML is taken."""

    STRICT = "strict"  # a spec
    LENIENT = "lenient"  # other tools' files: merge keys, tags, and the last of duplicate keys


def read_documents(
    raw: bytes,
    file: str,
    problems: Problems,
    *,
    dialect: Dialect = Dialect.STRICT,
    max_size: int = MAX_FILE_SIZE,
) -> list[Node]:
    """The documents of a file, empty ones left out; what is wrong with them goes to `problems`.

    After a syntax error the documents before it are returned, so that names in them stay known.
    """
    start = Position(file, 1, 1)
    if len(raw) > max_size:
        problems.add(start, "", f"the file is larger than {max_size // 1024 // 1024} MiB")
        return []
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        line = raw[: cause.start].count(b"\n") + 1
        problems.add(Position(file, line, 1), "", f"not UTF-8 at byte {cause.start}")
        return []
    documents: list[Node] = []
    try:
        for document in _Reader(text, file, problems, dialect).documents():
            if len(documents) >= MAX_DOCUMENTS:
                problems.add(document.position, "", f"more than {MAX_DOCUMENTS} documents")
                break
            if not (isinstance(document, Scalar) and document.plain and not document.text):
                documents.append(document)
    except yaml.MarkedYAMLError as cause:
        mark = cause.problem_mark or cause.context_mark
        where = Position(file, mark.line + 1, mark.column + 1) if mark is not None else start
        context = f" ({cause.context})" if cause.context else ""
        problems.add(where, "", f"not YAML: {cause.problem}{context}{_advice(text, where.line)}")
    except yaml.YAMLError as cause:
        problems.add(start, "", f"not YAML: {str(cause).splitlines()[0]}")
    except _UnboundedError as cause:
        problems.add(cause.position, "", cause.message)
    return documents


def _advice(text: str, line: int) -> str:
    """What trips people most: `[hub/{repository}]` reads as a mapping in a list."""
    written = text.split("\n", line)[line - 1 : line]
    braces = bool(written) and "{repository}" in written[0]
    return "; inside of [ ] a text with braces stands in quotes" if braces else ""


class _UnboundedError(Exception):
    """The document goes beyond a bound; reading stops."""

    def __init__(self, position: Position, message: str) -> None:
        self.position, self.message = position, message


@dataclass(slots=True)
class _Open:
    """A collection that is being read, and what its anchor is called."""

    node: Items | Entries
    anchor: str | None
    key: Scalar | None = None
    skipping: bool = False  # the value belongs to a key that was refused
    merging: bool = False  # the value belongs to a merge key
    seen: int = 0  # keys and values


class _Reader:
    """Events to nodes, with a stack instead of recursion."""

    def __init__(self, text: str, file: str, problems: Problems, dialect: Dialect) -> None:
        self._lenient = dialect is Dialect.LENIENT
        self._loader = _LOADER(text)
        self._file = file
        self._problems = problems
        self._anchors: dict[str, Node] = {}
        self._stack: list[_Open] = []

    def documents(self) -> Iterator[Node]:
        """Each document's root."""
        try:
            while self._loader.check_event():
                event = self._loader.get_event()
                root = self._take(event)
                if root is not None:
                    yield root
        finally:
            self._loader.dispose()

    def _take(self, event: "Event") -> Node | None:
        match event:
            case yaml.DocumentStartEvent():
                self._anchors = {}
            case yaml.ScalarEvent():
                return self._add(self._scalar(event), event.anchor)
            case yaml.AliasEvent():
                return self._add(self._alias(event), None)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                self._begin(event)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                closed = self._stack.pop()
                if isinstance(closed.node, Entries):
                    closed.node.last_line = event.start_mark.line + 1  # type: ignore[union-attr]
                return self._add(closed.node, closed.anchor)
        return None

    def _position(self, event: Any) -> Position:
        mark = event.start_mark
        return Position(self._file, mark.line + 1, mark.column + 1)

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        position = self._position(event)
        plain = event.style in (None, "") and event.tag is None
        if event.tag is not None and event.tag not in (_STR_TAG, "!"):
            self._refuse_tag(position)
        return Scalar(position, event.value, plain)

    def _refuse_tag(self, position: Position) -> None:
        if self._lenient:
            return
        self._problems.add(position, "", "a tag (!) is not taken: write the value without it")

    def _alias(self, event: Any) -> Node:
        position = self._position(event)
        node = self._anchors.get(event.anchor)
        if node is None:
            raise _UnboundedError(position, "this alias (*) stands for nothing before it")
        return node

    def _begin(self, event: Any) -> None:
        position = self._position(event)
        if len(self._stack) >= MAX_DEPTH:
            raise _UnboundedError(position, f"nested deeper than {MAX_DEPTH} levels")
        if event.tag is not None and event.tag != "!":
            self._refuse_tag(position)
        make = Items if isinstance(event, yaml.SequenceStartEvent) else Entries
        self._stack.append(_Open(make(position), event.anchor))

    def _add(self, node: Node, anchor: str | None) -> Node | None:
        """Put a complete node where it belongs; return it when it is a whole document."""
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._stack:
            return node
        top = self._stack[-1]
        holder = top.node
        holder.count += node.count
        holder.depth = max(holder.depth, node.depth + 1)
        if holder.count > MAX_NODES:
            raise _UnboundedError(holder.position, f"more than {MAX_NODES} values when aliases are followed")
        if holder.depth + len(self._stack) > MAX_DEPTH + 1:
            raise _UnboundedError(holder.position, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(holder, Items):
            holder.items.append(node)
        elif top.seen % 2 == 0:
            self._key(top, node)
        elif top.merging:
            top.merging = False
            _merge(holder, node)
        elif not top.skipping and top.key is not None:
            holder.entries[top.key.text] = node
            holder.keys[top.key.text] = top.key.position
        top.seen += 1
        return None

    def _key(self, top: _Open, node: Node) -> None:
        holder = top.node
        assert isinstance(holder, Entries)  # noqa: S101 - only mappings have keys
        top.skipping = True
        if not isinstance(node, Scalar):
            self._problems.add(node.position, "", "a key is expected here, and keys are text")
        elif self._lenient and node.plain and node.text == "<<":
            top.merging = True
        elif node.plain and node.text == "<<":
            self._problems.add(node.position, "", "merge keys (<<) are not taken: write the keys out")
        elif node.text in holder.entries and not self._lenient:
            first = holder.keys[node.text]
            where = f"line {first.line}"
            self._problems.add(
                node.position, node.text[:80], f"the key stands twice; the first is in {where}"
            )
        else:
            top.key, top.skipping = node, False


def _merge(holder: Entries, node: Node) -> None:
    """Put in what a merge key leads to; keys written later or before take its place."""
    for source in node.items if isinstance(node, Items) else [node]:
        if isinstance(source, Entries):
            for key, value in source.entries.items():
                holder.entries.setdefault(key, value)
                holder.keys.setdefault(key, source.keys[key])
