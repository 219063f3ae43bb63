"""The command line against real registries."""

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from regsync.cli.engines import writing_engine
from regsync.cli.options import RunOptions
from regsync.cli.running import load_spec
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName, Tag
from regsync.reconcile.events import ignore
from regsync.reconcile.lease import LeaseLostError
from regsync.spec.model import Location
from tests.cli.command_line import QUICKSTART, Regsync
from tests.support.certificates import Certificates
from tests.support.clock import FrozenClock
from tests.support.fake_registry import FakeRegistry, error, hang
from tests.support.images import image, index, push, referrer
from tests.support.registry_state import read_digest, read_tags
from tests.support.servers import RegistryServer
from tests.support.token_server import TokenServer


def write_spec(
    path: Path, source: str, target: str, *, repository: str, copy: str, auth: object = None, tag: str = "v*"
) -> Path:
    documents = [
        {"kind": "Registry", "metadata": {"name": "source"}, "spec": {"url": source}},
        {
            "kind": "Registry",
            "metadata": {"name": "target"},
            "spec": {"url": target, **({"auth": auth} if auth else {})},
        },
        {
            "kind": "Mirror",
            "metadata": {"name": "app"},
            "spec": {"source": f"source/{repository}", "targets": [f"target/{copy}"], "tags": [tag]},
        },
    ]
    text = "\n---\n".join(json.dumps({"apiVersion": "regsync.dev/v1", **one}) for one in documents)
    path.write_text(text)
    return path


@pytest.mark.parametrize("tag", ["v1", "v*"])
def test_a_source_repository_that_is_not_there_is_told_from_a_tag_that_is_not(
    regsync: Regsync, distribution: RegistryServer, repository: str, tmp_path: Path, tag: str
) -> None:
    absent = f"{repository}/absent"

    def problem(name: str) -> str:
        spec = write_spec(
            tmp_path / "regsync.yaml",
            distribution.url,
            distribution.url,
            repository=name,
            copy="copy",
            tag=tag,
        )
        (action,) = json.loads(regsync("plan", spec, "-o", "json").out)["actions"]
        return str(action["problem"]["message"])

    assert problem(absent).startswith(f"{distribution.host}/{absent}: there is no such repository")
    push(distribution.url, repository, image("a"), "other")
    assert "no such repository" not in problem(repository)
    for command in (["inspect"], ["copy"]):
        target = [f"oci:{tmp_path}/out"] if command == ["copy"] else []
        assert "no such repository" in regsync(*command, f"{distribution.url}/{absent}:v1", *target).err
        assert "tag v1 not found" in regsync(*command, f"{distribution.url}/{repository}:v1", *target).err


def test_a_registry_that_keeps_a_run_waiting_is_named_while_it_does(
    regsync: Regsync, fake_registry: FakeRegistry, tmp_path: Path
) -> None:
    push(fake_registry.url, "team/app", image("a"), "v1")
    spec = write_spec(
        tmp_path / "regsync.yaml", fake_registry.url, fake_registry.url, repository="team/app", copy="copy"
    )
    for command in (("inspect", f"{fake_registry.url}/team/app:v1"), ("plan", spec)):
        fake_registry.on("(GET|HEAD)", "/v2/team/app/.*", error(503, "UNAVAILABLE"), times=2)
        ran = regsync(*command)
        (line,) = [line for line in ran.err.splitlines() if line.startswith("waiting: ")]
        assert fake_registry.host in line
        assert line.endswith("; trying again for up to 30 s")
    fake_registry.on("(GET|HEAD)", "/v2/team/app/.*", error(503, "UNAVAILABLE"), times=2)
    events = [json.loads(line) for line in regsync("plan", spec, "--log-format", "json").err.splitlines()]
    (event,) = [event for event in events if event["event"] == "registry-waited"]
    assert (event["registry"], event["level"], event["seconds"]) == (fake_registry.host, "warning", 30)


def test_from_one_repository_to_another(
    regsync: Regsync, distribution: RegistryServer, repository: str, tmp_path: Path
) -> None:
    app = index(image("a", arch="amd64"), image("a", arch="arm64"))
    push(distribution.url, repository, app, "v1", "v2", "other")
    push(distribution.url, repository, referrer(app, artifact_type="application/spdx+json", data=b"{}"))
    spec = write_spec(
        tmp_path / "regsync.yaml",
        distribution.url,
        distribution.url,
        repository=repository,
        copy=f"{repository}-copy",
    )
    assert regsync("plan", spec).code == 2
    assert read_tags(distribution.url, f"{repository}-copy") == []
    ran = regsync("sync", spec, "-o", "json")
    assert ran.code == 0, ran.err
    assert sorted(read_tags(distribution.url, f"{repository}-copy")) == ["v1", "v2"]
    assert read_digest(distribution.url, f"{repository}-copy", "v1") == app.digest
    report = json.loads(ran.out)
    assert report["summary"]["create"] == 2
    assert report["run"]["requests"]["source"]
    assert regsync("plan", spec).code == 0


def test_copy_and_inspect_speak_to_registries(
    regsync: Regsync, distribution: RegistryServer, repository: str
) -> None:
    target = f"{distribution.url}/{repository}"
    ran = regsync("copy", f"oci:{QUICKSTART}/images/acme/web:latest", f"{target}:v1")
    assert ran.code == 0, ran.err
    document = json.loads(regsync("inspect", f"{target}:v1", "-o", "json").out)
    assert [one["artifactType"] for one in document["referrers"]] == ["application/spdx+json"]


def test_a_target_that_may_not_be_written_shows_in_the_plan(
    regsync: Regsync,
    distribution: RegistryServer,
    distribution_factory: Callable[..., RegistryServer],
    repository: str,
    tmp_path: Path,
) -> None:
    push(distribution.url, repository, image("a"), "v1")
    readonly = distribution_factory(readonly=True)
    spec = write_spec(
        tmp_path / "regsync.yaml", distribution.url, readonly.url, repository=repository, copy="copy"
    )
    ran = regsync("plan", spec)
    assert ran.code == 1
    assert "x v1" in ran.out


def test_a_registry_that_wants_a_long_wait_is_worth_another_try(
    regsync: Regsync, fake_registry: FakeRegistry, tmp_path: Path
) -> None:
    fake_registry.on("GET", r"/v2/.*", error(429, "TOOMANYREQUESTS", retry_after="3600"))
    url = fake_registry.url
    spec = write_spec(tmp_path / "regsync.yaml", url, url, repository="a", copy="b")
    ran = regsync("plan", spec)
    assert ran.code == 75
    assert "3600 s" in ran.out


SECRET = "hunter2-and-more"


def test_secrets_come_from_the_environment_and_never_show(
    regsync: Regsync,
    distribution_factory: Callable[..., RegistryServer],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    server = distribution_factory(htpasswd={"ci": SECRET})
    auth = {"username": {"env": "REG_USER"}, "password": {"env": "REG_PASSWORD"}}
    spec = write_spec(
        tmp_path / "regsync.yaml", "http://127.0.0.1:1", server.url, repository="a", copy="b", auth=auth
    )
    source = f"oci:{QUICKSTART}/images/hello"
    spec.write_text(
        spec.read_text()
        .replace('"url": "http://127.0.0.1:1"', f'"layout": "{QUICKSTART}/images"')
        .replace('"source/a"', '"source/hello"')
        .replace('"v*"', '"1.*"')
    )
    ran = regsync("sync", spec)
    assert ran.code == 1
    assert "REG_USER" in ran.out
    monkeypatch.setenv("REG_USER", "ci")
    monkeypatch.setenv("REG_PASSWORD", "wrong-" + SECRET)
    ran = regsync("plan", spec)
    assert ran.code == 1
    assert SECRET not in ran.out + ran.err
    monkeypatch.setenv("REG_PASSWORD", SECRET)
    ran = regsync("sync", spec, "-o", "json", "--log-format", "json")
    assert ran.code == 0, ran.err
    assert SECRET not in ran.out + ran.err
    assert regsync("copy", f"{source}:1.1.0", f"{server.url}/c").code == 1, (
        "the spec's secrets are the spec's"
    )


def test_what_docker_login_left_is_used_without_a_spec(
    regsync: Regsync,
    distribution_factory: Callable[..., RegistryServer],
    token_server: TokenServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    server = distribution_factory(tokens=token_server)
    login = base64.b64encode(b"ci:secret").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {server.host: {"auth": login}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    target = f"{server.url}/web:v1"
    assert regsync("copy", f"oci:{QUICKSTART}/images/acme/web:latest", target).code == 0
    assert regsync("inspect", target).code == 0


def test_a_missing_right_to_push_shows_in_the_plan(
    regsync: Regsync,
    distribution_factory: Callable[..., RegistryServer],
    token_server: TokenServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    token_server.grants["ci"] = {"pull"}
    server = distribution_factory(tokens=token_server)
    monkeypatch.setenv("REG_PASSWORD", "secret")
    monkeypatch.setenv("REG_USER", "ci")
    auth = {"username": {"env": "REG_USER"}, "password": {"env": "REG_PASSWORD"}}
    spec = write_spec(tmp_path / "regsync.yaml", "x", server.url, repository="hello", copy="b", auth=auth)
    spec.write_text(
        spec.read_text().replace('"url": "x"', f'"layout": "{QUICKSTART}/images"').replace('"v*"', '"1.*"')
    )
    ran = regsync("plan", spec)
    assert ran.code == 1
    assert "does not grant push" in ran.out


def test_a_private_authority_is_trusted_where_the_spec_says_so(
    regsync: Regsync,
    distribution_factory: Callable[..., RegistryServer],
    certificates: Certificates,
    tmp_path: Path,
) -> None:
    server = distribution_factory(certificates=certificates)
    spec = write_spec(tmp_path / "regsync.yaml", "x", server.url, repository="hello", copy="b")
    text = spec.read_text().replace('"url": "x"', f'"layout": "{QUICKSTART}/images"').replace('"v*"', '"1.*"')
    spec.write_text(text)
    ran = regsync("plan", spec)
    assert ran.code == 1
    assert "certificate" in ran.out
    spec.write_text(
        text.replace(f'"url": "{server.url}"', f'"url": "{server.url}", "tls": {{"ca": "{certificates.ca}"}}')
    )
    ran = regsync("sync", spec)
    assert ran.code == 0, ran.out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_with_the_report_of_what_was_done(
    fake_registry: FakeRegistry, tmp_path: Path, number: signal.Signals
) -> None:
    app = image("a")
    push(fake_registry.url, "app", app, "v1")
    fake_registry.on("GET", r"/v2/app/blobs/.*", hang())
    spec = write_spec(
        tmp_path / "regsync.yaml", fake_registry.url, fake_registry.url, repository="app", copy="copy"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "regsync", "sync", str(spec), "-o", "json", "--log-format", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "REGSYNC_DEBUG": "1"},
    )
    assert process.stderr is not None
    for line in process.stderr:
        if json.loads(line)["event"] == "action-started":
            break
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 128 + number, err
    report = json.loads(out)
    assert report["run"]["interrupted"] is True
    assert read_tags(fake_registry.url, "copy") == []


@pytest.mark.anyio
async def test_a_registry_gets_nothing_more_from_a_run_whose_lease_ran_out(
    fake_registry: FakeRegistry, tmp_path: Path
) -> None:
    app = fake_registry.add("app", image("app"))
    spec = write_spec(
        tmp_path / "regsync.yaml", fake_registry.url, fake_registry.url, repository="app", copy="copy"
    )
    run, clock = (
        RunOptions((spec,), "text", (), {}, (), tmp_path / "ledger.db", None, "text", True),
        FrozenClock(),
    )
    desc = Descriptor(app.media_type, Digest.parse(app.digest), app.size)

    opened = writing_engine(load_spec(run), run, clock, ignore, command="sync", wait=timedelta())
    async with opened as engine:
        store = engine.places.connect(Location("target", RepositoryName("app")))
        await store.push_manifest(desc, app.data, tag=Tag("v1"))
        clock.advance(30)
        with pytest.raises(LeaseLostError):
            await store.push_manifest(desc, app.data, tag=Tag("v2"))

    assert set(fake_registry.tags("app")) == {"v1"}
