"""Which manifests of a repository nothing leads to: a function of what is there, without a database.

A tag leads to its manifest, an index to its manifests, a subject to its referrers. A tagged referrer also
leads to its subject, so that no signature that has a name is left without what it signs; the tags that
are made from a digest (cosign's, and the fallback for referrers) do not, since they follow that digest.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

_DIGEST_TAG = re.compile(r"sha(256|512)-[0-9a-f]{64,128}(\.[a-z0-9.]+)?")


@dataclass(frozen=True, slots=True)
class Held:
    """A manifest of the repository. Times are microseconds since 1970."""

    digest: str
    size: int  # bytes
    subject: str | None = None
    unused_since: int | None = None  # when gc first saw that nothing leads to it
    pulled_at: int | None = None


@dataclass(frozen=True, slots=True)
class Manifests:
    """All manifests of a repository, and what leads where."""

    held: Mapping[str, Held]
    tags: Mapping[str, str]  # of a digest one tag, if it can be one that is not made from a digest
    children: Mapping[str, Sequence[str]]  # of an index, its manifests

    def referrers(self) -> Mapping[str, Sequence[str]]:
        """Of a subject, the manifests that refer to it."""
        found = defaultdict(list)
        for one in self.held.values():
            if one.subject is not None:
                found[one.subject].append(one.digest)
        return found


@dataclass(frozen=True, slots=True)
class Limits:
    """What is old enough to go. Microseconds since 1970."""

    now: int
    unused_before: int
    pulled_before: int

    def are_past(self, one: Held) -> bool:
        """Whether a manifest that nothing leads to may go."""
        since = one.unused_since if one.unused_since is not None else self.now
        return since <= self.unused_before and (one.pulled_at or 0) <= self.pulled_before


@dataclass(frozen=True, slots=True)
class Component:
    """Manifests that lead to each other and to which nothing else leads: they go together or stay.

    What leads to another stands before it. `beside` are referrers of theirs that something else keeps.
    `later` are members of the same that go in later transactions, if the first ones do.
    """

    members: tuple[str, ...]
    beside: frozenset[str]
    later: tuple[str, ...] = ()

    def in_parts(self, size: int) -> "Iterator[Component]":
        """Itself in parts of at most `size` members, to be deleted in this order.

        Whatever comes into use between two of them is then kept with all that it leads to. The first
        part goes only if all the others could go too.
        """
        for start in range(0, len(self.members), size):
            rest = self.members[start + size :]
            beside = self.beside.union(rest)
            yield Component(self.members[start : start + size], beside, () if start else rest)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of each manifest: it is in one of `kept`, `waiting` and the components."""

    kept: Mapping[str, str]  # with the reason
    waiting: Mapping[str, str | None]  # with what keeps it waiting where that is not its own age
    components: Sequence[Component]

    @property
    def unused(self) -> Sequence[str]:
        """Everything that nothing leads to."""
        return [*self.waiting, *(digest for one in self.components for digest in one.members)]


def is_digest_tag(tag: str) -> bool:
    """Whether a tag is made from a digest: `sha256-….sig`, or the fallback tag of referrers."""
    return _DIGEST_TAG.fullmatch(tag) is not None


def judge(there: Manifests, limits: Limits) -> Verdict:
    """What nothing leads to, and which of that is old enough to go, with nothing left that leads to it."""
    referrers = there.referrers()
    kept = _reached(there, referrers, _roots(there))
    unused = [one for digest, one in there.held.items() if digest not in kept]
    young: dict[str, str | None] = {one.digest: None for one in unused if not limits.are_past(one)}
    waiting = _reached(there, referrers, young, kept)
    rest = [one.digest for one in unused if one.digest not in waiting]
    return Verdict(kept, waiting, _components(there, referrers, rest))  # type: ignore[arg-type]


def _roots(there: Manifests) -> dict[str, str | None]:
    roots: dict[str, str | None] = {digest: f"tag {tag}" for digest, tag in there.tags.items()}
    for digest, tag in there.tags.items():
        if is_digest_tag(tag):
            continue
        below = digest
        while (subject := there.held[below].subject) in there.held and subject not in roots:
            assert subject is not None  # noqa: S101 - it is a key
            roots[subject] = f"subject of {below}"
            below = subject
    return roots


def _reached(
    there: Manifests,
    referrers: Mapping[str, Sequence[str]],
    roots: Mapping[str, str | None],
    without: Collection[str] = (),
) -> dict[str, str | None]:
    """What the roots lead to, each with what leads there."""
    found = dict(roots)
    left = list(roots)
    while left:
        digest = left.pop()
        steps = [(one, f"part of index {digest}") for one in there.children.get(digest, ())]
        steps += [(one, f"refers to {digest}") for one in referrers.get(digest, ())]
        for one, reason in steps:
            if one in there.held and one not in found and one not in without:
                found[one] = reason
                left.append(one)
    return found


def _components(
    there: Manifests, referrers: Mapping[str, Sequence[str]], unused: Sequence[str]
) -> Sequence[Component]:
    inside = set(unused)
    near: dict[str, list[str]] = {digest: [] for digest in unused}
    for digest in unused:
        for other in (*there.children.get(digest, ()), *referrers.get(digest, ())):
            if other in inside:
                near[digest].append(other)
                near[other].append(digest)
    components = []
    seen: set[str] = set()
    for digest in unused:
        if digest not in seen:
            members = _connected(near, digest)
            seen |= members
            beside = {one for member in members for one in referrers.get(member, ()) if one not in members}
            order = _parents_first(there, referrers, members)
            components.append(Component(order, frozenset(beside)))
    return components


def _connected(near: Mapping[str, Iterable[str]], start: str) -> set[str]:
    found, left = {start}, [start]
    while left:
        for other in near[left.pop()]:
            if other not in found:
                found.add(other)
                left.append(other)
    return found


def _parents_first(
    there: Manifests, referrers: Mapping[str, Sequence[str]], members: Collection[str]
) -> tuple[str, ...]:
    """Sorted, but no manifest before one that leads to it; a circle is entered somewhere."""
    above = {digest: 0 for digest in sorted(members)}

    def below(digest: str) -> list[str]:
        led = (*there.children.get(digest, ()), *referrers.get(digest, ()))
        return [one for one in led if one in above]

    for digest in members:
        for one in below(digest):
            above[one] += 1
    found: dict[str, None] = {}
    for first in [*(digest for digest, count in above.items() if not count), *above]:
        ready = [] if first in found else [first]
        for digest in ready:  # grows while it is gone through
            found[digest] = None
            for one in below(digest):
                above[one] -= 1
                if not above[one] and one not in found:
                    ready.append(one)
    return tuple(found)
