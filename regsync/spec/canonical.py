"""The digest of a spec: the same for the same meaning, on every machine and from every checkout."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import timedelta
from enum import Enum
from pathlib import Path

from regsync.oci.digest import Digest
from regsync.spec.model import Mirror, Registry, Settings

# Credentials are left out because rotating them is no change of the spec, positions because moving
# a document within its file is none, and the ledger's path because it says where, not what.
_LEFT_OUT = frozenset({"auth", "position", "state"})


def spec_digest(
    registries: Mapping[str, Registry], mirrors: tuple[Mirror, ...], settings: Settings, root: Path
) -> Digest:
    """The digest over everything resolved. Paths below `root` count relative to it."""
    document = {
        "registries": [_plain(registry, root) for _, registry in sorted(registries.items())],
        "mirrors": [_plain(mirror, root) for mirror in mirrors],
        "settings": _plain(settings, root),
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Digest.of(text.encode("utf-8"))


def _plain(value: object, root: Path) -> object:
    """A value as JSON has it, with types kept apart where two could be written alike."""
    match value:
        case None | bool() | int() | float():
            return value
        case Enum():
            return value.value
        case str():
            return str(value)
        case Path():
            return value.relative_to(root).as_posix() if value.is_relative_to(root) else value.as_posix()
        case timedelta():
            return value.total_seconds()
        case Mapping():
            return {str(key): _plain(one, root) for key, one in value.items()}
        case tuple() | list():
            return [_plain(one, root) for one in value]
        case _ if is_dataclass(value):
            named = {
                one.name: _plain(getattr(value, one.name), root)
                for one in fields(value)
                if one.name not in _LEFT_OUT
            }
            return {"type": type(value).__name__, **named}
        case _:
            raise TypeError(f"{type(value).__name__} is no part of a spec")
