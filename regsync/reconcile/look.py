"""Looking at one unit: both sides listed."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from regsync.content.concurrently import both, for_each
from regsync.content.evidence import Shelf
from regsync.content.protocol import Store
from regsync.errors import DeniedError, RegsyncError, UnsupportedError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.reconcile.repositories import CannotListTagsError, Repositories, SourceView, TargetView
from regsync.spec.model import Location, ReferrersMode, TagRule, Unit

FEW_TAGS = 3  # literal tags for which looking for digest tags one by one is cheaper than a listing


@dataclass(frozen=True, slots=True)
class Wanted:
    """One thing to keep on the targets: a tag under its name there, or pinned content."""

    source_tag: Tag | None
    tag: Tag | None
    digest: Digest | None = None  # pinned; else the source's tag says
    rule: TagRule | None = field(default=None, compare=False)  # that chose the tag


@dataclass(frozen=True, slots=True)
class Found:
    """What a source has under a tag or digest, before and after trimming."""

    source: SourceView
    desc: Descriptor  # as the source has it
    digest: Digest  # as targets are to have it


@dataclass(frozen=True, slots=True)
class Unseen:
    """A repository that could not be looked at, and why."""

    location: Location
    error: RegsyncError


@dataclass(frozen=True, slots=True)
class UnitView:
    """One unit with both sides listed."""

    unit: Unit
    sources: tuple[SourceView, ...]  # those that were seen, in the order of the spec
    unseen: tuple[Unseen, ...]  # sources that were not
    targets: tuple[TargetView | Unseen, ...]
    elsewhere: Mapping[Location, Shelf] = field(default_factory=dict)  # other repositories of evidence

    @property
    def moves(self) -> bool:
        """Whether the first source was seen: only it may move a tag."""
        return bool(self.sources) and self.sources[0].location == self.unit.source

    @property
    def stores(self) -> list[Store]:
        """Where content is read from, in the order in which it is tried."""
        return [source.store for source in self.sources]


async def look_at(unit: Unit, repositories: Repositories) -> UnitView:
    """List what has to be listed, on both sides at once."""

    async def target(location: Location) -> TargetView | Unseen:
        try:
            return await repositories.target(location)
        except RegsyncError as error:
            return Unseen(location, error)

    seen, targets = await both(
        lambda: look_at_sources(unit, repositories), lambda: for_each(target, unit.targets)
    )
    return replace(seen, targets=tuple(targets))


async def look_at_sources(unit: Unit, repositories: Repositories) -> UnitView:
    """The same without the targets, for who wants to know what is to be on them."""

    async def source(location: Location) -> SourceView | Unseen:
        return await _source(unit, location, repositories)

    sources = await for_each(source, unit.sources)
    policies = repositories.run.verification.policies_of(unit)
    others = dict.fromkeys(location for one in policies for location in one.policy.evidence)
    return UnitView(
        unit,
        tuple(one for one in sources if isinstance(one, SourceView)),
        tuple(one for one in sources if isinstance(one, Unseen)),
        (),
        {location: await repositories.evidence(location) for location in others},
    )


async def _source(unit: Unit, location: Location, repositories: Repositories) -> SourceView | Unseen:
    literal = sum(len(rule.names) for rule in unit.rules) + len(unit.pinned) + len(unit.digests)
    literal += len(unit.locked)
    with_evidence = unit.referrers.mode is not ReferrersMode.NONE
    try:
        if unit.needs_tags:
            return await repositories.source(location, needs_tags=True)
        if with_evidence and literal > FEW_TAGS:
            with suppress(CannotListTagsError, UnsupportedError, DeniedError):  # it would only spare requests
                return await repositories.source(location, needs_tags=True)
        return await repositories.source(location, needs_tags=False)
    except RegsyncError as error:
        return Unseen(location, error)
