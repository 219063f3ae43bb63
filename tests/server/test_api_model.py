"""The API against a model: asked whatever in whatever order, it answers as plain sets and dicts do."""

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import hypothesis.strategies as st
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from tests.server.asgi import Client, Reply, Served, served
from tests.support.clock import FrozenClock
from tests.support.images import OCI_CONFIG, Content, Json, image, index, referrer, sha256

IMAGES = [image(f"image {number}", layers=1, layer_size=20) for number in range(2)]
CONTENTS = [
    *IMAGES,
    index(*IMAGES),
    referrer(IMAGES[0]),
    image("signature", layers=1, layer_size=20, subject=IMAGES[0]),
    index(IMAGES[1], subject=IMAGES[0], annotations={"of": "one"}),
]
KINDS = ("application/spdx+json", OCI_CONFIG, None)
BLOBS = sorted({data for content in CONTENTS for data in content.all_blobs().values()})
REPOSITORIES, TAGS = ("one", "two/three"), ("v1", "v2", "v3")

names = st.sampled_from(REPOSITORIES)
datas = st.sampled_from(BLOBS)
contents = st.sampled_from(CONTENTS)
tags = st.sampled_from(TAGS)
chunks = st.binary(min_size=1, max_size=9)


@dataclass
class Repository:
    """What one holds. It is there from the first blob on."""

    blobs: set[bytes] = field(default_factory=set)
    manifests: dict[str, Content] = field(default_factory=dict)
    tags: dict[str, Content] = field(default_factory=dict)
    is_known: bool = False

    def missing(self, content: Content) -> set[str]:
        blobs = {sha256(data) for data in content.blobs if data not in self.blobs}
        return blobs | {one.digest for one in content.children if one.digest not in self.manifests}

    def leads_to(self, digest: str) -> bool:
        return any(digest in direct(content) for content in self.manifests.values())

    def referrers(self, subject: Content) -> list[Json]:
        found = [one for one in self.manifests.values() if subject_of(one) == subject.digest]
        return [described(one) for one in sorted(found, key=lambda one: one.digest)]


def direct(content: Content) -> set[str]:
    return {*(sha256(data) for data in content.blobs), *(child.digest for child in content.children)}


def subject_of(content: Content) -> str | None:
    subject: Json = content.document.get("subject", {})
    return subject.get("digest")


def described(content: Content) -> Json:
    """As referrers are listed (distribution-spec, "Listing Referrers")."""
    document = content.document
    kind = content.artifact_type or document.get("config", {}).get("mediaType")
    more = {"artifactType": kind} if kind else {}
    if notes := document.get("annotations"):
        more["annotations"] = notes
    return content.descriptor(**more)


def code_of(reply: Reply) -> str:
    return str(json.loads(reply.body)["errors"][0]["code"])


class ApiMachine(RuleBasedStateMachine):
    """Asks an application in this process, and keeps the model beside it."""

    uploads = Bundle("uploads")

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._portal = self._stack.enter_context(start_blocking_portal())
        self._directory = self._stack.enter_context(tempfile.TemporaryDirectory())
        self._running = ExitStack()
        self.model = {name: Repository() for name in REPOSITORIES}
        self.open: dict[str, bytes] = {}  # uploads under way, by their paths

    @initialize()
    def start(self) -> None:
        manager = served(Path(self._directory), FrozenClock())
        self._server: Served = self._running.enter_context(self._portal.wrap_async_context_manager(manager))

    @rule()
    def restart(self) -> None:
        self._running.close()
        self.start()

    def teardown(self) -> None:
        self._running.close()
        self._stack.close()

    def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        **query: str,
    ) -> Reply:
        return self._portal.call(self.asked, method, path, body, headers or {}, query)

    async def asked(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], query: Mapping[str, str]
    ) -> Reply:
        target = f"{path}?{urlencode(query)}" if query else path
        whole = {"Content-Length": str(len(body)), **headers}
        return await Client(self._server.app, method, target, whole, body).run()

    def has(self, name: str, data: bytes) -> None:
        self.model[name].blobs.add(data)
        self.model[name].is_known = True

    @rule(name=names, data=datas)
    def post(self, name: str, data: bytes) -> None:
        reply = self.ask("POST", f"/v2/{name}/blobs/uploads/", data, digest=sha256(data))
        assert (reply.status, reply.headers["docker-content-digest"]) == (201, sha256(data))
        self.has(name, data)

    @rule(name=names, data=datas, wrong=chunks.filter(lambda one: one not in BLOBS))
    def post_what_it_is_not(self, name: str, data: bytes, wrong: bytes) -> None:
        reply = self.ask("POST", f"/v2/{name}/blobs/uploads/", wrong, digest=sha256(data))
        assert (reply.status, code_of(reply)) == (400, "DIGEST_INVALID")

    @rule(name=names, data=datas, source=st.none() | names, is_there=st.booleans())
    def mount(self, name: str, data: bytes, source: str | None, is_there: bool) -> None:
        if is_there:
            self.post(source or REPOSITORIES[0], data)
        asked = {"mount": sha256(data)} | ({"from": source} if source else {})
        reply = self.ask("POST", f"/v2/{name}/blobs/uploads/", **asked)
        if any(data in self.model[one].blobs for one in ([source] if source else REPOSITORIES)):
            assert (reply.status, reply.headers["location"]) == (201, f"/v2/{name}/blobs/{sha256(data)}")
            self.has(name, data)
        else:
            assert reply.status == 202
            assert self.ask("DELETE", reply.headers["location"]).status == 204

    @rule(target=uploads, name=names)
    def begin(self, name: str) -> tuple[str, str]:
        reply = self.ask("POST", f"/v2/{name}/blobs/uploads/")
        assert (reply.status, reply.headers["range"]) == (202, "0-0")
        self.open[reply.headers["location"]] = b""
        return name, reply.headers["location"]

    @rule(upload=uploads, chunk=chunks, shift=st.sampled_from([None, 0, 1, -1]))
    def append(self, upload: tuple[str, str], chunk: bytes, shift: int | None) -> None:
        """Without Content-Range, with the right one, or beside it."""
        held = self.open.get(upload[1])
        start = max(len(held or b"") + (shift or 0), 0)
        headers = {} if shift is None else {"Content-Range": f"{start}-{start + len(chunk) - 1}"}
        reply = self.ask("PATCH", upload[1], chunk, headers)
        if held is None:
            assert (reply.status, code_of(reply)) == (404, "BLOB_UPLOAD_UNKNOWN")
        elif shift is not None and start != len(held):
            assert (reply.status, code_of(reply)) == (416, "BLOB_UPLOAD_INVALID")
        else:
            self.open[upload[1]] = held + chunk
            assert (reply.status, reply.headers["range"]) == (202, f"0-{len(held + chunk) - 1}")

    @rule(upload=uploads, last=st.just(b"") | chunks, lies=st.booleans())
    def finish(self, upload: tuple[str, str], last: bytes, lies: bool) -> None:
        held = self.open.pop(upload[1], None)
        data = (held or b"") + last
        reply = self.ask("PUT", upload[1], last, digest=sha256(data + b"!" if lies else data))
        if held is None:
            assert (reply.status, code_of(reply)) == (404, "BLOB_UPLOAD_UNKNOWN")
        elif lies:
            assert (reply.status, code_of(reply)) == (400, "DIGEST_INVALID")
        else:
            assert (reply.status, reply.headers["location"]) == (
                201,
                f"/v2/{upload[0]}/blobs/{sha256(data)}",
            )
            self.has(upload[0], data)

    @rule(upload=uploads)
    def cancel(self, upload: tuple[str, str]) -> None:
        assert self.ask("DELETE", upload[1]).status == (204 if upload[1] in self.open else 404)
        self.open.pop(upload[1], None)

    @rule(name=names, content=contents, tag=st.none() | tags, more=st.sets(tags))
    def put_manifest(self, name: str, content: Content, tag: str | None, more: set[str]) -> None:
        query = f"?{urlencode({'tag': sorted(more)}, doseq=True)}" if more else ""
        path = f"/v2/{name}/manifests/{tag or content.digest}{query}"
        reply = self.ask("PUT", path, content.data, {"Content-Type": content.media_type})
        here = self.model[name]
        if missing := here.missing(content):
            assert (reply.status, code_of(reply)) == (400, "MANIFEST_BLOB_UNKNOWN")
            detail = json.loads(reply.body)["errors"][0]["detail"]
            assert {one["digest"] for one in detail} == missing
            return
        assert (reply.status, reply.headers["docker-content-digest"]) == (201, content.digest)
        assert reply.headers.get("oci-subject") == subject_of(content)
        here.manifests[content.digest] = content
        here.tags |= dict.fromkeys([*more, *([tag] if tag else [])], content)

    @rule(name=names, content=contents, tag=tags)
    def push_whole(self, name: str, content: Content, tag: str) -> None:
        for node in content.walk():
            for data in node.blobs:
                self.post(name, data)
            self.put_manifest(name, node, tag if node is content else None, set())

    @rule(name=names, tag=tags)
    def untag(self, name: str, tag: str) -> None:
        reply = self.ask("DELETE", f"/v2/{name}/manifests/{tag}")
        assert reply.status == (202 if self.model[name].tags.pop(tag, None) else 404)

    @rule(name=names, content=contents)
    def delete_manifest(self, name: str, content: Content) -> None:
        here, reply = self.model[name], self.ask("DELETE", f"/v2/{name}/manifests/{content.digest}")
        if content.digest not in here.manifests:
            assert (reply.status, code_of(reply)) == (404, "MANIFEST_UNKNOWN")
        elif here.leads_to(content.digest):
            assert (reply.status, code_of(reply)) == (405, "DENIED")
        else:
            assert reply.status == 202
            del here.manifests[content.digest]
            here.tags = {tag: one for tag, one in here.tags.items() if one is not content}

    @rule(name=names, data=datas)
    def delete_blob(self, name: str, data: bytes) -> None:
        here, reply = self.model[name], self.ask("DELETE", f"/v2/{name}/blobs/{sha256(data)}")
        if data not in here.blobs:
            assert (reply.status, code_of(reply)) == (404, "BLOB_UNKNOWN")
        elif here.leads_to(sha256(data)):
            assert (reply.status, code_of(reply)) == (405, "DENIED")
        else:
            assert reply.status == 202
            here.blobs.remove(data)

    @invariant()
    def both_say_the_same(self) -> None:
        if not hasattr(self, "_server"):
            return
        known = sorted(name for name in REPOSITORIES if self.model[name].is_known)
        assert self._portal.call(self.listed, "/v2/_catalog", "repositories", 1) == (known, 200)
        for name in REPOSITORIES:
            self._portal.call(self.check, name)
        for path, held in self.open.items():
            reply = self.ask("GET", path)
            assert (reply.status, reply.headers["range"]) == (204, f"0-{max(len(held) - 1, 0)}")

    async def check(self, name: str) -> None:
        here, base = self.model[name], f"/v2/{name}"
        for limit in (1, 2, 5):
            status = 200 if here.is_known else 404
            assert await self.listed(f"{base}/tags/list", "tags", limit) == (sorted(here.tags), status)
        wanted: dict[str, Content | None] = {tag: here.tags.get(tag) for tag in TAGS}
        wanted |= {content.digest: here.manifests.get(content.digest) for content in CONTENTS}
        for reference, content in wanted.items():
            reply = await self._server.get(f"{base}/manifests/{reference}")
            head = await self._server.head(f"{base}/manifests/{reference}")
            assert head.status == reply.status == (200 if content else 404)
            if content is not None:
                assert (reply.body, reply.headers["content-type"]) == (content.data, content.media_type)
                assert reply.headers == head.headers
        for data in BLOBS:
            reply = await self._server.get(f"{base}/blobs/{sha256(data)}")
            assert reply.status == (200 if data in here.blobs else 404)
            assert reply.body == data or reply.status == 404
        await self.check_referrers(name)

    async def check_referrers(self, name: str) -> None:
        for content in CONTENTS[:2]:
            for kind in KINDS:
                query = f"?{urlencode({'artifactType': kind})}" if kind else ""
                reply = await self._server.get(f"/v2/{name}/referrers/{content.digest}{query}")
                assert reply.headers.get("oci-filters-applied") == ("artifactType" if kind else None)
                all_of_them = self.model[name].referrers(content)
                expected = [one for one in all_of_them if kind in (None, one.get("artifactType"))]
                assert json.loads(reply.body)["manifests"] == expected

    async def listed(self, path: str, key: str, limit: int) -> tuple[list[str], int]:
        """All of a listing, page by page, and the status of the first page."""
        found: list[str] = []
        reply = await self._server.get(f"{path}?n={limit}")
        status = reply.status
        while reply.status == 200:
            page = json.loads(reply.body)[key]
            assert len(page) <= limit
            found += page
            if "link" not in reply.headers:
                break
            reply = await self._server.get(reply.headers["link"].partition("<")[2].partition(">")[0])
        return found, status


TestApiAgainstModel = ApiMachine.TestCase
TestApiAgainstModel.settings = settings(
    max_examples=max(1, int(os.environ.get("REGSYNC_SOAK", "20")) * 3 // 10),
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
