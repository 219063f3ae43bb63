"""Other tools' YAML as plain values: mappings, lists and text; numbers stay as they were written."""

from collections.abc import Iterator
from typing import Any

from regsync.spec.model import Position
from regsync.spec.nodes import Entries, Node, Scalar
from regsync.spec.problems import InvalidSpecError, Problems, SpecProblem
from regsync.spec.yaml_source import Dialect, read_documents

MAX_SIZE = 64 * 1024 * 1024  # bytes; rendered clusters are large

Value = Any  # dict, list, str or None


def documents(raw: bytes, name: str) -> list[Node]:
    """Every document; raises InvalidSpecError when it is no YAML."""
    problems = Problems()
    found = read_documents(raw, name, problems, dialect=Dialect.LENIENT, max_size=MAX_SIZE)
    problems.raise_any()
    return found


def wrong(position: Position, message: str) -> InvalidSpecError:
    """The error for a file that is not of the format it was said to be."""
    return InvalidSpecError([SpecProblem(position, "", message)])


def mapping(node: Node, name: str) -> dict[str, Value]:
    """A document that has to be a mapping; raises InvalidSpecError."""
    if not isinstance(node, Entries):
        raise wrong(node.position, f"{name} is not what this format holds: expected a mapping")
    return node.value()


def texts(value: Value) -> list[str]:
    """The texts of a list; a single text is a list of one."""
    if isinstance(value, str):
        return [str(value)]
    return [str(one) for one in value if isinstance(one, str)] if isinstance(value, list) else []


def mappings(value: Value) -> list[dict[str, Value]]:
    """The mappings of a list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def child(value: Value, key: str) -> dict[str, Value]:
    """The mapping under `key`; empty when there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def text(value: Value, key: str) -> str | None:
    """The text under `key`."""
    found = value.get(key) if isinstance(value, dict) else None
    return str(found) if isinstance(found, str) else None


def is_true(value: Value) -> bool:
    """Whether a value is what YAML 1.1 and 1.2 read as true."""
    return isinstance(value, str) and value.lower() in ("true", "yes", "on")


def walk(node: Node) -> Iterator[Node]:
    """A node and all below it, without recursion; what an alias repeats comes once."""
    waiting, seen = [node], {id(node)}
    while waiting:
        one = waiting.pop()
        yield one
        if isinstance(one, Scalar):
            continue
        for below in reversed(list(one.entries.values()) if isinstance(one, Entries) else one.items):
            if id(below) not in seen:
                seen.add(id(below))
                waiting.append(below)
