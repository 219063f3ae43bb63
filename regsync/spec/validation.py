"""One document against its model: pydantic's errors put into our words, at their places."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from regsync.spec.documents import API_VERSION, KINDS, Envelope, model_of
from regsync.spec.keys import Keys
from regsync.spec.model import Position
from regsync.spec.nodes import Entries, Items, Node, Scalar, Step, deepest, locate
from regsync.spec.private_keys import IS_PRIVATE, has_private_pem
from regsync.spec.problems import Problems, nearest

MAX_LISTED = 18  # keys in one message; Mirror has as many
_EXPECTED = {
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "list_type": "a list",
    "string_type": "text",
}


@dataclass(frozen=True, slots=True)
class Checked:
    """A document as its model. `dropped`: keys under `spec` that are wrong and left out of it."""

    model: Envelope | None  # None: nothing of it can be read
    dropped: frozenset[str] = frozenset()


def validate(root: Entries, problems: Problems) -> Checked:
    """The document as its model; what is wrong goes to `problems`.

    What is right beside it is kept, so that names in it can be checked in the same run.
    """
    if is_marked(root):
        if _refuse_private_keys(root, problems):
            return Checked(None)  # no other message is to repeat one
        _refuse_empty_values(root, problems)
    if not _has_envelope(root, problems):
        return Checked(None)
    model = model_of(root.text("kind") or "")
    value = root.value()
    try:
        return Checked(model.model_validate(value))
    except ValidationError as cause:
        errors = cause.errors(include_url=False, include_input=False)
    for error in errors:
        _translate(root, model, error, problems)
    return _validate_rest(model, value, {error["loc"][:2] for error in errors})


def is_marked(root: Entries) -> bool:
    """Whether a document says of itself that it is ours. What stands in any other is not shown.

    A path that a command is given may come from a stranger, and lead to a file with secrets.
    """
    return (root.text("apiVersion") or "").startswith("regsync.dev/")


def _validate_rest(model: type[Envelope], value: dict[str, Any], wrong: set[tuple[Any, ...]]) -> Checked:
    keys = {loc[1] for loc in wrong if loc[0] == "spec" and len(loc) == 2}
    spec = value.get("spec")
    if len(keys) != len(wrong) or not isinstance(spec, dict):
        return Checked(None)
    rest = {key: one for key, one in spec.items() if key not in keys}
    try:
        return Checked(model.model_validate({**value, "spec": rest}), frozenset(keys))
    except ValidationError:  # a key that cannot be missing, or keys that only stand together
        return Checked(None)


def _refuse_private_keys(root: Entries, problems: Problems) -> bool:
    """Whether a private key stands somewhere in a document, which is then a problem."""
    found = False
    for node, path, position in _everything(root):
        texts = [node.text] if isinstance(node, Scalar) else getattr(node, "keys", ())
        if any(map(has_private_pem, texts)):
            shown = path if isinstance(node, Scalar) and not has_private_pem(path) else ""
            problems.add(position, shown, IS_PRIVATE)
            found = True
    return found


def _refuse_empty_values(root: Entries, problems: Problems) -> None:
    """A key with nothing behind it is half a thought; what it would mean is nowhere said."""
    for node, path, position in _everything(root):
        if isinstance(node, Scalar) and node.value() is None:
            problems.add(position, path, "there is no value; write one, or leave the key out")


def _everything(root: Entries) -> Iterator[tuple[Node, str, Position]]:
    """Every node once, with its path and where its key, or else the node, stands."""
    waiting: list[tuple[Node, str, Position]] = [(root, "", root.position)]
    seen = set()
    while waiting:
        node, path, position = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node, path.lstrip("."), position
        if isinstance(node, Entries):
            waiting += [(below, f"{path}.{key}", node.keys[key]) for key, below in node.entries.items()]
        elif isinstance(node, Items):
            waiting += [(below, f"{path}[{n}]", below.position) for n, below in enumerate(node.items)]


def _has_envelope(root: Entries, problems: Problems) -> bool:
    """Whether apiVersion and kind are known, so that there is a model to check against."""
    known = {"apiVersion": [API_VERSION], "kind": list(KINDS)}
    complete = True
    for key, values in known.items():
        node = root.entries.get(key)
        if node is None:
            problems.add(root.position, key, f"the key is missing; expected {' or '.join(values)}")
        elif not isinstance(node, Scalar) or node.text not in values:
            text = node.text if isinstance(node, Scalar) else ""
            found = f", found {text[:60]!r}" if is_marked(root) else ""
            problems.add(node.position, key, f"expected {', '.join(values)}{found}", nearest(text, values))
        else:
            continue
        complete = False
    return complete


def _translate(root: Entries, model: type[BaseModel], error: Any, problems: Problems) -> None:
    loc: tuple[Step, ...] = error["loc"]
    kind: str = error["type"]
    if kind == "extra_forbidden":
        key = str(loc[-1])
        spot = locate(root, loc, at_key=True)
        forms = _models_at(model, loc[:-1])
        later = next(
            (one.not_yet[key] for one in forms if issubclass(one, Keys) and key in one.not_yet), None
        )
        if later is not None:
            problems.add(spot.position, spot.path, f"not yet: {later}")
            return
        known = sorted({field.alias or name for one in forms for name, field in one.model_fields.items()})
        listed = f"; expected {', '.join(known)}" if known and len(known) <= MAX_LISTED else ""
        problems.add(spot.position, spot.path, f"unknown key{listed}", nearest(key, known))
        return
    if kind == "missing":
        spot = locate(root, loc[:-1])
        path = f"{spot.path}.{loc[-1]}".lstrip(".")
        problems.add(spot.position, path, "the key is missing")
        return
    spot = locate(root, loc)
    if not _is_empty(root, loc):  # which was told of already
        problems.add(spot.position, spot.path, _message(kind, error))


def _is_empty(root: Entries, loc: tuple[Step, ...]) -> bool:
    node = deepest(root, loc)
    return isinstance(node, Scalar) and node.value() is None


def _message(kind: str, error: Any) -> str:
    context: Mapping[str, Any] = error.get("ctx") or {}
    match kind:
        case "value_error":
            return str(context["error"])
        case "wrong_form":
            return str(error["msg"])
        case "literal_error":
            return f"expected {context['expected']}"
        case "greater_than_equal" | "greater_than" | "less_than_equal" | "less_than":
            return str(error["msg"]).replace("Input should be", "expected a value")
        case "too_short":
            return "expected at least one entry"
        case _ if kind in _EXPECTED:
            return f"expected {_EXPECTED[kind]}"
        case _:
            return str(error["msg"])


def _models_at(model: type[BaseModel], loc: tuple[Step, ...]) -> set[type[BaseModel]]:
    """All forms that what `loc` leads to may have."""
    here: set[type[BaseModel]] = {model}
    for step in loc:
        if not isinstance(step, str):
            continue
        fields = [
            field
            for one in here
            for name, field in one.model_fields.items()
            if step in (field.alias or name, name)
        ]
        if fields:
            here = {found for field in fields for found in _models(field.annotation)}
    return here


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every model inside of an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Annotated, Union, UnionType, list, dict):
        for argument in get_args(annotation):
            yield from _models(argument)
