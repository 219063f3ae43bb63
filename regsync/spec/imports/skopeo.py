"""The YAML of `skopeo sync --src yaml`: by registry, images, regexes and version ranges.

Source: skopeo-sync(1), "YAML file content".
"""

from typing import Any

from regsync.oci.digest import InvalidDigestError
from regsync.oci.reference import InvalidReferenceError, Reference, parse_host
from regsync.spec.imports import foreign
from regsync.spec.imports.draft import Draft
from regsync.spec.imports.patterns import is_tag, unusable_range, usable, widened
from regsync.spec.model import Position

KEYS = frozenset(
    {"images", "images-by-tag-regex", "images-by-semver", "credentials", "tls-verify", "cert-dir"}
)


def read(raw: bytes, name: str, draft: Draft) -> None:
    """One mirror per registry, and one for what is named by digest."""
    found = foreign.documents(raw, name)
    if not found:
        raise foreign.wrong(Position(name, 1, 1), "the file is empty")
    document = foreign.mapping(found[0], name)
    for host, entry in document.items():
        if not isinstance(entry, dict) or KEYS.isdisjoint(entry):
            expected = ", ".join(sorted(KEYS))
            raise foreign.wrong(found[0].position, f"{host[:80]!r} is no registry: expected {expected}")
        try:
            _registry(parse_host(host), entry, draft)
        except InvalidReferenceError as cause:
            raise foreign.wrong(found[0].position, str(cause)) from cause
    draft.note("where to: skopeo takes it on its command line; set the targets")


def _registry(host: str, entry: dict[str, Any], draft: Draft) -> None:
    for key in entry.keys() - KEYS:
        draft.note(f"{host}: {key}")
    _access(host, entry, draft)
    rules: dict[str, list[Any]] = {}
    pinned: list[str] = []
    for repository, listed in foreign.child(entry, "images").items():
        _listed(f"{host}/{repository}", foreign.texts(listed), rules, pinned, draft)
    for repository, regex in foreign.child(entry, "images-by-tag-regex").items():
        _by_regex(f"{host}/{repository}", str(regex), rules, draft)
    for repository, text in foreign.child(entry, "images-by-semver").items():
        _by_range(f"{host}/{repository}", str(text), rules, draft)
    repositories = [{"name": name, "tags": tags} for name, tags in rules.items() if tags]
    if repositories:
        mirror = {
            "source": f"{host}/{{repository}}",
            "targets": [draft.target()],
            "repositories": repositories,
        }
        draft.mirror(host, mirror)
    if pinned:
        draft.images(pinned, {}, f"{host}-pinned")


def _access(host: str, entry: dict[str, Any], draft: Draft) -> None:
    if foreign.child(entry, "credentials"):
        prefix = "".join(c if c.isalnum() else "_" for c in host.upper())
        auth = {"username": {"env": f"{prefix}_USERNAME"}, "password": {"env": f"{prefix}_PASSWORD"}}
        draft.registry(host, {"url": host, "auth": auth})
        draft.note(f"{host}: the credentials themselves; set {prefix}_USERNAME and {prefix}_PASSWORD")
    if (foreign.text(entry, "tls-verify") or "true").lower() == "false":
        draft.note(f"{host}: tls-verify: false; declare a Registry with tls.ca, or with url http://{host}")
    if entry.get("cert-dir"):
        draft.note(f"{host}: cert-dir; name its files under tls.ca, tls.cert and tls.key of a Registry")


def _repository(name: str, draft: Draft) -> str | None:
    try:
        return str(Reference.parse(name).repository)
    except (InvalidReferenceError, InvalidDigestError) as cause:
        draft.note(f"left out: {cause}")
        return None


def _listed(name: str, tags: list[str], rules: dict[str, list[Any]], pinned: list[str], draft: Draft) -> None:
    repository = _repository(name, draft)
    if repository is None:
        return
    digests = [tag for tag in tags if ":" in tag]
    pinned += [f"{name}@{digest}" for digest in digests]
    named = [tag for tag in tags if ":" not in tag and is_tag(tag)]
    for tag in tags:
        if ":" not in tag and tag not in named:
            draft.note(f"{name}: {tag!r:.120} is no tag")
    if named or not tags:
        rules.setdefault(repository, []).extend(named or ["*"])


def _by_regex(name: str, regex: str, rules: dict[str, list[Any]], draft: Draft) -> None:
    repository = _repository(name, draft)
    # To skopeo a regex matches anywhere in the tag; ours match the whole.
    begins, ends = regex.startswith("^"), regex.endswith("$") and not regex.endswith("\\$")
    body = regex[begins : len(regex) - ends]
    if "|" in body:
        body = f"(?:{body})"
    whole = ("" if begins else ".*") + body + ("" if ends else ".*")
    objection = usable(whole)
    if repository is None or objection is not None:
        draft.note(f"{name}: {objection or 'its regex'}")
        return
    rules.setdefault(repository, []).append({"regex": whole})


def _by_range(name: str, text: str, rules: dict[str, list[Any]], draft: Draft) -> None:
    repository = _repository(name, draft)
    ours = widened(text)
    objection = unusable_range(ours)
    if repository is None or objection is not None:
        draft.note(f"{name}: {objection or 'its range'}")
        return
    rules.setdefault(repository, []).append({"semver": ours})
