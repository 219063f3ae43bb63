"""Which files a command reads: paths named, directories walked, stdin for `-`; without any `regsync.yaml`
or `regsync/`.

Hidden files and directories are passed over (`.git`, and the `..data` of mounted ConfigMaps), links
to files are followed, links to directories are not.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from regsync.regular_file import STDIN
from regsync.spec.problems import NoSpecError

SUFFIXES = (".yaml", ".yml")
MAX_FILES = 10_000
DEFAULT_FILE = "regsync.yaml"
DEFAULT_DIRECTORY = "regsync"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to read; `named`: the user named it, rather than a directory that it lies in."""

    path: Path
    named: bool

    @property
    def absolute(self) -> Path:
        """The path by which it is compared: absolute, links left as they are."""
        return Path(os.path.abspath(self.path))


def default_paths(directory: Path) -> tuple[Path, ...]:
    """What is read when no path is given; raises NoSpecError."""
    for name in (DEFAULT_FILE, DEFAULT_DIRECTORY):
        if (directory / name).exists():
            return (directory / name,)
    raise NoSpecError(str(directory), f"there is neither {DEFAULT_FILE} nor a directory {DEFAULT_DIRECTORY}/")


def find_files(paths: Sequence[Path]) -> tuple[SourceFile, ...]:
    """Every file that `paths` stand for, each once, in the order of `paths`; raises NoSpecError."""
    found: dict[Path, SourceFile] = {}
    for path in paths:
        for file in _expand(path):
            absolute = file.absolute  # worked out anew each time that it is asked for
            known = found.get(absolute)
            if known is None or file.named:
                found[absolute] = file
            if len(found) > MAX_FILES:
                raise NoSpecError(str(path), f"more than {MAX_FILES} files of YAML")
    return tuple(found.values())


def root_of(paths: Sequence[Path]) -> Path:
    """The directory of the first path, or of the file that it is; for stdin the current one; absolute."""
    first = Path.cwd() if paths[0] == STDIN else Path(os.path.abspath(paths[0]))
    return first if first.is_dir() else first.parent


def _expand(path: Path) -> Iterator[SourceFile]:
    if path == STDIN:
        yield SourceFile(path, named=True)
        return
    if not path.exists():
        raise NoSpecError(str(path), "there is no such file or directory")
    if not path.is_dir():
        yield SourceFile(path, named=True)
        return
    walked = sorted(_walk(path), key=lambda one: one.parts)
    if not walked:
        raise NoSpecError(str(path), "there is no *.yaml or *.yml in this directory or below")
    for one in walked:
        yield SourceFile(one, named=False)


def _walk(directory: Path) -> Iterator[Path]:
    def stop(cause: OSError) -> None:
        # A directory that cannot be read may hold defaults: going on without it is no option.
        raise NoSpecError(str(cause.filename), cause.strerror or "cannot be read") from cause

    for parent, directories, names in os.walk(directory, onerror=stop):
        directories[:] = [name for name in directories if not name.startswith(".")]
        for name in names:
            text = os.path.join(parent, name)
            if not name.startswith(".") and name.endswith(SUFFIXES) and os.path.isfile(text):
                yield Path(text)


def parent_directories(files: Sequence[SourceFile]) -> tuple[Path, ...]:
    """Every directory above the files, their own included, up to the top of their git tree.

    Outside of a git tree there is no telling where to stop, and none is looked at.
    """
    seen: dict[Path, bool] = {}
    for directory in {file.absolute.parent for file in files}:
        top = git_top(directory)
        if top is not None:
            chain = [directory, *directory.parents]
            seen.update(dict.fromkeys(chain[: chain.index(top) + 1], True))
    return tuple(sorted(seen))


def git_top(directory: Path) -> Path | None:
    """The top of the git tree that `directory` is in."""
    return next((one for one in (directory, *directory.parents) if (one / ".git").exists()), None)


def yaml_files(directory: Path) -> tuple[Path, ...]:
    """The YAML files directly in `directory`."""
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return ()
    return tuple(
        directory / name
        for name in names
        if name.endswith(SUFFIXES) and not name.startswith(".") and os.path.isfile(directory / name)
    )
