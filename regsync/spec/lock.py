"""The lock file as values: which digest stands for each selected tag (DESIGN.md, section 3, "Lock files").

An entry is one image under its full source reference as the world knows it. Whatever else stands in it
is for people, or a memory that may be stale: a bot that moves the digest leaves the rest as it was.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.spec.model import Location, Position, Registry, RemotePlace

LOCK_FILE = "regsync.lock"  # one per directory that holds mirrors
KIND = "Lock"
MAX_LOCK_SIZE = 64 * 1024 * 1024  # bytes; 100,000 entries take about 25 MB


@dataclass(frozen=True, slots=True)
class LockEntry:
    """One image. `repository` is as `source_name` gives it; without a tag it is content pinned by digest."""

    repository: str
    tag: Tag | None
    digest: Digest  # at the source
    mirror: str | None = None
    rule: str | None = None  # that chose the tag
    size: int | None = None  # distinct bytes on a target
    signers: tuple[str, ...] = ()  # whose signatures met the policies that apply
    index: Digest | None = None  # what `target` was made of
    target: Digest | None = None  # on the targets, where the mirror trims indexes
    hold: bool = False  # every run, locked or not, keeps the tag here
    comments: tuple[str, ...] = ()  # whole lines before it, from `#` on
    remark: str | None = None  # behind its first line, from `#` on
    position: Position | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """The reference without its digest; of pinned content with it."""
        return f"{self.repository}:{self.tag}" if self.tag is not None else f"{self.repository}@{self.digest}"

    @property
    def image(self) -> str:
        """The full reference, such as `docker.io/library/nginx:1.27.1@sha256:…`."""
        return f"{self.name}@{self.digest}" if self.tag is not None else self.name

    @property
    def key(self) -> tuple[str, str]:
        """What may stand once in a file."""
        return self.name, self.mirror or ""

    @property
    def digests(self) -> tuple[Digest, ...]:
        """Everything that must not become garbage on its account."""
        return tuple(dict.fromkeys(one for one in (self.digest, self.trimmed) if one is not None))

    @property
    def trimmed(self) -> Digest | None:
        """What the digest is on targets, where that differs and is known not to be stale."""
        return self.target if self.index == self.digest else None


@dataclass(frozen=True)
class LockFile:
    """One file. `foot` are the comments behind the last entry."""

    path: Path
    entries: tuple[LockEntry, ...] = ()
    head: tuple[str, ...] | None = None  # comments at its top; None: those that are usual
    foot: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lock:
    """The lock files of a spec, together."""

    files: Mapping[Path, LockFile] = field(default_factory=dict)  # those that are there
    paths: Mapping[str, Path] = field(default_factory=dict)  # by mirror, also where there is no file yet

    @cached_property
    def digests(self) -> frozenset[Digest]:
        """Every digest that is locked: never garbage, wherever it is."""
        return frozenset(one for entry in self.entries for one in entry.digests)

    @property
    def entries(self) -> Iterable[LockEntry]:
        """All entries, file by file."""
        return (entry for file in self.files.values() for entry in file.entries)

    def of_mirror(self, mirror: str) -> LockFile:
        """The file of a mirror; an empty one where there is none."""
        path = self.paths[mirror] if mirror in self.paths else Path(LOCK_FILE)
        return self.files.get(path) or LockFile(path)

    def of(self, mirror: str, names: Sequence[str]) -> tuple[LockEntry, ...]:
        """The entries of a mirror and its source repositories, which are called `names` (`source_name`).

        A file may say `mirror` of what has been renamed since: where none has the name, those count whose
        mirror the spec does not have.
        """
        by_name = self._by_name.get(self.paths.get(mirror), {})
        found = [entry for name in dict.fromkeys(names) for entry in by_name.get(name, ())]
        own = tuple(entry for entry in found if entry.mirror == mirror)
        return own or tuple(entry for entry in found if entry.mirror not in self.paths)

    @cached_property
    def _by_name(self) -> Mapping[Path | None, Mapping[str, Sequence[LockEntry]]]:
        found: dict[Path | None, dict[str, list[LockEntry]]] = {}
        for path, file in self.files.items():
            names = found.setdefault(path, {})
            for entry in file.entries:
                names.setdefault(entry.repository, []).append(entry)
        return found


NO_LOCK = Lock()


def source_name(registries: Mapping[str, Registry], location: Location) -> str:
    """A repository as the world knows it: `docker.io/library/nginx`.

    Without TLS it begins with `http://`. A store or a directory of layouts has no name but its Registry's.
    """
    place = registries[location.registry].place
    if not isinstance(place, RemotePlace):
        return str(location)
    scheme = "http://" if place.scheme == "http" else ""
    return f"{scheme}{place.host}/{location.repository}"
