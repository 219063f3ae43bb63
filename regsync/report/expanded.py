"""What `validate` says: that a spec is valid, what is wrong with it, and what it comes to when expanded."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from regsync.oci.digest import Digest
from regsync.plan.document import API_VERSION, encode
from regsync.report.escape import code_span, message, visible
from regsync.report.expanded_rules import prune_document, rules_document, rules_lines, schedule_document
from regsync.report.style import BOLD, PLAIN, Style
from regsync.report.units import counted
from regsync.spec.model import (
    IndexForm,
    Mirror,
    Position,
    ReferrersMode,
    ReferrersPolicy,
    RepositoryGlobs,
    Spec,
    TagRule,
    Unit,
)


class Flaw(Protocol):
    """One problem of a spec; `spec.problems.SpecProblem` is one."""

    @property
    def position(self) -> Position:
        """Where it stands."""
        ...

    @property
    def path(self) -> str:
        """The key."""
        ...

    @property
    def message(self) -> str:
        """What is wrong, and what was expected."""
        ...

    @property
    def nearest(self) -> str | None:
        """The known name that was probably meant."""
        ...


@dataclass(frozen=True, slots=True)
class Expanded:
    """A mirror and its units; None where its repositories are known only to its source's registry."""

    mirror: Mirror
    units: Sequence[Unit] | None


def valid_text(spec: Spec, expanded: Sequence[Expanded] | None = None, style: Style = PLAIN) -> Iterator[str]:
    """Lines for people."""
    for one in expanded or ():
        yield f"{style.paint(visible(one.mirror.name), BOLD)}\n"
        if one.units is None:
            yield f"  {_templates(one.mirror)}\n"
            yield from _key_lines(one.mirror)
        for unit in one.units or ():
            yield from _unit_lines(unit)
    if expanded is not None:
        yield from rules_lines(spec, style)
    yield from (f"{visible(line)}\n" for line in _realm_lines(spec, expanded))
    yield f"Valid: {_sizes(spec)}.\n"


def valid_json(spec: Spec, expanded: Iterable[Expanded] | None = None) -> Iterator[str]:
    """The document; with `expanded` also every mirror."""
    document: dict[str, object] = {
        **_head(valid=True),
        "specDigest": str(spec.digest),
        "files": len(spec.files),
        "registries": sorted(spec.registries),
        "policies": sorted(spec.policies),
        "trustRoots": sorted(spec.trust_roots),
        "retention": [policy.name for policy in spec.retention],
        "projects": [project.name for project in spec.projects],
        "problems": [],
    }
    if expanded is None:
        document["mirrors"] = [mirror.name for mirror in spec.mirrors]
    else:
        document["mirrors"] = [_mirror_document(one) for one in expanded]
        document["realms"] = _realms(spec)
        document |= rules_document(spec)
    return encode(document)


def valid_markdown(spec: Spec, expanded: Sequence[Expanded] | None = None) -> Iterator[str]:
    """One line for a comment, and what was expanded below it."""
    yield f"### regsync validate: the spec is valid\n\n{_sizes(spec)}\n"
    for one in expanded or ():
        lines = [_templates(one.mirror), *_key_lines(one.mirror)] if one.units is None else []
        lines = [line.rstrip("\n") for line in lines]
        lines += [line.rstrip("\n") for unit in one.units or () for line in _unit_lines(unit)]
        yield f"\n- {code_span(one.mirror.name)}\n"
        yield from (f"  - {code_span(line.strip())}\n" for line in lines)
    for line in rules_lines(spec) if expanded is not None else ():
        head = "  - " if line.startswith(" ") else "\n- "
        yield f"{head}{code_span(line.strip())}\n"
    yield from (f"\n- {code_span(line)}\n" for line in _realm_lines(spec, expanded))


def invalid_json(problems: Iterable[Flaw]) -> Iterator[str]:
    """The document for a spec that is not valid."""
    return encode({**_head(valid=False), "problems": [_problem(one) for one in problems]})


def invalid_markdown(problems: Sequence[Flaw]) -> Iterator[str]:
    """Every problem with its place, for a comment."""
    yield f"### regsync validate: {counted(len(problems), 'problem')}\n\n"
    for one in problems[:MAX_PROBLEMS]:
        guess = f"; did you mean {code_span(one.nearest)}?" if one.nearest else ""
        key = f" {code_span(one.path)}:" if one.path else ""
        yield f"- {code_span(str(one.position))}{key} {code_span(one.message)}{guess}\n"
    if len(problems) > MAX_PROBLEMS:
        yield f"- and {len(problems) - MAX_PROBLEMS} more\n"


MAX_PROBLEMS = 100  # in Markdown


def _realms(spec: Spec) -> dict[str, list[str]]:
    """Hosts that get a registry's credentials besides its own, by its name."""
    named = {name: list(registry.auth.realms) for name, registry in spec.registries.items()}
    return {name: realms for name, realms in named.items() if realms}


def _realm_lines(spec: Spec, expanded: Sequence[Expanded] | None) -> Iterator[str]:
    if expanded is not None:
        for name, realms in sorted(_realms(spec).items()):
            yield f"{name}: its credentials also go to {', '.join(realms)}"


def _head(*, valid: bool) -> dict[str, object]:
    return {"apiVersion": API_VERSION, "kind": "Validation", "valid": valid}


def _problem(one: Flaw) -> Mapping[str, object]:
    return {
        "file": one.position.file,
        "line": one.position.line,
        "column": one.position.column,
        "path": one.path,
        "message": one.message,
        "nearest": one.nearest,
    }


def _sizes(spec: Spec) -> str:
    parts = [counted(len(spec.registries), "registry", "registries"), counted(len(spec.mirrors), "mirror")]
    if spec.policies:
        parts.append(counted(len(spec.policies), "policy", "policies"))
    if spec.retention:
        parts.append(counted(len(spec.retention), "retention policy", "retention policies"))
    if spec.projects:
        parts.append(counted(len(spec.projects), "project"))
    if spec.server is not None:
        parts.append("a server")
    named = f"{', '.join(parts[:-1])} and {parts[-1]}"
    return f"{named} in {counted(len(spec.files), 'file')}, {_short(spec.digest)}"


def _short(digest: Digest) -> str:
    return f"spec digest {digest.algorithm}:{digest.short()}"


def _templates(mirror: Mirror) -> str:
    globs = mirror.repositories
    chosen = ", ".join(globs.include) if isinstance(globs, RepositoryGlobs) else ""
    if isinstance(globs, RepositoryGlobs) and globs.exclude:
        chosen += f" and not {', '.join(globs.exclude)}"
    sources, targets = ", ".join(map(str, mirror.sources)), ", ".join(map(str, mirror.targets))
    return f"{visible(sources)} → {visible(targets)}, for repositories that match {visible(chosen)}"


def _unit_lines(unit: Unit) -> Iterator[str]:
    sources, targets = " | ".join(map(str, unit.sources)), ", ".join(map(str, unit.targets))
    yield f"  {visible(sources)} → {visible(targets)}\n"
    yield from _key_lines(unit)


def _key_lines(one: Mirror | Unit) -> Iterator[str]:
    for rule in one.rules:
        yield f"    tags {message(_rule(rule))}\n"
    yield from (f"    {message(line)}\n" for line in _other_lines(one))


def _other_lines(unit: Mirror | Unit) -> Iterator[str]:
    for pin in unit.pinned if isinstance(unit, Unit) else ():
        yield f"image {pin.tag or ''}{f'@{pin.digest}' if pin.digest is not None else ''}"
    for digest in unit.digests:
        yield f"digest {digest}"
    if unit.exclude_tags:
        yield f"excludeTags {', '.join(unit.exclude_tags)}"
    if unit.rules and unit.at_least != 1:
        yield f"atLeast {unit.at_least}"
    if unit.rename != "{tag}":
        yield f"rename {unit.rename}"
    if unit.platforms is not None:
        kept = ", index kept as it is" if unit.index is IndexForm.ORIGINAL else ""
        yield f"platforms {', '.join(map(str, unit.platforms))}{kept}"
    if unit.referrers != ReferrersPolicy():
        yield f"referrers {_referrers(unit.referrers)}"
    if unit.immutable:
        yield f"immutable {', '.join(unit.immutable)}"
    if unit.verify:
        yield f"verify {', '.join(unit.verify)}"
    others = {"prune": unit.prune, "history": unit.history, "schedule": unit.schedule}
    yield from (f"{key} {value}" for key, value in others.items() if value is not None)


def _rule(rule: TagRule) -> str:
    parts = [str(rule)]
    if rule.regex is not None and rule.semver is not None:
        parts.append(f"{rule.semver.of} in {rule.semver.range!r}")
    if rule.exclude:
        parts.append(f"except {', '.join(rule.exclude)}")
    parts += [f"label {key}={value}" for key, value in sorted(rule.labels.items())]
    if rule.max_age is not None:
        parts.append(f"at most {rule.max_age.days} days old")
    if rule.newest is not None:
        per = f" per {rule.per}" if rule.per else ""
        order = rule.order
        parts.append(f"newest {rule.newest}{per} by {order.by.value}{f' of {order.of}' if order.of else ''}")
    return ", ".join(parts)


def _referrers(policy: ReferrersPolicy) -> str:
    what = ", ".join(policy.types) if policy.mode is ReferrersMode.TYPES else policy.mode.value
    return f"{what}{', required' if policy.required else ''}"


def _mirror_document(one: Expanded) -> dict[str, object]:
    mirror = one.mirror
    document: dict[str, object] = {
        "name": mirror.name,
        "labels": dict(mirror.labels),
        "sources": [str(source) for source in mirror.sources],
        "targets": [str(target) for target in mirror.targets],
    }
    if one.units is None:
        globs = mirror.repositories
        document["repositories"] = None
        if isinstance(globs, RepositoryGlobs):
            document["include"], document["exclude"] = list(globs.include), list(globs.exclude)
        document |= _keys_document(mirror)
    else:
        document["repositories"] = [_unit_document(unit) for unit in one.units]
    return document


def _unit_document(unit: Unit) -> dict[str, object]:
    return {
        "repository": str(unit.repository),
        "sources": [str(source) for source in unit.sources],
        "targets": [str(target) for target in unit.targets],
        "images": [
            {"tag": pin.tag, "digest": str(pin.digest) if pin.digest is not None else None}
            for pin in unit.pinned
        ],
        **_keys_document(unit),
    }


def _keys_document(unit: Mirror | Unit) -> dict[str, object]:
    return {
        "tags": [_rule(rule) for rule in unit.rules],
        "excludeTags": list(unit.exclude_tags),
        "atLeast": unit.at_least,
        "rename": unit.rename,
        "digests": [str(digest) for digest in unit.digests],
        "platforms": [str(one) for one in unit.platforms] if unit.platforms is not None else None,
        "index": unit.index.value,
        "referrers": _referrers(unit.referrers),
        "immutable": list(unit.immutable),
        "verify": list(unit.verify),
        "prune": None if unit.prune is None else prune_document(unit.prune),
        "history": None if unit.history is None else {"tag": unit.history.tag, "keep": unit.history.keep},
        "schedule": schedule_document(unit.schedule),
    }
