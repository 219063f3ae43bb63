"""The audit log: what is worth a line, and that no line is lost while its file fails."""

import errno
import json
import os
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from regsync.server.audit import AuditFileError, AuditLog
from regsync.server.audit_record import record
from regsync.server.failures import ApiError
from regsync.server.garbage import Collected
from regsync.server.message import MAX_QUERY_FIELDS
from regsync.server.metrics import RequestMetrics
from tests.server.exchanges import exchange, request
from tests.support.clock import FrozenClock

pytestmark = pytest.mark.anyio

DIGEST = "sha256:" + "a" * 64
UPLOADS = "/v2/team/app/blobs/uploads/"
MANIFEST, TAG = f"/v2/team/app/manifests/{DIGEST}", "/v2/team/app/manifests/v1"
BLOB = f"/v2/team/app/blobs/{DIGEST}"
KNOWN = {"authorization": "Basic eDp5"}


@pytest.mark.parametrize(
    ("method", "path", "query", "status", "event", "outcome"),
    [
        pytest.param("PUT", TAG, "", 201, "push-manifest", "done", id="a pushed tag"),
        pytest.param("PUT", MANIFEST, "", 201, "push-manifest", "done", id="a pushed digest"),
        pytest.param("PUT", TAG, "", 500, "push-manifest", "failed", id="a push that failed"),
        pytest.param("PUT", TAG, "", None, "push-manifest", "unknown", id="a client that left"),
        pytest.param("DELETE", TAG, "", 202, "delete-tag", "done", id="a deleted tag"),
        pytest.param("DELETE", MANIFEST, "", 202, "delete-manifest", "done", id="a deleted manifest"),
        pytest.param("DELETE", BLOB, "", 202, "delete-blob", "done", id="a deleted blob"),
        pytest.param("POST", UPLOADS, f"digest={DIGEST}", 201, "push-blob", "done", id="a blob at once"),
        pytest.param("POST", UPLOADS, f"mount={DIGEST}", 201, "mount-blob", "done", id="a mount"),
        pytest.param("PUT", f"{UPLOADS}x", "", 201, "push-blob", "done", id="the end of an upload"),
        pytest.param("POST", UPLOADS, "", 403, "push-blob", "denied", id="an upload that is denied"),
        pytest.param("GET", TAG, "", 403, "pull", "denied", id="a pull that is denied"),
        pytest.param("GET", TAG, "", 401, "pull", "denied", id="a pull without a login"),
        pytest.param("GET", TAG, "", 429, "pull", "rate-limited", id="a login that came too soon"),
    ],
)
def test_changes_and_denials_have_a_line(
    method: str, path: str, query: str, status: int | None, event: str, outcome: str
) -> None:
    found = record(exchange(request(method, path, query=query), status, who="builder"))
    assert found is not None
    assert (found["event"], found["outcome"], found["repository"]) == (event, outcome, "team/app")
    assert (found["who"], found["from"], found["id"]) == ("builder", "192.0.2.7", "id-1")


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "outcome"),
    [
        pytest.param("PUT", TAG, 409, "TAG_IMMUTABLE", "denied", id="an immutable tag"),
        pytest.param("DELETE", MANIFEST, 405, "DENIED", "denied", id="a manifest in use"),
        pytest.param("PATCH", f"{UPLOADS}x", 405, "DENIED", "denied", id="a read-only registry"),
        pytest.param("POST", TAG, 405, "UNSUPPORTED", None, id="a method that there is not"),
        pytest.param("PUT", f"{UPLOADS}x", 409, "BLOB_UPLOAD_INVALID", None, id="an upload that is busy"),
    ],
)
def test_what_is_a_denial_is_told_by_the_error(
    method: str, path: str, status: int, code: str, outcome: str | None
) -> None:
    found = record(exchange(request(method, path), status, code=code))
    assert (found["outcome"] if found is not None else None) == outcome


@pytest.mark.parametrize("status", [401, 403, 429])
def test_who_may_not_read_the_metrics_has_a_line(status: int) -> None:
    found = record(exchange(request("GET", "/metrics"), status, who="builder"))
    assert found is not None
    assert (found["event"], found["who"], found["repository"]) == ("metrics", "builder", None)


@pytest.mark.parametrize("status", [403, 500])
def test_a_push_that_was_not_done_has_the_tags_that_it_was_to_set(status: int) -> None:
    query = f"tag=v1&tag=v2&tag={'x' * 500}"
    found = record(exchange(request("PUT", MANIFEST, query=query), status))
    assert found is not None
    assert (found["tags"], found["digest"]) == (["v1", "v2"], DIGEST)


def test_a_query_that_is_too_long_has_no_tags() -> None:
    found = record(exchange(request("PUT", MANIFEST, query="tag=v1&" * (MAX_QUERY_FIELDS + 1)), 403))
    assert found is not None
    assert found["tags"] == []


def test_refused_logins_are_counted_by_what_was_wrong() -> None:
    counted = RequestMetrics(Collected())
    for status in (401, 403, 403, 429, 429, 429):
        counted.answered(exchange(request("GET", TAG, headers=KNOWN), status))
    assert (counted.wrong_credentials, counted.denials, counted.rate_limited) == (1, 2, 3)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", TAG, 200, id="a pull"),
        pytest.param("GET", TAG, 404, id="a pull of nothing"),
        pytest.param("PUT", TAG, 400, id="a manifest that is none"),
        pytest.param("POST", UPLOADS, 202, id="the beginning of an upload"),
        pytest.param("PATCH", f"{UPLOADS}x", 202, id="a chunk"),
        pytest.param("PATCH", f"{UPLOADS}x", None, id="a chunk that was cut"),
        pytest.param("DELETE", f"{UPLOADS}x", 204, id="an upload that is given up"),
        pytest.param("GET", "/v2/", 401, id="a client that asks how to log in"),
        pytest.param("GET", "/favicon.ico", 404, id="what is no part of the API"),
    ],
)
def test_what_changes_nothing_has_none(method: str, path: str, status: int | None) -> None:
    assert record(exchange(request(method, path), status)) is None


def test_wrong_credentials_have_a_line_wherever_they_are_shown() -> None:
    found = record(exchange(request("GET", "/v2/", headers=KNOWN), 401))
    assert found is not None
    assert (found["event"], found["outcome"], found["who"]) == ("login", "denied", None)


def test_a_pushed_manifest_has_its_digest_and_every_tag() -> None:
    headers = {"docker-content-digest": DIGEST, "oci-tag": "v1.2"}
    found = record(exchange(request("PUT", TAG), 201, answered=headers))
    assert found is not None
    assert (found["tags"], found["digest"]) == (["v1", "v1.2"], DIGEST)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        pytest.param("a/" * 300 + "a", "v1", id="a repository"),
        pytest.param("a", "v" * 600, id="a tag"),
        pytest.param("a", "sha256:" + "a" * 600, id="a digest"),
    ],
)
def test_names_that_nothing_can_have_make_no_long_lines(name: str, reference: str) -> None:
    found = record(exchange(request("PUT", f"/v2/{name}/manifests/{reference}"), 403))
    assert found is not None
    assert len(json.dumps(found)) < 500


async def flushed(log: AuditLog) -> None:
    """Let it write what it has, and end."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(log.run)
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()


def lines(path: Path) -> list[Mapping[str, Any]]:
    """The lines that are whole."""
    found = []
    for line in path.read_text().splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            assert not line.endswith("}")
    return found


async def test_nothing_is_lost_when_the_file_takes_half_of_it_and_all_later(tmp_path: Path) -> None:
    path, told = tmp_path / "audit.log", list[AuditFileError | None]()
    log = AuditLog(path, FrozenClock(), told.append)
    log.open()
    for number in range(20):
        log.note({"event": "test", "number": number})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))  # bytes; in the middle of a line
    try:
        await flushed(log)
        assert path.stat().st_size == 500
        assert isinstance(told[0], AuditFileError)
        with pytest.raises(ApiError, match="changes are refused"):
            log.require()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    log.note({"event": "test", "number": 20})
    await flushed(log)
    assert [one["number"] for one in lines(path)] == list(range(21))
    assert told[1:] == [None]
    log.require()


class Disk:
    """Stands in for `os.writev`: full, or not; `asked` has what it was given each time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_full, self.asked = True, list[list[object]]()
        self._writev = os.writev
        monkeypatch.setattr("regsync.server.audit.os.writev", self.writev)

    def writev(self, file: int, parts: list[Any]) -> int:
        self.asked.append(parts)
        if self.is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._writev(file, parts)


@pytest.mark.parametrize(
    ("method", "status", "outcome"),
    [pytest.param("GET", 403, "denied", id="denials"), pytest.param("PUT", 500, "failed", id="failures")],
)
async def test_what_changed_nothing_does_not_fill_the_memory_while_the_file_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, method: str, status: int, outcome: str
) -> None:
    monkeypatch.setattr("regsync.server.audit.MOST_OF_NOTHING", 2)
    path, disk = tmp_path / "audit.log", Disk(monkeypatch)
    log = AuditLog(path, FrozenClock(), lambda failure: None)
    for _ in range(4):
        log.answered(exchange(request(method, TAG), status))
        await flushed(log)
    log.answered(exchange(request("PUT", TAG), 201))
    disk.is_full = False
    await flushed(log)
    found = [(one["event"], one["outcome"], one.get("count")) for one in lines(path)]
    assert [one[1:] for one in found[:2]] == [(outcome, None)] * 2
    assert found[2:] == [("push-manifest", "done", None), ("left-out", outcome, 2)]


async def test_what_is_refused_since_the_file_fails_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path, disk = tmp_path / "audit.log", Disk(monkeypatch)
    log = AuditLog(path, FrozenClock(), lambda failure: None)
    log.answered(exchange(request("PUT", TAG), 201))
    await flushed(log)
    with pytest.raises(ApiError) as refused:
        log.require()
    for _ in range(3):
        log.answered(exchange(request("PUT", TAG), 503, failure=refused.value))
    disk.is_full = False
    await flushed(log)
    assert [one["outcome"] for one in lines(path)] == ["done"]


async def test_what_waits_is_not_put_together_again_for_each_try(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    log = AuditLog(Path("/dev/full"), FrozenClock(), lambda failure: None)
    for _ in range(3):
        log.answered(exchange(request("PUT", TAG), 201))
        await flushed(log)
    assert len({id(waiting) for _, waiting in disk.asked}) == 1


async def test_a_file_in_a_directory_that_is_gone_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(AuditFileError, match="No such file or directory"):
        AuditLog(tmp_path / "gone" / "audit.log", FrozenClock(), print).open()
