"""YAML as a tree that knows where each piece stands, and hands scalars on as text."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from regsync.spec.model import Position


class Plain(str):
    """A scalar without quotes: what may be a number or a boolean, where one is expected."""

    __slots__ = ()


@dataclass(slots=True, eq=False)
class Scalar:
    """A scalar as written."""

    position: Position
    text: str
    plain: bool
    count: int = 1  # nodes below and with it, aliases expanded
    depth: int = 1

    def value(self) -> str | None:
        """Text for validators; nothing at all is None."""
        if self.plain:
            return Plain(self.text) if self.text else None
        return self.text


@dataclass(slots=True, eq=False)
class Items:
    """A sequence."""

    position: Position
    items: "list[Node]" = field(default_factory=list)
    count: int = 1
    depth: int = 1

    def value(self) -> list[object]:
        """A list for validators."""
        return [item.value() for item in self.items]


@dataclass(slots=True, eq=False)
class Entries:
    """A mapping; keys are text and unique."""

    position: Position
    entries: "dict[str, Node]" = field(default_factory=dict)
    keys: dict[str, Position] = field(default_factory=dict)
    last_line: int = 0  # where it ends, or the line behind
    count: int = 1
    depth: int = 1

    def value(self) -> dict[str, object]:
        """A dict for validators."""
        return {key: node.value() for key, node in self.entries.items()}

    def text(self, key: str) -> str | None:
        """The scalar under `key`, as written."""
        node = self.entries.get(key)
        return node.text if isinstance(node, Scalar) else None


Node = Scalar | Items | Entries
Step = str | int


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in a document: the deepest piece that a path leads to."""

    position: Position
    path: str


def locate(root: Node, path: Sequence[Step], *, at_key: bool = False) -> Spot:
    """Follow `path` as far as there are nodes, skipping steps which are none of the document's.

    `at_key`: the position of the last key rather than of its value.
    """
    node, walked, key_position = root, "", root.position
    for step, child, position in _walk(root, path):
        node, key_position = child, position
        walked += f"[{step}]" if isinstance(step, int) else f".{step}"
    return Spot(key_position if at_key else node.position, walked.lstrip("."))


def deepest(root: Node, path: Sequence[Step]) -> Node:
    """The node that `path` leads to, as far as there are nodes."""
    nodes = [node for _, node, _ in _walk(root, path)]
    return nodes[-1] if nodes else root


def _walk(root: Node, path: Sequence[Step]) -> Iterator[tuple[Step, Node, Position]]:
    node = root
    for step in path:
        if isinstance(node, Entries) and isinstance(step, str) and step in node.entries:
            position, node = node.keys[step], node.entries[step]
        elif isinstance(node, Items) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
            position = node.position
        else:
            continue
        yield step, node, position


def describe(value: object) -> str:
    """What a value is, for a message: a scalar by its text, the rest by its kind."""
    match value:
        case None:
            return "nothing"
        case str():
            return repr(str(value)[:60])
        case Mapping():
            return "a mapping"
        case _:
            return "a list"
