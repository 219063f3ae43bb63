"""`regsync generate`: documents and a lock file for what places hold now, as a start for a spec."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.spec.imports.draft import Draft
from regsync.spec.lock import LOCK_FILE, LockEntry, LockFile
from regsync.spec.model import (
    Location,
    LocationTemplate,
    Mirror,
    Registry,
    RemotePlace,
    Settings,
    Spec,
    StorePlace,
    TagRule,
)


def looking_spec(registries: Mapping[str, Registry], locations: Sequence[Location], state: Path) -> Spec:
    """A spec with a mirror, without targets, for every tag of each location: to be looked up."""
    mirrors = tuple(
        Mirror(
            mirror_name(locations, one),
            (LocationTemplate(one.registry, one.repository),),
            (),
            rules=(TagRule(glob="*"),),
            at_least=0,
        )
        for one in locations
    )
    return Spec(registries, mirrors, Settings(state), Digest.of(b""), state.parent, ())


def mirror_name(locations: Sequence[Location], location: Location) -> str:
    """The repository's path as a name; with a number where several would have the same."""
    alike = [one for one in locations if _name(one) == _name(location)]
    number = alike.index(location)
    return f"{_name(location)}-{number + 1}" if number else _name(location)


def _name(location: Location) -> str:
    return re.sub(r"[^a-z0-9.-]+", "-", location.repository)[:50].strip(".-")


def generate(
    registries: Mapping[str, Registry],
    declared: frozenset[str],
    locations: Sequence[Location],
    entries: Mapping[str, Sequence[LockEntry]],
    *,
    target: str | None,
    directory: Path,
) -> tuple[str, LockFile]:
    """The documents, and their lock file.

    `declared` are registries of a spec that is there already, `entries` what was found for each mirror,
    `target` is REGISTRY/PATH, {repository} allowed (None: a built-in store), `directory` where the documents
    are going to stand.
    """
    draft = Draft("generate", "what is there now", target)
    names = {name: _declare(draft, registries[name], declared, directory) for name in registries}
    locked: list[LockEntry] = []
    for location in locations:
        found = entries.get(mirror_name(locations, location), ())
        tags = sorted(Tag(one.tag) for one in found if one.tag is not None)
        if not tags:
            draft.note(f"{location}: there is no tag in it")
            continue
        source = f"{names[location.registry]}/{location.repository}"
        spec = {"source": source, "targets": [draft.target(location.repository)], "tags": [*map(str, tags)]}
        name = draft.mirror(mirror_name(locations, location), spec)
        locked += [replace(one, mirror=name, rule=None) for one in found if one.tag is not None]
    return draft.finish().documents, LockFile(Path(LOCK_FILE), tuple(locked))


def _declare(draft: Draft, registry: Registry, declared: frozenset[str], directory: Path) -> str:
    """What the registry is called in a source; a directory gets a document."""
    place = registry.place
    if registry.name in declared:
        return registry.name
    if isinstance(place, RemotePlace):
        return place.host if place.scheme == "https" else place.key
    inside = place.path.is_relative_to(directory)
    path = f"./{place.path.relative_to(directory)}" if inside else str(place.path)
    kind = "store" if isinstance(place, StorePlace) else "layout"
    return draft.registry(registry.name, {kind: path})
