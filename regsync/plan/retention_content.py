"""What goes with tags that go: digest tags, and in time manifests that nothing leads to any more.

A tag leads to its manifest, an index to its manifests, a subject to its referrers, a tagged referrer to its
subject; lock files, mirrors and whatever runs lead to digests. The tags that are made from a digest
(cosign's, and the fallback for referrers) lead to evidence and not to its subject: they follow that. So the
built-in store's garbage collection has it too (docs/server.md). Where anything that is kept could not be
read, nothing is known to be unreached.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from graphlib import CycleError, TopologicalSorter

from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.spec.globs import matches_any
from regsync.spec.retention import RetentionPolicy

Graphs = Mapping[Digest, tuple[Digest, ...]]  # of an image all its manifests, itself first


@dataclass(frozen=True, slots=True)
class ContentSeen:
    """What the tags of one repository lead to, as far as that matters for what goes."""

    staying: Collection[Digest]  # what tags that stay point to, and what else is kept; digest tags apart
    going: Collection[Digest]  # what tags that go point to
    digest_tags: Mapping[Tag, Digest]  # of a digest tag, its subject
    evidence: Mapping[Tag, Digest]  # of a digest tag, what it points to
    lost: Mapping[Digest, datetime]  # manifests that nothing led to in an earlier run, and since when
    graphs: Graphs  # of what stays, goes and was lost; what is there no more has none
    subjects: Mapping[Digest, Digest]  # of what may go, where it has one that is there
    referrers: Mapping[Digest, Sequence[Digest]]  # of what may go, and of these again


@dataclass(frozen=True, slots=True)
class ContentDecision:
    """What goes with the tags."""

    digest_tags: tuple[Tag, ...] = ()  # sorted
    unreached: Mapping[Digest, datetime] = field(default_factory=dict)  # manifests, and since when
    due: tuple[Digest, ...] = ()  # manifests in the order of their deletion, none before what leads to it


def doubtful(staying: Iterable[Digest], going: Iterable[Digest], graphs: Graphs) -> frozenset[Digest]:
    """The manifests of what goes that nothing which stays leads to by content: their referrers matter."""
    return frozenset(_below(going, graphs) - _below(staying, graphs))


def needed_from_above(staying: Collection[Digest], going: Iterable[Digest], graphs: Graphs) -> Set[Digest]:
    """What of `going` an index that stays leads to, and no tag that stays points to."""
    return (_below(staying, graphs) - {*staying}) & {*going}


def decide_content(policy: RetentionPolicy, seen: ContentSeen, *, now: datetime) -> ContentDecision:
    """What of `seen` goes. Everything that stays has its graph, else nobody may call this."""
    alive = _below(seen.staying, seen.graphs)
    unreached = _below((*seen.going, *seen.lost), seen.graphs) - alive
    _revive(unreached, alive, seen)
    tags = _following_tags(policy, unreached, alive, seen)
    alive |= _below((at for tag, at in seen.evidence.items() if tag not in tags), seen.graphs)
    unreached -= alive
    unreached |= {other for one in unreached for other in _following(one, seen.referrers)} - alive
    since = {one: min(seen.lost.get(one, now), now) for one in unreached}
    if policy.untagged_keep_for is None:
        return ContentDecision(tags, since)
    return _due(since, now - policy.untagged_keep_for, tags, seen)


def _below(roots: Iterable[Digest], graphs: Graphs) -> set[Digest]:
    return {one for root in roots for one in graphs.get(root, (root,))}


def _revive(unreached: set[Digest], alive: set[Digest], seen: ContentSeen) -> None:
    """Move to `alive` what has a subject that is kept, and what something that is kept has as its subject."""

    def is_reached(one: Digest) -> bool:
        subject = seen.subjects.get(one)
        if subject is not None and subject not in unreached:
            return True
        return not alive.isdisjoint(_following(one, seen.referrers))

    while reached := [one for one in unreached if is_reached(one)]:
        alive |= _below(reached, seen.graphs)
        unreached -= alive


def _following(subject: Digest, referrers: Mapping[Digest, Sequence[Digest]]) -> set[Digest]:
    """The referrers of a manifest, and theirs."""
    found: set[Digest] = set()
    todo = [subject]
    while todo:
        new = [one for one in referrers.get(todo.pop(), ()) if one not in found]
        found.update(new)
        todo += new
    return found


def _following_tags(
    policy: RetentionPolicy, unreached: set[Digest], alive: Set[Digest], seen: ContentSeen
) -> tuple[Tag, ...]:
    """The digest tags of what is unreached, and of what they point to, which is added to `unreached`."""
    left = {tag for tag in seen.digest_tags if matches_any(policy.protect, tag) is None}
    found: set[Tag] = set()
    while new := {tag for tag in left - found if seen.digest_tags[tag] in unreached}:
        found |= new
        unreached |= {seen.evidence[tag] for tag in new if tag in seen.evidence} - alive
    return tuple(sorted(found))


def _due(
    since: Mapping[Digest, datetime], before: datetime, tags: tuple[Tag, ...], seen: ContentSeen
) -> ContentDecision:
    """What has been unreached for long enough, and so has all that leads to it; referrers with subjects."""
    parents: dict[Digest, set[Digest]] = {}
    for root in since:
        for child in seen.graphs.get(root, (root,))[1:]:
            parents.setdefault(child, set()).add(root)
    ripe = {one for one, moment in since.items() if moment <= before}
    while waiting := {one for one in ripe if not parents.get(one, set()) <= ripe}:
        ripe -= waiting
    beside = {other for one in ripe for other in _following(one, seen.referrers)} & since.keys()
    going = ripe | {other for other in beside if parents.get(other, set()) <= ripe}
    # Whatever names something by its digest goes before it.
    naming = {
        one: sorted((parents.get(one, set()) | {*seen.referrers.get(one, ())}) & going)
        for one in sorted(going)
    }
    try:
        return ContentDecision(tags, since, tuple(TopologicalSorter(naming).static_order()))
    except CycleError:  # digests make no circle: the registry's list of referrers lies
        return ContentDecision(tags, since)
