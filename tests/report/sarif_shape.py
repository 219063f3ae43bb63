"""What SARIF 2.1.0 asks of the parts that are written here, by hand, as strict as the whole schema."""

from typing import Any

Schema = dict[str, Any]


def _object(required: list[str], **properties: Schema) -> Schema:
    return {
        "type": "object",
        "required": required,
        "properties": {name.removesuffix("_"): one for name, one in properties.items()},
        "additionalProperties": False,
    }


_TEXT: Schema = {"type": "string"}
_MESSAGE = _object(["text"], text=_TEXT)
_LEVEL: Schema = {"enum": ["none", "note", "warning", "error"]}
_NUMBER: Schema = {"type": "integer", "minimum": 1}
_LOCATION = _object(
    ["physicalLocation"],
    id={"type": "integer", "minimum": -1},
    message=_MESSAGE,
    physicalLocation=_object(
        ["artifactLocation"],
        artifactLocation=_object([], uri={"type": "string", "format": "uri-reference"}, uriBaseId=_TEXT),
        region=_object([], startLine=_NUMBER, startColumn=_NUMBER),
    ),
)
_RESULT = _object(
    ["message"],
    ruleId=_TEXT,
    ruleIndex={"type": "integer", "minimum": -1},
    level=_LEVEL,
    message=_MESSAGE,
    partialFingerprints={"type": "object", "additionalProperties": _TEXT},
    locations={"type": "array", "items": _LOCATION},
    relatedLocations={"type": "array", "items": _LOCATION, "uniqueItems": True},
)
_RULE = _object(["id"], id=_TEXT, shortDescription=_MESSAGE)
_RULES: Schema = {"type": "array", "items": _RULE, "uniqueItems": True}
_NOTE = _object(["message"], level=_LEVEL, message=_MESSAGE)
_RUN = _object(
    ["tool"],
    tool=_object(["driver"], driver=_object(["name"], name=_TEXT, version=_TEXT, rules=_RULES)),
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    automationDetails=_object([], id=_TEXT),
    originalUriBaseIds={"type": "object", "additionalProperties": _object([], description=_MESSAGE)},
    results={"type": "array", "items": _RESULT},
    invocations={
        "type": "array",
        "items": _object(
            ["executionSuccessful"],
            executionSuccessful={"type": "boolean"},
            toolExecutionNotifications={"type": "array", "items": _NOTE},
        ),
    },
)
LOG: Schema = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {"type": "array", "items": _RUN},
    },
    "additionalProperties": False,
}
