"""What places were seen to hold, kept so that a plan can be made of it again without a request.

An observation is of places, not of a spec: whatever spec needs no more than was looked at can be planned
from it. Places go by what they are, never by the name of a Registry, so that nobody's edit of a spec makes
one registry's answers count for another.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from os.path import relpath
from pathlib import Path

from regsync.content.image_config import Config
from regsync.errors import RegsyncError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName, Tag
from regsync.plan.absence import Absence
from regsync.spec.files import git_top
from regsync.spec.model import LayoutPlace, Location, Place, RemotePlace, Spec

Name = Tag | Digest
Key = tuple[str, str]  # of a repository: its place, and its name there


@dataclass(slots=True)
class SeenRepository:
    """What one repository answered. Where nothing was asked nothing stands; an error is an answer."""

    name: str | None = None  # as a person knows it, and errors and verdicts speak of it
    tags: Mapping[Tag, Descriptor | None] | RegsyncError | None = None
    has_referrers_api: bool | None = None
    checks_references: bool = False
    deletes: bool = False  # whether it can delete tags
    names: dict[Name, Descriptor | RegsyncError] = field(default_factory=dict)
    there: dict[Digest, bool | RegsyncError] = field(default_factory=dict)
    referrers: dict[Digest, tuple[Descriptor, ...] | RegsyncError] = field(default_factory=dict)
    blobs: dict[Digest, int | RegsyncError] = field(default_factory=dict)  # sizes in bytes
    configs: dict[Digest, Config | RegsyncError] = field(default_factory=dict)
    push: bool | RegsyncError = False  # True: it would be taken; False: nobody asked


@dataclass(frozen=True, slots=True)
class Facts:
    """What the ledger knew of one repository."""

    first_seen: Mapping[Digest, datetime] = field(default_factory=dict)
    ours: Mapping[Tag, Digest] = field(default_factory=dict)
    origins: Mapping[Tag, Key] = field(default_factory=dict)
    absences: Mapping[Tag, Absence] = field(default_factory=dict)


@dataclass(slots=True)
class Recording:
    """Everything that was seen."""

    taken: datetime  # when it was begun
    repositories: dict[Key, SeenRepository] = field(default_factory=dict)
    catalogues: dict[str, tuple[RepositoryName, ...] | RegsyncError] = field(default_factory=dict)
    contents: dict[Digest, bytes] = field(default_factory=dict)  # manifests, and evidence
    has_history: bool = False  # whether the ledger knew of any run
    facts: dict[Key, Facts] = field(default_factory=dict)


def place_name(spec: Spec, place: Place) -> str:
    """What a place is called in an observation: the same from every checkout."""
    if isinstance(place, RemotePlace):
        return place.key
    kind = "layout" if isinstance(place, LayoutPlace) else "store"
    top = git_top(spec.root) or spec.root
    path = Path(relpath(place.path, spec.root)) if place.path.is_relative_to(top) else place.path
    return f"{kind}:{path.as_posix()}"


def key_of(spec: Spec, location: Location) -> Key:
    """The key of a repository."""
    return place_name(spec, spec.place(location)), str(location.repository)
