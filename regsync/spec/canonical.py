"""The digest of a spec: the same for the same meaning, on every machine and from every checkout."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from os.path import relpath
from pathlib import Path

from regsync.oci.digest import Digest
from regsync.spec.files import git_top
from regsync.spec.lock import NO_LOCK, Lock, LockEntry
from regsync.spec.model import Mirror, Registry, Settings
from regsync.spec.verification import Material

# Logins are left out because rotating them is no change of the spec, positions because moving a
# document within its file is none, the ledger's path because it says where, not what, and notifications
# because whom to tell changes nothing at any registry. Whose token
# servers may have the login (`auth.realms`) counts: a plan is reviewed with them in it.
_LEFT_OUT = frozenset({"login", "position", "state", "notifications"})
# So that what is said without these keeps the digest that it had.
_LEFT_OUT_EMPTY = frozenset({"verify", "prune", "history", "schedule"})


def spec_digest(
    registries: Mapping[str, Registry],
    mirrors: tuple[Mirror, ...],
    settings: Settings,
    root: Path,
    named: Mapping[str, Sequence[object]],
    lock: Lock = NO_LOCK,
) -> Digest:
    """The digest over everything resolved. Paths of the same checkout count relative to `root`.

    `named`: what else there is, by its key in the digested document; of what is empty nothing counts.
    Of a file that a policy or a root names it counts what is in it, not where it lies; of a lock file what
    runs go by, not what stands there for people.
    """
    top = git_top(root) or root

    def path(value: Path) -> str:
        return Path(relpath(value, root) if value.is_relative_to(top) else value).as_posix()

    document: dict[str, object] = {
        "registries": [_plain(registry, path) for _, registry in sorted(registries.items())],
        "mirrors": [_plain(mirror, path) for mirror in mirrors],
        "settings": _plain(settings, path),
    }
    document |= {key: [_plain(one, path) for one in found] for key, found in named.items() if found}
    if entries := sorted(map(_binding, lock.entries)):
        document["lock"] = entries
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Digest.of(text.encode("utf-8"))


def _binding(entry: LockEntry) -> list[str]:
    """What of an entry decides about a run."""
    hold = "hold" if entry.hold else ""
    return [entry.mirror or "", entry.image, hold, str(entry.trimmed or "")]


def _plain(value: object, path: Callable[[Path], str]) -> object:
    """A value as JSON has it, with types kept apart where two could be written alike."""
    match value:
        case Mapping():
            return {str(key): _plain(one, path) for key, one in value.items()}
        case tuple() | list():
            return [_plain(one, path) for one in value]
        case Material():
            return str(Digest.of(value.data))
        case Path():
            return path(value)
        case _ if is_dataclass(value):
            named = {one.name: getattr(value, one.name) for one in fields(value) if one.name not in _LEFT_OUT}
            shown = {name: one for name, one in named.items() if one or name not in _LEFT_OUT_EMPTY}
            return {"type": type(value).__name__, **{name: _plain(one, path) for name, one in shown.items()}}
        case _:
            return _scalar(value)


def _scalar(value: object) -> object:
    match value:
        case None | bool() | int() | float():
            return value
        case Enum():
            return value.value
        case str():
            return str(value)
        case timedelta():
            return value.total_seconds()
        case datetime():
            return value.isoformat()
        case _:
            raise TypeError(f"{type(value).__name__} is no part of a spec")
