"""`RetentionPolicy` documents and their keys."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from regsync.spec import fields
from regsync.spec.documents import Envelope, Labels
from regsync.spec.fields import one_of
from regsync.spec.keys import Keys
from regsync.spec.pruning_keys import Cron, DeletionLimitKeys, TimeZone
from regsync.spec.retention import Unmatched
from regsync.spec.rule_keys import SELECTORS, RuleKeys, name_or_glob

_UNMATCHED = [one.value for one in Unmatched]
_IN_USE = re.compile(r"(?:file|kubernetes):.+", re.DOTALL)
_ONLY_WITH_SELECTOR = ("exclude", "per", "sort", "newest")

UnmatchedWord = Annotated[str, fields.choice(*_UNMATCHED), Field(json_schema_extra={"enum": _UNMATCHED})]
RepositoryGlobField = Annotated[
    fields.Word, fields.schema("string", examples=["local/**", "ecr-us/mirror/*"])
]


def _in_use(text: str) -> str:
    if _IN_USE.fullmatch(text) is None:
        raise ValueError(f"expected file:PATH or kubernetes:CONTEXT, found {text[:80]!r}")
    return text


InUseField = Annotated[
    fields.Word,
    AfterValidator(_in_use),
    fields.schema("string", pattern="^(file|kubernetes):", examples=["file:deployed.txt"]),
]


class KeepRuleKeys(RuleKeys):
    """A rule that keeps tags: as in `Mirror.tags`, and by when they were pushed or pulled.

    A tag is kept that all of the rule keeps. A rule that selects no tags protects whatever was pushed or
    pulled lately, and makes no tag a candidate for deletion.
    """

    pushed_within: fields.Duration | None = Field(
        None, description="Keeps what was pushed within this time; where a registry does not say, all of it."
    )
    pulled_within: fields.Duration | None = Field(
        None,
        description="Keeps what was pulled within this time, at any place of the same mirror; where a "
        "registry does not say, all of it.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.max_age is not None or self.sort == "created":
            raise ValueError(
                "deletion never rests on `created`, which builds write as they like: use pushedWithin"
            )
        if self.labels is not None:
            raise ValueError(
                "retention does not read images, since that counts as a pull: labels are not taken"
            )
        if any(getattr(self, name) is not None for name in SELECTORS):
            self.check()
            return self
        if self.pushed_within is None and self.pulled_within is None:
            raise ValueError("expected names, glob, regex or semver, or pushedWithin or pulledWithin")
        for name in _ONLY_WITH_SELECTOR:
            if getattr(self, name) is not None:
                raise ValueError(f"{name} has no effect without names, glob, regex or semver")
        return self


KeepRule = Annotated[
    Annotated[str, BeforeValidator(name_or_glob), fields.Text, fields.schema(["string", "number"])]
    | Annotated[KeepRuleKeys, fields.Mapping],
    one_of("a tag, a glob, or a mapping with names, glob, regex, semver, pushedWithin or pulledWithin"),
]


class UntaggedKeys(Keys):
    """What becomes of manifests that no tag, index, referrer or lock file leads to."""

    keep_for: fields.Duration = Field(
        description="How long they stay after a run first found that nothing leads to them."
    )


class RetentionKeys(Keys):
    """What of some repositories is kept; what nothing keeps is deleted."""

    repositories: Annotated[list[RepositoryGlobField], Field(min_length=1)] = Field(
        description="Globs over REGISTRY/REPOSITORY that the policy speaks of, whoever pushed there. The "
        "registry is named, or a group."
    )
    keep: Annotated[list[KeepRule], Field(min_length=1)] | None = Field(
        None, description="Rules; a tag that any of them keeps stays."
    )
    unmatched: UnmatchedWord = Field(
        "keep",
        description="What becomes of tags that no rule's selector matches: `delete` deletes them too (keep).",
    )
    protect: list[fields.Glob] | None = Field(None, description="Globs of tags that never go.")
    in_use: Annotated[list[InUseField], Field(min_length=1)] | None = Field(
        None,
        description="What is running somewhere and never goes: `file:PATH`, a list of references, one a "
        "line; `kubernetes:CONTEXT`, the pods of a cluster, by a context of the kubeconfig. Where one cannot "
        "be read, nothing goes.",
    )
    untagged: UntaggedKeys | None = Field(
        None, description="Manifests that nothing leads to any more; without it they stay."
    )
    limits: DeletionLimitKeys | None = Field(None, description="How much may be deleted in one run.")
    schedule: Cron | None = Field(
        None, description="When `regsync run` carries it out: cron with five fields, or @daily and the like."
    )
    timezone: TimeZone | None = Field(None, description="The time zone of `schedule` (UTC).")

    @model_validator(mode="after")
    def _does_something(self) -> "RetentionKeys":
        if self.keep is None and self.untagged is None:
            raise ValueError("expected keep, or untagged")
        if self.timezone is not None and self.schedule is None:
            raise ValueError("timezone has no effect without a schedule")
        if self.unmatched == "delete" and not any(map(selects, self.keep or ())):
            raise ValueError(
                "unmatched: delete, where no rule of keep selects tags, would delete all of them"
            )
        return self


def selects(rule: KeepRuleKeys | str) -> bool:
    """Whether a rule has a selector."""
    return isinstance(rule, str) or any(getattr(rule, name) is not None for name in SELECTORS)


class RetentionMetadata(Keys):
    """The name of a policy, for reports."""

    name: fields.MirrorName = Field(description="Unique among retention policies.")
    labels: Labels | None = Field(None, description="Labels, for people.")


class RetentionDocument(Envelope):
    """What to keep in places that regsync writes to, whoever pushed there.

    `regsync prune` and `regsync run` alone carry it out. A tag that a mirror declares is never deleted.
    """

    kind: Literal["RetentionPolicy"]
    metadata: RetentionMetadata = Field(description="Name and labels.")
    spec: RetentionKeys = Field(description="Where, and what to keep.")
