"""Keys of `Mirror` and `MirrorDefaults`. What a mirror needs may come from defaults, so all are optional."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from regsync.spec import fields
from regsync.spec.fields import one_of
from regsync.spec.keys import Keys
from regsync.spec.pruning_keys import Cron, HistoryKeys, PruneKeys, TimeZone
from regsync.spec.rule_keys import Rule


class RepositoryKeys(Keys):
    """A repository with tag rules of its own."""

    name: fields.RepositoryField = Field(description="The repository.")
    tags: Annotated[list[Rule], Field(min_length=1)] | None = Field(
        None, description="Rules for this repository, instead of those of the mirror."
    )


class GlobKeys(Keys):
    """Repositories chosen from what the source's registry lists."""

    include: Annotated[list[fields.Glob], Field(min_length=1)] = Field(
        description="Globs of repositories to take; `**` crosses slashes."
    )
    exclude: list[fields.Glob] | None = Field(None, description="Globs of repositories to leave out.")


class ImageKeys(Keys):
    """Full references: exactly one of `list` and `file`."""

    list_: Annotated[list[fields.Word], Field(min_length=1)] | None = Field(
        None, alias="list", description="Full references with a tag, a digest, or both."
    )
    file: fields.Word | None = Field(
        None, description="A file with one full reference a line; # begins a comment."
    )

    @model_validator(mode="after")
    def _one(self) -> "ImageKeys":
        if (self.list_ is None) == (self.file is None):
            raise ValueError("expected exactly one of list, file")
        return self


class PlatformKeys(Keys):
    """Platforms, and what becomes of the index."""

    include: Annotated[list[fields.PlatformField], Field(min_length=1)] = Field(
        description="The platforms to copy."
    )
    index: Literal["original", "trimmed"] = Field(
        "trimmed", description="`trimmed`: a valid index of these alone; `original`: byte for byte as it was."
    )


ReferrerWord = Annotated[
    str, fields.choice("all", "none"), Field(json_schema_extra={"enum": ["all", "none"]})
]
RepositoryItem = Annotated[
    Annotated[fields.RepositoryField, fields.Text] | Annotated[RepositoryKeys, fields.Mapping],
    one_of("a repository, or {name: REPOSITORY, tags: […]}"),
]
INSTEAD_OF_IMAGES = ("source", "repositories", "tags", "exclude_tags", "at_least", "digests", "rename")


class ReferrerKeys(Keys):
    """Which referrers travel, and whether they must."""

    types: Annotated[
        Annotated[ReferrerWord, fields.Text]
        | Annotated[Annotated[list[fields.ArtifactType], Field(min_length=1)], fields.List],
        one_of("all, or a list of artifact types"),
    ] = Field("all", description="`all`, or a list of artifact types.")
    required: fields.Boolean = Field(
        default=False,
        description="A referrer that a target refuses holds its image back instead of being reported.",
    )


class MirrorKeys(Keys):
    """What to keep like what."""

    source: (
        Annotated[
            Annotated[fields.Word, fields.Text]
            | Annotated[Annotated[list[fields.Word], Field(min_length=1)], fields.List],
            one_of("REGISTRY/REPOSITORY, or a list of them"),
        ]
        | None
    ) = Field(
        None,
        description="Where from: REGISTRY/REPOSITORY, with {repository} for many. A list is tried in order.",
        examples=["hub/{repository}"],
    )
    targets: Annotated[list[fields.Word], Field(min_length=1)] | None = Field(
        None,
        description="Where to: registries or groups, with {repository}, {namespace} and {basename}.",
        examples=[["everywhere/hub/{repository}"]],
    )
    repositories: (
        Annotated[
            Annotated[Annotated[list[RepositoryItem], Field(min_length=1)], fields.List]
            | Annotated[GlobKeys, fields.Mapping],
            one_of("a list of repositories, or {include: [GLOB…], exclude: [GLOB…]}"),
        ]
        | None
    ) = Field(None, description="What {repository} of the source stands for.")
    tags: Annotated[list[Rule], Field(min_length=1)] | None = Field(
        None, description="Rules that select tags, each alone, united. A text is a tag, or a glob."
    )
    exclude_tags: list[fields.Glob] | None = Field(None, description="Globs of tags that no rule takes.")
    at_least: Annotated[fields.Integer, *fields.between("integer", 0, 1_000_000)] | None = Field(
        None, description="Fewer selected tags are an error: a guard against an emptied source (1)."
    )
    rename: fields.Rename | None = Field(
        None, description="Tags on targets: {tag} {major} {minor} {patch} {digest:12} {date} ({tag})."
    )
    digests: Annotated[list[fields.DigestField], Field(min_length=1)] | None = Field(
        None, description="Content copied by digest, without a tag."
    )
    images: ImageKeys | None = Field(
        None, description="Full references, instead of source, repositories, tags and digests."
    )
    platforms: (
        Annotated[
            Annotated[Annotated[list[fields.PlatformField], Field(min_length=1)], fields.List]
            | Annotated[PlatformKeys, fields.Mapping],
            one_of("a list such as [linux/amd64], or {include: […], index: original}"),
        ]
        | None
    ) = Field(
        None,
        description="Platforms to copy; all without it. A list makes a trimmed, valid index. An index or a "
        "single image that is for none of them is not copied and reported as failed; artifacts without "
        "platforms are copied whole.",
    )
    referrers: (
        Annotated[
            Annotated[ReferrerWord, fields.Text]
            | Annotated[Annotated[list[fields.ArtifactType], Field(min_length=1)], fields.List]
            | Annotated[ReferrerKeys, fields.Mapping],
            one_of("all, none, a list of artifact types, or {types: …, required: true}"),
        ]
        | None
    ) = Field(None, description="Signatures, SBOMs and the like that travel with images (all).")
    immutable: list[fields.Glob] | None = Field(
        None, description="Globs of target tags that never change once copied: no request, no overwriting."
    )
    verify: list[fields.MirrorName] | None = Field(
        None,
        description="Names of policies that images have to meet before a tag moves to them, besides those "
        "that apply by their own globs.",
    )
    prune: PruneKeys | None = Field(
        None, description="Delete what the selection no longer yields; without it nothing is deleted."
    )
    history: HistoryKeys | None = Field(
        None, description="Keep what a moved tag pointed to, under a tag of its own, for rollback."
    )
    schedule: Cron | None = Field(
        None, description="When `regsync run` runs it: cron with five fields, or @daily and the like."
    )
    timezone: TimeZone | None = Field(None, description="The time zone of `schedule` (UTC).")

    @model_validator(mode="after")
    def _images_stand_alone(self) -> "MirrorKeys":
        if self.images is not None:
            for name in INSTEAD_OF_IMAGES:
                if name in self.model_fields_set:
                    raise ValueError(
                        f"images stands instead of {name.replace('exclude_tags', 'excludeTags')}"
                    )
        return self
