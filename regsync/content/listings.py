"""What lists the referrers of a manifest in a repository: the referrers API, the fallback tag, or both.

Sources: distribution-spec 1.1, "Listing Referrers" and "Referrers Tag Schema"; SIGNING.md, rule 1.
"""

from collections.abc import Container
from dataclasses import dataclass

from regsync.content.errors import ContentNotFoundError
from regsync.content.protocol import KnowsItself, ListsReferrers, Source
from regsync.content.referrers import fallback_tag, read_fallback
from regsync.errors import RegsyncError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag

REFERRERS, FALLBACK_TAG = "referrers", "fallback-tag"  # as verdicts name them


@dataclass(frozen=True, slots=True)
class Listing:
    """What one place lists as referrers of a manifest, or why it could not be asked."""

    location: str  # REFERRERS or FALLBACK_TAG
    referrers: tuple[Descriptor, ...] = ()
    problem: RegsyncError | None = None


async def list_referrers(
    store: Source, subject: Digest, listed: Container[Tag] | None
) -> tuple[Listing, ...]:
    """Each that lists referrers of `subject`, its failure kept apart from "none there".

    The fallback tag is read beside the API: what was pushed before there was one, or by who does not know
    of it, is there alone. Where `listed`, the repository's tags, do not show it, it is not asked for.
    """
    asked: tuple[Listing, ...] = ()
    if isinstance(store, ListsReferrers):
        listing = await _ask(store, subject, listed)
        if listing.location == FALLBACK_TAG:
            return (listing,)
        asked = (listing,)
    return (*asked, await _fallback(store, subject, listed))


async def has_tag(store: Source, tag: Tag) -> bool:
    """Whether there is such a tag, asked without counting as a pull."""
    try:
        await store.resolve(tag)
    except ContentNotFoundError:
        return False
    return True


async def _ask(store: ListsReferrers, subject: Digest, listed: Container[Tag] | None) -> Listing:
    referrers: tuple[Descriptor, ...] = ()
    problem: RegsyncError | None = None
    try:
        referrers = tuple(await store.referrers(subject, listed=listed))
    except RegsyncError as error:
        problem = error
    has_no_api = isinstance(store, KnowsItself) and store.has_referrers_api is False
    return Listing(FALLBACK_TAG if has_no_api else REFERRERS, referrers, problem)


async def _fallback(store: Source, subject: Digest, listed: Container[Tag] | None) -> Listing:
    tag = fallback_tag(subject)
    try:
        if not (await has_tag(store, tag) if listed is None else tag in listed):
            return Listing(FALLBACK_TAG)
        return Listing(FALLBACK_TAG, tuple(await read_fallback(store.manifest, subject)))
    except RegsyncError as error:
        return Listing(FALLBACK_TAG, problem=error)
