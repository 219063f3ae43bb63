"""Specs in a temporary directory, and short ways to say what is wrong with them."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from regsync.spec.load import load
from regsync.spec.model import Mirror, Spec
from regsync.spec.problems import InvalidSpecError

HEAD = "apiVersion: regsync.dev/v1\n"


def document(kind: str, name: str | None, spec: str) -> str:
    """A document whose `spec` begins in the line behind `spec:`, which is its fourth."""
    metadata = f"metadata: {{name: {name}}}\n" if name else "metadata: {}\n"
    body = dedent(spec).strip("\n").replace("\n", "\n  ")
    return f"{HEAD}kind: {kind}\n{metadata}spec:\n  {body}\n"


def mirror(spec: str, name: str = "web") -> str:
    return document("Mirror", name, spec)


def join(*documents: str) -> str:
    return "---\n".join(documents)


STORE = document("Registry", "local", "store: ./data")
HUB = document("Registry", "hub", "url: docker.io")
WEB = mirror("source: hub/library/nginx\ntargets: [local/nginx]\ntags: [latest]")


class Specs:
    """A directory of spec files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(self, name: str, *documents: str) -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(join(*documents), encoding="utf-8")
        return path

    def load(self, *documents: str) -> Spec:
        return load([self.write("regsync.yaml", *documents)])

    def mirror(self, spec: str) -> Mirror:
        """A mirror beside a registry `hub` and a store `local`."""
        return self.load(HUB, STORE, mirror(spec)).mirrors[0]

    def problems(self, *documents: str) -> list[str]:
        """What is wrong, as `line:column: key: message`, without the file."""
        path = self.write("regsync.yaml", *documents)
        return self.problems_of(lambda: load([path]))

    def problems_of(self, read: Callable[[], Spec]) -> list[str]:
        with pytest.raises(InvalidSpecError) as caught:
            read()
        return [str(one).replace(f"{one.position.file}:", "", 1) for one in caught.value.problems]

    def mirror_problems(self, spec: str) -> list[str]:
        """What is wrong with one mirror, without positions."""
        return [one.partition(": ")[2] for one in self.problems(HUB, STORE, mirror(spec))]
