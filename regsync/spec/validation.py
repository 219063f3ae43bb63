"""One document against its model: pydantic's errors put into our words, at their places."""

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from regsync.spec.documents import API_VERSION, KINDS, Envelope
from regsync.spec.nodes import Entries, Scalar, Step, locate
from regsync.spec.problems import Problems, nearest

_EXPECTED = {
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "list_type": "a list",
    "string_type": "text",
}


def validate(root: Entries, problems: Problems) -> Envelope | None:
    """The document as its model, or None with what is wrong in `problems`."""
    if not _has_envelope(root, problems):
        return None
    model = KINDS[root.text("kind") or ""]
    try:
        return model.model_validate(root.value())
    except ValidationError as cause:
        for error in cause.errors(include_url=False, include_input=False):
            _translate(root, model, error, problems)
        return None


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
            problems.add(
                node.position,
                key,
                f"expected {', '.join(values)}, found {text[:60]!r}",
                nearest(text, values),
            )
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
        known = sorted(_known_keys(model, loc[:-1]))
        listed = f"; expected {', '.join(known)}" if known and len(known) <= 12 else ""
        problems.add(spot.position, spot.path, f"unknown key{listed}", nearest(key, known))
        return
    if kind == "missing":
        spot = locate(root, loc[:-1])
        path = f"{spot.path}.{loc[-1]}".lstrip(".")
        problems.add(spot.position, path, "the key is missing")
        return
    spot = locate(root, loc)
    problems.add(spot.position, spot.path, _message(kind, error))


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


def _known_keys(model: type[BaseModel], loc: tuple[Step, ...]) -> set[str]:
    """The keys that may stand where `loc` leads to, of all forms that are possible there."""
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
    return {field.alias or name for one in here for name, field in one.model_fields.items()}


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every model inside of an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Annotated, Union, UnionType, list, dict):
        for argument in get_args(annotation):
            yield from _models(argument)
