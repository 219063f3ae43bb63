"""The spec at a git revision, for `plan --base`: its documents, locks, and the files that they name."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from regsync.cli.git_tree import NoBaseError, commit_of, extract
from regsync.cli.narrow import NoSuchMirrorError, narrow
from regsync.cli.options import RunOptions
from regsync.cli.policies import understood
from regsync.errors import SpecError
from regsync.regular_file import STDIN
from regsync.spec.files import DEFAULT_DIRECTORY, DEFAULT_FILE, git_top
from regsync.spec.load import load
from regsync.spec.locked import locked_spec
from regsync.spec.model import LayoutPlace, Spec, StorePlace
from regsync.spec.problems import InvalidSpecError, NoSpecError


class InvalidBaseError(SpecError):
    """The spec at the base revision is invalid, so that nobody can tell what a change of it causes."""

    usual_hint = "name a revision whose spec `regsync validate` takes"

    def __init__(self, revision: str, cause: str) -> None:
        super().__init__(f"--base {revision}: the spec is invalid there\n{cause}")


@dataclass(frozen=True, slots=True)
class BaseSpec:
    """The spec at a revision; None where there was none."""

    revision: str  # as it was named
    commit: str
    spec: Spec | None
    is_unlocked: bool = False  # `--locked` was asked, and the lock there does not cover the spec


@contextmanager
def base_spec(revision: str, run: RunOptions, *, locked: bool) -> Iterator[BaseSpec]:
    """Read the spec that the paths of `run` hold at a revision; its files are there until the end.

    Raises NoBaseError, UnreadableBaseError and InvalidBaseError.
    """
    if STDIN in run.paths:
        raise NoBaseError("a spec on stdin has no revisions", "name files or directories")
    here = Path.cwd()
    first = Path(os.path.abspath(run.paths[0])) if run.paths else here
    top = git_top(first)
    if top is None:
        raise NoBaseError(
            f"{first} is in no git tree", "run it in a clone of the repository that holds the specs"
        )
    commit = commit_of(top, revision)
    with TemporaryDirectory(prefix="regsync-base-") as name:
        tree = Path(name).resolve()
        extract(top, commit, tree)
        (tree / ".git").mkdir()  # where looking upwards ends
        move = _Move(tree, top)
        found = _load(run, move, revision)
        if found is None:
            yield BaseSpec(revision, commit, None)
            return
        spec, is_unlocked = _bound(_narrowed(found, run), locked=locked)
        yield BaseSpec(revision, commit, move.spec(spec), is_unlocked)


def _load(run: RunOptions, move: "_Move", revision: str) -> Spec | None:
    paths = [path for one in _paths(run) if (path := move.there(one)).exists()]
    if not paths:
        return None
    lock = move.there(run.lock) if run.lock is not None else None
    try:
        spec = load(paths, lock=lock)
        understood(spec)
        return spec
    except NoSpecError:
        return None
    except InvalidSpecError as error:
        shown = str(error).replace(f"{move.tree}{os.sep}", f"{revision}:")
        raise InvalidBaseError(revision, shown) from error


def _paths(run: RunOptions) -> Sequence[Path]:
    if run.paths:
        return run.paths
    # What is read today without a path may be the other of the two at the revision.
    return [Path(DEFAULT_FILE)] if Path(DEFAULT_FILE).exists() else [Path(DEFAULT_DIRECTORY)]


def _narrowed(spec: Spec, run: RunOptions) -> Spec:
    """The mirrors that the options leave, of those that were there."""
    names = [name for name in run.mirror if any(mirror.name == name for mirror in spec.mirrors)]
    if run.mirror and not names:
        return replace(spec, mirrors=())
    try:
        return narrow(spec, names, run.label)
    except NoSuchMirrorError:
        return replace(spec, mirrors=())


def _bound(spec: Spec, *, locked: bool) -> tuple[Spec, bool]:
    if not locked:
        return spec, False
    try:
        return locked_spec(spec), False
    except InvalidSpecError:
        return spec, True


@dataclass(frozen=True, slots=True)
class _Move:
    """Between a checkout and the tree that stands for it at a revision."""

    tree: Path
    top: Path

    def there(self, path: Path) -> Path:
        """Where a path of the checkout is at the revision; one outside of the checkout is itself."""
        absolute = Path(os.path.abspath(path))
        return self.tree / absolute.relative_to(self.top) if absolute.is_relative_to(self.top) else absolute

    def spec(self, spec: Spec) -> Spec:
        """The spec with places that are those of the checkout, and files as they were where they were."""
        state = replace(spec.settings, state=self._place(spec.settings.state))
        registries = {name: self._value(one) for name, one in spec.registries.items()}
        return replace(spec, registries=registries, settings=state, root=self._place(spec.root))

    def _value(self, value: Any) -> Any:
        match value:
            case StorePlace() | LayoutPlace():
                return replace(value, path=self._place(value.path))
            case Path():
                return value if value.exists() else self._place(value)
            case Mapping():
                return {key: self._value(one) for key, one in value.items()}
            case _ if is_dataclass(value) and not isinstance(value, type):
                found = {one.name: self._value(getattr(value, one.name)) for one in fields(value)}
                return replace(value, **found)
            case _:
                return value

    def _place(self, path: Path) -> Path:
        return self.top / path.relative_to(self.tree) if path.is_relative_to(self.tree) else path
