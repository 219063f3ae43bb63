"""A full disk, no file descriptor to spare, what is synced when: nothing is lost, all is well again."""

import contextlib
import itertools
import json
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx

from tests.server.raw_client import RawClient
from tests.support import tools
from tests.support.images import Content, image, noise, push_blob, put_manifest, sha256
from tests.support.processes import wait_until
from tests.support.regsync_server import RegsyncServer

Factory = Callable[..., RegsyncServer]
MIB = 1024 * 1024
APP = "team/app"


def code_of(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/json"
    return str(answer.json()["errors"][0]["code"])


def is_pulled(server: RegsyncServer, content: Content, tag: str) -> bool:
    with server.client() as http:
        url = f"{server.url}/v2/{APP}"
        return http.get(f"{url}/manifests/{tag}").content == content.data and all(
            http.get(f"{url}/blobs/{sha256(data)}").content == data for data in content.blobs
        )


def uploads(server: RegsyncServer) -> list[Path]:
    return [one for one in (server.store / "uploads").rglob("*") if one.is_file()]


@contextlib.contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Without a byte to spare."""
    filler = disk / "filler"
    fd = os.open(filler, os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while os.write(fd, b"x" * 4096):
            pass
    os.close(fd)
    yield
    filler.unlink()


TOO_MUCH = noise("too much", 6 * MIB)


def post_at_once(http: httpx.Client, base: str) -> httpx.Response:
    return http.post(f"{base}/blobs/uploads/", params={"digest": sha256(TOO_MUCH)}, content=TOO_MUCH)


def put_at_once(http: httpx.Client, base: str) -> httpx.Response:
    return http.put(begun(http, base), params={"digest": sha256(TOO_MUCH)}, content=TOO_MUCH)


def patch(http: httpx.Client, base: str) -> httpx.Response:
    return http.patch(begun(http, base), content=TOO_MUCH)


def begun(http: httpx.Client, base: str) -> str:
    location = http.post(f"{base}/blobs/uploads/").headers["location"]
    return base.partition("/v2/")[0] + str(location)


def test_a_blob_that_does_not_fit_is_refused_and_its_part_removed(
    regsync_server_factory: Factory, small_disk: Path
) -> None:
    server = regsync_server_factory(store=small_disk / "store")
    old = server.push(APP, image("old"), "v1")
    with server.client() as http:
        for upload in (post_at_once, put_at_once, patch):
            answer = upload(http, f"{server.url}/v2/{APP}")
            assert (answer.status_code, code_of(answer)) == (507, "STORAGE_FULL")
            assert answer.headers["retry-after"]
            assert answer.headers["connection"] == "close"  # the rest of the body is not read
            assert str(small_disk) not in answer.text
            assert http.head(f"{server.url}/v2/{APP}/blobs/{sha256(TOO_MUCH)}").status_code == 404
            assert uploads(server) == []
    assert is_pulled(server, old, "v1")
    assert is_pulled(server, server.push(APP, image("new"), "v2"), "v2")


def test_on_a_full_disk_tags_stay_where_they_were_and_pulls_go_on_until_there_is_room(
    regsync_server_factory: Factory, small_disk: Path
) -> None:
    server = regsync_server_factory(store=small_disk / "store")
    last = server.push(APP, image("old", layers=1), "v1")
    with filled(small_disk), server.client() as http:
        refused = None
        for number in range(200):  # pages that the write-ahead log has already are used up at some point
            new = at_number(last, number)
            url = f"{server.url}/v2/{APP}/manifests/v1"
            answer = http.put(url, content=new.data, headers={"Content-Type": new.media_type})
            if answer.status_code != 201:
                refused = answer
                break
            last = new
        assert refused is not None
        assert (refused.status_code, code_of(refused)) == (507, "STORAGE_FULL")
        blob = http.post(f"{server.url}/v2/{APP}/blobs/uploads/?digest={sha256(b'x')}", content=b"x")
        assert (blob.status_code, code_of(blob)) == (507, "STORAGE_FULL")
        assert http.get(f"{server.url}/v2/{APP}/tags/list").json()["tags"] == ["v1"]
        assert is_pulled(server, last, "v1")
        assert http.get(f"{server.url}/healthz").status_code == 200
    assert is_pulled(server, server.push(APP, image("new"), "v1"), "v1")
    server.restart()
    assert is_pulled(server, image("new"), "v1")


def at_number(content: Content, number: int) -> Content:
    """Another manifest of the same blobs."""
    document = {**content.document, "annotations": {"number": f"{number}" * 1000}}
    return Content(content.media_type, json.dumps(document).encode(), content.blobs)


def limit_files(server: RegsyncServer, spare: int | None) -> int:
    """Let the server open only so many more files, or as many as it may; returns its limit."""
    pid = server.process.pid
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    soft = hard if spare is None else highest_descriptor(pid) + 1 + spare
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    return soft


def highest_descriptor(pid: int) -> int:
    return max(int(name) for name in os.listdir(f"/proc/{pid}/fd"))


def test_without_a_file_descriptor_to_spare_pushes_are_put_off_and_nothing_is_lost(
    regsync_server: RegsyncServer,
) -> None:
    old = regsync_server.push(APP, image("old"), "v1")
    refused = [push_without_files(regsync_server, old, spare) for spare in range(4)]
    assert refused[0]
    regsync_server.restart()
    assert is_pulled(regsync_server, at_number(old, 3), "v1")


def push_without_files(server: RegsyncServer, old: Content, spare: int) -> int:
    """Push while it may open only so many more files, and again without limit; how often it refused."""
    base, new = f"{server.url}/v2/{APP}", at_number(old, spare)
    blobs = [*(noise(f"{spare} {number}", 1000) for number in range(2)), noise(f"large {spare}", 2 * MIB)]
    kind = {"Content-Type": new.media_type}
    with server.client() as http:
        before = http.get(f"{base}/manifests/v1").content
        limit_files(server, spare)
        asked = [http.post(f"{base}/blobs/uploads/?digest={sha256(data)}", content=data) for data in blobs]
        asked += [http.put(f"{base}/manifests/v1", content=new.data, headers=kind) for _ in range(3)]
        refused = [answer for answer in asked if answer.status_code != 201]
        for answer in refused:
            assert (answer.status_code, code_of(answer)) == (503, "UNAVAILABLE"), answer.text
            assert answer.headers["retry-after"]
        assert http.get(f"{base}/manifests/v1").content in (before, new.data)
        limit_files(server, None)
        for data in blobs:
            push_blob(server.url, APP, data, http)
        put_manifest(server.url, APP, "v1", new, http)
    assert is_pulled(server, new, "v1")
    assert uploads(server) == []
    return len(refused)


def test_connections_that_use_up_the_file_descriptors_stop_nothing_once_they_are_closed(
    regsync_server: RegsyncServer,
) -> None:
    server = regsync_server
    old = server.push(APP, image("old"), "v1")
    limit = limit_files(server, 10)
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(RawClient(server.process.port)).send(b"GET /v2/ HT")
        wait_until(lambda: highest_descriptor(server.process.pid) == limit - 1, what="all are used")
    assert is_pulled(server, old, "v1")
    assert is_pulled(server, server.push(APP, image("new"), "v2"), "v2")


def strace() -> Path:
    return tools.find("strace") or tools.skip("strace is not installed")


def test_a_pushed_file_is_synced_before_it_has_its_name_and_all_before_the_answer(
    regsync_server_factory: Factory, tmp_path: Path
) -> None:
    """The order in which the kernel is asked, seen from outside, during one push through HTTP."""
    server = regsync_server_factory()
    server.push(APP, image("first"), "v1")
    log = tmp_path / "trace"
    watched = "trace=fsync,fdatasync,rename,renameat,renameat2,write,writev,sendto,sendmsg"
    command = [str(strace()), "-f", "-y", "-s", "16", "-e", watched, "-o", str(log)]
    pid = str(server.process.pid)
    with subprocess.Popen([*command, "-p", pid], stderr=subprocess.PIPE, text=True) as tracing:
        assert tracing.stderr is not None
        said = tracing.stderr.readline()
        if "attached" not in said:
            tracing.kill()
            tools.skip(f"tracing is not allowed here: {said.strip()}")
        server.push(APP, image("traced", layers=2, layer_size=2 * MIB), "v1")
        tracing.terminate()
        tracing.communicate()
    lines = [line.split(None, 1)[1] for line in log.read_text().splitlines()]
    answers = [number for number, line in enumerate(lines) if "HTTP/1.1 201" in line]
    renames = [number for number, line in enumerate(lines) if is_rename(line)]
    assert len(renames) == 3  # config and two layers
    for number in renames:
        answer = next(one for one in answers if one > number)
        part, final = lines[number].split('"')[1::2]
        assert any(is_sync(line, part) for line in lines[:number])
        assert any(is_sync(line, os.path.dirname(final)) for line in lines[number:answer])
    assert len(answers) == 5  # three blobs, the manifest by digest and by tag
    for start, end in itertools.pairwise(answers):
        between = lines[start:end]
        journal = [number for number, line in enumerate(between) if is_sync(line, ".jsonl")]
        commit = [number for number, line in enumerate(between) if is_sync(line, "catalogue.db-wal")]
        assert journal
        assert commit
        assert max(commit) > max(journal)  # the journal is durable before what it describes is committed


def is_rename(line: str) -> bool:
    return line.startswith("rename") and "/blobs/" in line


def is_sync(line: str, path: str) -> bool:
    return "sync(" in line and path in line
