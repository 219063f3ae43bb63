"""The published JSON Schemas of plans, reports, events and inspections; docs/schemas holds what this writes.

`python -m regsync.report.schemas DIRECTORY` writes them; a test says that they are current.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from regsync.plan.check import Drift, Owner, State
from regsync.plan.document import API_VERSION
from regsync.plan.model import Cause, Outcome, Verb
from regsync.report import observation_schema as observations
from regsync.spec.lock_merge import Kind
from regsync.spec.verification import Mode
from regsync.trust.verdict import Result

Schema = dict[str, object]
_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_DIGEST = "^(sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$"
_TAG = "^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$"

_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_SECONDS: Schema = {"type": "number", "minimum": 0}
_TIME: Schema = {"type": "string", "format": "date-time"}
_DIGEST_TEXT: Schema = {"type": "string", "pattern": _DIGEST}
_TAG_TEXT: Schema = {"type": "string", "pattern": _TAG}
_LOCATION: Schema = {"type": "string", "pattern": "^[^/]+/.+$", "description": "<registry name>/<repository>"}
_RESULT: Schema = {"enum": [result.value for result in Result]}
_LOCATION_OF_EVIDENCE: Schema = {
    "type": "string",
    "description": "referrers, fallback-tag, tag:.sig, tag:.att, tag:.sbom, or index",
}


def plan_schema() -> Schema:
    """What `plan -o json` prints and `plan --out` writes."""
    bytes_ = _described(_COUNT, "Upper bound of the bytes that would be transferred.")
    return _document(
        "Plan",
        {
            "summary": _summary(bytes_),
            "actions": _list(_action({"problem": _nullable(_problem())})),
            "explanations": _list(_explanation()),
            "base": _base(),
            "run": _object({"created": _TIME}),
        },
        optional={"explanations", "base"},
    )


def report_schema() -> Schema:
    """What `sync -o json` and `apply -o json` print."""
    outcomes = _enum(*(outcome.value for outcome in Outcome))
    return _document(
        "Report",
        {
            "summary": _summary(_object({"copied": _COUNT, "reused": _COUNT})),
            "actions": _list(_action({"outcome": outcomes, "problem": _nullable(_problem())})),
            "run": _run(),
        },
    )


def check_schema() -> Schema:
    """What `check -o json` prints."""
    place: dict[str, Schema] = {"mirror": _TEXT, "source": _LOCATION, "target": _LOCATION}
    row: dict[str, Schema] = {
        **place,
        "target": _described(_LOCATION, "The source itself where that could not be read."),
        "tag": _described(_nullable(_TAG_TEXT), "null: content without a tag, or a whole repository."),
        "state": _enum(*(state.value for state in State)),
        "digest": _described(_nullable(_DIGEST_TEXT), "What is there; null: nothing, or not known."),
        "expected": _described(_nullable(_DIGEST_TEXT), "After trimming; null: nothing, or not known."),
        "reason": _TEXT,
        "drift": _described(_enum(*(kind.value for kind in Drift)), "Of what is drifted."),
        "owner": _described(_enum(*(owner.value for owner in Owner)), "Of what is extra."),
        "lacking": _described(_COUNT, "Pieces of evidence that the source has and the place does not."),
        "since": _described(_TIME, "When the source was first seen to have what is expected."),
        "problem": _nullable(_problem()),
    }
    summary = {state.value: _COUNT for state in State if state is not State.EVIDENCE_MISSING}
    kinds: Schema = {"type": "object", "additionalProperties": _COUNT}
    requests: Schema = {"type": "object", "additionalProperties": kinds}
    return _document(
        "CheckReport",
        {
            "summary": _described(_object({**summary, "evidenceMissing": _COUNT}), "Tags over all places."),
            "places": _list(_object({**place, "tags": _COUNT, "equal": _COUNT})),
            "rows": _described(
                _list(_object(row, {"drift", "owner", "lacking", "since"})), "What is not equal."
            ),
            "reread": _described(
                _object(dict.fromkeys(("blobs", "bytes", "skipped", "unsampled"), _COUNT)), "With --deep."
            ),
            "run": _object({"id": _TEXT, "started": _TIME, "seconds": _SECONDS, "requests": requests}),
        },
        optional={"reread"},
    )


def event_schema() -> Schema:
    """One line of `--log-format json`."""
    mirror = {"mirror": _TEXT, "source": _LOCATION}
    target = {"mirror": _TEXT, "target": _LOCATION, "tag": _nullable(_TAG_TEXT)}
    finished = {
        "digest": _nullable(_DIGEST_TEXT),
        "action": _enum(*(verb.value for verb in Verb)),
        "outcome": _enum(*(outcome.value for outcome in Outcome)),
        "copied": _COUNT,
        "reused": _COUNT,
        "message": _nullable(_TEXT),
        "hint": _nullable(_TEXT),
    }
    counts = {"unchanged": _COUNT, "changed": _COUNT, "problems": _COUNT}
    return {
        "$schema": _DRAFT,
        "title": "regsync event",
        "oneOf": [
            _event("repository-started", mirror),
            _event("repository-selected", mirror | {"tags": _COUNT}),
            _event("repository-finished", mirror | counts),
            _event("action-started", target | {"size": _COUNT}),
            _event("action-finished", target | finished),
            _event("registry-waited", {"registry": _TEXT, "message": _TEXT, "seconds": _SECONDS}),
            _event("run-finished", _run_finished()),
            _event("note", {"message": _TEXT}),
            _event("error", {"message": _TEXT, "hint": _nullable(_TEXT)}),
            _event("request", _request()),
            _event("request-failed", {"id": _TEXT, "message": _TEXT}),
        ],
    }


def inspection_schema() -> Schema:
    """What `inspect -o json` prints."""
    texts: Schema = {"type": "object", "additionalProperties": _TEXT}
    absent = _object({"digest": _DIGEST_TEXT, "platform": _TEXT})
    attached: dict[str, Schema] = {
        "referrers": _list({"$ref": "#/$defs/referrer"}),
        "digestTags": _described(_list(_TAG_TEXT), "cosign's, such as sha256-….sig"),
    }
    manifest: dict[str, Schema] = {
        "digest": _DIGEST_TEXT,
        "mediaType": _TEXT,
        "artifactType": _nullable(_TEXT),
        "size": _COUNT,
        **attached,
    }
    part = {"platform": _nullable(_TEXT), "layers": _COUNT}
    return {
        "$schema": _DRAFT,
        "title": "regsync Inspection",
        **_object(
            {
                "apiVersion": {"const": API_VERSION},
                "kind": {"const": "Inspection"},
                "reference": _TEXT,
                "type": _enum("image", "index", "artifact"),
                "created": _nullable(_TEXT),
                "subject": _nullable(_DIGEST_TEXT),
                "manifests": _list(_object({**manifest, **part})),
                "missing": _described(_list(absent), "Manifests that the index lists and the place lacks."),
                "annotations": texts,
                "labels": texts,
                "unasked": _described(_COUNT, "Manifests not asked for referrers: too many, or too deep."),
                **manifest,
                "size": _described(_COUNT, "Distinct bytes of everything below."),
            }
        ),
        "$defs": {"referrer": _object({**manifest, "annotations": texts})},
    }


def verdicts_schema() -> Schema:
    """What `verify -o json` prints."""
    place = {"repository": _TEXT, "location": _LOCATION_OF_EVIDENCE}
    evidence = _object(
        {
            **place,
            "digest": _described(_DIGEST_TEXT, "Of the manifest that holds it."),
            "format": _TEXT,
            "subject": _DIGEST_TEXT,
            "predicateType": _nullable(_TEXT),
            "checks": _described(_list(_TEXT), "Exactly those that were made, in their order."),
            "relaxed": _described(_list(_TEXT), "Checks that were not made or did not count, and why."),
            "signer": _nullable(_TEXT),
            "signedAt": _described(_nullable(_TIME), "By a verified time alone."),
            "reason": _described(_nullable(_TEXT), "Why it does not count; null: it counts."),
        }
    )
    requirement = {
        "requirement": _TEXT,
        "result": _RESULT,
        "reason": _nullable(_TEXT),
        "authority": _nullable(_TEXT),
        "evidence": _list(evidence),
        "of": _list({"$ref": "#/$defs/requirement"}),
    }
    searched = _object(
        {
            **place,
            "subject": _DIGEST_TEXT,
            "found": _COUNT,
            "problem": _described(_nullable(_TEXT), "What kept it from being looked at."),
        }
    )
    verdict = _object(
        {
            "reference": _TEXT,
            "digest": _DIGEST_TEXT,
            "policy": _TEXT,
            "mode": _enum(*(mode.value for mode in Mode)),
            "result": _RESULT,
            "reason": _nullable(_TEXT),
            "signers": _list(_TEXT),
            "expires": _described(_nullable(_TIME), "When something in it may turn out otherwise."),
            "requirements": _list({"$ref": "#/$defs/requirement"}),
            "searched": _list(searched),
        }
    )
    return {
        "$schema": _DRAFT,
        "title": "regsync Verdicts",
        **_object({**_headed("Verdicts"), "verdicts": _list(verdict)}),
        "$defs": {"requirement": _object(requirement)},
    }


def _request() -> dict[str, Schema]:
    return {
        **{name: _TEXT for name in ("id", "from", "method", "path")},
        "who": _nullable(_TEXT),
        "status": _nullable(_COUNT),
        **{"received": _COUNT, "sent": _COUNT, "seconds": {"type": "number", "minimum": 0}},
    }


def store_check_schema() -> Schema:
    """What `store fsck -o json` prints."""
    lost = _list(_object({"digest": _DIGEST_TEXT, "size": _COUNT, "cause": _TEXT}))
    properties: dict[str, Schema] = {
        "apiVersion": {"const": API_VERSION},
        "kind": {"const": "StoreCheckReport"},
        "store": _described(_TEXT, "The directory."),
        "sound": _described(_FLAG, "Nothing that was acknowledged is missing or damaged."),
        "finished": _FLAG,
        "last": _described(_nullable(_DIGEST_TEXT), "For --after, when it is not finished."),
        "manifests": _COUNT,
        "blobs": _COUNT,
        "bytes": _described(_COUNT, "Read."),
        "contradictions": _list(_TEXT),
        "lost": _described(lost, "Of repositories, and not healed."),
        "unlinked": _described(lost, "Of no repository."),
        "healed": _list(_object({"digest": _DIGEST_TEXT, "source": _TEXT})),
        "orphans": _list(_object({"path": _described(_TEXT, "Below the store."), "size": _COUNT})),
    }
    return {"$schema": _DRAFT, "title": "regsync StoreCheckReport", **_object(properties)}


def garbage_schema() -> Schema:
    """What `store gc -o json` prints."""
    count = _object({"kept": _COUNT, "waiting": _COUNT, "deleted": _COUNT})
    decision = _object(
        {
            "kind": _enum("manifest", "link", "blob", "upload", "part"),
            "repository": _described(_nullable(_TEXT), "null: of no repository alone."),
            "name": _described(_TEXT, "A digest, or an upload's name."),
            "fate": _enum("kept", "waiting", "deleted"),
            "reason": _TEXT,
            "size": _described(_COUNT, "Bytes."),
        }
    )
    properties: dict[str, Schema] = {
        "apiVersion": {"const": API_VERSION},
        "kind": {"const": "GarbageReport"},
        "store": _described(_TEXT, "The directory."),
        "dryRun": _described(_FLAG, "Nothing was deleted; what is called deleted would be."),
        "rules": _described(_object(dict.fromkeys(("grace", "untagged", "uploads"), _COUNT)), "Seconds."),
        "repositories": _COUNT,
        "freed": _described(_COUNT, "Bytes."),
        "summary": _object(
            {
                "manifests": count,
                "links": _described(count, "Blobs, each in every repository that has it."),
                "blobs": _described(count, "The bytes, which repositories share."),
                "uploads": count,
                "parts": _described(count, "Files that dead processes were writing."),
            }
        ),
        "decisions": _described(_list(decision), "With --explain."),
        "run": _object({"seconds": {"type": "number", "minimum": 0}}),
    }
    title = "regsync GarbageReport"
    return {"$schema": _DRAFT, "title": title, **_object(properties, {"decisions"})}


def state_schema() -> Schema:
    """What the server's `_regsync/state` answers: of a repository, or with `depth` of all below a name."""
    digest = _described(_DIGEST_TEXT, "The same where the same tags point to the same content.")
    referrers = _described(_DIGEST_TEXT, "The same where the same manifests have the same subjects.")
    rolled_up: dict[str, Schema] = {
        **{"digest": digest, "referrers": referrers},
        **{"repositories": _COUNT, "tagCount": _COUNT},
    }
    size = _described(_COUNT, "Of the manifest, in bytes.")
    pulled = _described(_TIME, "By the tag or by its digest; missing where no pull is known.")
    tag = _object(
        {"digest": _DIGEST_TEXT, "mediaType": _TEXT, "size": size, "pushedAt": _TIME, "pulledAt": pulled},
        {"pulledAt"},
    )
    tags: Schema = {"type": "object", "propertyNames": _TAG_TEXT, "additionalProperties": tag}
    children: Schema = {"type": "object", "additionalProperties": _object(rolled_up)}
    repository = {"name": _TEXT, "digest": digest, "referrers": referrers, "tagCount": _COUNT, "tags": tags}
    namespace = {
        "name": _described(_TEXT, "Empty: all repositories."),
        "depth": _COUNT,
        **rolled_up,
        "children": _described(children, "By how their names go on; `.` is the repository `name` itself."),
    }
    return {
        "$schema": _DRAFT,
        "title": "regsync state",
        "oneOf": [
            _object(_headed("RepositoryState") | repository),
            _object(_headed("NamespaceState") | namespace, {"children"}),
        ],
    }


def history_schema() -> Schema:
    """What `history -o json` prints."""
    run = _object(
        {
            "id": _TEXT,
            "command": _TEXT,
            "started": _TIME,
            "ended": _TIME,
            "mirrors": _list(_TEXT),
            "moreMirrors": _described(_COUNT, "Mirrors of the run that `mirrors` does not name."),
            "outcome": _enum("done", "refused", "failed", "try later", "interrupted"),
            "exitCode": _enum(0, *(int(cause) for cause in Cause)),
            "summary": _summary(_described(_COUNT, "Sent to targets.")),
        }
    )
    title = {"$schema": _DRAFT, "title": "regsync RunHistory"}
    return {**title, **_object({**_headed("RunHistory"), "runs": _list(run)})}


def _headed(kind: str) -> dict[str, Schema]:
    return {"apiVersion": {"const": API_VERSION}, "kind": {"const": kind}}


def observation_schema() -> Schema:
    """What `plan --record` writes."""
    texts = {"digest": _DIGEST_TEXT, "tag": _TAG_TEXT, "time": _TIME}
    whole = observations.observation_schema(texts)
    return {"$schema": _DRAFT, "title": "regsync Observation", **whole}


def lock_schema() -> Schema:
    """What `lock -o json` prints."""
    kinds = [kind.value for kind in Kind]
    change = _object(
        {
            "file": _described(_TEXT, "The lock file."),
            "change": _enum(*kinds),
            "image": _described(_TEXT, "The full reference at the source; with a tag it has no digest."),
            "mirror": _TEXT,
            "old": _nullable(_DIGEST_TEXT),
            "new": _nullable(_DIGEST_TEXT),
            "why": _nullable(_TEXT),
        }
    )
    properties: dict[str, Schema] = {
        **_headed("LockChanges"),
        "summary": _object(dict.fromkeys((*kinds, "entries"), _COUNT)),
        "written": _described(_FLAG, "False: only looked, as with --check."),
        "changes": _list(change),
        "problems": _list(_problem()),
        "warnings": _list(_TEXT),
    }
    return {"$schema": _DRAFT, "title": "regsync LockChanges", **_object(properties)}


SCHEMAS = {
    "plan": plan_schema,
    "report": report_schema,
    "check": check_schema,
    "event": event_schema,
    "inspection": inspection_schema,
    "verdicts": verdicts_schema,
    "store-check": store_check_schema,
    "garbage": garbage_schema,
    "state": state_schema,
    "history": history_schema,
    "observation": observation_schema,
    "lock": lock_schema,
}


def text_of(schema: Schema) -> str:
    """The schema as it is published."""
    return json.dumps(schema, indent=2) + "\n"


def write_all(directory: Path) -> None:
    """Write every schema to `directory`."""
    for name, schema in SCHEMAS.items():
        (directory / f"{name}.schema.json").write_text(text_of(schema()), encoding="utf-8")


def _document(kind: str, properties: Mapping[str, Schema], optional: set[str] | None = None) -> Schema:
    head: dict[str, Schema] = {
        "apiVersion": {"const": API_VERSION},
        "kind": {"const": kind},
        "specDigest": _described(_DIGEST_TEXT, "Of the resolved documents of the spec."),
        "warnings": _list(_TEXT),
    }
    return {"$schema": _DRAFT, "title": f"regsync {kind}", **_object({**head, **properties}, optional)}


def _summary(bytes_: Schema) -> Schema:
    names = ("create", "update", "unchanged", "blocked", "deferred", "degraded", "failed")
    counts = dict.fromkeys(names, _COUNT)
    unknown = _described(_nullable(_COUNT), "null: the ledger has no history to know it by.")
    return _object({**counts, "delete": unknown, "bytes": bytes_})


def _action(more: Mapping[str, Schema]) -> Schema:
    properties: dict[str, Schema] = {
        "action": _enum(*(verb.value for verb in Verb)),
        "mirror": _TEXT,
        "source": _LOCATION,
        "target": _LOCATION,
        "tag": _described(_nullable(_TAG_TEXT), "null: content without a tag, or a whole repository."),
        "digest": _described(_nullable(_DIGEST_TEXT), "On the target, after trimming."),
        "replaces": _described(_nullable(_DIGEST_TEXT), "What the tag must point to; null: nothing."),
        "size": _described(_nullable(_COUNT), "Distinct bytes under the digest."),
        "reason": _TEXT,
        "sourceTag": _described(_TAG_TEXT, "Where it is another than `tag`."),
        "sourceDigest": _described(_DIGEST_TEXT, "Where it is another than `digest`."),
        "verdicts": _described(_list(_judgement()), "Of every policy that applies, if any."),
        **more,
    }
    return _object(properties, {"sourceTag", "sourceDigest", "verdicts"})


def _base() -> Schema:
    place: dict[str, Schema] = {"mirror": _TEXT, "target": _LOCATION}
    left = _object({**place, "tags": _described(_list(_TEXT), "The first of them."), "count": _COUNT})
    unguarded = {
        "policies": _described(_list(_TEXT), "Enforced before; none: the target is new."),
        "remaining": _described(_list(_TEXT), "Enforced still."),
    }
    return _object(
        {
            "revision": _described(_TEXT, "As it was named with --base."),
            "commit": _TEXT,
            "specDigest": _described(_nullable(_DIGEST_TEXT), "null: there was no spec."),
            "anyway": _described(_COUNT, "Actions that are pending without the change too, and left out."),
            "left": _described(_list(left), "What nothing keeps any more; it is not deleted."),
            "unguarded": _list(_object({**place, **unguarded})),
        }
    )


def _judgement() -> Schema:
    return _object(
        {
            "policy": _TEXT,
            "mode": _enum(*(mode.value for mode in Mode)),
            "result": _RESULT,
            "reason": _nullable(_TEXT),
            "signers": _list(_TEXT),
            "unmet": _described(_list(_TEXT), "Requirements that are not met, where any is to be met."),
        },
        {"unmet"},
    )


def _problem() -> Schema:
    code = _enum(*(int(cause) for cause in Cause), None)
    outcome = _enum(*(outcome.value for outcome in Outcome))
    return _object({"outcome": outcome, "exitCode": code, "message": _TEXT, "hint": _nullable(_TEXT)})


def _explanation() -> Schema:
    target = _described(_LOCATION, "Of a tag there, which is kept or deleted; else it is one of the source.")
    said: dict[str, Schema] = {"mirror": _TEXT, "source": _LOCATION, "kept": _FLAG, "why": _TEXT}
    return _object({**said, "tag": _TAG_TEXT, "target": target}, optional={"target"})


def _run() -> Schema:
    kinds: Schema = {"type": "object", "additionalProperties": _COUNT}
    return _object(
        {
            "id": _TEXT,
            "started": _TIME,
            "seconds": _SECONDS,
            "requests": {"type": "object", "additionalProperties": kinds},
            "bytesRead": _COUNT,
            "interrupted": {"type": "boolean"},
        }
    )


def _run_finished() -> dict[str, Schema]:
    outcomes = ("done", "refused", "failed", "temporary", "interrupted", "crashed")
    return {
        "run": _TEXT,
        "mirrors": _list(_TEXT),
        "outcome": _enum(*outcomes),
        "summary": _summary(_described(_COUNT, "Sent to targets.")),
        "seconds": _SECONDS,
        "message": _nullable(_TEXT),
    }


def _event(name: str, properties: Mapping[str, Schema]) -> Schema:
    level = _enum("info", "warning", "error")
    return _object({"time": _TIME, "level": level, "event": {"const": name}, **properties})


def _object(properties: Mapping[str, Schema], optional: set[str] | None = None) -> Schema:
    return {
        "type": "object",
        "properties": dict(sorted(properties.items())),
        "required": sorted(set(properties) - (optional or set())),
        "additionalProperties": False,
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _enum(*values: object) -> Schema:
    return {"enum": list(values)}


def _described(schema: Schema, text: str) -> Schema:
    return {**schema, "description": text}


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
