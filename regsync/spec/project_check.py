"""What the files of a Project do, beside what it allows (DESIGN.md, section 3).

Everything is looked at as it is resolved, defaults merged and groups expanded, and by the names of
Registries: another Registry of the same host may have credentials of its own.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from regsync.oci.reference import is_host
from regsync.spec.durations import written_duration
from regsync.spec.mirror_keys import ImageKeys
from regsync.spec.mirrors import Merged
from regsync.spec.model import Location, Mirror
from regsync.spec.nodes import Spot
from regsync.spec.place_globs import is_within
from regsync.spec.problems import Problems
from regsync.spec.project_files import Ownership
from regsync.spec.projects import Project
from regsync.spec.pruning import DeletionLimits, Owns, PrunePolicy
from regsync.spec.reaching import reach
from regsync.spec.reading import Document
from regsync.spec.retention import RetentionPolicy


@dataclass(frozen=True, slots=True)
class _Held:
    """One Project, held against what its files say."""

    project: Project
    problems: Problems

    def refuse(self, spot: Spot, found: str, allowed: str) -> None:
        """Note that `found` is more than `allowed`."""
        project = f"Project {self.project.name} ({self.project.position})"
        self.problems.add(spot.position, spot.path, f"{found}: {project} allows {allowed}")


def hold_mirrors(
    resolved: Sequence[tuple[Merged, Mirror]], ownership: Ownership, problems: Problems
) -> list[tuple[Merged, Mirror]]:
    """The mirrors, with what their Projects add to them; what they may not do goes to `problems`."""
    found = []
    for merged, mirror in resolved:
        project = ownership.of(merged.document.file)
        _refuse_strange_defaults(merged, project, ownership, problems)
        if project is not None:
            held = _Held(project, problems)
            _refuse_full_references(merged, held, ownership)
            _refuse_places(merged, mirror, held)
            _refuse_pruning(merged, mirror, held)
            mirror = replace(mirror, verify=_joined(mirror.verify, project.verify))
            mirror = replace(mirror, prune=_protecting(mirror.prune, project.prune))
        found.append((merged, mirror))
    return found


def hold_retention(
    policies: Sequence[tuple[Document, RetentionPolicy]], ownership: Ownership, problems: Problems
) -> list[tuple[Document, RetentionPolicy]]:
    """The same for retention policies."""
    found = []
    for document, policy in policies:
        project = ownership.of(document.file)
        if project is not None:
            held = _Held(project, problems)
            _refuse_retention(document, policy, held)
            most = project.prune.protect if project.prune is not None else ()
            policy = replace(policy, protect=_joined(policy.protect, most))
        found.append((document, policy))
    return found


def _joined(own: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*own, *more)))


def _protecting(own: PrunePolicy | None, most: PrunePolicy | None) -> PrunePolicy | None:
    if own is None or most is None:
        return own
    return replace(own, protect=_joined(own.protect, most.protect))


def _refuse_strange_defaults(
    merged: Merged, project: Project | None, ownership: Ownership, problems: Problems
) -> None:
    """Defaults in the files of a Project are for its own mirrors: by no others may a team have its way."""
    for origin in {id(one): one for one in merged.origins.values()}.values():
        owner = ownership.of(origin.file)
        if owner is None or owner is project:
            continue
        found = f"these defaults would apply to the mirror {merged.document.name}, which is not of its files"
        allowed = f"what stands in its files {', '.join(owner.files)}"
        _Held(owner, problems).refuse(origin.at(), found, allowed)


def _refuse_full_references(merged: Merged, held: _Held, ownership: Ownership) -> None:
    """Only what somebody outside of the Project has declared is a place, so that no secret goes elsewhere."""
    for key, texts in _references(merged):
        origin = merged.origins.get(key)
        if origin is None or ownership.of(origin.file) is None:
            continue
        for text in texts:
            first = text.removeprefix("docker://").partition("/")[0]
            if "://" in text or is_host(first):
                held.refuse(merged.at(key), "a full reference", "declared Registries by their names alone")
                break
    images = merged.get("images")
    of_file = isinstance(images, ImageKeys) and images.file is not None
    if of_file and ownership.of(merged.origins["images"].file) is not None:
        held.refuse(merged.at("images", "file"), "a list in another file", "images.list alone")


def _references(merged: Merged) -> Iterator[tuple[str, Sequence[str]]]:
    source = merged.get("source")
    yield "source", source if isinstance(source, list) else [source] if source is not None else []
    yield "targets", merged.get("targets") or []
    images = merged.get("images")
    yield "images", (images.list_ or []) if isinstance(images, ImageKeys) else []


def _refuse_places(merged: Merged, mirror: Mirror, held: _Held) -> None:
    sources, targets = reach(mirror)
    spot = merged.at("images" if mirror.images else "source")
    _refuse_outside(sources, spot, "sources", held.project.sources, held)
    _refuse_outside(targets, merged.at("targets"), "targets", held.project.targets, held)


def _refuse_outside(
    places: Sequence[Location], spot: Spot, key: str, allowed: tuple[str, ...], held: _Held
) -> None:
    """Note the first place of many that is outside."""
    for place in places:
        if not any(is_within(str(place), glob) for glob in allowed):
            held.refuse(spot, f"{place} is outside", f"{key} {', '.join(allowed) or 'nowhere'}")
            return


def _refuse_pruning(merged: Merged, mirror: Mirror, held: _Held) -> None:
    most = held.project.prune
    if mirror.history is not None and most is None:
        found = "history, which deletes former images beyond keep"
        held.refuse(merged.at("history"), found, "no deletion, having no prune itself")
    if mirror.prune is None:
        return
    if most is None:
        held.refuse(merged.at("prune"), "prune", "no deletion, having no prune itself")
        return
    own = mirror.prune
    _refuse_limits(own.limits, most.limits, lambda key: merged.at("prune", key), held)
    if own.grace < most.grace:
        shown = f"a grace of {written_duration(own.grace)}"
        held.refuse(merged.at("prune", "grace"), shown, f"{written_duration(most.grace)} at least")
    if own.owns is Owns.REPOSITORY and most.owns is not Owns.REPOSITORY:
        held.refuse(merged.at("prune", "owns"), "owns: repository", f"owns: {most.owns.value}")


def _refuse_limits(own: DeletionLimits, most: DeletionLimits, at: Callable[[str], Spot], held: _Held) -> None:
    if own.max_deletes > most.max_deletes:
        held.refuse(at("maxDeletes"), f"maxDeletes {own.max_deletes}", f"{most.max_deletes} at most")
    if own.max_delete_percent > most.max_delete_percent:
        found = f"maxDeletePercent {own.max_delete_percent}"
        held.refuse(at("maxDeletePercent"), found, f"{most.max_delete_percent} at most")


def _refuse_retention(document: Document, policy: RetentionPolicy, held: _Held) -> None:
    most = held.project.prune
    if most is None:
        held.refuse(document.at("spec"), "retention", "no deletion, having no prune itself")
    else:
        _refuse_limits(policy.limits, most.limits, lambda key: document.at("spec", "limits", key), held)
        kept = policy.untagged_keep_for
        if kept is not None and kept < most.grace:
            shown = f"untagged manifests kept for {written_duration(kept)}"
            allowed = f"{written_duration(most.grace)} at least"
            held.refuse(document.at("spec", "untagged", "keepFor"), shown, allowed)
    targets = held.project.targets
    for glob in policy.repositories:
        if not any(is_within(str(glob), one) for one in targets):
            allowed = f"targets {', '.join(targets) or 'nowhere'}"
            held.refuse(document.at("spec", "repositories"), f"{glob} is outside", allowed)
    if policy.in_use:
        found = f"inUse {policy.in_use[0]}"
        held.refuse(document.at("spec", "inUse"), found, "no files and no clusters to be named")
