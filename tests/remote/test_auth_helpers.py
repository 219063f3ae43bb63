"""Credential helpers: real programs, some of them bad."""

import json
import os
import stat
from pathlib import Path

import anyio
import pytest

from regsync.remote.auth_files import AuthFiles
from regsync.remote.credential_helper import CredentialHelpers
from regsync.remote.credentials import Credentials
from regsync.remote.errors import CredentialHelperError
from tests.support.clock import FrozenClock

pytestmark = pytest.mark.anyio

GOOD = (
    'read server; echo "$server" >> "$0.asked"; echo \'{"ServerURL": "x", "Username": "ci", "Secret": "s3"}\''
)


@pytest.fixture
def bin(tmp_path: Path) -> Path:
    directory = tmp_path / "bin"
    directory.mkdir()
    return directory


def install(bin: Path, script: str, name: str = "test") -> Path:
    program = bin / f"docker-credential-{name}"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def helpers(bin: Path, clock: FrozenClock | None = None, *, time_limit: float = 20) -> CredentialHelpers:
    environ = {"PATH": f"{bin}:{os.environ['PATH']}"}
    return CredentialHelpers(clock or FrozenClock(), environ=environ, time_limit=time_limit)


async def test_a_helper_is_asked_as_docker_asks(bin: Path) -> None:
    install(bin, 'test "$1" = get && ' + GOOD)
    assert await helpers(bin).get("test", "quay.io") == Credentials("ci", "s3")


async def test_an_answer_is_kept_for_an_hour_and_asked_for_once(bin: Path, clock: FrozenClock) -> None:
    asked = install(bin, GOOD).with_suffix(".asked")
    ours = helpers(bin, clock)
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(ours.get, "test", "quay.io")
    assert asked.read_text() == "quay.io\n"
    clock.advance(3599)
    await ours.get("test", "quay.io")
    assert len(asked.read_text().splitlines()) == 1
    clock.advance(2)
    await ours.get("test", "quay.io")
    assert len(asked.read_text().splitlines()) == 2
    ours.forget()
    await ours.get("test", "quay.io")
    assert len(asked.read_text().splitlines()) == 3


async def test_an_identity_token_is_one(bin: Path) -> None:
    install(bin, 'echo \'{"ServerURL": "x", "Username": "<token>", "Secret": "refresh"}\'')
    assert await helpers(bin).get("test", "x.azurecr.io") == Credentials(identity_token="refresh")


@pytest.mark.parametrize(
    "script",
    ["echo 'credentials not found in native keychain'; exit 1", 'echo \'{"Username": "", "Secret": ""}\''],
)
async def test_knowing_nothing_is_no_error(bin: Path, script: str) -> None:
    install(bin, script)
    assert await helpers(bin).get("test", "quay.io") is None


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo s3cret", "not JSON"),
        ("echo '\"s3cret\"'", "not an object"),
        ('echo \'{"Username": "s3cret"}\'', "without Username and Secret"),
        ("exit 0", "not JSON"),
        ("head -c 1000000 /dev/zero", "more than 65536 bytes"),
        (
            "echo 'token has expired, run aws sso login'; exit 3",
            "exit code 3: token has expired, run aws sso login",
        ),
        ("kill -9 $$", "exit code -9"),
    ],
)
async def test_what_is_wrong_with_a_helper_is_said_with_its_name(bin: Path, script: str, said: str) -> None:
    install(bin, script)
    with pytest.raises(CredentialHelperError, match=said) as raised:
        await helpers(bin).get("test", "quay.io")
    assert "docker-credential-test" in str(raised.value)
    assert "s3cret" not in str(raised.value)


async def test_a_helper_that_hangs_is_ended_with_all_it_started(bin: Path, tmp_path: Path) -> None:
    install(bin, f"sleep 1000 & echo $! > {tmp_path}/child; wait")
    with pytest.raises(CredentialHelperError, match="no answer for"):
        await helpers(bin, time_limit=0.3).get("test", "quay.io")
    child = int((tmp_path / "child").read_text())
    with anyio.fail_after(5):
        while _runs(child):  # noqa: ASYNC110 - another program's end sets no event
            await anyio.sleep(0.01)


async def test_a_helper_that_failed_is_asked_once_for_each_server(bin: Path, clock: FrozenClock) -> None:
    asked = install(bin, 'read server; echo "$server" >> "$0.asked"; echo broken; exit 1').with_suffix(
        ".asked"
    )
    ours = helpers(bin, clock)
    for server in ("quay.io", "quay.io", "ghcr.io"):
        with pytest.raises(CredentialHelperError, match=f"failed for {server} .*: broken"):
            await ours.get("test", server)
    clock.advance(7200)
    ours.forget()
    with pytest.raises(CredentialHelperError, match="broken"):
        await ours.get("test", "quay.io")
    assert asked.read_text().split() == ["quay.io", "ghcr.io"]


async def test_a_helper_that_hung_costs_its_time_once(bin: Path) -> None:
    asked = install(bin, 'read server; echo "$server" >> "$0.asked"; sleep 1000').with_suffix(".asked")
    ours = helpers(bin, time_limit=0.3)
    for _ in range(3):
        with pytest.raises(CredentialHelperError, match="no answer for quay"):
            await ours.get("test", "quay.io")
    assert asked.read_text().split() == ["quay.io"]


async def test_a_missing_helper_says_what_to_do(bin: Path) -> None:
    with pytest.raises(CredentialHelperError, match="docker-credential-absent is not on PATH") as raised:
        await helpers(bin).get("absent", "quay.io")
    assert "credsStore" in str(raised.value.hint)


@pytest.mark.parametrize("name", ["../evil", "a b", "", "-x", "a;b", "x" * 100])
async def test_a_name_that_is_a_path_is_refused(bin: Path, name: str) -> None:
    with pytest.raises(CredentialHelperError, match="not a name"):
        await helpers(bin).get(name, "quay.io")


async def test_a_file_names_the_helper_of_one_server_or_of_all(bin: Path, tmp_path: Path) -> None:
    install(bin, 'echo \'{"Username": "one", "Secret": "s3"}\'', "one")
    all_of_them = install(
        bin, 'read s; echo "$s" >> "$0.asked"; echo "credentials not found in native keychain"; exit 1', "all"
    )
    config = tmp_path / "config.json"
    entry = {"auth": "Y2k6c2VjcmV0"}
    document = {
        "credHelpers": {"1.dkr.ecr.eu-west-1.amazonaws.com": "one"},
        "credsStore": "all",
        "auths": {"ghcr.io": entry, "https://index.docker.io/v1/": {}},
    }
    config.write_text(json.dumps(document))
    files = AuthFiles([config], helpers(bin))
    assert await files.find("1.dkr.ecr.eu-west-1.amazonaws.com", "app") == Credentials("one", "s3")
    assert await files.find("ghcr.io", "acme/app") == Credentials("ci", "secret")
    assert await files.find("docker.io", "library/nginx") is None
    assert all_of_them.with_suffix(".asked").read_text().split() == ["ghcr.io", "https://index.docker.io/v1/"]


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
