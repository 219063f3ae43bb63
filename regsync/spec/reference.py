"""docs/spec.md, rendered from the models, so that it cannot say anything else than they do.

`python -m regsync.spec.reference > docs/spec.md` writes it; a test compares the two.
"""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from regsync.spec.documents import KINDS, model_of
from regsync.spec.reference_intro import INTRO
from regsync.spec.schema import spec_schema


def render() -> str:
    """The whole page."""
    schema = spec_schema()
    definitions = schema["$defs"]
    lines = [INTRO]
    shown: set[str] = set()
    for kind in KINDS:
        document = definitions[model_of(kind).__name__]
        lines += [f"## {kind}", "", document["description"], ""]
        below = _target(document["properties"]["spec"])
        if below in shown:
            lines += [f"Its `spec` has the keys of [{_title(below)}](#{_title(below).lower()}).", ""]
            continue
        lines += _keys(below, definitions, shown, title=None)
        shown.add(below)
    return "\n".join(lines).rstrip() + "\n"


def _keys(name: str, definitions: Mapping[str, Any], shown: set[str], *, title: str | None) -> Iterator[str]:
    """A table of the keys of one definition, then those which its keys lead to."""
    definition = definitions[name]
    required = definition.get("required", [])
    if title is not None:
        yield from (f"### {title}", "", definition["description"], "")
    yield from ("| key | form | |", "|---|---|---|")
    nested: list[str] = []
    for key, value in definition["properties"].items():
        must = " **Required.**" if key in required else ""
        yield f"| `{key}` | {_form(value)} | {value.get('description', '')}{must} |"
        nested += [one for one in _targets(value) if one not in nested]
    yield ""
    for one in nested:
        if one not in shown:
            shown.add(one)
            yield from _keys(one, definitions, shown, title=_title(one))


def _form(value: Mapping[str, Any]) -> str:
    """What may stand behind a key, in a few words."""
    if "$ref" in value:
        title = _title(_target(value))
        return f"[{title}](#{title.lower().replace(' ', '-')})"
    if "oneOf" in value or "anyOf" in value:
        return " or ".join(_form(one) for one in value.get("oneOf", value.get("anyOf", [])))
    if "enum" in value:
        return " ".join(f"`{one}`" for one in value["enum"])
    match value.get("type"):
        case "array":
            form = _form(value["items"])
            return f"list of ({form})" if " or " in form else f"list of {form}"
        case "object":
            of = [value["additionalProperties"]] if value.get("additionalProperties") else []
            of += value.get("patternProperties", {}).values()
            return f"mapping of text to {_form(of[0])}"
        case "integer" | "number" as kind:
            word = "whole number" if kind == "integer" else "number"
            bounds = f", {value['minimum']} to {value['maximum']}" if "maximum" in value else ""
            return f"{word}{bounds}"
        case "boolean":
            return "`true` or `false`"
        case _:
            examples = value.get("examples") or []
            shown = [one for one in examples if isinstance(one, str)]
            return f"text, such as `{shown[0]}`" if shown else "text"


def _targets(value: Any) -> list[str]:
    """Every definition that a key's value may be."""
    if isinstance(value, Mapping):
        own = [_target(value)] if "$ref" in value else []
        return own + [one for key, below in value.items() if key != "$ref" for one in _targets(below)]
    return [one for below in value for one in _targets(below)] if isinstance(value, list) else []


def _target(value: Mapping[str, Any]) -> str:
    return str(value["$ref"]).rpartition("/")[2]


_TITLES = {
    "MirrorKeys": "Mirror",
    "RuleKeys": "Tag rule",
    "SemverKeys": "Version in a regex",
    "SortKeys": "Sort by a group",
    "AuthKeys": "Credentials",
    "SecretSource": "Secret",
    "TlsKeys": "TLS",
    "LimitKeys": "Limits",
    "RepositoryKeys": "Repository with its own tags",
    "GlobKeys": "Repository globs",
    "ImageKeys": "Images",
    "PlatformKeys": "Platforms with a form",
    "NotificationKeys": "Notification",
    "RetentionKeys": "RetentionPolicy",
    "KeepRuleKeys": "Keep rule",
    "UntaggedKeys": "Untagged manifests",
    "DeletionLimitKeys": "Limits of deletion",
    "ProjectKeys": "Project",
    "PruneKeys": "Prune",
    "HistoryKeys": "History",
    "ReferrerKeys": "Referrers with a requirement",
    "ServerTlsKeys": "TLS of the server",
    "ServerStorageKeys": "Storage",
    "ServerAuthKeys": "Logins",
    "JwtKeys": "Token issuer",
    "AccessKeys": "Access rule",
    "ImmutableKeys": "Immutable tags",
    "ServerLimitKeys": "Limits of the server",
    "AuditKeys": "Audit",
    "UpstreamKeys": "Upstream",
    "GcKeys": "Garbage collection",
    "PolicyKeys": "VerificationPolicy",
    "SkipKeys": "Exception",
    "AuthorityKeys": "Authority",
    "KeylessKeys": "Identity of Sigstore",
    "KeyKeys": "Public key",
    "NotationKeys": "Certificates of notation",
    "RequirementKeys": "Requirement",
    "AtLeastKeys": "So many of several",
    "SignatureKeys": "Signature",
    "AttestationKeys": "Attestation",
    "SlsaKeys": "SLSA provenance",
    "VulnerabilityKeys": "Vulnerabilities",
    "AllowedKeys": "Allowed vulnerability",
    "TrustRootKeys": "TrustRoot",
    "SigstoreRootKeys": "Root of Sigstore",
    "NotationRootKeys": "Root of notation",
}


def _title(name: str) -> str:
    return _TITLES[name]


if __name__ == "__main__":
    sys.stdout.write(render())
