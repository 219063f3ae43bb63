"""A registry in memory behind a real loopback socket, which misbehaves on demand.

It speaks the distribution API properly, so a test says only what goes wrong:

    registry.add("team/app", image("app"), "v1")                    # content, without HTTP
    registry.on("GET", r"/v2/.*/manifests/.*", respond(429, retry_after="1"), times=2)
    registry.on("GET", r"/v2/.*/blobs/.*", cut_after(100), times=1) # the proper answer, cut
    registry.on("HEAD", r".*", respond(405))                        # every time
    registry.on("GET", r"/v2/.*/blobs/.*", redirect("http://127.0.0.1:1234"))
    ...
    assert registry.count("GET", r"/v2/.*/blobs/.*") == 2
    assert not registry.leaked("secret")                            # in any request it saw

The newest rule that matches is asked first; a rule with `times` retires after so many requests. A behaviour
is a function of the request and of `proceed`, which gives the proper answer (asking older rules first), so
own ones are one-liners: `registry.on("GET", ".*", lambda request, proceed:
proceed().with_headers(etag=None))`.
"""

import base64
import hashlib
import json
import re
import threading
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from tests.support.fake_http import Answer, HttpServer, Request, matches
from tests.support.images import OCI_INDEX, Content, sha256
from tests.support.token_server import TokenServer

Proceed = Callable[[], Answer]
Behaviour = Callable[[Request, Proceed], Answer]
Auth = Callable[[Request], Answer | None]

_NAME = r"(?P<name>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
_ROUTES = (
    (re.compile(r"/v2/?"), "base"),
    (re.compile(r"/v2/_catalog"), "catalog"),
    (re.compile(rf"/v2/{_NAME}/tags/list"), "tags"),
    (re.compile(rf"/v2/{_NAME}/manifests/(?P<reference>[^/]+)"), "manifest"),
    (re.compile(rf"/v2/{_NAME}/referrers/(?P<digest>[^/]+)"), "referrers"),
    (re.compile(rf"/v2/{_NAME}/blobs/uploads/"), "upload_start"),
    (re.compile(rf"/v2/{_NAME}/blobs/uploads/(?P<upload>[^/]+)"), "upload"),
    (re.compile(rf"/v2/{_NAME}/blobs/(?P<digest>[^/]+)"), "blob"),
)


# Behaviours.


def respond(
    status: int,
    body: bytes | str | Mapping[str, Any] = b"",
    content_type: str = "application/json",
    **headers: str,
) -> Behaviour:
    """Always this answer, the request's body read first; underscores in header names stand for hyphens."""
    return lambda request, proceed: (request.read(), _answer(status, body, content_type, **headers))[1]


def respond_early(status: int, body: bytes | str = b"", **headers: str) -> Behaviour:
    """This answer before the request's body is read, then the connection ends: as a proxy does with 413."""
    return lambda request, proceed: replace(_answer(status, body, "text/html", **headers), close=True)


def error(status: int, code: str, message: str = "", **headers: str) -> Behaviour:
    """An error in the form of the distribution specification."""
    return respond(status, {"errors": [{"code": code, "message": message or code.lower()}]}, **headers)


def challenge(value: str) -> Behaviour:
    """401 with this WWW-Authenticate."""
    return error(401, "UNAUTHORIZED", www_authenticate=value)


def html(status: int = 200) -> Behaviour:
    """A web page where an API answer belongs, as parked domains and login walls give."""
    return respond(status, "<!doctype html><title>Welcome</title>", "text/html; charset=utf-8")


def redirect(location: str, status: int = 307) -> Behaviour:
    """A redirect; a location without a path gets the path and query of the request."""
    bare = re.fullmatch(r"https?://[^/]+", location) is not None
    return lambda request, proceed: Answer(
        status, (("location", location + request.target if bare else location),)
    )


def headers(**changes: str | None) -> Behaviour:
    """The proper answer with headers replaced, or removed where the value is None."""
    return lambda request, proceed: proceed().with_headers(**changes)


def body(data: bytes | Callable[[bytes], bytes]) -> Behaviour:
    """The proper answer with another body; Content-Length fits it, the digest's header is as it was."""

    def behave(request: Request, proceed: Proceed) -> Answer:
        answer = proceed()
        old = answer.body if isinstance(answer.body, bytes) else b"".join(answer.body)
        new = data if isinstance(data, bytes) else data(old)
        return replace(answer.with_headers(content_length=None), body=new)

    return behave


def cut_after(size: int, *, reset: bool = False) -> Behaviour:
    """The proper answer, its connection ended after `size` bytes of body; `reset` by TCP reset."""
    return lambda request, proceed: replace(_with_length(proceed()), cut=size, reset=reset)


def stall_after(size: int) -> Behaviour:
    """The proper answer, silent after `size` bytes of body until the server closes."""
    return lambda request, proceed: replace(_with_length(proceed()), cut=size, stall=True)


def hang() -> Behaviour:
    """No answer at all until the server closes."""
    return lambda request, proceed: Answer(0, cut=0, stall=True)


def drop(*, reset: bool = True) -> Behaviour:
    """No answer: the connection ends, by TCP reset or by an orderly close."""
    return lambda request, proceed: Answer(0, cut=0, reset=reset)


def drop_after_done(*, reset: bool = True) -> Behaviour:
    """The request is carried out but its answer is lost."""

    def behave(request: Request, proceed: Proceed) -> Answer:
        proceed()
        return Answer(0, cut=0, reset=reset)

    return behave


def slow(*, delay: float = 0.0, rate: int | None = None) -> Behaviour:
    """The proper answer after `delay` seconds, its body at `rate` bytes per second."""
    return lambda request, proceed: replace(proceed(), delay=delay, rate=rate)


def chunked() -> Behaviour:
    """The proper answer without Content-Length."""
    return lambda request, proceed: replace(proceed().with_headers(content_length=None), chunked=True)


def cut_upload_after(size: int) -> Behaviour:
    """Keep `size` bytes of the request's body in the upload's session, then reset the connection."""

    def behave(request: Request, proceed: Proceed) -> Answer:
        request.truncate(size)
        proceed()
        return Answer(0, cut=0, reset=True)

    return behave


def call(then: Callable[[Request], object]) -> Behaviour:
    """Call a function (set an event, move a tag) and go on as usual."""
    return lambda request, proceed: (then(request), proceed())[1]


# Authentication.


def basic_auth(user: str, password: str, *, anonymous_pull: bool = False) -> Auth:
    """Ask for Basic credentials."""
    expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def check(request: Request) -> Answer | None:
        reads = request.method in ("GET", "HEAD")
        if request.headers.get("authorization") == expected or (anonymous_pull and reads):
            return None
        return _error_answer(401, "UNAUTHORIZED", www_authenticate='Basic realm="tests"')

    return check


def bearer_auth(tokens: TokenServer) -> Auth:
    """Ask for a token of this server with the scope that the request needs."""

    def check(request: Request) -> Answer | None:
        name = re.fullmatch(rf"/v2/{_NAME}/(?:tags|manifests|referrers|blobs)/.*", request.path)
        action = {"GET": "pull", "HEAD": "pull", "DELETE": "delete"}.get(request.method, "push")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if name is None:
            allowed = scheme.lower() == "bearer" and bool(token)
            scope = "registry:catalog:*" if request.path.endswith("_catalog") else None
        else:
            allowed = scheme.lower() == "bearer" and tokens.allows(token, "repository", name["name"], action)
            scope = f"repository:{name['name']}:{'pull,push' if action == 'push' else action}"
        return (
            None if allowed else _error_answer(401, "UNAUTHORIZED", www_authenticate=tokens.challenge(scope))
        )

    return check


# The registry.


@dataclass
class Repository:
    """What one repository holds."""

    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """Media type and bytes by digest."""
    tags: dict[str, str] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, bytearray] = field(default_factory=dict)


@dataclass
class _Rule:
    method: str
    path: str
    behaviour: Behaviour
    left: int | None

    def takes(self, request: Request) -> bool:
        return (
            self.left != 0
            and re.fullmatch(self.method, request.method) is not None
            and matches(self.path, request.path)
        )


class FakeRegistry:
    """See the module's docstring. Change attributes while it runs.

    Attributes:
        repositories: all content; edit it freely.
        requests: every request, in the order of arrival.
        referrers_api: serve `/referrers/` and send OCI-Subject.
        tag_delete: whether DELETE by tag works (405 without).
        manifest_delete: whether DELETE by digest works (405 without).
        mounts: whether a mount answers 201 when the blob is there; else always 202.
        single_post: whether POST ?digest= answers 201; else 202 with a session.
        checks_blobs: refuse manifests whose blobs or children are missing.
        creates_repositories: without, pushing to a repository that is not in `repositories` answers 404.
        lists_digests: add the `manifest` map of GCR and GAR to tag listings, which are then in one page.
        page_size: entries on a page of tags at most.
        digest_header: send Docker-Content-Digest.
        auth: None, or `basic_auth(...)`, or `bearer_auth(...)`.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: list[Request] = []
        self.referrers_api = True
        self.tag_delete = True
        self.manifest_delete = True
        self.mounts = True
        self.single_post = True
        self.checks_blobs = True
        self.creates_repositories = True
        self.page_size = 1000
        self.lists_digests = False
        self.digest_header = True
        self.auth: Auth | None = None
        self._rules: list[_Rule] = []
        self._lock = threading.RLock()
        self._count_uploads = 0
        self._sorted_tags: tuple[dict[str, str], int, list[str]] | None = None
        self._server = HttpServer(self._handle)

    # what a test does with it

    @property
    def host(self) -> str:
        """`127.0.0.1:PORT`."""
        return f"127.0.0.1:{self._server.port}"

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://{self.host}"

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        return self._server.connections

    def on(self, method: str, path: str, behaviour: Behaviour, *, times: int | None = None) -> None:
        """Let requests whose method and path match the expressions wholly go this way, `times` times."""
        with self._lock:
            self._rules.append(_Rule(method, path, behaviour, times))

    def behave(self) -> None:
        """Drop all rules."""
        with self._lock:
            self._rules.clear()

    def add(self, repository: str, content: Content, *tags: str) -> Content:
        """Put content with all below it in place, without any request."""
        with self._lock:
            there = self.repositories.setdefault(repository, Repository())
            for node in content.walk():
                there.manifests[node.digest] = (node.media_type, node.data)
                there.blobs.update({sha256(blob): blob for blob in node.blobs})
            there.tags.update(dict.fromkeys(tags, content.digest))
        return content

    def add_tags(self, repository: str, tags: Mapping[str, str]) -> None:
        """Many tags at once, each with the digest it points to."""
        with self._lock:
            self.repositories.setdefault(repository, Repository()).tags.update(tags)

    def tags(self, repository: str) -> dict[str, str]:
        """Tags and digests of a repository; empty when it is unknown."""
        there = self.repositories.get(repository)
        return dict(there.tags) if there else {}

    def matching(self, method: str = ".*", path: str = ".*") -> list[Request]:
        """The requests whose method and path match the regular expressions wholly."""
        return [
            one
            for one in list(self.requests)
            if re.fullmatch(method, one.method) is not None and matches(path, one.path)
        ]

    def count(self, method: str = ".*", path: str = ".*") -> int:
        """How many requests matched."""
        return len(self.matching(method, path))

    def forget(self) -> None:
        """Empty `requests`, to count from here on."""
        self.requests.clear()

    def leaked(self, secret: str) -> list[Request]:
        """The requests that show the secret in target or headers, plain or in a Basic header."""

        def shows(one: Request) -> bool:
            scheme, _, value = one.headers.get("authorization", "").partition(" ")
            opened = base64.b64decode(value).decode(errors="replace") if scheme.lower() == "basic" else value
            return secret in opened or secret in one.target or secret in str(one.headers)

        return [one for one in self.requests if shows(one)]

    def drop_connections(self) -> None:
        """End every open connection now."""
        self._server.drop_connections()

    def close(self) -> None:
        """End it; raises what went wrong in it, lest a broken fake be taken for a broken client."""
        self._server.close()
        if self._server.failures:
            raise self._server.failures[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # the distribution API

    def _handle(self, request: Request) -> Answer:
        with self._lock:
            self.requests.append(request)
            rules = [rule for rule in reversed(self._rules) if rule.takes(request)]
        return self._through(request, rules)

    def _through(self, request: Request, rules: list[_Rule]) -> Answer:
        for position, rule in enumerate(rules):
            with self._lock:
                if rule.left == 0:
                    continue
                if rule.left is not None:
                    rule.left -= 1
            return rule.behaviour(request, partial(self._through, request, rules[position + 1 :]))
        return self._proper(request)

    def _proper(self, request: Request) -> Answer:
        if self.auth is not None and (refused := self.auth(request)) is not None:
            request.read()
            return refused
        for pattern, name in _ROUTES:
            if found := pattern.fullmatch(request.path):
                route: Callable[..., Answer] = getattr(self, f"_{name}")
                self._create(request, found.groupdict().get("name"))
                return route(request, **found.groupdict())
        request.read()
        return _error_answer(404, "NOT_FOUND")

    def _create(self, request: Request, name: str | None) -> None:
        if name is not None and self.creates_repositories and request.method in ("POST", "PUT"):
            with self._lock:
                self.repositories.setdefault(name, Repository())

    def _base(self, request: Request) -> Answer:
        return _answer(200, {}, docker_distribution_api_version="registry/2.0")

    def _catalog(self, request: Request) -> Answer:
        return self._page(request, "repositories", sorted(self.repositories), {})

    def _tags(self, request: Request, name: str) -> Answer:
        there = self.repositories.get(name)
        if there is None:
            return _error_answer(404, "NAME_UNKNOWN")
        if self.lists_digests:
            return _answer(200, {"name": name, "tags": self._sorted(there.tags), "manifest": _map(there)})
        return self._page(request, "tags", self._sorted(there.tags), {"name": name})

    def _sorted(self, tags: dict[str, str]) -> list[str]:
        """The tags in order; kept for the next page, since sorting 100,000 for each is slow."""
        with self._lock:
            kept = self._sorted_tags
            if kept is None or kept[0] is not tags or kept[1] != len(tags):
                kept = self._sorted_tags = (tags, len(tags), sorted(tags))
            return kept[2]

    def _page(self, request: Request, key: str, entries: list[str], extra: dict[str, Any]) -> Answer:
        size = min(int(request.query.get("n", self.page_size)), self.page_size)
        start = bisect_right(entries, request.query["last"]) if "last" in request.query else 0
        page = entries[start : start + size]
        answer = _answer(200, {**extra, key: page})
        if start + size < len(entries) and page:
            target = f'<{request.path}?last={quote(page[-1])}&n={size}>; rel="next"'
            return answer.with_headers(link=target)
        return answer

    def _manifest(self, request: Request, name: str, reference: str) -> Answer:
        data = request.read()
        with self._lock:
            there = self.repositories.get(name)
            if there is None:
                return _error_answer(404, "NAME_UNKNOWN")
            if request.method == "PUT":
                return self._put_manifest(request, there, name, reference, data)
            digest = reference if ":" in reference else there.tags.get(reference)
            if digest is None or digest not in there.manifests:
                return _error_answer(404, "MANIFEST_UNKNOWN")
            if request.method == "DELETE":
                return self._delete_manifest(there, reference, digest)
            media_type, content = there.manifests[digest]
            return self._content(request, content, media_type, digest)

    def _put_manifest(
        self, request: Request, there: Repository, name: str, reference: str, data: bytes
    ) -> Answer:
        digest = sha256(data)
        if ":" in reference and reference != digest:
            return _error_answer(400, "DIGEST_INVALID")
        try:
            document = json.loads(data)
        except ValueError:
            return _error_answer(400, "MANIFEST_INVALID")
        if self.checks_blobs and (absent := _absent(document, there)):
            return _error_answer(400, "MANIFEST_BLOB_UNKNOWN", absent)
        there.manifests[digest] = (request.headers.get("content-type", ""), data)
        if ":" not in reference:
            there.tags[reference] = digest
        answer = _answer(201, b"", location=f"/v2/{name}/manifests/{digest}")
        if self.digest_header:
            answer = answer.with_headers(docker_content_digest=digest)
        subject = document.get("subject")
        return (
            answer.with_headers(oci_subject=subject["digest"]) if subject and self.referrers_api else answer
        )

    def _delete_manifest(self, there: Repository, reference: str, digest: str) -> Answer:
        if ":" not in reference:
            if not self.tag_delete:
                return _error_answer(405, "UNSUPPORTED")
            del there.tags[reference]
            return _answer(202)
        if not self.manifest_delete:
            return _error_answer(405, "UNSUPPORTED")
        del there.manifests[digest]
        for tag in [tag for tag, target in there.tags.items() if target == digest]:
            del there.tags[tag]
        return _answer(202)

    def _referrers(self, request: Request, name: str, digest: str) -> Answer:
        if not self.referrers_api:
            return _error_answer(404, "NOT_FOUND")
        wanted = request.query.get("artifactType")
        found = []
        with self._lock:
            there = self.repositories.get(name, Repository())
            for known, (media_type, data) in there.manifests.items():
                document = json.loads(data)
                if document.get("subject", {}).get("digest") != digest:
                    continue
                kind = document.get("artifactType") or document.get("config", {}).get("mediaType")
                if wanted in (None, kind):
                    entry = {
                        "mediaType": media_type,
                        "digest": known,
                        "size": len(data),
                        "artifactType": kind,
                    }
                    notes = document.get("annotations")
                    found.append({**entry, "annotations": notes} if notes else entry)
        document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found}
        answer = _answer(200, document, OCI_INDEX)
        return answer.with_headers(oci_filters_applied="artifactType") if wanted else answer

    def _blob(self, request: Request, name: str, digest: str) -> Answer:
        with self._lock:
            there = self.repositories.get(name)
            data = there.blobs.get(digest) if there else None
            if there is None or data is None:
                return _error_answer(404, "BLOB_UNKNOWN" if there else "NAME_UNKNOWN")
            if request.method == "DELETE":
                del there.blobs[digest]
                return _answer(202)
        return self._content(request, data, "application/octet-stream", digest)

    def _content(self, request: Request, data: bytes, media_type: str, digest: str) -> Answer:
        answer = Answer(200, (("content-type", media_type), ("accept-ranges", "bytes")), data)
        if self.digest_header:
            answer = answer.with_headers(docker_content_digest=digest, etag=f'"{digest}"')
        if request.headers.get("if-none-match") == f'"{digest}"':
            return replace(answer, status=304, body=b"")
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        if wanted is None or request.method != "GET":
            return answer
        first, last = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
        if first >= len(data):
            return replace(answer, status=416, body=b"").with_headers(content_range=f"bytes */{len(data)}")
        part = replace(answer, status=206, body=data[first : last + 1])
        return part.with_headers(content_range=f"bytes {first}-{last}/{len(data)}")

    def _upload_start(self, request: Request, name: str) -> Answer:
        there = self.repositories.get(name)
        if there is None:
            return _error_answer(404, "NAME_UNKNOWN")
        mount, digest = request.query.get("mount"), request.query.get("digest")
        if mount and self.mounts and (data := self._mountable(mount, request.query.get("from"))) is not None:
            there.blobs[mount] = data
            return self._stored(name, mount)
        if digest and self.single_post:
            return self._store_blob(there, name, digest, request.read())
        request.read()
        with self._lock:
            self._count_uploads += 1
            upload = f"upload-{self._count_uploads}"
        there.uploads[upload] = bytearray()
        return self._session(name, upload, 202, 0)

    def _mountable(self, digest: str, source: str | None) -> bytes | None:
        holders = [self.repositories.get(source)] if source else [*self.repositories.values()]
        return next((one.blobs[digest] for one in holders if one and digest in one.blobs), None)

    def _upload(self, request: Request, name: str, upload: str) -> Answer:
        there = self.repositories.get(name)
        session = there.uploads.get(upload) if there else None
        if there is None or session is None:
            return _error_answer(404, "BLOB_UPLOAD_UNKNOWN")
        if request.method == "GET":
            return self._session(name, upload, 204, len(session))
        if request.method == "DELETE":
            del there.uploads[upload]
            return _answer(204)
        start = re.match(r"(?:bytes )?(\d+)-", request.headers.get("content-range", ""))
        if start and int(start[1]) != len(session):
            request.read()
            return self._session(name, upload, 416, len(session))
        for piece in request.pieces():
            session.extend(piece)
        if request.method == "PATCH" or request.truncated:
            return self._session(name, upload, 202, len(session))
        there.uploads.pop(upload, None)
        return self._store_blob(there, name, request.query.get("digest", ""), bytes(session))

    def _store_blob(self, there: Repository, name: str, digest: str, data: bytes) -> Answer:
        algorithm, _, encoded = digest.partition(":")
        if algorithm not in ("sha256", "sha512") or hashlib.new(algorithm, data).hexdigest() != encoded:
            return _error_answer(400, "DIGEST_INVALID")
        there.blobs[digest] = data
        return self._stored(name, digest)

    def _session(self, name: str, upload: str, status: int, size: int) -> Answer:
        location = f"/v2/{name}/blobs/uploads/{upload}?_state=opaque"
        answer = _answer(status, b"", location=location, docker_upload_uuid=upload)
        return answer.with_headers(range=f"0-{max(size - 1, 0)}")

    def _stored(self, name: str, digest: str) -> Answer:
        answer = _answer(201, b"", location=f"/v2/{name}/blobs/{digest}")
        return answer.with_headers(docker_content_digest=digest) if self.digest_header else answer


def _map(there: Repository) -> dict[str, Any]:
    """What GCR and GAR say of each manifest in a listing; the numbers are strings there too."""
    entries: dict[str, Any] = {
        digest: {
            "imageSizeBytes": str(len(data)),
            "layerId": "",
            "mediaType": media_type,
            "tag": [],
            "timeCreatedMs": "1704067200000",
            "timeUploadedMs": "1704067200000",
        }
        for digest, (media_type, data) in there.manifests.items()
    }
    for tag, digest in there.tags.items():
        entries[digest]["tag"].append(tag)
    return entries


def _absent(document: Mapping[str, Any], there: Repository) -> str | None:
    """The first digest the manifest needs and the repository lacks; a subject may be absent."""
    for child in document.get("manifests") or []:
        if child["digest"] not in there.manifests:
            return str(child["digest"])
    if "config" in document:
        for blob in [document["config"], *document.get("layers", [])]:
            if blob["digest"] not in there.blobs and not blob.get("urls"):
                return str(blob["digest"])
    return None


def _answer(
    status: int,
    body: bytes | str | Mapping[str, Any] = b"",
    content_type: str = "application/json",
    **headers: str,
) -> Answer:
    data = (
        body
        if isinstance(body, bytes)
        else body.encode()
        if isinstance(body, str)
        else json.dumps(body).encode()
    )
    kind = (("content-type", content_type),) if data else ()
    return Answer(status, kind, data).with_headers(**headers)


def _error_answer(status: int, code: str, detail: str | None = None, **headers: str) -> Answer:
    document = {"errors": [{"code": code, "message": code.lower().replace("_", " "), "detail": detail}]}
    return _answer(status, document, **headers)


def _with_length(answer: Answer) -> Answer:
    """Fix Content-Length to that of the whole body before it is cut."""
    if answer.chunked or answer.header("content-length") is not None or not isinstance(answer.body, bytes):
        return answer
    return answer.with_headers(content_length=str(len(answer.body)))
