"""JSON Schema of the spec, for editors (draft 2020-12).

It is published as docs/schemas/spec.schema.json, which a test compares with what is rendered here.
It says what single documents may look like. References between documents, and what only reading
decides (does the range parse?), are `regsync validate`'s.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import models_json_schema

from regsync.spec.documents import KINDS, model_of

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def spec_schema() -> dict[str, Any]:
    """The schema of one document of any kind."""
    models = {kind: model_of(kind) for kind in KINDS}
    _, found = models_json_schema(
        [(model, "validation") for model in models.values()], ref_template="#/$defs/{model}"
    )
    used = set(re.findall(r"#/\$defs/(\w+)", json.dumps(found))) | {one.__name__ for one in models.values()}
    definitions = {name: _tidy(one) for name, one in found["$defs"].items() if name in used}
    for name, definition in definitions.items():
        definition.pop("title", None)
        definition["description"] = _one_line(definition.get("description", name))
    by_kind = [
        {
            "if": {"properties": {"kind": {"const": kind}}},
            "then": {"$ref": f"#/$defs/{model.__name__}"},
        }
        for kind, model in models.items()
    ]
    return {
        "$schema": DRAFT,
        "title": "regsync spec",
        "description": "A document of regsync: what to keep like what, and where.",
        "type": "object",
        "required": ["apiVersion", "kind", "spec"],
        "properties": {
            "apiVersion": {"const": "regsync.dev/v1", "description": "Always regsync.dev/v1."},
            "kind": {"enum": list(KINDS), "description": "What the document is."},
            "metadata": {"type": "object", "description": "Name and labels."},
            "spec": {"type": "object", "description": "What the kind holds."},
        },
        "allOf": by_kind,
        "$defs": definitions,
    }


def schema_text() -> str:
    """The schema as `regsync schema` prints it."""
    return json.dumps(spec_schema(), indent=2, ensure_ascii=False) + "\n"


def _tidy(value: Any) -> Any:
    """Drop what pydantic adds for itself: titles of keys, null for absent keys, lone alternatives."""
    if isinstance(value, list):
        return [_tidy(one) for one in value]
    if not isinstance(value, Mapping):
        return value
    found = {
        key: ({name: _tidy(one) for name, one in below.items()} if key in _NAMED else _tidy(below))
        for key, below in value.items()
        if not (key == "default" and below is None) and not (key == "title" and isinstance(below, str))
    }
    choices = found.get("anyOf")
    if choices is not None:
        choices = [choice for choice in choices if choice != {"type": "null"}]
        found["anyOf"] = choices
        if len(choices) == 1:
            del found["anyOf"]
            found = {**choices[0], **found}
    return found


_NAMED = ("properties", "$defs")  # below these, keys are names and none of JSON Schema's words


def _one_line(text: str) -> str:
    return " ".join(text.split())
