"""Mirror documents, with their defaults, to mirrors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from regsync.oci.reference import RepositoryName
from regsync.spec.documents import MirrorDefaultsDocument, MirrorDocument
from regsync.spec.images import read_images
from regsync.spec.locations import hub_objection, read_templates
from regsync.spec.mirror_keys import (
    INSTEAD_OF_IMAGES,
    GlobKeys,
    MirrorKeys,
    PlatformKeys,
    ReferrerKeys,
    RepositoryKeys,
)
from regsync.spec.model import (
    IndexForm,
    LocationTemplate,
    Mirror,
    ReferrersMode,
    ReferrersPolicy,
    RepositoryEntry,
    RepositoryGlobs,
    TagRule,
)
from regsync.spec.nodes import Spot, Step
from regsync.spec.problems import Problems
from regsync.spec.pruning_keys import history, prune_policy, schedule
from regsync.spec.reading import Document
from regsync.spec.registries import Registries, is_docker_hub, refuse_repeated_names
from regsync.spec.tag_rules import tag_rule


@dataclass(frozen=True, slots=True)
class Merged:
    """A mirror's keys, and for each the document that it comes from: its own, or a MirrorDefaults."""

    document: Document
    values: Mapping[str, Any]  # by field name
    origins: Mapping[str, Document]
    unknown: frozenset[str]  # fields that are given, but wrong

    def get(self, name: str) -> Any:
        """The value of a key, or None."""
        return self.values.get(name)

    def lacks(self, name: str) -> bool:
        """Whether a key is given neither here nor in defaults."""
        return name not in self.values and name not in self.unknown

    def at(self, name: str, *path: Step) -> Spot:
        """Where a key stands; the document itself when it stands nowhere."""
        key = MirrorKeys.model_fields[name].alias or name
        return self.origins.get(name, self.document).at("spec", key, *path)


def merge_all(documents: Sequence[Document], problems: Problems) -> list[Merged]:
    """Every whole Mirror with the defaults of its directory and those above; the nearest wins, key by key."""
    defaults: dict[Any, Document] = {}
    for document in documents:
        if document.kind != "MirrorDefaults":
            continue
        other = defaults.setdefault(document.directory.absolute(), document)
        if other is not document:
            message = f"this directory has MirrorDefaults already, at {other.root.position}"
            problems.add(document.root.position, "", message)
    mirrors = refuse_repeated_names([one for one in documents if one.kind == "Mirror"], problems)
    return [_merge(one, defaults) for one in mirrors if isinstance(one.model, MirrorDocument)]


def _merge(document: Document, defaults: Mapping[Any, Document]) -> Merged:
    values: dict[str, Any] = {}
    origins: dict[str, Document] = {}
    unknown: set[str] = set()
    directory = document.directory.absolute()
    layers = [document, *(defaults[one] for one in (directory, *directory.parents) if one in defaults)]
    for layer in layers:
        if not isinstance(layer.model, MirrorDocument | MirrorDefaultsDocument):
            continue
        keys = layer.model.spec
        for name, field in MirrorKeys.model_fields.items():
            if name in values or name in unknown or _stands_back(name, values):
                continue
            if (field.alias or name) in layer.dropped:
                unknown.add(name)
            elif name in keys.model_fields_set:
                values[name], origins[name] = getattr(keys, name), layer
    return Merged(document, values, origins, frozenset(unknown))


def _stands_back(name: str, values: Mapping[str, Any]) -> bool:
    """Whether a default has no place beside what is nearer: `images`, or what it stands instead of."""
    if name == "images":
        return any(one in values for one in ("source", "repositories", "tags", "digests"))
    return "images" in values and name in INSTEAD_OF_IMAGES


def resolve(merged: Merged, registries: Registries, problems: Problems) -> Mirror | None:
    """The mirror, or None with what is wrong in `problems`."""
    before = len(problems.found)
    targets = _targets(merged, registries, problems)
    sources = _sources(merged, registries, problems)
    images = read_images(merged.get("images"), merged, registries, problems)
    repositories = _repositories(merged, problems)
    _check_completeness(merged, sources, problems)
    _check_placeholders(merged, sources, targets, problems)
    _check_timezone(merged, problems)
    _check_hub_names(sources, repositories, registries, merged, problems)
    if len(problems.found) > before or merged.document.dropped or merged.unknown:
        return None
    platforms, index = _platforms(merged.get("platforms"))
    model = merged.document.model
    assert isinstance(model, MirrorDocument)  # noqa: S101 - merge_all takes no other
    at_least = merged.get("at_least")
    return Mirror(
        name=model.metadata.name,
        sources=tuple(sources),
        targets=tuple(targets),
        labels=dict(model.metadata.labels or {}),
        repositories=repositories,
        rules=_rules(merged, "tags", merged.get("tags")),
        exclude_tags=tuple(merged.get("exclude_tags") or ()),
        at_least=1 if at_least is None else at_least,
        rename=merged.get("rename") or "{tag}",
        digests=tuple(dict.fromkeys(merged.get("digests") or ())),
        images=images,
        platforms=platforms,
        index=index,
        referrers=_referrers(merged.get("referrers")),
        immutable=tuple(merged.get("immutable") or ()),
        verify=tuple(dict.fromkeys(merged.get("verify") or ())),
        prune=prune_policy(merged.get("prune")),
        history=history(merged.get("history")),
        schedule=schedule(merged.get("schedule"), merged.get("timezone")),
        position=merged.document.root.position,
    )


def _sources(merged: Merged, registries: Registries, problems: Problems) -> list[LocationTemplate]:
    written = merged.get("source")
    if written is None:
        return []
    is_list = isinstance(written, list)
    found = []
    for number, text in enumerate(written if is_list else [written]):
        spot = merged.at("source", number) if is_list else merged.at("source")
        for template in read_templates(text, spot, registries, problems, groups=False):
            found.append(template)
    return found


def _targets(merged: Merged, registries: Registries, problems: Problems) -> list[LocationTemplate]:
    found: dict[LocationTemplate, None] = {}
    for number, text in enumerate(merged.get("targets") or []):
        spot = merged.at("targets", number)
        found.update(dict.fromkeys(read_templates(text, spot, registries, problems, groups=True)))
    return list(found)


def _repositories(merged: Merged, problems: Problems) -> tuple[RepositoryEntry, ...] | RepositoryGlobs | None:
    written = merged.get("repositories")
    if written is None:
        return None
    if isinstance(written, GlobKeys):
        return RepositoryGlobs(tuple(written.include), tuple(written.exclude or ()))
    entries: dict[RepositoryName, RepositoryEntry] = {}
    for number, item in enumerate(written):
        name = item.name if isinstance(item, RepositoryKeys) else item
        if name in entries:
            spot = merged.at("repositories", number)
            problems.add(spot.position, spot.path, f"{name} stands twice in this list")
        tags = item.tags if isinstance(item, RepositoryKeys) else None
        rules = None if tags is None else _rules(merged, "repositories", tags, number, "tags")
        entries[name] = RepositoryEntry(name, rules)
    return tuple(entries.values())


def _rules(merged: Merged, key: str, written: Any, *path: Step) -> tuple[TagRule, ...]:
    return tuple(
        tag_rule(rule, merged.at(key, *path, number).position) for number, rule in enumerate(written or ())
    )


def _check_completeness(merged: Merged, sources: Sequence[LocationTemplate], problems: Problems) -> None:
    spot = merged.document.at("spec")
    if merged.lacks("targets"):
        problems.add(spot.position, "spec.targets", "the key is missing, here and in MirrorDefaults")
    if not merged.lacks("images"):
        return
    if merged.lacks("source"):
        problems.add(spot.position, "spec.source", "expected source, or images, here or in MirrorDefaults")
        return
    if merged.lacks("tags") and merged.lacks("digests") and not _all_have_tags(merged):
        problems.add(spot.position, "spec.tags", "expected tags, or digests, here or in MirrorDefaults")
    has_placeholder = any(source.has_placeholder for source in sources)
    if has_placeholder and merged.lacks("repositories"):
        spot = merged.at("source")
        problems.add(spot.position, spot.path, "its placeholder needs repositories, which are missing")
    if sources and not has_placeholder and merged.get("repositories") is not None:
        spot = merged.at("repositories")
        problems.add(spot.position, spot.path, "it has no effect without a placeholder in source")


def _all_have_tags(merged: Merged) -> bool:
    written = merged.get("repositories")
    if "repositories" in merged.unknown:
        return True
    return isinstance(written, list) and all(
        isinstance(item, RepositoryKeys) and item.tags is not None for item in written
    )


def _check_placeholders(
    merged: Merged,
    sources: Sequence[LocationTemplate],
    targets: Sequence[LocationTemplate],
    problems: Problems,
) -> None:
    if sources and any(one.has_placeholder != sources[0].has_placeholder for one in sources):
        spot = merged.at("source")
        problems.add(spot.position, spot.path, "either all sources of a mirror have a placeholder, or none")
    if isinstance(merged.get("repositories"), GlobKeys) and sources:
        path = sources[0].path
        if path.count("{") != 1 or "{repository}" not in path:
            spot = merged.at("source")
            message = "globs need a (first) source with {repository} once, and no other placeholder"
            problems.add(spot.position, spot.path, message)
    many = sources and sources[0].has_placeholder and not _is_single(merged.get("repositories"))
    if many and not any(target.has_placeholder for target in targets) and targets:
        spot = merged.at("targets")
        problems.add(spot.position, spot.path, "many repositories would go to one: put {repository} into it")


def _check_timezone(merged: Merged, problems: Problems) -> None:
    """In defaults it may be for those mirrors that have a schedule."""
    if merged.lacks("schedule") and merged.origins.get("timezone") is merged.document:
        spot = merged.at("timezone")
        problems.add(spot.position, spot.path, "it has no effect without a schedule")


def _is_single(written: Any) -> bool:
    return isinstance(written, list) and len(written) == 1


def _check_hub_names(
    sources: Sequence[LocationTemplate],
    repositories: tuple[RepositoryEntry, ...] | RepositoryGlobs | None,
    registries: Registries,
    merged: Merged,
    problems: Problems,
) -> None:
    """`hub/nginx` exists nowhere: Docker Hub's own images are below `library/`."""
    by_name = registries.by_name
    for source in sources:
        if not is_docker_hub(by_name.get(source.registry)):
            continue
        if not source.has_placeholder and "/" not in source.path:
            spot = merged.at("source")
            problems.add(spot.position, spot.path, hub_objection(source.path))
        if source.path == "{repository}" and isinstance(repositories, tuple):
            for number, entry in enumerate(repositories):
                if "/" not in entry.name:
                    spot = merged.at("repositories", number)
                    problems.add(spot.position, spot.path, hub_objection(entry.name))


def _platforms(written: Any) -> tuple[Any, IndexForm]:
    if written is None:
        return None, IndexForm.TRIMMED
    if isinstance(written, PlatformKeys):
        return tuple(dict.fromkeys(written.include)), IndexForm(written.index)
    return tuple(dict.fromkeys(written)), IndexForm.TRIMMED


def _referrers(written: Any) -> ReferrersPolicy:
    required = False
    if isinstance(written, ReferrerKeys):
        written, required = written.types, written.required
    if isinstance(written, list):
        return ReferrersPolicy(ReferrersMode.TYPES, tuple(dict.fromkeys(written)), required)
    return ReferrersPolicy(ReferrersMode(written or "all"), (), required)
