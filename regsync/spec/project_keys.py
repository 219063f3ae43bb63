"""`Project` documents and their keys."""

from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from regsync.spec import fields
from regsync.spec.documents import Envelope, Labels
from regsync.spec.keys import Keys
from regsync.spec.pruning_keys import PruneKeys
from regsync.spec.verification_keys import PlaceGlobs

# Only these: all others say where secrets go, what evidence counts, or what holds for everybody.
PROJECT_KINDS = ("Mirror", "MirrorDefaults", "RetentionPolicy")
KindWord = Annotated[
    str, fields.choice(*PROJECT_KINDS), Field(json_schema_extra={"enum": list(PROJECT_KINDS)})
]


def _below(text: str) -> str:
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or "." in text.split("/"):
        raise ValueError(f"expected files below the directory of the Project, found {text[:80]!r}")
    return text


FileGlob = Annotated[fields.Glob, AfterValidator(_below), fields.schema("string", examples=["teams/web/**"])]


class ProjectKeys(Keys):
    """What may stand in the files of a team. Nothing in them can widen it."""

    files: Annotated[list[FileGlob], Field(min_length=1)] = Field(
        description="Globs of its files, relative to the directory of this document."
    )
    kinds: Annotated[list[KindWord], Field(min_length=1)] = Field(
        ["Mirror"], description="Kinds of documents that its files may hold ([Mirror])."
    )
    sources: PlaceGlobs | None = Field(
        None, description="Globs over REGISTRY/REPOSITORY that its mirrors may read; without it none."
    )
    targets: PlaceGlobs | None = Field(
        None,
        description="Globs over REGISTRY/REPOSITORY that its mirrors may write, and its retention policies "
        "speak of; without it none.",
    )
    verify: list[fields.MirrorName] | None = Field(
        None, description="Policies that all its mirrors have to meet, whether they name them or not."
    )
    prune: PruneKeys | None = Field(
        None,
        description="The most that its mirrors and retention policies may delete, with the keys and defaults "
        "of Mirror.prune: limits no higher, grace no shorter, `owns` no wider, and `protect` holds besides "
        "their own. Without it they delete nothing.",
    )


class ProjectMetadata(Keys):
    """The name of a project, for messages."""

    name: fields.MirrorName = Field(description="Unique among projects.")
    labels: Labels | None = Field(None, description="Labels, for people.")


class ProjectDocument(Envelope):
    """What the files of a team may do.

    Where there is any Project, a file that is under none may only stand in the directory of the Settings.
    """

    kind: Literal["Project"]
    metadata: ProjectMetadata = Field(description="Name and labels.")
    spec: ProjectKeys = Field(description="Its files, and what they may.")
