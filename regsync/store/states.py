"""One digest for all the tags of a repository, the same wherever the same tags point to the same content.

It is the SHA-256 of one line for each tag, `TAG DIGEST` with its line feed, in the order of the tags'
bytes. When something was pushed is no part of it, nor what no tag leads to: referrers have a digest of
their own, of one line `SUBJECT DIGEST` for each.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Select, bindparam, or_, select

from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import SHA256, Digest
from regsync.oci.reference import RepositoryName, Tag
from regsync.store.schema import manifest_pulls, manifests, repositories, tag_pulls, tags

_TOGETHER = 2000  # rows fetched at once
NO_LINES = Digest.of(b"")

_tagged = repositories.join(tags, tags.c.repository_id == repositories.c.id)
_ALL = (
    select(repositories.c.name.label("repository"), tags.c.name, tags.c.digest)
    .select_from(_tagged)
    .order_by(repositories.c.name, tags.c.name)
)
_REFERRERS = (
    select(repositories.c.name.label("repository"), manifests.c.subject, manifests.c.digest)
    .select_from(repositories.join(manifests, manifests.c.repository_id == repositories.c.id))
    .where(manifests.c.subject.is_not(None))
    .order_by(repositories.c.name, manifests.c.subject, manifests.c.digest)
)
_NAMES = select(repositories.c.name).order_by(repositories.c.name)
_Narrow = Callable[[Select[Any]], Select[Any]]
_PAGE = (
    select(
        tags.c.name,
        tags.c.digest,
        tags.c.pushed_at,
        manifests.c.media_type,
        manifests.c.size,
        tag_pulls.c.pulled_at.label("tag_pulled_at"),
        manifest_pulls.c.pulled_at.label("manifest_pulled_at"),
    )
    .select_from(
        _tagged.join(
            manifests,
            (manifests.c.repository_id == tags.c.repository_id) & (manifests.c.digest == tags.c.digest),
        )
        .outerjoin(
            tag_pulls, (tag_pulls.c.repository_id == tags.c.repository_id) & (tag_pulls.c.name == tags.c.name)
        )
        .outerjoin(
            manifest_pulls,
            (manifest_pulls.c.repository_id == tags.c.repository_id)
            & (manifest_pulls.c.digest == tags.c.digest),
        )
    )
    .where(repositories.c.name == bindparam("repository"), tags.c.name > bindparam("after"))
    .order_by(tags.c.name)
    .limit(bindparam("limit"))
)


@dataclass(frozen=True, slots=True)
class RepositoryState:
    """The tags of a repository in one digest, and all that has a subject there in another."""

    name: RepositoryName
    digest: Digest
    tags: int
    referrers: Digest


@dataclass(frozen=True, slots=True)
class TagState:
    """One tag, what it points to, when it was last put and last pulled (microseconds since 1970, UTC).

    A pull by the digest that it points to counts. No pull is known of one that was never pulled, and of none
    before the catalogue was rebuilt.
    """

    tag: Tag
    desc: Descriptor
    pushed_at: int
    pulled_at: int | None


def state_of(connection: Connection, name: str) -> Sequence[RepositoryState]:
    """The state of one repository; none where it has no tags."""
    return _states(connection, lambda query: query.where(repositories.c.name == name))


def states_below(connection: Connection, name: str) -> Sequence[RepositoryState]:
    """The states of the repository of that name and of all below it, in the order of their names' bytes.

    All there are where `name` is empty. Repositories without tags have none.
    """
    return _states(connection, lambda query: _below(query, name))


def names_below(connection: Connection, name: str) -> Sequence[RepositoryName]:
    """The repository of that name and all below it, all where it is empty, with tags and without; sorted."""
    return [RepositoryName(one) for one in connection.scalars(_below(_NAMES, name))]


def _below(query: Select[Any], name: str) -> Select[Any]:
    if not name:
        return query
    # Names are compared by their bytes, in which `0` comes behind `/`.
    below = (repositories.c.name > f"{name}/") & (repositories.c.name < f"{name}0")
    return query.where(or_(repositories.c.name == name, below))


def _states(connection: Connection, narrow: _Narrow) -> Sequence[RepositoryState]:
    referrers = {name: digest for name, digest, _ in _hashed(connection, narrow(_REFERRERS))}
    return [
        RepositoryState(RepositoryName(name), digest, count, referrers.get(name, NO_LINES))
        for name, digest, count in _hashed(connection, narrow(_ALL))
    ]


def _hashed(connection: Connection, query: Select[Any]) -> Iterator[tuple[str, Digest, int]]:
    """Each repository with the digest of its lines, and how many there are."""
    rows = connection.execution_options(yield_per=_TOGETHER).execute(query)
    for name, of_one in groupby(rows, key=lambda row: row[0]):
        hasher, count = hashlib.sha256(), 0
        for row in of_one:
            hasher.update(f"{row[1]} {row[2]}\n".encode())
            count += 1
        yield name, Digest.from_hasher(hasher, SHA256), count


def tag_states(
    connection: Connection, repository: RepositoryName, after: str, limit: int
) -> Sequence[TagState]:
    """At most `limit` tags that come after `after`, in the order of their bytes."""
    asked = {"repository": repository, "after": after, "limit": limit}
    return [
        TagState(
            Tag(row.name),
            Descriptor(row.media_type, Digest.parse(row.digest), row.size),
            row.pushed_at,
            max((at for at in (row.tag_pulled_at, row.manifest_pulled_at) if at is not None), default=None),
        )
        for row in connection.execute(_PAGE, asked)
    ]


def combined(states: Sequence[RepositoryState], name: str) -> Digest:
    """One digest for all that is at and below `name` (empty: everywhere), of which these are the states.

    That of the repository itself where there is no other; else the SHA-256 of one line for each,
    `NAME DIGEST` with its line feed, in the order given, with NAME as it goes on behind `name/`, and `.` for
    `name` itself.
    """
    return _combined(states, name, attrgetter("digest"))


def combined_referrers(states: Sequence[RepositoryState], name: str) -> Digest:
    """The same, of what has a subject."""
    return _combined(states, name, attrgetter("referrers"))


def _combined(
    states: Sequence[RepositoryState], name: str, digest_of: Callable[[RepositoryState], Digest]
) -> Digest:
    if len(states) == 1 and states[0].name == name:
        return digest_of(states[0])
    hasher = hashlib.sha256()
    for one in states:
        hasher.update(f"{relative(one.name, name)} {digest_of(one)}\n".encode())
    return Digest.from_hasher(hasher, SHA256)


def relative(name: str, to: str) -> str:
    """A repository's name as it goes on behind `to/`; `.` where it is `to` itself."""
    if not to:
        return name
    return "." if name == to else name[len(to) + 1 :]
