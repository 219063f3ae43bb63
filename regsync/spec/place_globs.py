"""Globs over REGISTRY/REPOSITORY, as policies write them: what their first part may be.

A Registry is named, or a RegistryGroup, which stands for its members, or a host as in a full
reference. Which locations such a glob is met by is decided in `applying`: by the place, not by the name.
"""

import re
from collections.abc import Sequence, Set
from functools import cache, lru_cache

from regsync.oci.reference import DOCKER_HUB, InvalidReferenceError, is_host, may_hold_a_password, parse_host
from regsync.spec.applying import host_of
from regsync.spec.globs import compile_glob, is_glob, matches
from regsync.spec.locations import hub_objection
from regsync.spec.model import RemotePlace
from regsync.spec.nodes import Spot
from regsync.spec.overlap import atoms, characters, globs_meet
from regsync.spec.problems import Problems, nearest
from regsync.spec.registries import NO_CREDENTIALS, Registries, is_docker_hub

ANY = "**"
_IN_NO_REPOSITORY = re.compile(r"[^a-z0-9._/*?\[\]!^-]")


def read_place_glob(text: str, spot: Spot, registries: Registries, problems: Problems) -> tuple[str, ...]:
    """What a glob stands for, groups expanded; empty with a problem where that is nothing."""
    if may_hold_a_password(text):
        problems.add(spot.position, spot.path, NO_CREDENTIALS)
        return ()
    scheme, _, rest = text.rpartition("://")
    first, _, path = rest.partition("/")
    if scheme not in ("", "http", "https"):
        problems.add(spot.position, spot.path, f"expected REGISTRY/REPOSITORY, found {text[:80]!r}")
        return ()
    if text == ANY:
        return (text,)
    objection = _objection(text, path)
    if objection is not None:
        problems.add(spot.position, spot.path, objection)
        return ()
    if is_host(first) and not is_glob(first):
        return _of_host(first, path, spot, problems)
    if scheme:
        problems.add(spot.position, spot.path, f"expected a host behind {scheme}://, found {first[:80]!r}")
        return ()
    return _of_name(first, path, spot, registries, problems)


def _objection(text: str, path: str) -> str | None:
    if not path:
        return f"expected REGISTRY/REPOSITORY, or `**` for everything, found {text[:80]!r}"
    if _IN_NO_REPOSITORY.search(path) is not None:
        return f"expected a repository without tag or digest, in lower case, found {path[:80]!r}"
    return None


def _of_host(first: str, path: str, spot: Spot, problems: Problems) -> tuple[str, ...]:
    try:
        host = parse_host(first)
    except InvalidReferenceError as cause:
        problems.add(spot.position, spot.path, str(cause))
        return ()
    if host == DOCKER_HUB and "/" not in path and not is_glob(path):
        path = f"library/{path}"
    return (f"{host_of(RemotePlace('https', host))}/{path}",)


def _of_name(
    first: str, path: str, spot: Spot, registries: Registries, problems: Problems
) -> tuple[str, ...]:
    names = {*registries.declared, *registries.broken}
    if first in registries.groups:
        return tuple(f"{name}/{path}" for name in registries.groups[first])
    if first not in names and not is_glob(first):
        guess = nearest(first, {*names, *registries.groups})
        message = f"there is no Registry or RegistryGroup named {first[:60]!r}"
        problems.add(spot.position, spot.path, message, guess)
        return ()
    if is_glob(first) and not _may_match(first, names):
        problems.add(spot.position, spot.path, f"no Registry has a name that {first[:60]!r} matches")
        return ()
    if is_docker_hub(registries.declared.get(first)) and "/" not in path and not is_glob(path):
        problems.add(spot.position, spot.path, hub_objection(path))
        return ()
    return (f"{first}/{path}",)


def _may_match(first: str, names: Set[str]) -> bool:
    """Whether a glob is for some Registry, or for hosts, with their `.` or `:`; those need no Registry."""
    return first in ("*", ANY) or "." in first or ":" in first or any(matches(first, name) for name in names)


def may_meet(one: str, other: str) -> bool:
    """Whether some text matches both globs."""
    return _parts_meet(_parts(one), _parts(other))


def _parts(glob: str) -> tuple[str, ...]:
    return tuple(glob.split("/"))


def _parts_meet(one: Sequence[str], other: Sequence[str]) -> bool:
    @cache
    def meet(i: int, j: int) -> bool:
        if i < len(one) and one[i] == ANY:
            return meet(i + 1, j) or (j < len(other) and meet(i, j + 1))
        if j < len(other) and other[j] == ANY:
            return meet(i, j + 1) or (i < len(one) and meet(i + 1, j))
        if i == len(one) or j == len(other):
            return i == len(one) and j == len(other)
        return globs_meet(one[i], other[j]) and meet(i + 1, j + 1)

    return meet(0, 0)


def is_within(inner: str, outer: str) -> bool:
    """Whether certainly all that matches `inner`, a glob or a name, matches `outer` too."""
    return _parts_within(_parts(inner), _parts(outer))


def _parts_within(inner: Sequence[str], outer: Sequence[str]) -> bool:
    @cache
    def within(i: int, j: int) -> bool:
        if j == len(outer):
            return i == len(inner)
        if outer[j] == ANY:
            return within(i, j + 1) or (i < len(inner) and within(i + 1, j))
        if i == len(inner) or inner[i] == ANY:
            return False
        return _part_within(inner[i], outer[j]) and within(i + 1, j + 1)

    return within(0, 0)


@lru_cache(maxsize=4096)
def _part_within(inner: str, outer: str) -> bool:
    mine, theirs = atoms(inner), atoms(outer)

    @cache
    def within(i: int, j: int) -> bool:
        if j == len(theirs):
            return i == len(mine)
        if theirs[j] == "*":
            return within(i, j + 1) or (i < len(mine) and within(i + 1, j))
        if i == len(mine) or mine[i] == "*":
            return False
        return characters(mine[i]) <= characters(theirs[j]) and within(i + 1, j + 1)

    return within(0, 0)


def is_plain_or_any(glob: str) -> bool:
    """Whether a glob names its registry, or is for every one: what an exception from a policy may be.

    With `*-dev/**` a second Registry of the same place could bring itself under an exception by its name.
    """
    compile_glob(glob)
    first = glob.partition("/")[0]
    return first in ("*", ANY) or not is_glob(first)
