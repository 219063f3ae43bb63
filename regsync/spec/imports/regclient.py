"""regsync.yml of regclient's regsync: creds, defaults and sync.

Source: regclient's cmd/regsync/config.go and config/host.go.
"""

import re
from typing import Any

from regsync.oci.digest import InvalidDigestError
from regsync.oci.platform import InvalidPlatformError, Platform
from regsync.oci.reference import DOCKER_HUB, InvalidReferenceError, Reference, is_host, parse_host
from regsync.spec.imports import foreign, regclient_creds, regclient_times
from regsync.spec.imports.draft import Draft
from regsync.spec.imports.go_templates import expand_source, has_template
from regsync.spec.imports.patterns import as_glob, literal
from regsync.spec.imports.regclient_tags import rules
from regsync.spec.model import Position

CARRIED = frozenset(
    {"source", "target", "type", "tags", "tagSets", "repos", "digestTags", "referrers", "referrerFilters",
     "platform", "platforms", *regclient_times.KEYS}
)  # fmt: skip
# What an entry takes from `defaults`, and what regsync does not need or cannot do yet.
INHERITED = ("digestTags", "referrers", "referrerFilters")
NOTES = {
    "ratelimit": "ratelimit: see limits of Registry; `reserve` leaves a share of a quota to people",
    "parallel": "parallel: concurrency adapts by itself; see concurrency of Settings and Registry limits",
    "mediaTypes": "mediaTypes: every type but Docker schema 1 is copied",
    "fastCheck": "fastCheck: what is at the target is compared by digest, evidence with it",
    "forceRecursive": "forceRecursive: content that is missing below a manifest is put back anyway",
    "includeExternal": "includeExternal: foreign layers are reported, not copied",
    "hooks": "hooks",
    "referrerSource": "referrerSource: evidence is looked for beside its image",
    "referrerTarget": "referrerTarget: evidence is put beside its image",
    "referrerSlow": "referrerSlow",
    "skipDockerConfig": "skipDockerConfig: credentials of a Registry are under auth",
}


def read(raw: bytes, name: str, draft: Draft) -> None:
    """A mirror for each entry of `sync`; entries for one pair of repositories become one."""
    found = foreign.documents(raw, name)
    if not found:
        raise foreign.wrong(Position(name, 1, 1), "the file is empty")
    document = foreign.mapping(found[0], name)
    if "sync" not in document and "creds" not in document:
        raise foreign.wrong(found[0].position, "expected the keys sync and creds of regclient's regsync")
    regclient_creds.read(foreign.mappings(document.get("creds")), draft)
    defaults = foreign.child(document, "defaults")
    for key in defaults:
        if key not in INHERITED and key not in regclient_times.KEYS:
            draft.note(f"defaults: {NOTES.get(key, key)}")
    images: dict[tuple[str, ...], dict[str, Any]] = {}
    for number, entry in enumerate(foreign.mappings(document.get("sync"))):
        for key in INHERITED:
            if key in defaults:
                entry.setdefault(key, defaults[key])
        regclient_times.inherit(entry, defaults)
        _entry(number, entry, images, draft)
    for spec in images.values():
        draft.mirror(spec["source"].rpartition("/")[2], spec)


def _entry(
    number: int, entry: dict[str, Any], images: dict[tuple[str, ...], dict[str, Any]], draft: Draft
) -> None:
    source = foreign.text(entry, "source") or ""
    target = expand_source(foreign.text(entry, "target") or "", source)
    where = f"sync[{number}] ({source[:120]})"
    for key in entry.keys() - CARRIED:
        draft.note(f"{where}: {NOTES.get(key, key)}")
    if has_template(source) or has_template(target):
        draft.note(f"{where}: left out, since its names are made by a template")
        return
    if source.startswith("ocidir://") or target.startswith("ocidir://"):
        draft.note(f"{where}: left out; declare a Registry with layout for OCI layouts")
        return
    common = _common(entry, where, draft)
    try:
        match foreign.text(entry, "type"):
            case "registry":
                _whole_registry(entry, (source, target), common, where, draft)
            case "repository":
                _whole_repository(entry, (source, target), common, where, draft)
            case "image":
                _image((source, target), common, images)
            case kind:
                draft.note(f"{where}: left out, its type is {kind!r:.40}")
    except (InvalidReferenceError, InvalidDigestError) as cause:
        draft.note(f"{where}: left out: {cause}")


def _common(entry: dict[str, Any], where: str, draft: Draft) -> dict[str, Any]:
    """Platforms, referrers, former images and times of an entry."""
    spec = regclient_times.read(entry, where, draft)
    platform, platforms = foreign.text(entry, "platform"), foreign.texts(entry.get("platforms"))
    known = [one for one in [platform] if one] or platforms
    for one in known:
        if not _is_platform(one):
            draft.note(f"{where}: platform {one!r:.60}")
            known = [other for other in known if other != one]
    if platform and known:
        spec["platforms"] = known
        draft.note(f"{where}: platform gives an index of one platform here, not its manifest alone")
    elif known:
        spec["platforms"] = {"include": known, "index": "original"}
    referrers, digest_tags = (foreign.is_true(entry.get(key)) for key in ("referrers", "digestTags"))
    filters = foreign.mappings(entry.get("referrerFilters"))
    if any(one.get("annotations") for one in filters):
        draft.note(f"{where}: annotations of referrerFilters")
    types = [kind for one in filters if (kind := foreign.text(one, "artifactType")) and "/" in kind]
    if referrers and types and len(types) == len(filters):
        spec["referrers"] = types
    elif not referrers and not digest_tags:
        spec["referrers"] = "none"
        draft.note(
            "signatures and SBOMs: as in the file they stay behind; drop `referrers: none` to take them"
        )
    elif referrers != digest_tags:
        draft.note(f"{where}: referrers and digestTags are one choice here; both travel")
    return spec


def _is_platform(text: str) -> bool:
    try:
        Platform.parse(text)
    except InvalidPlatformError:
        return False
    return True


def _image(
    names: tuple[str, str], common: dict[str, Any], images: dict[tuple[str, ...], dict[str, Any]]
) -> None:
    source, target = (Reference.parse(name).with_default_tag() for name in names)
    spec: dict[str, Any] = {"source": source.name, "targets": [target.name], **common}
    if source.digest is not None and source.tag is None:
        key = (source.name, target.name, "digests", repr(common))
        if target.tag is None:
            images.setdefault(key, {**spec, "digests": []})["digests"].append(str(source.digest))
            return
    if source.tag is None or target.tag is None or source.digest is not None:
        raise InvalidReferenceError("pair", f"{source} to {target}", "a digest is given a tag")
    rename = "" if source.tag == target.tag else str(target.tag)
    key = (source.name, target.name, rename, repr(common))
    tags = images.setdefault(key, {**spec, "tags": [], **({"rename": rename} if rename else {})})["tags"]
    if source.tag not in tags:
        tags.append(str(source.tag))


def _whole_repository(
    entry: dict[str, Any], names: tuple[str, str], common: dict[str, Any], where: str, draft: Draft
) -> None:
    source, target = (Reference.parse(name) for name in names)
    tags = rules(entry, where, draft)
    if tags:
        spec = {"source": source.name, "targets": [target.name], "tags": tags, "atLeast": 0, **common}
        draft.mirror(source.repository.rpartition("/")[2], spec)


def _whole_registry(
    entry: dict[str, Any], names: tuple[str, str], common: dict[str, Any], where: str, draft: Draft
) -> None:
    source, target = names
    host = parse_host(source) if is_host(source) or source == DOCKER_HUB else ""
    if not host:
        raise InvalidReferenceError("registry host", source, "expected host or host:port")
    below = Reference.parse(f"{target.rstrip('/')}/x")  # what any repository would become there
    prefix = f"{below.host}/{below.repository.removesuffix('x')}"
    include = _globs(foreign.child(entry, "repos").get("allow"), where, draft) or ["**"]
    exclude = _globs(foreign.child(entry, "repos").get("deny"), where, draft)
    tags = rules(entry, where, draft)
    if not tags:
        return
    repositories: dict[str, Any] = {"include": include}
    if exclude:
        repositories["exclude"] = exclude
    spec = {
        "source": f"{host}/{{repository}}",
        "targets": [f"{prefix}{{repository}}"],
        "repositories": repositories,
        "tags": tags,
        "atLeast": 0,
        **common,
    }
    draft.mirror(host, spec)


def _globs(regexes: Any, where: str, draft: Draft) -> list[str]:
    """Regexes over repositories as globs; those that have none are told of."""
    found = []
    for regex in foreign.texts(regexes):
        glob = literal(regex) or as_glob(regex, crossing="**")
        if glob is None:
            near = re.sub(r"\*+", "*", as_glob(regex) or "")
            draft.note(f"{where}: repos {regex!r:.120}" + (f"; {near!r} is near it" if near else ""))
        else:
            found.append(glob)
    return found
