"""Referrers of a manifest: by the API where there is one, else by the fallback tag, which is kept up here.

Sources: distribution-spec 1.1, "Listing Referrers", "Pushing Manifests with Subject", "Referrers Tag
Schema"; REGISTRIES.md, 41, 42 and 51.
"""

from collections.abc import Container, Sequence
from contextlib import aclosing
from weakref import WeakValueDictionary

import anyio

from regsync.content.errors import ContentNotFoundError
from regsync.content.references import MissingReferencesError
from regsync.content.referrers import as_referrer, as_referrers, fallback_tag, read_fallback
from regsync.oci import media_type as types
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import Index, Manifest, parse_listed, parse_manifest
from regsync.oci.reference import Tag
from regsync.remote import fallback
from regsync.remote.answers import Complaint
from regsync.remote.endpoint import Endpoint
from regsync.remote.errors import RegistryError
from regsync.remote.manifests import Manifests
from regsync.remote.paging import walk
from regsync.remote.providers.provider import Known
from regsync.remote.request import Kind, Request, Response

MAX_REFERRERS = 100_000  # of one subject, about 1 KB each in memory; ten scans a day for 27 years
MAX_PAGE_SIZE = 16 * 1024 * 1024  # bytes; zot and Harbor show all referrers in one
_ANSWERS = frozenset({200, 400, 404, 405, 406, 501})
_ABOUT_CONTENT = frozenset({"NAME_UNKNOWN", "MANIFEST_UNKNOWN"})  # says nothing of the API
_NO_ROUTE = b"404 page not found"  # Go's router: no path like that at this server, whatever the repository


class TooManyReferrersError(RegistryError):
    """More than anyone signs: a list that is not read to its end proves nothing, so none of it is used."""

    def __init__(self, subject: Digest, *, where: str) -> None:
        super().__init__(
            f"{where}: {subject} has more than {MAX_REFERRERS} referrers, the most that are read"
        )


class BrokenListError(RegistryError):
    """A page of a list could not be had where there are such lists: what is missing may be what matters."""

    usual_hint = "run again; if it stays so, ask who runs the registry, or a proxy before it"

    def __init__(self, subject: Digest, status: int, *, where: str) -> None:
        super().__init__(
            f"{where}: the list of referrers of {subject} is answered {status}, and it answered such before"
        )


class Referrers:
    """What refers to the manifests of one repository. Whether it has the API is found out once."""

    def __init__(self, endpoint: Endpoint, manifests: Manifests) -> None:
        self._endpoint, self._manifests = endpoint, manifests
        self._api = Known.ASK
        self._probing = anyio.Lock()
        self._merging: WeakValueDictionary[Digest, anyio.Lock] = WeakValueDictionary()

    @property
    def has_no_api(self) -> bool:
        """Whether it is known that only the fallback tag lists referrers here."""
        return Known.NO in (self._api, self._endpoint.learned.referrers_route)

    @property
    def has_api(self) -> bool:
        """Whether the API was seen to answer here."""
        return self._api is Known.YES

    async def list(self, subject: Digest, *, listed: Container[Tag] | None = None) -> tuple[Descriptor, ...]:
        """Referrers of `subject`, each once; empty when there are none."""
        found = await self._ask(subject)
        if found is not None:
            return found
        tag = fallback_tag(subject)
        if listed is not None and tag not in listed:
            return ()
        return _distinct(await read_fallback(self._manifests.get, subject))

    async def _ask(self, subject: Digest) -> tuple[Descriptor, ...] | None:
        if self._is_unsettled():
            async with self._probing:
                if self._is_unsettled():
                    return await self._from_api(subject)
        return None if self.has_no_api else await self._from_api(subject)

    def _is_unsettled(self) -> bool:
        return self._api is Known.ASK and not self.has_no_api

    async def _from_api(self, subject: Digest) -> tuple[Descriptor, ...] | None:
        """All that the API lists: filters are the registry's option, so none is asked for."""
        endpoint = self._endpoint
        request = Request(
            Kind.REFERRERS,
            "GET",
            f"{endpoint.base}/referrers/{subject}",
            endpoint.pull,
            {"accept": types.OCI_INDEX},
            limit=MAX_PAGE_SIZE,
        )
        found: list[Descriptor] = []
        is_begun = False
        pages = walk(endpoint.session, request, where=endpoint.name, expect=_ANSWERS)
        async with aclosing(pages):
            async for response in pages:
                if not _is_index(response):
                    # What came before it is not all there is, and an API does not go away; a 404 may be
                    # about the subject, which need not be there yet.
                    if is_begun or (self._api is Known.YES and response.status != 404):
                        raise BrokenListError(subject, response.status, where=endpoint.name)
                    self._learn_absence(response)
                    return None
                self._api, is_begun = Known.YES, True
                found.extend(parse_listed(response.body))
                if len(found) > MAX_REFERRERS:
                    raise TooManyReferrersError(subject, where=endpoint.name)
        return _distinct(found)

    def _learn_absence(self, response: Response) -> None:
        if response.status == 404:
            if response.body.strip() == _NO_ROUTE:
                self._endpoint.learned.referrers_route = Known.NO
            complaint = Complaint.read(response.body, response.headers.get("content-type"))
            if not _ABOUT_CONTENT.isdisjoint(complaint.codes):
                return
        if self._api is Known.ASK:
            self._api = Known.NO

    async def note(self, manifest: Manifest | Index, *, answered: bool) -> None:
        """After the PUT of a manifest with a subject: put it on the fallback tag unless the API has it.

        `answered`: the answer had `OCI-Subject`, with which a registry says that its API lists the manifest.
        """
        if answered:
            self._api = Known.YES
        elif manifest.subject is not None:
            referrer = as_referrer(manifest, manifest.descriptor)
            await self._merge(manifest.subject.digest, fallback.Adding(referrer))

    async def forget(self, manifest: Manifest | Index) -> None:
        """After the deletion of a manifest with a subject: take it off the fallback tag."""
        if manifest.subject is not None and self._api is not Known.YES:
            await self._merge(manifest.subject.digest, fallback.Removing(manifest.descriptor.digest))

    async def _merge(self, subject: Digest, change: fallback.Change) -> None:
        """Read, change, write, one at a time per subject: what others put there stays.

        Raises FallbackTagTakenError where the tag holds something that is no list of referrers.
        """
        tag = fallback_tag(subject)
        lock = self._merging.setdefault(subject, anyio.Lock())
        async with lock:
            current = await self._to_change(subject, tag)
            raw = change.applied(current)
            if raw is None:
                return
            try:
                await self._put(raw, tag)
            except MissingReferencesError as error:
                # Entries of manifests that were deleted since: this registry takes no index with them.
                kept = fallback.without(raw, error.missing)
                if kept is None:
                    raise
                await self._put(kept, tag)

    async def _to_change(self, subject: Digest, tag: Tag) -> bytes | None:
        try:
            desc, raw = await self._manifests.get(tag)
        except ContentNotFoundError:
            return None
        if desc.digest == subject:
            return None
        if as_referrers(parse_manifest(raw, desc.media_type), subject) is None:
            raise fallback.FallbackTagTakenError(tag, desc.digest, where=self._endpoint.name)
        return raw

    async def _put(self, raw: bytes, tag: Tag) -> None:
        await self._manifests.put(Descriptor(types.OCI_INDEX, Digest.of(raw), len(raw)), raw, tag=tag)


def _is_index(response: Response) -> bool:
    served_as = types.strip_parameters(response.headers.get("content-type", ""))
    return response.status == 200 and served_as == types.OCI_INDEX


def _distinct(descriptors: Sequence[Descriptor]) -> tuple[Descriptor, ...]:
    return tuple({desc.digest: desc for desc in descriptors}.values())
