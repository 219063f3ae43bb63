"""Builders for selection tests."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName, Tag
from regsync.spec.facts import TagFacts
from regsync.spec.model import Location, SemverMatch, TagRule, Unit
from regsync.spec.selection import NO_FACTS, Selection, select

NOW = datetime(2026, 11, 1, tzinfo=UTC)
PLACE = Location("hub", RepositoryName("library/nginx"))


def unit(*rules: TagRule, **keys: Any) -> Unit:
    return Unit("web", PLACE.repository, (PLACE,), (PLACE,), rules=rules, **{"at_least": 0, **keys})


def semver(text: str, of: str | None = None, **keys: Any) -> TagRule:
    return TagRule(semver=SemverMatch(text, of), **keys)


def named(*tags: str, **keys: Any) -> TagRule:
    return TagRule(names=tuple(map(Tag, tags)), **keys)


def tags(text: str) -> list[Tag]:
    return [Tag.parse(one) for one in text.split()]


def chosen(one: Unit, text: str, facts: Mapping[Tag, TagFacts] = NO_FACTS) -> str:
    """The selected tags in their order, in one line."""
    return " ".join(tag for tag, _ in select(one, tags(text), facts, now=NOW).tags)


def selection(one: Unit, text: str, facts: Mapping[Tag, TagFacts] = NO_FACTS) -> Selection:
    return select(one, tags(text), facts, now=NOW)


def aged(days: Mapping[str, int], **keys: Any) -> dict[Tag, TagFacts]:
    """Facts of tags that were created so many days before NOW."""
    return {
        Tag(tag): TagFacts(Digest.of(tag.encode()), NOW, NOW - timedelta(days=age), **keys)
        for tag, age in days.items()
    }


def why(found: Selection, tag: str) -> str:
    return next(one.why for one in found.explanations if one.tag == tag)


def kept(found: Selection) -> Sequence[Tag]:
    return [one.tag for one in found.explanations if one.kept]
