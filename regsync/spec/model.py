"""The spec as the rest of regsync sees it: resolved, checked, frozen (DESIGN.md, section 3).

Nothing in here reads YAML and nothing in here is pydantic: `load` makes these values, selection,
plan and reconcile take them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from regsync.oci.digest import Digest
from regsync.oci.platform import Platform
from regsync.oci.reference import RepositoryName, Tag
from regsync.spec.history import History
from regsync.spec.pruning import PrunePolicy
from regsync.spec.schedules import Schedule
from regsync.spec.secret import SecretRef

if TYPE_CHECKING:
    from regsync.spec.lock import Lock
    from regsync.spec.notifications import Notification
    from regsync.spec.projects import Project
    from regsync.spec.retention import RetentionPolicy
    from regsync.spec.server import Server
    from regsync.spec.verification import TrustRoot, VerificationPolicy

DEFAULT_CONCURRENCY = 128  # transfers and requests under way in one run
DEFAULT_MAX_WAIT = 300.0  # seconds that one request may be put off for a quota
DEFAULT_STATE = ".regsync/ledger.db"  # in the directory of the first path


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where in the user's YAML something stands; lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class RemotePlace:
    """A registry over HTTP. `host` is lower case, with its port; Docker Hub is `docker.io`."""

    scheme: str  # "https" or "http"
    host: str

    @property
    def key(self) -> str:
        """What says whether two registries are one place, such as `https://docker.io`."""
        return f"{self.scheme}://{self.host}"


@dataclass(frozen=True, slots=True)
class StorePlace:
    """A built-in store in a directory; `path` is absolute."""

    path: Path

    @property
    def key(self) -> str:
        """What says whether two registries are one place, such as `store:/srv/data`."""
        return f"store:{self.path}"


@dataclass(frozen=True, slots=True)
class LayoutPlace:
    """A directory whose sub-directories are OCI image layouts, one per repository; `path` is absolute."""

    path: Path

    @property
    def key(self) -> str:
        """What says whether two registries are one place, such as `layout:/srv/images`."""
        return f"layout:{self.path}"


Place = RemotePlace | StorePlace | LayoutPlace


@dataclass(frozen=True, slots=True)
class Login:
    """A user name and a password, or whatever the registry takes in place of one."""

    username: SecretRef
    password: SecretRef


@dataclass(frozen=True, slots=True)
class Auth:
    """Credentials, and who else may see them."""

    login: Login | None  # None: the container tools' own files and credential helpers
    realms: tuple[str, ...] = ()  # hosts of token servers, `host` or `host:port`


@dataclass(frozen=True, slots=True)
class Tls:
    """Files in PEM form, absolute. `ca` is trusted besides the system roots; `cert` and `key` are a pair."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What a registry is asked for at most; None is unset. Registries of one host share them."""

    concurrency: int | None = None  # requests under way, per process
    requests_per_second: float | None = None  # per process
    bytes_per_second: int | None = None  # both directions, per process
    reserve: int | None = None  # percent of a quota that is left to people
    max_wait: float = DEFAULT_MAX_WAIT  # seconds


@dataclass(frozen=True, slots=True)
class Registry:
    """A place under a name. One made from a host in a full reference has that host as its name."""

    name: str
    place: Place
    provider: str = "auto"
    auth: Auth = Auth(None)
    tls: Tls = Tls()
    limits: Limits = Limits()
    position: Position | None = None  # None: not declared, made from a full reference


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A repository of a registry of this spec."""

    registry: str  # the name of a Registry
    repository: RepositoryName

    def __str__(self) -> str:
        return f"{self.registry}/{self.repository}"


@dataclass(frozen=True, slots=True)
class LocationTemplate:
    """A location whose repository may hold `{repository}`, `{namespace}` and `{basename}`."""

    registry: str  # the name of a Registry; groups are expanded
    path: str

    @property
    def has_placeholder(self) -> bool:
        """Whether one template stands for many locations."""
        return "{" in self.path

    def __str__(self) -> str:
        return f"{self.registry}/{self.path}"


class SortBy(Enum):
    """What makes one tag newer than another."""

    SEMVER = "semver"
    NATURAL = "natural"  # runs of digits compare as numbers
    CREATED = "created"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Sort:
    """An order of tags; `of` names the group of the regex that is compared instead of the whole tag."""

    by: SortBy
    of: str | None = None


NATURAL = Sort(SortBy.NATURAL)


@dataclass(frozen=True, slots=True)
class SemverMatch:
    """A range of versions; `of` names the group of the regex that holds the version (None: the tag)."""

    range: str
    of: str | None = None


@dataclass(frozen=True, slots=True)
class TagRule:
    """One rule of `tags`: exactly one of names, glob, regex (with or without semver) and semver is set.

    Steps, in this order: match, `exclude`, `labels`, `max_age`, then per group of `per` the `newest`
    by `sort`. `names` pass sort and newest by.
    """

    names: tuple[Tag, ...] = ()
    glob: str | None = None
    regex: str | None = None  # matches the whole tag
    semver: SemverMatch | None = None
    exclude: tuple[str, ...] = ()  # globs
    labels: Mapping[str, str] = field(default_factory=dict)  # label or annotation to glob
    max_age: timedelta | None = None
    per: str | None = None  # "major", "minor" or a named group of the regex
    sort: Sort | None = None  # None: semver where the rule has semver, else natural
    newest: int | None = None
    position: Position | None = field(default=None, compare=False)

    @property
    def order(self) -> Sort:
        """The order in force."""
        if self.sort is not None:
            return self.sort
        if self.semver is not None:
            return Sort(SortBy.SEMVER, self.semver.of)
        return NATURAL

    @property
    def is_literal(self) -> bool:
        """Whether it only names tags, so that no listing is needed."""
        return bool(self.names)

    def __str__(self) -> str:
        if self.names:
            return "names " + ", ".join(self.names)
        if self.glob is not None:
            return f"glob {self.glob!r}"
        if self.regex is not None:
            return f"regex {self.regex!r}"
        return f"semver {self.semver.range!r}" if self.semver else "empty rule"


class IndexForm(Enum):
    """What becomes of an index when only some of its platforms are wanted."""

    TRIMMED = "trimmed"  # a valid index of what is kept, with its own digest
    ORIGINAL = "original"  # byte for byte, with children missing


class ReferrersMode(Enum):
    """Which referrers, and cosign's digest tags, travel with an image."""

    ALL = "all"
    NONE = "none"
    TYPES = "types"


@dataclass(frozen=True, slots=True)
class ReferrersPolicy:
    """Which referrers travel, and whether an image without them at its target is a failure."""

    mode: ReferrersMode = ReferrersMode.ALL
    types: tuple[str, ...] = ()  # artifact types, for mode TYPES
    required: bool = False

    def takes(self, artifact_type: str | None) -> bool:
        """Whether a referrer of this artifact type travels."""
        match self.mode:
            case ReferrersMode.ALL:
                return True
            case ReferrersMode.NONE:
                return False
            case ReferrersMode.TYPES:
                return artifact_type in self.types


@dataclass(frozen=True, slots=True)
class RepositoryEntry:
    """One repository of a mirror, with its own tag rules or (None) those of the mirror."""

    name: RepositoryName
    tags: tuple[TagRule, ...] | None = None


@dataclass(frozen=True, slots=True)
class RepositoryGlobs:
    """Repositories chosen from what the source's registry lists."""

    include: tuple[str, ...]
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Pin:
    """One line of `images`: a tag, a tag that must be this digest, or a digest alone."""

    tag: Tag | None
    digest: Digest | None


@dataclass(frozen=True, slots=True)
class LockedTag:
    """A tag whose digest the lock file says, under its names at the source and on the targets."""

    source_tag: Tag
    tag: Tag
    digest: Digest  # at the source
    trimmed: Digest | None = None  # on the targets, where it differs and is known
    hold: bool = False  # by a rollback, say, and not because it was the newest when the file was written


class Binding(Enum):
    """Which entries of a lock file a run keeps to."""

    HOLDS = "holds"  # those that are held
    ALL = "all"  # every one, and nothing but them: `--locked`


@dataclass(frozen=True, slots=True)
class Mirror:
    """What to keep like what, with defaults merged and groups expanded; placeholders are still in it."""

    name: str
    sources: tuple[LocationTemplate, ...]  # tried in this order; empty with `images`
    targets: tuple[LocationTemplate, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    repositories: tuple[RepositoryEntry, ...] | RepositoryGlobs | None = None
    rules: tuple[TagRule, ...] = ()
    exclude_tags: tuple[str, ...] = ()  # globs
    at_least: int = 1  # selected tags, per source repository
    rename: str = "{tag}"
    digests: tuple[Digest, ...] = ()
    images: tuple[tuple[Location, Pin], ...] = ()
    platforms: tuple[Platform, ...] | None = None  # None: all, untouched
    index: IndexForm = IndexForm.TRIMMED
    referrers: ReferrersPolicy = ReferrersPolicy()
    immutable: tuple[str, ...] = ()  # globs over target tags
    verify: tuple[str, ...] = ()  # names of policies, besides those that apply by their globs
    prune: PrunePolicy | None = None  # None: nothing is deleted
    history: History | None = None  # None: former images of moved tags are not kept
    schedule: Schedule | None = None  # None: on demand alone
    position: Position | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Unit:
    """One mirror and one source repository, everything concrete: what selection and planning work on."""

    mirror: str
    repository: RepositoryName  # what `{repository}` stands for
    sources: tuple[Location, ...]  # the first moves tags, later ones supply content and absent tags
    targets: tuple[Location, ...]
    rules: tuple[TagRule, ...] = ()
    exclude_tags: tuple[str, ...] = ()
    at_least: int = 1
    rename: str = "{tag}"
    digests: tuple[Digest, ...] = ()
    pinned: tuple[Pin, ...] = ()
    locked: tuple[LockedTag, ...] = ()  # the lock file's word, instead of what the source's tags say
    platforms: tuple[Platform, ...] | None = None
    index: IndexForm = IndexForm.TRIMMED
    referrers: ReferrersPolicy = ReferrersPolicy()
    immutable: tuple[str, ...] = ()
    verify: tuple[str, ...] = ()
    prune: PrunePolicy | None = None
    history: History | None = None
    schedule: Schedule | None = None

    @property
    def source(self) -> Location:
        """The first source, which alone moves tags."""
        return self.sources[0]

    @property
    def needs_tags(self) -> bool:
        """Whether the source's tags have to be listed: some rule is a pattern."""
        return any(not rule.is_literal for rule in self.rules)


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for a whole run."""

    state: Path  # the ledger; absolute
    concurrency: int = DEFAULT_CONCURRENCY
    notifications: "tuple[Notification, ...]" = ()


@dataclass(frozen=True, slots=True)
class Spec:
    """Everything that a set of documents declares."""

    registries: Mapping[str, Registry]  # by name; those made from full references included
    mirrors: tuple[Mirror, ...]  # by name
    settings: Settings
    digest: Digest  # of all but the server; not of secrets, comments or where files lie
    root: Path  # the directory of the first path
    files: tuple[Path, ...]
    server: "Server | None" = None
    policies: "Mapping[str, VerificationPolicy]" = field(default_factory=dict)  # by name
    trust_roots: "Mapping[str, TrustRoot]" = field(
        default_factory=dict
    )  # by name; the built-in one is not in it
    retention: "tuple[RetentionPolicy, ...]" = ()  # by name
    projects: "tuple[Project, ...]" = ()  # by name
    lock: "Lock" = field(default_factory=lambda: _no_lock())
    binding: Binding = Binding.HOLDS
    declared: tuple[Mirror, ...] = ()  # every mirror, where `mirrors` are some of them; empty: those are all

    def place(self, location: Location) -> Place:
        """Where a location really is."""
        return self.registries[location.registry].place

    def mirror(self, name: str) -> Mirror:
        """The mirror of that name; KeyError where there is none."""
        return {mirror.name: mirror for mirror in self.mirrors}[name]


def _no_lock() -> "Lock":
    from regsync.spec.lock import NO_LOCK  # which needs the types above

    return NO_LOCK
