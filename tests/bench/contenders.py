"""The programs that are compared: how each is told to do the same work."""

import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.world import World
from tests.support import tools

ROOT = Path(__file__).parents[2]

REGCLIENT_PARALLEL = 8
REGCLIENT_CONCURRENT = 16
"""What makes regclient's regsync its tuned form; without either it is its default form."""


@dataclass(frozen=True)
class Contender:
    """A program in one configuration.

    `command` writes what it needs into the directory, which is empty before a cold run and kept for the
    ones after it, and returns its command line. `slow` ones run one round only.
    """

    name: str
    command: Callable[[World, Path], Sequence[str]]
    env: Mapping[str, str]
    slow: bool = False


def ours(*, keys: Mapping[str, Any] | None = None, store: bool = False, verb: str = "sync") -> Contender:
    """regsync; `keys` are further keys of the mirror, `store` takes the built-in store as target."""

    def command(world: World, directory: Path) -> Sequence[str]:
        spec = directory / "regsync.yaml"
        spec.write_text(our_spec(world, directory / "store" if store else None, keys or {}))
        return [*our_program(), verb, str(spec), "--state", str(directory / "state")]

    return Contender("regsync", command, our_environment())


def our_program() -> list[str]:
    """The command line that starts regsync from this checkout."""
    return [sys.executable, "-m", "regsync"]


def our_environment() -> Mapping[str, str]:
    """Where that finds the package; a defect shows its traceback."""
    return {"PYTHONPATH": str(ROOT), "REGSYNC_DEBUG": "1"}


def our_spec(world: World, store: Path | None, keys: Mapping[str, Any]) -> str:
    """One mirror of all the profile's repositories to all targets, as YAML documents."""
    names = [f"target{number}" for number in range(len(world.targets))]
    documents = [document("Registry", "source", {"url": world.source.url})]
    if store is not None:
        documents.append(document("Registry", "target0", {"store": str(store)}))
    else:
        pairs = zip(names, world.targets, strict=True)
        documents += [document("Registry", name, {"url": place.url}) for name, place in pairs]
    mirror = {
        "source": "source/{repository}",
        "targets": [f"{name}/{{repository}}" for name in names],
        "repositories": world.repositories,
        "tags": ["*"],
        **keys,
    }
    documents.append(document("Mirror", "bench", mirror))
    return "\n---\n".join(documents) + "\n"  # JSON is YAML


def regclient(*, tuned: bool, layout: bool = False) -> Contender:
    """regclient's regsync; `layout` takes an OCI layout as target."""
    binary = str(tools.require("regclient-regsync"))

    def command(world: World, directory: Path) -> Sequence[str]:
        concurrent = {"reqConcurrent": REGCLIENT_CONCURRENT} if tuned else {}
        places = [world.source, *world.targets]
        config: dict[str, Any] = {
            "version": 1,
            "creds": [{"registry": place.host, "tls": "disabled", **concurrent} for place in places],
            "sync": [
                {
                    "source": f"{world.source.host}/{repository}",
                    "target": f"ocidir://{directory}/layout/{repository}"
                    if layout
                    else f"{place.host}/{repository}",
                    "type": "repository",
                }
                for repository in world.repositories
                for place in world.targets
            ],
        }
        if tuned:
            config["defaults"] = {"parallel": REGCLIENT_PARALLEL}
        path = directory / "regclient.json"
        path.write_text(json.dumps(config))
        return [binary, "once", "-c", str(path)]

    return Contender("regclient, tuned" if tuned else "regclient, default", command, {}, slow=not tuned)


def crane() -> Contender:
    """crane copy, a repository and a target at a time, since it knows nothing above one copy."""
    binary = str(tools.require("crane"))

    def command(world: World, directory: Path) -> Sequence[str]:
        copies = [
            shlex.join([binary, "copy", "--insecure", "--all-tags", *references])
            for repository in world.repositories
            for references in (
                [f"{world.source.host}/{repository}", f"{place.host}/{repository}"] for place in world.targets
            )
        ]
        return ["sh", "-c", " && ".join(copies)]

    return Contender("crane copy", command, {})


def ocync() -> Contender | None:
    """ocync, where it is installed; released builds insist on HTTPS, so it takes one patched for loopback."""
    binary = tools.find("ocync")
    if binary is None:
        return None

    def command(world: World, directory: Path) -> Sequence[str]:
        places = {"source": world.source} | {f"target{n}": place for n, place in enumerate(world.targets)}
        config = {
            # Without a token it looks for a token server by HTTPS, also where the registry is plain HTTP.
            "registries": {
                name: {"url": place.url, "auth_type": "static_token", "token": "none"}
                for name, place in places.items()
            },
            "mappings": [
                {
                    "from": repository,
                    "to": repository,
                    "source": "source",
                    "targets": [f"target{n}" for n in range(len(world.targets))],
                    "tags": {"glob": "*"},
                }
                for repository in world.repositories
            ],
            "global": {"cache_dir": str(directory / "cache")},
        }
        path = directory / "ocync.yaml"
        path.write_text(json.dumps(config))
        return [str(binary), "sync", "--config", str(path)]

    return Contender("ocync", command, {})


def document(kind: str, name: str, spec: Mapping[str, Any]) -> str:
    return json.dumps(
        {"apiVersion": "regsync.dev/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    )
