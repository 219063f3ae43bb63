"""Keys of a tag rule."""

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from regsync.oci.reference import Tag
from regsync.spec import fields, scalars
from regsync.spec.fields import one_of
from regsync.spec.globs import compile_glob, is_glob
from regsync.spec.keys import Keys
from regsync.spec.regexes import compile_regex

SELECTORS = ("names", "glob", "regex", "semver")


class SemverKeys(Keys):
    """A range of versions that stand in a part of the tag."""

    of: fields.Word = Field(description="The named group of the regex which holds the version.")
    range: fields.Range = Field(description="The range.")


class SortKeys(Keys):
    """An order by a part of the tag: exactly one key."""

    natural: fields.Word | None = Field(None, description="A named group; digits in it compare as numbers.")
    semver: fields.Word | None = Field(None, description="A named group that holds a version.")
    name: fields.Word | None = Field(None, description="A named group, compared as text.")

    @model_validator(mode="after")
    def _one(self) -> "SortKeys":
        return self.exactly_one("natural", "semver", "name")


SortName = Annotated[
    str,
    fields.choice("semver", "natural", "created", "name"),
    Field(json_schema_extra={"enum": ["semver", "natural", "created", "name"]}),
]


class RuleKeys(Keys):
    """A rule that selects tags: one of `names`, `glob`, `regex` (also with `semver`) and `semver`."""

    names: Annotated[list[fields.TagField], Field(min_length=1)] | None = Field(
        None, description="Tags by name. They pass `sort` and `newest` by; one that is missing is a failure."
    )
    glob: fields.Glob | None = Field(None, description="A glob over whole tags.")
    regex: fields.Regex | None = Field(
        None, description="A regular expression (Python's) that matches the whole tag."
    )
    semver: (
        Annotated[
            Annotated[fields.Range, fields.Text] | Annotated[SemverKeys, fields.Mapping],
            one_of("a range such as '>=1.25 <2', or {of: GROUP, range: RANGE}"),
        ]
        | None
    ) = Field(None, description="A range over tags that are versions, or over a named group of `regex`.")
    exclude: list[fields.Glob] | None = Field(None, description="Globs of tags that this rule leaves out.")
    labels: dict[fields.Word, fields.Glob] | None = Field(
        None, description="Labels or annotations that the image must have, with globs of their values."
    )
    max_age: fields.Duration | None = Field(None, description="Older images are left out, such as 2y.")
    per: fields.Word | None = Field(
        None, description="`newest` counts for each `major`, each `minor`, or each value of a named group."
    )
    sort: (
        Annotated[
            Annotated[SortName, fields.Text] | Annotated[SortKeys, fields.Mapping],
            one_of("semver, natural, created, name, or {natural: GROUP}"),
        ]
        | None
    ) = Field(None, description="What makes a tag newer: `semver` (with a range), else `natural`.")
    newest: Annotated[fields.Integer, *fields.between("integer", 1, 1_000_000)] | None = Field(
        None, description="How many of the newest to take, per group."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        self.check()
        return self

    def check(self) -> None:
        """Raise ValueError for keys that do not fit together."""
        _one_selector(self)
        groups = compile_regex(self.regex).groupindex if self.regex is not None else {}
        for key, name in _named_groups(self):
            if name not in groups:
                known = f"it has {', '.join(groups)}" if groups else "there is none"
                raise ValueError(f"{key}: {name!r} is no named group of a regex ({known})")
        if self.per is not None and self.newest is None and self.names is None:
            raise ValueError("per has no effect without newest")
        by_version = self.semver is not None or self.sort == "semver" or _sorts_semver(self)
        if self.per in ("major", "minor"):
            if by_version == (self.per in groups):
                raise ValueError(
                    f"per: {self.per} is of a version and also a group of the regex: rename the group"
                    if by_version
                    else f"per: {self.per} needs semver, or a group of that name in a regex"
                )
        elif self.per is not None and self.per not in groups:
            raise ValueError(f"per: expected major, minor or a named group of the regex, found {self.per!r}")


def _sorts_semver(rule: RuleKeys) -> bool:
    return isinstance(rule.sort, SortKeys) and rule.sort.semver is not None


def _one_selector(rule: RuleKeys) -> None:
    given = [name for name in SELECTORS if getattr(rule, name) is not None]
    if given == ["regex", "semver"]:
        if not isinstance(rule.semver, SemverKeys):
            raise ValueError("semver beside regex says where the version is: {of: GROUP, range: RANGE}")
    elif len(given) != 1:
        found = f"found {' and '.join(given)}" if given else "found none"
        raise ValueError(
            f"expected exactly one of names, glob, regex, semver (or regex with semver), {found}"
        )


def _named_groups(rule: RuleKeys) -> list[tuple[str, str]]:
    """Every group of the regex that the rule speaks of, and where."""
    named = [("semver.of", rule.semver.of)] if isinstance(rule.semver, SemverKeys) else []
    if isinstance(rule.sort, SortKeys):
        named += [
            (f"sort.{key}", value)
            for key in ("natural", "semver", "name")
            if (value := getattr(rule.sort, key)) is not None
        ]
    return named


def name_or_glob(value: object) -> str:
    """A tag, or a glob over tags."""
    text = scalars.text(value)
    if is_glob(text):
        compile_glob(text)
    else:
        Tag.parse(text)
    return text


Rule = Annotated[
    Annotated[str, BeforeValidator(name_or_glob), fields.Text, fields.schema(["string", "number"])]
    | Annotated[RuleKeys, fields.Mapping],
    one_of("a tag, a glob, or a mapping with names, glob, regex or semver"),
]
