"""`regsync serve` as a process: how it starts, ends, and goes on through edits, cuts and slow clients."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server.raw_client import RawClient
from tests.support import images
from tests.support.certificates import issue
from tests.support.processes import wait_until
from tests.support.regsync_server import PROJECT, RegsyncServer

Factory = Callable[..., RegsyncServer]
MIB = 1024 * 1024
LARGE = 8 * MIB  # bytes; more than sockets hold


def started_upload(server: RegsyncServer, repository: str = "team/app") -> str:
    """The path of a new upload."""
    with server.client() as http:
        answer = http.post(f"{server.url}/v2/{repository}/blobs/uploads/").raise_for_status()
    return str(answer.headers["location"])


def received(server: RegsyncServer, upload: str) -> int:
    """How many bytes of an upload the server says it has."""
    with server.client() as http:
        answer = http.get(f"{server.url}{upload}").raise_for_status()
    last = int(answer.headers["range"].removeprefix("0-"))
    return last + 1 if last else 0


def put_blob(server: RegsyncServer, data: bytes, repository: str = "team/app") -> str:
    with server.client() as http:
        return images.push_blob(server.url, repository, data, http)


def status(server: RegsyncServer, method: str, path: str) -> int:
    with server.client() as http:
        return http.request(method, f"{server.url}{path}").status_code


def run(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "regsync", "serve", *options],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "HOME": str(directory), "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_takes_a_free_port_and_says_on_stdout_where_it_listens(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "regsync", "serve", "--listen", "127.0.0.1:0", "--store", "kept"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:")
        url = line.removeprefix("listening on ").strip()
        assert httpx.get(f"{url}/v2/", trust_env=False).status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == ""
    assert process.returncode == 0
    assert (tmp_path / "kept" / "catalogue.db").is_file()


def test_an_address_in_use_is_an_error_that_names_it(regsync_server: RegsyncServer, tmp_path: Path) -> None:
    ended = run(tmp_path, "--listen", regsync_server.host)
    assert ended.returncode == 1
    assert f"error: {regsync_server.host}: cannot listen there: Address already in use" in ended.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(["--listen", "5000"], "--listen: expected an address", id="an address without a host"),
        pytest.param(["nowhere"], "nowhere: there is no such file", id="a path to nothing"),
    ],
)
def test_what_is_wrong_with_the_command_line_is_said(
    tmp_path: Path, options: Sequence[str], said: str
) -> None:
    ended = run(tmp_path, *options)
    assert ended.returncode in (64, 65)
    assert said in ended.stderr


def test_rules_of_a_document_and_anonymous_exclude_each_other(tmp_path: Path) -> None:
    (tmp_path / "regsync.yaml").write_text(
        "apiVersion: regsync.dev/v1\nkind: Server\nspec:\n"
        "  access: [{subjects: [anonymous], repositories: ['**'], actions: [pull]}]\n"
    )
    ended = run(tmp_path, "--anonymous", "push")
    assert ended.returncode == 64
    assert "`access` who may do what" in ended.stderr


def test_a_transfer_in_flight_ends_whole_and_new_connections_are_refused(
    regsync_server: RegsyncServer,
) -> None:
    process, data = regsync_server.process, os.urandom(LARGE)
    digest = put_blob(regsync_server, data)
    with (
        RawClient(process.port) as download,
        RawClient(process.port) as upload,
        RawClient(process.port) as idle,
    ):
        idle.request("GET", "/v2/")
        assert idle.head().startswith("HTTP/1.1 200 ")
        assert idle.read(2) == b"{}"
        download.request("GET", f"/v2/team/app/blobs/{digest}")
        assert download.head().startswith("HTTP/1.1 200 ")
        location = started_upload(regsync_server)
        upload.request("PATCH", location, "Content-Length: 10")
        upload.send(b"12345")
        wait_until(lambda: "PATCH" not in regsync_server.log(), what="the chunk is still coming", limit=1)
        process.send(signal.SIGTERM)
        assert idle.read(1) == b""
        wait_until(lambda: refuses(process.port), what="no new connection")
        upload.send(b"67890")
        assert upload.head().startswith("HTTP/1.1 202 ")
        assert download.rest() == data
    assert process.wait() == 0


def refuses(port: int) -> bool:
    try:
        RawClient(port).__exit__(None, None, None)
    except ConnectionRefusedError:
        return True
    return False


def test_a_transfer_that_takes_too_long_is_cut_and_goes_on_where_it_was(
    regsync_server_factory: Factory,
) -> None:
    server = regsync_server_factory(options=["--drain", "1s"])
    location = started_upload(server)
    with RawClient(server.process.port) as upload:
        upload.request("PATCH", location, f"Content-Length: {LARGE}")
        upload.send(b"x" * (MIB + 1000))
        wait_until(lambda: received(server, location) >= MIB, what="the first bytes are kept")
        server.process.send(signal.SIGTERM)
        assert server.process.wait() == 1
    assert "still in flight" in server.log()
    server.restart()
    assert received(server, location) == MIB + 1000


def test_what_was_acknowledged_survives_sigkill_and_an_upload_goes_on(regsync_server: RegsyncServer) -> None:
    image = regsync_server.push("team/app", images.image("kept"), "v1")
    location = started_upload(regsync_server)
    data = os.urandom(3 * MIB)
    with RawClient(regsync_server.process.port) as upload:
        upload.request("PATCH", location, f"Content-Length: {len(data)}")
        upload.send(data[: 2 * MIB])
        wait_until(lambda: received(regsync_server, location) > 0, what="the first bytes are kept")
        regsync_server.process.kill()
    regsync_server.restart()
    had = received(regsync_server, location)
    assert 0 < had < len(data)
    with regsync_server.client() as http:
        assert http.get(f"{regsync_server.url}/v2/team/app/manifests/v1").content == image.data
        digest = images.sha256(data)
        done = http.put(f"{regsync_server.url}{location}?digest={digest}", content=data[had:])
        assert done.status_code == 201
        assert http.get(f"{regsync_server.url}/v2/team/app/blobs/{digest}").content == data


def test_two_processes_serve_one_store(
    regsync_server: RegsyncServer, regsync_server_factory: Factory
) -> None:
    other = regsync_server_factory(store=regsync_server.store)
    image = regsync_server.push("team/app", images.image("shared"), "v1")
    location = started_upload(regsync_server)
    with other.client() as http:
        assert http.get(f"{other.url}/v2/team/app/manifests/v1").content == image.data
        digest = images.sha256(b"begun here, ended there")
        done = http.put(f"{other.url}{location}?digest={digest}", content=b"begun here, ended there")
        assert done.status_code == 201
    other.push("team/app", images.image("second"), "v2")
    with regsync_server.client() as http:
        tags = http.get(f"{regsync_server.url}/v2/team/app/tags/list").json()["tags"]
    assert tags == ["v1", "v2"]


OPEN = "access: [{subjects: [anonymous], repositories: ['**'], actions: [pull, push, overwrite, delete]}]\n"


def test_a_good_edit_is_taken_up_and_a_bad_one_refused_with_its_place(
    regsync_server_factory: Factory,
) -> None:
    server = regsync_server_factory(spec=OPEN)
    put_blob(server, b"before")
    server.write_spec(f"{OPEN}readOnly: true")
    wait_until(lambda: "reload: taken up" in server.log(), what="the edit is taken up")
    assert status(server, "POST", "/v2/team/app/blobs/uploads/") == 405
    assert status(server, "GET", f"/v2/team/app/blobs/{images.sha256(b'before')}") == 200
    server.write_spec(f"{OPEN}readOnli: false")
    server.process.send(signal.SIGHUP)
    wait_until(lambda: "reload: refused" in server.log(), what="the edit is refused")
    assert f"{server.spec}:5:3: spec.readOnli: unknown key" in server.log()
    assert status(server, "POST", "/v2/team/app/blobs/uploads/") == 405
    server.write_spec(OPEN)
    wait_until(lambda: server.log().count("reload: taken up") == 2, what="the good edit is taken up")
    assert status(server, "POST", "/v2/team/app/blobs/uploads/") == 202


def test_edits_of_the_spec_are_audited(regsync_server_factory: Factory) -> None:
    audited = f"{OPEN}audit: {{file: audit.log}}\n"
    server = regsync_server_factory(spec=audited)
    server.write_spec(f"{audited}readOnly: true")
    wait_until(lambda: "reload: taken up" in server.log(), what="the edit is taken up")
    server.write_spec(f"{audited}readOnli: true")
    wait_until(lambda: "reload: refused" in server.log(), what="the edit is refused")
    server.stop()
    found = events(server.directory / "audit.log")
    assert [(one["event"], one["outcome"]) for one in found] == [("reload", "done"), ("reload", "failed")]


def test_what_needs_a_restart_is_said(regsync_server_factory: Factory) -> None:
    server = regsync_server_factory(spec=OPEN)
    server.write_spec(f"{OPEN}audit: {{file: audit.log}}")
    wait_until(lambda: "but for what needs a restart: audit" in server.log(), what="the edit is taken up")


TLS = "tls: {cert: server.pem, key: server.key}\n"


def test_a_renewed_certificate_is_served_while_a_transfer_goes_on(
    regsync_server_factory: Factory, tmp_path: Path
) -> None:
    old, new = (issue(made(tmp_path / name)) for name in ("old", "new"))
    files = {"server.pem": old.server_cert.read_text(), "server.key": old.server_key.read_text()}
    server = regsync_server_factory(spec=OPEN + TLS, files=files, certificates=old)
    data = os.urandom(LARGE)
    digest = put_blob(server, data)
    with server.client() as http, http.stream("GET", f"{server.url}/v2/team/app/blobs/{digest}") as answer:
        for name, source in (("server.key", new.server_key), ("server.pem", new.server_cert)):
            (server.directory / name).write_text(source.read_text())
        wait_until(lambda: "reload: taken up" in server.log(), what="the certificate is taken up")
        wait_until(lambda: is_trusted_with(new.ca, server), what="new connections get it")
        assert answer.read() == data
    assert not is_trusted_with(old.ca, server)


def is_trusted_with(ca: Path, server: RegsyncServer) -> bool:
    try:
        with images.client(verify=str(ca)) as http:
            return http.get(f"{server.url}/v2/").status_code == 200
    except httpx.ConnectError:
        return False


def test_a_certificate_that_is_none_is_refused_and_the_old_one_stays(
    regsync_server_factory: Factory, tmp_path: Path
) -> None:
    certificates = issue(made(tmp_path / "ca"))
    files = {
        "server.pem": certificates.server_cert.read_text(),
        "server.key": certificates.server_key.read_text(),
    }
    server = regsync_server_factory(spec=OPEN + TLS, files=files, certificates=certificates)
    (server.directory / "server.pem").write_text("no certificate")
    wait_until(lambda: "reload: refused" in server.log(), what="it is refused")
    assert f"certificate {server.directory / 'server.pem'}" in server.log()
    assert status(server, "GET", "/v2/") == 200


def made(directory: Path) -> Path:
    directory.mkdir()
    return directory


def test_half_open_connections_are_closed_in_time_and_hold_nobody_up(regsync_server_factory: Factory) -> None:
    server = regsync_server_factory(spec=f"{OPEN}limits: {{headerTimeout: 1s}}")
    port = server.process.port
    beginnings = (b"", b"GET /v2/ HT", b"GET /v2/ HTTP/1.1\r\nHost: test\r\nX-Slow: ")
    clients = [RawClient(port) for _ in range(60)]
    try:
        for number, client in enumerate(clients):
            client.send(beginnings[number % len(beginnings)])
        assert status(server, "GET", "/v2/") == 200
        assert {client.rest() for client in clients} == {b""}
    finally:
        for client in clients:
            client.__exit__(None, None, None)


def test_a_head_that_is_too_long_is_431(regsync_server: RegsyncServer) -> None:
    with RawClient(regsync_server.process.port) as client:
        client.request("GET", "/v2/", f"X-Long: {'x' * 300_000}")
        assert client.head().startswith("HTTP/1.1 431 ")


def test_an_upload_that_stalls_ends_with_408_and_keeps_what_came(regsync_server_factory: Factory) -> None:
    server = regsync_server_factory(spec=f"{OPEN}limits: {{bodyTimeout: 1s}}")
    location = started_upload(server)
    with RawClient(server.process.port) as client:
        client.request("PATCH", location, "Content-Length: 100")
        client.send(b"x" * 10)
        assert client.head().startswith("HTTP/1.1 408 ")
    assert received(server, location) == 10


def events(path: Path) -> list[Mapping[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_changes_and_denials_are_audited(regsync_server_factory: Factory) -> None:
    server = regsync_server_factory(
        spec="access: [{subjects: [anonymous], repositories: ['team/**'], actions: [pull, push]}]\n"
        "audit: {file: audit.log}\n"
    )
    image = server.push("team/app", images.image("one"), "v1")
    with server.client() as http:
        refused = http.delete(f"{server.url}/v2/team/app/manifests/v1")
        hidden = http.get(f"{server.url}/v2/other/app/manifests/v1")
    assert (refused.status_code, hidden.status_code) == (403, 403)
    server.stop()
    found = events(server.directory / "audit.log")
    pushed = [one for one in found if one["event"] == "push-manifest" and one["tags"] == ["v1"]]
    assert [(one["outcome"], one["digest"], one["repository"], one["from"]) for one in pushed] == [
        ("done", image.digest, "team/app", "127.0.0.1")
    ]
    assert sum(one["event"] == "push-blob" for one in found) == len(image.blobs)
    denied = [(one["event"], one["repository"], one["id"]) for one in found if one["outcome"] == "denied"]
    assert denied == [
        ("delete-tag", "team/app", refused.headers["x-request-id"]),
        ("pull", "other/app", hidden.headers["x-request-id"]),
    ]


def test_the_audit_file_may_be_renamed_away(regsync_server_factory: Factory) -> None:
    server = regsync_server_factory(spec=f"{OPEN}audit: {{file: audit.log}}\n")
    path = server.directory / "audit.log"
    put_blob(server, b"first")
    wait_until(lambda: path.stat().st_size > 0, what="the first is recorded")
    path.rename(path.with_suffix(".1"))
    put_blob(server, b"second")
    wait_until(path.exists, what="there is a new file")
    wait_until(lambda: path.stat().st_size > 0, what="the second is recorded")
    assert [one["digest"] for one in events(path)] == [images.sha256(b"second")]


def test_without_its_audit_file_the_server_takes_no_changes_and_serves_pulls(
    regsync_server_factory: Factory,
) -> None:
    server = regsync_server_factory(spec=f"{OPEN}audit: {{file: /dev/full}}\n")
    digest = put_blob(server, b"not recorded yet")
    wait_until(lambda: "No space left on device" in server.log(), what="the failure is told of")
    assert status(server, "POST", "/v2/team/app/blobs/uploads/") == 503
    assert status(server, "GET", f"/v2/team/app/blobs/{digest}") == 200
    with server.client() as http:
        answer = http.get(f"{server.url}/readyz")
        assert "regsync_audit_failing 1.0" in http.get(f"{server.url}/metrics").text
    assert (answer.status_code, answer.text) == (503, "not ready: audit file\n")


def test_no_secret_reaches_the_log(regsync_server_factory: Factory) -> None:
    server = regsync_server_factory(options=["--log-format", "json"])
    with server.client(("alice", "hunter2")) as http:
        http.get(f"{server.url}/v2/team/app/tags/list?token=hunter2")
        http.get(f"{server.url}/v2/team/app/tags/list", headers={"authorization": "Bearer hunter2"})
    server.stop()
    lines = [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]
    asked = [one for one in lines if one["event"] == "request"]
    assert [(one["method"], one["path"], one["status"], one["from"]) for one in asked] == [
        ("GET", "/v2/team/app/tags/list", 404, "127.0.0.1")
    ] * 2
    assert all({"time", "id", "who", "sent", "seconds"} <= one.keys() for one in asked)
    assert "hunter2" not in server.log()
    assert "aHVudGVy" not in server.log()


def test_metrics_count_what_was_done(regsync_server: RegsyncServer) -> None:
    image = regsync_server.push("team/app", images.image("one"), "v1")
    with regsync_server.client() as http:
        http.get(f"{regsync_server.url}/v2/team/app/manifests/v1")
        http.get(f"{regsync_server.url}/v2/team/app/manifests/none")
        http.request("BREW", f"{regsync_server.url}/coffee")
        lines = http.get(f"{regsync_server.url}/metrics").text.splitlines()
    pull = 'endpoint="manifest",method="GET"'
    assert f'regsync_http_requests_total{{{pull},status="2xx"}} 1.0' in lines
    assert f'regsync_http_requests_total{{{pull},status="4xx"}} 1.0' in lines
    assert 'regsync_http_requests_total{endpoint="other",method="other",status="4xx"} 1.0' in lines
    assert f"regsync_http_request_seconds_count{{{pull}}} 2.0" in lines
    sent = next(line for line in lines if line.startswith(f"regsync_http_sent_bytes_total{{{pull}}}"))
    assert float(sent.split()[-1]) > len(image.data)
    assert "regsync_storage_tags 1.0" in lines
    assert f"regsync_storage_blobs {len(image.blobs)}.0" in lines
    assert any(line.startswith("process_resident_memory_bytes ") for line in lines)


def test_health_and_readiness_have_a_page_each(regsync_server: RegsyncServer) -> None:
    with regsync_server.client() as http:
        found = [http.get(f"{regsync_server.url}/{page}") for page in ("healthz", "readyz")]
        assert http.post(f"{regsync_server.url}/readyz").status_code == 405
    assert [(one.status_code, one.text) for one in found] == [(200, "alive\n"), (200, "ready\n")]
