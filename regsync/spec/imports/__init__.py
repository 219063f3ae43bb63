"""Specs from other tools' files: what can be said in ours, and a list of what cannot.

imported = import_file("regclient", Path("regsync.yml").read_bytes(), name="regsync.yml")
print(imported.documents)       # YAML which loads
print(imported.not_carried)     # one line each, for people
"""

from collections.abc import Callable
from importlib import import_module

from regsync.errors import UsageError
from regsync.spec.imports.draft import Draft, Imported
from regsync.spec.problems import nearest

FORMATS = {
    "regclient": "regsync.yml of regclient's regsync",
    "skopeo": "the YAML of `skopeo sync --src yaml`",
    "list": "a plain list of images, one a line",
    "hauler": "Hauler's manifests (kind Images)",
    "imgpkg": "ImagesLock of Carvel's imgpkg and kbld",
    "kubernetes": "rendered Kubernetes YAML: every image of its containers",
}

__all__ = ["FORMATS", "Imported", "UnknownFormatError", "import_file"]


class UnknownFormatError(UsageError):
    """There is no importer of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"unknown format {name[:60]!r}; known are {', '.join(FORMATS)}")
        self._guess = nearest(name, FORMATS)

    @property
    def hint(self) -> str | None:
        """What was probably meant."""
        return f"did you mean {self._guess}?" if self._guess else None


def import_file(form: str, raw: bytes, *, name: str = "-", target: str | None = None) -> Imported:
    """Read another tool's file into documents of ours.

    `form` is one of FORMATS, `name` stands in messages. `target` is where images go where the file
    itself does not say: `REGISTRY/PATH`, with placeholders; a built-in store without it.
    Raises UnknownFormatError, or InvalidSpecError when the file cannot be read as that format.
    """
    if form not in FORMATS:
        raise UnknownFormatError(form)
    read: Callable[[bytes, str, Draft], None] = import_module(f"regsync.spec.imports.{_MODULES[form]}").read
    draft = Draft(f"import {form}", name, target)
    read(raw, name, draft)
    return draft.finish()


_MODULES = {form: "image_list" if form == "list" else form for form in FORMATS}
