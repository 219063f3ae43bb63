"""The published JSON Schema of observations: what `plan --record` writes and `--observation` reads."""

from collections.abc import Mapping

from regsync.plan.document import API_VERSION

Schema = dict[str, object]
KINDS = (
    *("repository-not-found", "not-found", "denied", "refused"),
    *("unsupported", "deferred", "temporary", "failed"),
)


def observation_schema(texts: Mapping[str, Schema]) -> Schema:
    """The schema; `texts` are those of a digest, a tag and a time."""
    digest, tag, time = texts["digest"], texts["tag"], texts["time"]
    text: Schema = {"type": "string"}
    count: Schema = {"type": "integer", "minimum": 0}
    flag: Schema = {"type": "boolean"}
    strings: Schema = {"type": "object", "additionalProperties": text}
    error = _object({"kind": {"enum": list(KINDS)}, "message": text, "hint": _or_null(text)})
    desc = _object(
        {"mediaType": text, "digest": digest, "size": count, "artifactType": text, "annotations": strings},
        "artifactType",
        "annotations",
    )
    platform = dict.fromkeys(("created", "os", "architecture", "variant", "os.version"), text)
    config = _object({**platform, "labels": strings}, *platform, "labels")
    place: dict[str, Schema] = {
        "place": {**text, "description": "Its URL, or store: or layout: and a path relative to the spec."},
        "repository": text,
    }
    listing = _list(_object({"tag": tag, "descriptor": desc}, "descriptor"))
    repository: dict[str, Schema] = {
        **place,
        "name": {**_or_null(text), "description": "As errors and verdicts speak of it."},
        "referrersApi": _or_null(flag),
        "checksReferences": flag,
        "deletes": {**flag, "description": "Whether it can delete tags."},
        "tags": _answer("listed", listing, error),
        "push": {"anyOf": [_object({}), error], "description": "Empty: it would be taken."},
        "names": _list(_answer("descriptor", desc, error, {"tag": tag, "digest": digest}, "tag", "digest")),
        "there": _list(_answer("there", flag, error, {"digest": digest})),
        "referrers": _list(_answer("listed", _list(desc), error, {"digest": digest})),
        "blobs": _list(_answer("size", count, error, {"digest": digest})),
        "configs": _list(_answer("config", config, error, {"digest": digest})),
        "firstSeen": _list(_object({"digest": digest, "at": time})),
        "ours": _list(_object({"tag": tag, "digest": digest, "origin": _object(place)}, "origin")),
        "absences": _list(_object({"tag": tag, "since": time, "last": time, "runs": count})),
    }
    catalogue = _answer("repositories", _list(text), error, {"place": place["place"]})
    data = {**text, "description": "Base64 of a manifest, or of a piece of evidence."}
    return _object(
        {
            "apiVersion": {"const": API_VERSION},
            "kind": {"const": "Observation"},
            "taken": time,
            "hasHistory": {**flag, "description": "Whether the ledger knew of any run."},
            "catalogues": _list(catalogue),
            "contents": _list(_object({"digest": digest, "data": data})),
            "repositories": _list(_object(repository, "tags", "push")),
        }
    )


def _answer(
    key: str, value: Schema, error: Schema, more: Mapping[str, Schema] | None = None, *optional: str
) -> Schema:
    """A value under its key, or the error that was the answer."""
    return _object({**(more or {}), key: value, "error": error}, key, "error", *optional)


def _object(properties: Mapping[str, Schema], *optional: str) -> Schema:
    return {
        "type": "object",
        "properties": dict(sorted(properties.items())),
        "required": sorted(set(properties) - set(optional)),
        "additionalProperties": False,
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}
