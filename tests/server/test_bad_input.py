"""What hostile and broken clients send, each with the answer that it should get, as JSON.

The inputs are those that registries were tried with, and that each of them got wrong somewhere.
"""

import hashlib
import json
import socket

import httpx
import pytest

from tests.support.images import as_json, image, index, noise, sha256
from tests.support.regsync_server import RegsyncServer

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
DIGEST = "sha256:" + "a" * 64
CONFIG = b"{}"


@pytest.fixture
def v2(server: RegsyncServer, space: str) -> str:
    return f"{server.url}/v2/{space}"


def raw_request(server: RegsyncServer, head: str, body: bytes = b"", *, half_close: bool = False) -> bytes:
    """What the server answers to exactly these bytes; httpx would tidy them up."""
    host, port = server.host.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as link:
        link.sendall(head.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n" + body)
        if half_close:
            link.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := link.recv(65536):
            answer += chunk
        return answer


def code_of(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/json"
    return str(answer.json()["errors"][0]["code"])


@pytest.mark.parametrize(
    "name",
    [
        "..%2f..%2fetc",
        "a/../../b",
        "a//b",
        "UPPER",
        ".hidden",
        "a%00b",
        "a" * 300,
        "-a",
        "a/",
        "ä",
        "a b",
        "%2e%2e/x",
    ],
)
@pytest.mark.parametrize("rest", ["manifests/v1", "tags/list", f"blobs/{DIGEST}", "blobs/uploads/"])
def test_a_name_that_is_none_is_refused_without_a_redirect(
    server: RegsyncServer, name: str, rest: str
) -> None:
    path = f"/v2/{name}/{rest}".encode().decode("latin-1").replace(" ", "%20")
    method = "POST" if rest.endswith("/") else "GET"
    length = "Content-Length: 0\n" if method == "POST" else ""
    answer = raw_request(server, f"{method} {path} HTTP/1.1\nHost: x\n{length}Connection: close")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b" ", 2)[1] == b"400", answer[:300]
    if body:  # a path of other bytes than ASCII does not reach the application
        assert json.loads(body)["errors"][0]["code"] == "NAME_INVALID"


@pytest.mark.parametrize("name", ["a/manifests", "blobs/uploads", "manifests/tags/list", "v2"])
def test_words_of_the_api_are_names_like_others(server: RegsyncServer, name: str) -> None:
    app = server.push(name, image(name), "v1")
    with server.client() as http:
        url = f"{server.url}/v2/{name}"
        assert http.get(f"{url}/manifests/v1").headers["docker-content-digest"] == app.digest
        assert http.get(f"{url}/tags/list").json() == {"name": name, "tags": ["v1"]}


@pytest.mark.parametrize("tag", ["a" * 129, "-bad", "bad%20tag", "a%2fb", ".x", "a+b", "%00"])
def test_a_tag_that_is_none_is_refused(http: httpx.Client, v2: str, tag: str) -> None:
    answer = http.put(f"{v2}/app/manifests/{tag}", content=b"{}", headers={"Content-Type": MANIFEST})
    assert (answer.status_code, code_of(answer)) == (400, "TAG_INVALID")


@pytest.mark.parametrize(
    "digest",
    ["sha256:baddigeststring", "sha256:" + "A" * 64, "md5:" + "a" * 32, "sha256:", ":", "sha512:" + "a" * 64],
)
def test_a_digest_that_is_none_is_refused(http: httpx.Client, v2: str, digest: str) -> None:
    for path in (f"manifests/{digest}", f"blobs/{digest}", f"referrers/{digest}"):
        answer = http.get(f"{v2}/app/{path}")
        assert (answer.status_code, code_of(answer)) == (400, "DIGEST_INVALID")


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "foo", "SHA256"])
def test_an_algorithm_that_names_no_content_is_refused(http: httpx.Client, v2: str, algorithm: str) -> None:
    asked = {"digest-algorithm": algorithm}
    begun = http.post(f"{v2}/app/blobs/uploads/", params=asked)
    assert (begun.status_code, code_of(begun)) == (400, "DIGEST_INVALID")
    body = as_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": []})
    put = http.put(f"{v2}/app/manifests/v1", params=asked, content=body, headers={"Content-Type": INDEX})
    assert (put.status_code, code_of(put)) == (400, "DIGEST_INVALID")
    assert http.get(f"{v2}/app/manifests/v1").status_code == 404


def put_manifest(
    http: httpx.Client, v2: str, document: object, content_type: str = MANIFEST, tag: str = "v1"
) -> httpx.Response:
    raw = document if isinstance(document, bytes) else as_json(document)
    return http.put(f"{v2}/app/manifests/{tag}", content=raw, headers={"Content-Type": content_type})


def descriptor(raw: bytes, **changes: object) -> dict[str, object]:
    return {"mediaType": "application/octet-stream", "digest": sha256(raw), "size": len(raw), **changes}


def manifest(**changes: object) -> dict[str, object]:
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG),
        "layers": [],
        **changes,
    }


@pytest.fixture
def config_is_there(http: httpx.Client, v2: str) -> None:
    digest = sha256(CONFIG)
    location = http.post(f"{v2}/app/blobs/uploads/").headers["location"]
    base = v2.partition("/v2/")[0]
    assert http.put(f"{base}{location}", params={"digest": digest}, content=CONFIG).status_code == 201


@pytest.mark.parametrize("size", [3, 1, -1, 2**63, "2", 2.0, None, True])
@pytest.mark.usefixtures("config_is_there")
def test_a_descriptor_that_lies_about_the_size_is_refused(http: httpx.Client, v2: str, size: object) -> None:
    answer = put_manifest(http, v2, manifest(config=descriptor(CONFIG, size=size)))
    assert answer.status_code == 400
    assert code_of(answer) in ("SIZE_INVALID", "MANIFEST_INVALID")
    assert http.get(f"{v2}/app/manifests/v1").status_code == 404


def test_all_that_a_manifest_lacks_is_named(http: httpx.Client, v2: str) -> None:
    layers = [descriptor(noise(f"{number}", 10)) for number in range(3)]
    answer = put_manifest(http, v2, manifest(layers=layers))
    assert (answer.status_code, code_of(answer)) == (400, "MANIFEST_BLOB_UNKNOWN")
    named = {one["digest"] for one in answer.json()["errors"][0]["detail"]}
    assert named == {sha256(CONFIG), *(one["digest"] for one in layers)}


def test_an_index_without_its_children_is_refused(http: httpx.Client, v2: str) -> None:
    child = descriptor(b"child", mediaType=MANIFEST)
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [child]}
    answer = put_manifest(http, v2, document, INDEX)
    assert (answer.status_code, code_of(answer)) == (400, "MANIFEST_BLOB_UNKNOWN")


@pytest.mark.usefixtures("config_is_there")
@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"null",
        b"[]",
        b"<html></html>",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe",
        b'{"schemaVersion":2,"config":{},"config":{}}',
        b'{"schemaVersion":2,"layers":[NaN]}',
        b'{"schemaVersion":2} {}',
        b"[" * 1000 + b"]" * 1000,
        b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
        b'{"schemaVersion":' + b"9" * 5000 + b"}",
        as_json(manifest(manifests=[])),
        as_json(manifest(schemaVersion=1)),
        as_json(manifest(mediaType=INDEX)),
        as_json(manifest(config=[])),
        as_json(manifest(layers={"0": 1})),
        as_json(manifest(annotations={"a": 1})),
        as_json(manifest(subject="x")),
        as_json(manifest(config=descriptor(CONFIG, digest="sha256:" + "g" * 64))),
        as_json(manifest(layers=[descriptor(CONFIG)] * 10_001)),
    ],
    ids=lambda raw: f"{raw[:24]!r}…{len(raw)}",
)
def test_what_is_no_manifest_is_refused_soon(http: httpx.Client, v2: str, document: bytes) -> None:
    answer = put_manifest(http, v2, document)
    assert (answer.status_code, code_of(answer)) == (400, "MANIFEST_INVALID")
    assert answer.elapsed.total_seconds() < 5
    assert http.get(f"{v2}/app/manifests/v1").status_code == 404


@pytest.mark.parametrize(
    "kind", ["", "application/json", "text/html", "application/vnd.docker.distribution.manifest.v1+prettyjws"]
)
@pytest.mark.usefixtures("config_is_there")
def test_a_manifest_of_another_kind_is_refused(http: httpx.Client, v2: str, kind: str) -> None:
    answer = put_manifest(http, v2, manifest(), kind)
    assert (answer.status_code, code_of(answer)) == (415, "MANIFEST_INVALID")


@pytest.mark.usefixtures("config_is_there")
def test_a_manifest_of_4_mib_is_taken_and_one_byte_more_is_not(http: httpx.Client, v2: str) -> None:
    bare = len(as_json(manifest(annotations={"a": ""})))
    fits = manifest(annotations={"a": "x" * (4 * 2**20 - bare)})
    assert len(as_json(fits)) == 4 * 2**20
    assert put_manifest(http, v2, fits, tag="fits").status_code == 201
    answer = put_manifest(http, v2, as_json(fits) + b" ", tag="long")
    assert (answer.status_code, code_of(answer)) == (413, "SIZE_INVALID")


def test_an_endless_manifest_is_cut_off(server: RegsyncServer) -> None:
    head = f"PUT /v2/endless/manifests/v1 HTTP/1.1\nHost: x\nContent-Type: {MANIFEST}\n"
    head += "Transfer-Encoding: chunked"
    piece = b"%x\r\n" % 2**20 + b" " * 2**20 + b"\r\n"
    host, port = server.host.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as link:
        link.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n")
        sent = 0
        try:
            while sent < 200:
                link.sendall(piece)
                sent += 1
        except OSError:
            pass
        assert sent < 200
    with server.client() as http:
        assert http.get(f"{server.url}/v2/").status_code == 200


@pytest.mark.parametrize("n", ["abc", "-1", "1e3", "٣", "9" * 30, ""])
def test_a_page_of_no_number_is_refused(server: RegsyncServer, http: httpx.Client, n: str) -> None:
    for path in ("app/tags/list", "_catalog"):
        answer = http.get(f"{server.url}/v2/{path}", params={"n": n})
        assert (answer.status_code, code_of(answer)) == (400, "PAGINATION_NUMBER_INVALID")


def start(http: httpx.Client, v2: str) -> str:
    answer = http.post(f"{v2}/app/blobs/uploads/")
    assert answer.status_code == 202
    return v2.partition("/v2/")[0] + answer.headers["location"]


@pytest.mark.parametrize(
    "content_range", ["abc", "bytes 0-9/10", "0-", "-9", "9-0", "5-14", "0-99999999999999999999", "1-10"]
)
def test_a_chunk_that_does_not_fit_changes_nothing(http: httpx.Client, v2: str, content_range: str) -> None:
    session = start(http, v2)
    answer = http.patch(session, content=b"0123456789", headers={"Content-Range": content_range})
    assert answer.status_code in (400, 416)
    assert code_of(answer) in ("BLOB_UPLOAD_INVALID", "SIZE_INVALID")
    after = http.get(session)
    assert (after.status_code, after.headers["range"]) == (204, "0-0")
    assert http.patch(session, content=b"0123456789", headers={"Content-Range": "0-9"}).status_code == 202
    done = http.put(session, params={"digest": sha256(b"0123456789")})
    assert done.status_code == 201


def test_a_chunk_of_another_length_than_its_range_is_refused(http: httpx.Client, v2: str) -> None:
    answer = http.patch(start(http, v2), content=b"12345", headers={"Content-Range": "0-9"})
    assert (answer.status_code, code_of(answer)) == (400, "SIZE_INVALID")


def test_what_came_of_a_chunk_that_broke_off_is_kept(
    server: RegsyncServer, http: httpx.Client, v2: str
) -> None:
    session, whole = start(http, v2), noise("blob", 9000)
    path = session.removeprefix(server.url)
    head = f"PATCH {path} HTTP/1.1\nHost: x\nContent-Length: 9000\nConnection: close"
    raw_request(server, head, whole[:5000], half_close=True)
    for _ in range(100):  # the server learns of the end a moment later than we send it
        after = http.get(session)
        if after.headers["range"] == "0-4999":
            break
    assert after.headers["range"] == "0-4999"
    rest = http.patch(session, content=whole[5000:], headers={"Content-Range": "5000-8999"})
    assert (rest.status_code, rest.headers["range"]) == (202, "0-8999")
    assert http.put(session, params={"digest": sha256(whole)}).status_code == 201
    assert http.get(f"{v2}/app/blobs/{sha256(whole)}").content == whole


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("way", ["post", "put", "patch", "chunks", "stream"])
def test_a_wrong_digest_is_refused_on_every_way_and_leaves_nothing(
    server: RegsyncServer, http: httpx.Client, v2: str, space: str, way: str, algorithm: str
) -> None:
    digest = f"{algorithm}:" + "0" * (64 if algorithm == "sha256" else 128)
    body = noise("blob", 2 * 2**20)
    if way == "post":
        answer = http.post(f"{v2}/app/blobs/uploads/", params={"digest": digest}, content=body)
    else:
        session = start(http, v2)
        half = len(body) // 2
        if way == "patch":
            http.patch(session, content=body)
        elif way == "stream":
            http.patch(session, content=iter([body[:half], body[half:]]))
        elif way == "chunks":
            http.patch(session, content=body[:half], headers={"Content-Range": f"0-{half - 1}"})
        last = {"put": body, "chunks": body[half:]}.get(way, b"")
        answer = http.put(session, params={"digest": digest}, content=last)
        assert http.get(session).status_code == 404
    assert (answer.status_code, code_of(answer)) == (400, "DIGEST_INVALID")
    assert http.head(f"{v2}/app/blobs/{digest}").status_code == 404
    uploads = server.store / "uploads" / hashlib.sha256(f"{space}/app".encode()).hexdigest()[:32]
    assert list(uploads.glob("*")) == []


def test_a_blob_that_an_image_needs_is_not_deleted(
    server: RegsyncServer, http: httpx.Client, v2: str, space: str
) -> None:
    app = server.push(f"{space}/app", image("app"), "v1")
    for layer in json.loads(http.get(f"{v2}/app/manifests/v1").content)["layers"]:
        answer = http.delete(f"{v2}/app/blobs/{layer['digest']}")
        assert (answer.status_code, code_of(answer)) == (405, "DENIED")
        assert http.head(f"{v2}/app/blobs/{layer['digest']}").status_code == 200
    assert http.delete(f"{v2}/app/manifests/{app.digest}").status_code == 202


def test_a_manifest_that_an_index_needs_is_not_deleted(
    server: RegsyncServer, http: httpx.Client, v2: str, space: str
) -> None:
    child = image("child")
    server.push(f"{space}/app", index(child), "v1")
    answer = http.delete(f"{v2}/app/manifests/{child.digest}")
    assert (answer.status_code, code_of(answer)) == (405, "DENIED")


def test_a_client_that_has_the_manifest_is_not_sent_it_again(
    server: RegsyncServer, http: httpx.Client, v2: str, space: str
) -> None:
    server.push(f"{space}/app", image("app"), "v1")
    first = http.get(f"{v2}/app/manifests/v1")
    again = http.get(f"{v2}/app/manifests/v1", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("HTTP/1.1", b"400"),
        ("HTTP/1.1\nHost:", b"400"),
        ("HTTP/1.1\nHost: a\nHost: b", b"400"),
        ("HTTP/1.1\nHost: a", b"200"),
        ("HTTP/1.0", b"200"),
    ],
)
@pytest.mark.parametrize("path", ["/v2/", "/healthz"])
def test_a_request_says_once_which_host_it_is_for(
    server: RegsyncServer, path: str, head: str, status: bytes
) -> None:
    answer = raw_request(server, f"GET {path} {head}\nConnection: close")
    assert answer.split(b" ", 2)[1] == status, answer[:300]


@pytest.mark.parametrize(
    "path", ["/", "/v1/", "/v2x", "/v2/a", "/favicon.ico", "/v2/app/unknown/x", "/..%2f..%2fetc/passwd"]
)
def test_every_path_answers_as_json(server: RegsyncServer, path: str) -> None:
    answer = raw_request(server, f"GET {path} HTTP/1.1\nHost: x\nConnection: close")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b" ", 2)[1] == b"404"
    assert json.loads(body)["errors"][0]["code"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "app/manifests/v1"),
        ("DELETE", "app/tags/list"),
        ("PUT", f"app/blobs/{DIGEST}"),
        ("PATCH", "app/manifests/v1"),
        ("GET", "app/blobs/uploads/"),
        ("TRACE", "app/manifests/v1"),
        ("BREW", "app/tags/list"),
    ],
)
def test_a_method_that_makes_no_sense_there_is_refused(
    http: httpx.Client, v2: str, method: str, path: str
) -> None:
    answer = http.request(method, f"{v2}/{path}")
    assert (answer.status_code, code_of(answer)) == (405, "UNSUPPORTED")
    assert answer.headers["allow"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "BREW"])
def test_the_base_is_only_read(server: RegsyncServer, http: httpx.Client, method: str) -> None:
    answer = http.request(method, f"{server.url}/v2/")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("wanted", ["bytes=0-9", "bytes=999999-"])
def test_a_range_means_nothing_to_a_head(
    server: RegsyncServer, http: httpx.Client, v2: str, space: str, wanted: str
) -> None:
    layer = server.push(f"{space}/app", image("app"), "v1").blobs[0]
    answer = http.head(f"{v2}/app/blobs/{sha256(layer)}", headers={"Range": wanted})
    assert (answer.status_code, answer.headers["content-length"]) == (200, str(len(layer)))
    assert "content-range" not in answer.headers


@pytest.mark.parametrize(("count", "status"), [(100, 201), (101, 400)])
def test_a_push_sets_as_many_tags_as_are_promised(
    server: RegsyncServer, http: httpx.Client, v2: str, space: str, count: int, status: int
) -> None:
    app = server.push(f"{space}/app", image("app"))
    tags = "&".join(f"tag=v{number:03}" for number in range(count))
    answer = http.put(
        f"{v2}/app/manifests/{app.digest}?{tags}", content=app.data, headers={"Content-Type": app.media_type}
    )
    assert answer.status_code == status
    if status == 400:
        assert code_of(answer) == "TAG_INVALID"
    else:
        assert len(http.get(f"{v2}/app/tags/list").json()["tags"]) == count


def test_a_query_of_very_many_fields_is_refused(http: httpx.Client, v2: str) -> None:
    answer = http.get(f"{v2}/app/tags/list?" + "&".join(["a=1"] * 1000))
    assert answer.status_code == 400
    assert code_of(answer)


def test_nothing_is_ever_written_outside_the_store(server: RegsyncServer, http: httpx.Client) -> None:
    before = set(server.directory.rglob("*"))
    for name in ("..%2f..%2fescape", "%2e%2e/escape", "a/..%2fescape", "a%2f..%2f..%2fescape"):
        http.post(f"{server.url}/v2/{name}/blobs/uploads/")
        http.put(f"{server.url}/v2/{name}/manifests/v1", content=b"{}", headers={"Content-Type": MANIFEST})
    after = set(server.directory.rglob("*")) - before
    assert all(server.store in path.parents for path in after)
    assert not [path for path in after if "escape" in path.name]
