"""What a session has learnt of its registry, so that nothing is tried again and again.

It lives as long as the session and is shared by all its repositories; a fact of one repository alone
(whether it has a referrers API) is kept there.
"""

from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import anyio

from regsync.oci.reference import RepositoryName
from regsync.remote.providers.provider import Known, Provider
from regsync.remote.session import Session

GATHERED_CHUNKS = 4  # chunks of uploads that are held in memory at once, per registry


@dataclass(eq=False, slots=True)
class Learned:
    """Facts about one registry. A vendor's module gives the first values, answers the others."""

    head: Known
    single_post: Known
    max_body: int | None  # bytes of one request; longer blobs go in chunks
    chunked: bool  # PATCH with Content-Range works; until it is seen not to
    checks_references: bool  # it was seen to refuse a manifest whose blobs are missing
    tag_deletion: Known  # DELETE of a tag removes that tag alone
    conditions: Known = Known.ASK  # NO: it answers 304 whatever digest it is asked about
    referrers_route: Known = Known.ASK  # NO: the server does not even know the path
    puts_are_stored: bool = False  # an answer without a digest was once checked by asking again
    probing: anyio.Lock = field(default_factory=anyio.Lock)  # so that one request settles what is asked
    trying_tags: anyio.Lock = field(default_factory=anyio.Lock)  # settles `tag_deletion`
    gathering: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(GATHERED_CHUNKS))
    unmountable: set[tuple[RepositoryName, RepositoryName]] = field(default_factory=set)  # (from, to)


_LEARNED: WeakKeyDictionary[Session, Learned] = WeakKeyDictionary()


def learned_of(session: Session, provider: Provider) -> Learned:
    """What this session knows; the same object for all who ask."""
    known = _LEARNED.get(session)
    if known is None:
        known = _LEARNED[session] = Learned(
            provider.head,
            provider.single_post,
            provider.max_body,
            provider.chunked,
            provider.checks_references,
            provider.tag_deletion,
        )
    return known
