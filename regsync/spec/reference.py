"""docs/spec.md, rendered from the models, so that it cannot say anything else than they do.

`python -m regsync.spec.reference > docs/spec.md` writes it; a test compares the two.
"""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from regsync.spec.documents import KINDS, model_of
from regsync.spec.schema import spec_schema

_INTRO = """\
# The spec

<!-- Rendered by `python -m regsync.spec.reference`; change the models in regsync/spec instead. -->

A spec is YAML: any number of documents in any number of files. A command takes paths; a directory is
walked for `*.yaml` and `*.yml` in sorted order, hidden files and directories left out; without a path
it takes `regsync.yaml`, else the directory `regsync/`. Every document looks like this:

```yaml
apiVersion: regsync.dev/v1
kind: Mirror
metadata: {name: nginx, labels: {team: web}}
spec:
  source: docker.io/library/nginx
  targets: [registry.example.com/hub/nginx]
  tags: [{semver: ">=1.25", newest: 3, per: minor}, latest]
```

`regsync validate` shows every problem of a spec at once, each with file, line and column.
`regsync schema` prints a JSON Schema for completion in editors, which is also
[published](schemas/spec.schema.json). Working specs are in
[examples/](../examples).

## Rules that hold everywhere

- **Strict.** Unknown keys, keys that stand twice, keys without a value, names used twice and
  references to nothing are errors. There are no `${VAR}` templates and no merge keys (`<<`).
- **Scalars** follow the YAML 1.2 core schema: `on` is a word, `012` is twelve, a date is text. Where text
  is expected, what was written is taken: the tag `1.10` stays `1.10`.
- **Paths** are relative to the file in which they stand; in a spec on stdin (`-`) to the current directory.
- **Secrets** are `{env: NAME}` or `{file: PATH}`, never a plain value.
- **Durations** are `90s 15m 12h 7d 4w 2y` (a year has 365 days), **sizes** `64KiB 20MiB 1GB`.
- **Names.** In `a/b/c` a first part without `.` and `:`, other than `localhost`, is the name of a Registry
  or RegistryGroup. Anything else is a host: `docker.io/library/nginx`, `http://127.0.0.1:5000/nginx`.
  A host that one Registry declares gets its credentials, TLS and limits. A host that several declare
  has to be named by one of them; they share its limits, not their credentials.
- **Directories.** In a walked directory, documents of another `apiVersion` are passed over; in a named
  file they are an error. `MirrorDefaults` apply to their directory and below. When a directory above, in
  the same git tree, holds defaults, or policies with `images` or `targets`, that the paths leave out, that is
  an error.

## How tags are selected

Rules run alone and their results are united. In a rule, one step after the other:

1. **match**: one of `names`, `glob`, `regex` (the whole tag) and `semver`. With `regex`, `semver` may look at
   one of its named groups. Patterns never select cosign's digest tags (`sha256-….sig`): they follow
   their image.
2. **`exclude`**, **`labels`**, **`maxAge`**. An image's age counts from its `created`, else from the
   annotation `org.opencontainers.image.created`, else (and when before 1990) from when regsync first saw it.
3. **`per`**: one group per `major` or `minor` version, or per value of a named group of the regex.
4. **`sort`** and **`newest`**: of each group the newest. A tag that the sort cannot read is dropped. `names`,
   and texts without a wildcard, pass these two by.

Then, over the union: `excludeTags`, `atLeast`, `rename`. `plan --explain` says for each tag which rule and
step kept or dropped it.

**Globs**: `*` and `?` stop at `/`, a part `**` stands for any number of parts, also none, `[…]` is a class.
They match the whole, and case counts.

**Versions**: `v1.2.3`, `1.2`, `15`: a missing part is 0. `_` reads as `+`, as Helm writes it.
**Ranges**: space or comma is *and*, `||` is *or*; `^1.2`, `~1.2`, `1.x`, `*` and `1.2 - 1.4` as in npm. A
missing part is 0 here too, so `15` is 15.0.0 alone and `<=1.2` ends at 1.2.0; `15.x` and `<1.3` are what is
often meant.
A pre-release matches only where an alternative names one, as in `>=1.25-0`.

**Regular expressions** are Python's. Those that could take for ever on a hostile tag, such as `(a+)+`, are
refused.

## Which policies an image has to meet

Those that its mirror, or the upstream, names under `verify`, every one whose `images` match its source, and
every one whose `targets` match where it goes; all of them. A glob over REGISTRY/REPOSITORY speaks of the
place: `hub/acme/**` is met by every Registry of that host, and by a full reference to it. A RegistryGroup
stands for its members, `*` for every registry, `**` alone for everything. That two host names lead to one
registry only their owner knows: where that matters, write `*`.

What makes no sense is an error before anything is asked of a network: names of nothing, an authority, a
root or a policy that nothing uses, a private key where a public one belongs. `referrers: none` stands
against every policy that applies, since evidence has to be at the target too, and so does a list of
`platforms` against one whose `scope` is `index` or `both`: the new index has a digest that nobody has signed.
Files that policies and roots name are read with the spec, and the spec digest covers what is in them.

## Across mirrors

Two mirrors that could write the same tag of one target, a target equal to its source, and cycles
(a → b → a) are errors. Whether two mirrors could write the same tag is decided from the spec alone: names
exactly, globs by whether they have a tag in common, version ranges by whether they meet, a regex by
its fixed text. To part two patterns, let one side exclude the glob by which the other selects. Chained
mirrors (dev → staging → prod) run in order; each waits for the targets that it reads from, and for no others.
"""


def render() -> str:
    """The whole page."""
    schema = spec_schema()
    definitions = schema["$defs"]
    lines = [_INTRO]
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
