"""Manifests of a repository: HEAD where it is enough, GET where it is not, PUT that is made sure of.

Sources: distribution-spec 1.1, "Pulling manifests" and "Pushing Manifests"; REGISTRIES.md, 24 and 31-36.
"""

from regsync.content.errors import ContentNotFoundError, ContentTooLargeError, DigestMismatchError
from regsync.content.references import MissingReferencesError
from regsync.content.verified import verified_manifest
from regsync.oci import media_type as types
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import SHA256, Digest, InvalidDigestError
from regsync.oci.manifest import MAX_MANIFEST_SIZE, UnsupportedManifestError, parse_manifest
from regsync.oci.reference import Tag
from regsync.oci.strict_json import loads
from regsync.remote.answers import Complaint, error_for
from regsync.remote.endpoint import Endpoint
from regsync.remote.errors import TooLargeError, UnexpectedAnswerError, shown_url
from regsync.remote.providers.provider import Known
from regsync.remote.refusals import (
    ManifestTypeMissingError,
    RepositoryMissingError,
    TagImmutableError,
    missing_references,
    says_immutable,
)
from regsync.remote.request import Headers, Kind, Request, Response

ACCEPT = {"accept": types.ACCEPT_MANIFESTS}
_HEAD_ANSWERS = frozenset({200, 404, 405, 501})
_GET_ANSWERS = frozenset({200, 404})
_UNLIKELY = Digest.of(b"a manifest that no registry has")
_PUT_DONE = frozenset({200, 201, 202})  # Quay answers 202; a server that is none answers 200 to all
_PUT_ANSWERS = _PUT_DONE | {400, 404, 405, 409, 412, 422}


class Manifests:
    """What is under `/manifests/` of one repository."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint, self._learned = endpoint, endpoint.learned

    async def resolve(self, name: Tag | Digest) -> Descriptor:
        """The descriptor at `name`, by HEAD where this registry's HEAD says enough, else by GET.

        Raises ContentNotFoundError, ContentTooLargeError.
        """
        if self._learned.head is Known.NO:
            return (await self.get(name))[0]
        endpoint = self._endpoint
        request = Request(Kind.MANIFEST_HEAD, "HEAD", f"{endpoint.manifests}{name}", endpoint.pull, ACCEPT)
        response = await endpoint.session.send(request, expect=_HEAD_ANSWERS)
        if response.status == 404:
            return await self._after_404(name)
        stated = _stated(response.headers) if response.status == 200 else None
        if stated is None:
            self._learned.head = Known.NO
            return (await self.get(name))[0]
        self._learned.head = Known.YES
        digest, size = stated
        kind = types.strip_parameters(response.headers.get("content-type", ""))
        if not types.is_manifest(kind) or (isinstance(name, Digest) and digest != name):
            return (await self.get(name))[0]  # the bytes decide
        if size > MAX_MANIFEST_SIZE:
            raise ContentTooLargeError(f"manifest {name}", MAX_MANIFEST_SIZE, where=endpoint.name)
        return Descriptor(kind, digest, size)

    async def confirm(self, tag: Tag, likely: Digest) -> Digest:
        """What `resolve` says of a tag that is expected to point to `likely`; a 304 spares it reading.

        A HEAD with If-None-Match (RFC 9110, section 13.1.2), by registries whose ETag is the digest. One
        that answers 304 to whatever it is asked is found out by asking for what nothing is, once a session.
        """
        if self._learned.head is Known.NO or not await self._knows_conditions(tag):
            return (await self.resolve(tag)).digest
        response = await self._head_unless(tag, likely)
        if response.status == 304:
            return likely
        stated = _stated(response.headers) if response.status == 200 else None
        return stated[0] if stated is not None else (await self.resolve(tag)).digest

    async def _knows_conditions(self, tag: Tag) -> bool:
        if self._learned.conditions is Known.ASK:
            async with self._learned.probing:
                if self._learned.conditions is Known.ASK:
                    answered = (await self._head_unless(tag, _UNLIKELY)).status
                    self._learned.conditions = Known.NO if answered == 304 else Known.YES
        return self._learned.conditions is Known.YES

    async def _head_unless(self, tag: Tag, digest: Digest) -> Response:
        endpoint = self._endpoint
        headers = {**ACCEPT, "if-none-match": f'"{digest}"'}
        request = Request(Kind.MANIFEST_HEAD, "HEAD", f"{endpoint.manifests}{tag}", endpoint.pull, headers)
        return await endpoint.session.send(request, expect=_HEAD_ANSWERS | {304})

    async def _after_404(self, name: Tag | Digest) -> Descriptor:
        """Some servers know no HEAD and answer 404: the first one is checked by a GET, once a session."""
        if self._learned.head is Known.ASK:
            async with self._learned.probing:
                if self._learned.head is Known.ASK:
                    return await self._probe(name)
        if self._learned.head is Known.NO:
            return (await self.get(name))[0]
        raise _not_found(name, self._endpoint.name)

    async def _probe(self, name: Tag | Digest) -> Descriptor:
        try:
            desc, _ = await self.get(name)
        except ContentNotFoundError:
            self._learned.head = Known.YES
            raise
        self._learned.head = Known.NO
        return desc

    async def get(self, name: Tag | Digest) -> tuple[Descriptor, bytes]:
        """The manifest's bytes, hashed here: what the registry says of them in headers proves nothing (33).

        Raises ContentNotFoundError, DigestMismatchError, ContentTooLargeError, UnsupportedManifestError
        for schema 1, UnexpectedAnswerError for a web page.
        """
        endpoint = self._endpoint
        request = Request(
            Kind.MANIFEST_GET,
            "GET",
            f"{endpoint.manifests}{name}",
            endpoint.pull,
            ACCEPT,
            limit=MAX_MANIFEST_SIZE,
        )
        try:
            response = await endpoint.session.send(request, expect=_GET_ANSWERS)
        except TooLargeError as cause:
            raise ContentTooLargeError(f"manifest {name}", MAX_MANIFEST_SIZE, where=endpoint.name) from cause
        if response.status == 404:
            raise _not_found(name, endpoint.name)
        return _read(name, response, endpoint.name), response.body

    async def put(self, desc: Descriptor, raw: bytes, *, tag: Tag | None = None) -> Headers:
        """Put a manifest by digest or at `tag`, and make sure that it was taken. The answer's headers.

        Raises MissingReferencesError, RepositoryMissingError, TagImmutableError, SizeMismatchError,
        DigestMismatchError; the last two before anything is sent, if the bytes are not those of `desc`.
        """
        endpoint = self._endpoint
        verified_manifest(raw, desc, where=endpoint.name)
        request = Request(
            Kind.MANIFEST_PUT,
            "PUT",
            f"{endpoint.manifests}{tag or desc.digest}",
            endpoint.push,
            {"content-type": desc.media_type},
            content=raw,
            guard=endpoint.guard,
        )
        response = await endpoint.session.send(request, expect=_PUT_ANSWERS)
        if response.status not in _PUT_DONE:
            await self._explain(response, desc, raw, tag)
        elif (digest := _digest(response.headers)) is None or digest.algorithm != desc.digest.algorithm:
            await self._make_sure(desc, response)
        elif digest != desc.digest:
            raise DigestMismatchError(desc.digest, digest, where=endpoint.name)
        return response.headers

    async def _make_sure(self, desc: Descriptor, response: Response) -> None:
        """A server that answers 200 to everything is found out by asking for what it took (34), once."""
        if self._learned.puts_are_stored:
            return
        try:
            await self.get(desc.digest)
        except ContentNotFoundError as cause:
            raise UnexpectedAnswerError(
                f"{self._endpoint.name}: answered {response.status} to a manifest and does not have it",
                status=response.status,
            ) from cause
        self._learned.puts_are_stored = True

    async def _explain(self, response: Response, desc: Descriptor, raw: bytes, tag: Tag | None) -> None:
        """Raise why the manifest was refused; return where it is at the tag already (24)."""
        where = self._endpoint.name
        missing = missing_references(response)
        if missing is not None:
            self._learned.checks_references = True
            raise MissingReferencesError(desc.digest, missing or _references(desc, raw), where=where)
        complaint = Complaint.read(response.body, response.headers.get("content-type"))
        if response.status == 404:
            raise RepositoryMissingError(where=where)
        if tag is not None and says_immutable(complaint):
            if (await self.resolve(tag)).digest == desc.digest:
                return
            raise TagImmutableError(tag, complaint.text, where=where)
        if not _names_its_type(raw):
            raise ManifestTypeMissingError(desc.digest, complaint.text or str(response.status), where=where)
        raise error_for(f"{where}: PUT {shown_url(response.url)}", response.status, complaint)


def _stated(headers: Headers) -> tuple[Digest, int] | None:
    """Digest and length as a HEAD's headers state them; None where either is missing or unreadable (32)."""
    digest, length = _digest(headers), headers.get("content-length", "")
    if digest is None or not length.isascii() or not length.isdigit() or len(length) > 18:
        return None
    return (digest, int(length)) if int(length) else None


def _digest(headers: Headers) -> Digest | None:
    text = headers.get("docker-content-digest")
    try:
        return Digest.parse(text) if text else None
    except InvalidDigestError:
        return None


def _read(name: Tag | Digest, response: Response, where: str) -> Descriptor:
    raw, served_as = response.body, types.strip_parameters(response.headers.get("content-type", ""))
    if served_as == "text/html" or raw[:64].lstrip()[:1] == b"<":
        raise UnexpectedAnswerError(
            f"{where}: {name} is answered with a web page instead of a manifest: the address is not a "
            "registry's, or a portal or proxy answers for it"
        )
    algorithm = name.algorithm if isinstance(name, Digest) else SHA256
    digest = Digest.of(raw, algorithm)
    if served_as in types.SCHEMA1:
        # Its digest covers the payload without the signatures, so it is not even compared.
        raise UnsupportedManifestError(
            "Docker schema 1, which regsync reports and does not copy",
            digest=name if isinstance(name, Digest) else None,
        )
    if isinstance(name, Digest) and digest != name:
        raise DigestMismatchError(name, digest, where=where)
    if served_as in types.SUPPORTED and raw[:1] == b"{":
        return Descriptor(served_as, digest, len(raw))  # whoever uses the bytes parses them
    kind = parse_manifest(raw, served_as).descriptor.media_type
    return Descriptor(kind, digest, len(raw))


def _references(desc: Descriptor, raw: bytes) -> tuple[Digest, ...]:
    manifest = parse_manifest(raw, desc.media_type)
    return tuple(one.digest for one in (*manifest.blobs, *manifest.manifests))


def _names_its_type(raw: bytes) -> bool:
    document = loads(raw)
    return not isinstance(document, dict) or "mediaType" in document


def _not_found(name: Tag | Digest, where: str) -> ContentNotFoundError:
    return ContentNotFoundError(
        f"manifest {name}" if isinstance(name, Digest) else f"tag {name}", where=where
    )
