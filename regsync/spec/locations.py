"""`REGISTRY/REPOSITORY` as it stands in a source or target, with placeholders."""

from regsync.oci.reference import DOCKER_HUB, InvalidReferenceError, RepositoryName, may_hold_a_password
from regsync.spec.expand import PLACEHOLDERS
from regsync.spec.model import LocationTemplate
from regsync.spec.nodes import Spot
from regsync.spec.problems import Problems
from regsync.spec.registries import NO_CREDENTIALS, Registries, UnknownPlaceError


def read_templates(
    text: str, spot: Spot, registries: Registries, problems: Problems, *, groups: bool
) -> list[LocationTemplate]:
    """What `registry/path` stands for; empty with a problem when it stands for nothing."""
    scheme, separator, rest = text.rpartition("://")
    first, slash, path = rest.partition("/")
    if may_hold_a_password(text):
        problems.add(spot.position, spot.path, NO_CREDENTIALS)
        return []
    if not slash or not path:
        message = f"expected REGISTRY/REPOSITORY, found {text[:80]!r}"
        problems.add(spot.position, spot.path, message, None if groups else _at_docker_hub(text, registries))
        return []
    if first.lower() == DOCKER_HUB and "/" not in path and "{" not in path:
        path = f"library/{path}"
    cause = _path_objection(path)
    if cause is not None:
        problems.add(spot.position, spot.path, cause)
        return []
    try:
        name = f"{scheme}{separator}{first}"
        names = registries.many(name) if groups else (registries.one(name),)
    except UnknownPlaceError as unknown:
        guess = unknown.guess if groups else _at_docker_hub(text, registries) or unknown.guess
        problems.add(spot.position, spot.path, str(unknown), guess)
        return []
    return [LocationTemplate(one, path) for one in names]


def _at_docker_hub(text: str, registries: Registries) -> str | None:
    """What `nginx` and `library/nginx` are short for elsewhere; None for anything else."""
    name = text.removeprefix("library/")
    known = {*registries.declared, *registries.groups, *registries.broken}
    if "{" in name or "/" in name or name in known:
        return None
    return f"{DOCKER_HUB}/library/{name}" if _path_objection(f"library/{name}") is None else None


def _path_objection(path: str) -> str | None:
    """Why a path with placeholders can be no repository, tried with a repository for each."""
    tried = path
    for name in PLACEHOLDERS:
        tried = tried.replace(f"{{{name}}}", "x")
    if "{" in tried or "}" in tried:
        known = " ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        return f"expected {known} in braces, found {path[:80]!r}"
    if "@" in tried or ":" in tried.rpartition("/")[2]:
        return (
            f"expected a repository without tag or digest, found {path[:80]!r}; put it under tags or digests"
        )
    try:
        RepositoryName.parse(tried)
    except InvalidReferenceError as cause:
        return str(cause)
    return None


def hub_objection(name: str | None) -> str:
    """Why `name`, without a slash, is no repository at Docker Hub; None where it may not be shown."""
    named = f" {name}" if name is not None else " without a slash in its name"
    return f"Docker Hub has no repository{named}; its own images are library/{name or 'NAME'}"
