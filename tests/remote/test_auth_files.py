"""Credentials from the container tools' files."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from regsync.remote.auth_files import AuthFile, AuthFiles
from regsync.remote.credentials import Credentials
from regsync.remote.errors import CredentialsError
from tests.support.clock import FrozenClock

pytestmark = pytest.mark.anyio


def auth(user: str, password: str = "secret") -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def write(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def of_user(home: Path, **environ: Path) -> AuthFiles:
    places = {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        **{key: str(path) for key, path in environ.items()},
    }
    return AuthFiles.of_user(FrozenClock(), places)


async def user_of(files: AuthFiles, host: str, repository: str | None = None) -> str | None:
    found = await files.find(host, repository)
    return found.username if found else None


@pytest.mark.parametrize(
    "key",
    [
        "https://index.docker.io/v1/",
        "index.docker.io",
        "docker.io",
        "registry-1.docker.io",
        "https://docker.io",
    ],
)
async def test_docker_hub_is_found_under_all_its_names(tmp_path: Path, key: str) -> None:
    write(tmp_path / ".docker/config.json", {"auths": {key: auth("ci")}})
    assert await user_of(of_user(tmp_path), "docker.io", "library/nginx") == "ci"


@pytest.mark.parametrize(
    "key",
    [
        "ghcr.io",
        "GHCR.io",
        "https://ghcr.io",
        "http://ghcr.io/",
        "https://ghcr.io/v1/",
        "https://ghcr.io/v2/",
        "ghcr.io/v2/",
        "https://ghcr.io/some/path",
    ],
)
async def test_a_host_is_found_in_every_form_that_logins_write(tmp_path: Path, key: str) -> None:
    write(tmp_path / ".docker/config.json", {"auths": {key: auth("ci")}})
    files = of_user(tmp_path)
    assert await user_of(files, "ghcr.io", "acme/app") == "ci"
    assert await user_of(files, "ghcr.io:5000", "acme/app") is None


async def test_the_longest_path_that_fits_wins(tmp_path: Path) -> None:
    entries = {"quay.io": auth("host"), "quay.io/acme": auth("team"), "quay.io/acme/app": auth("app")}
    write(tmp_path / ".config/containers/auth.json", {"auths": entries})
    files = of_user(tmp_path)
    assert await user_of(files, "quay.io", "acme/app") == "app"
    assert await user_of(files, "quay.io", "acme/app/deeper") == "app"
    assert await user_of(files, "quay.io", "acme/application") == "team"
    assert await user_of(files, "quay.io", "other/app") == "host"
    assert await user_of(files, "quay.io") == "host"


async def test_dockers_file_comes_before_podmans(tmp_path: Path) -> None:
    write(tmp_path / ".docker/config.json", {"auths": {"quay.io": auth("docker")}})
    write(
        tmp_path / ".config/containers/auth.json",
        {"auths": {"quay.io": auth("podman"), "ghcr.io": auth("podman")}},
    )
    files = of_user(tmp_path)
    assert await user_of(files, "quay.io") == "docker"
    assert await user_of(files, "ghcr.io") == "podman"


async def test_the_environment_places_the_files(tmp_path: Path) -> None:
    write(tmp_path / "docker/config.json", {"auths": {"a.example": auth("docker")}})
    write(tmp_path / "chosen.json", {"auths": {"b.example": auth("chosen")}})
    write(tmp_path / "run/containers/auth.json", {"auths": {"c.example": auth("run")}})
    here = {"DOCKER_CONFIG": tmp_path / "docker", "XDG_RUNTIME_DIR": tmp_path / "run"}
    assert await user_of(of_user(tmp_path, **here), "a.example") == "docker"
    assert await user_of(of_user(tmp_path, **here), "c.example") == "run"
    files = of_user(tmp_path, **here, REGISTRY_AUTH_FILE=tmp_path / "chosen.json")
    assert await user_of(files, "b.example") == "chosen"
    assert await user_of(files, "c.example") is None


async def test_a_login_in_mid_run_is_seen(tmp_path: Path) -> None:
    files = of_user(tmp_path)
    assert await user_of(files, "quay.io") is None
    write(tmp_path / ".docker/config.json", {"auths": {"quay.io": auth("ci")}})
    assert await user_of(files, "quay.io") == "ci"


async def test_every_form_of_an_entry_is_read(tmp_path: Path) -> None:
    entries = {
        "plain": {"username": "ci", "password": "s:ecret"},
        "colon": auth("ci", "s:ecret"),
        "zero": auth("ci", "secret\0\0"),
        "identity": {**auth("00000000-0000-0000-0000-000000000000", ""), "identitytoken": "refresh"},
        "token-user": auth("<token>", "refresh"),
        "bearer": {"registrytoken": "bearer"},
        "empty": {},
    }
    write(tmp_path / ".docker/config.json", {"auths": entries})
    files = of_user(tmp_path)
    assert await files.find("plain", None) == Credentials("ci", "s:ecret")
    assert await files.find("colon", None) == Credentials("ci", "s:ecret")
    assert await files.find("zero", None) == Credentials("ci", "secret")
    assert (await files.find("identity", None) or Credentials()).identity_token == "refresh"
    assert await files.find("token-user", None) == Credentials(identity_token="refresh")
    assert await files.find("bearer", None) == Credentials(registry_token="bearer")
    assert await files.find("empty", None) is None


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"auths": [], "x": 1}', "auths is not an object"),
        ('{"auths": {"quay.io": "secret"}}', "is not an object"),
        ('{"auths": {"quay.io": {"auth": "!secret!"}}}', "not base64"),
        ('{"auths": {"quay.io": {"auth": "c2VjcmV0"}}}', "not user:password"),
        ('{"auths": {"quay.io": {"auth": "//79/A=="}}}', "not base64 text"),
        ('{"credHelpers": {"quay.io": 1}}', "not the name of a helper"),
        ('{"credsStore": {}}', "not the name of a helper"),
        ('{"auths": {}, "auths": {}}', "stands twice"),
        ("[" * 100_000, "nested deeper"),
        (" " * (1024 * 1024 + 1), "longer than"),
    ],
)
async def test_a_malformed_file_is_named_and_never_shown(tmp_path: Path, document: str, said: str) -> None:
    path = write(tmp_path / ".docker/config.json", document)
    with pytest.raises(CredentialsError, match=said) as raised:
        await of_user(tmp_path).find("quay.io", None)
    assert str(path) in str(raised.value)
    assert "secret" not in str(raised.value)


async def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    (tmp_path / ".docker/config.json").mkdir(parents=True)
    with pytest.raises(CredentialsError, match="Is a directory"):
        await of_user(tmp_path).find("quay.io", None)


def test_an_absent_or_empty_file_is_no_error(tmp_path: Path) -> None:
    assert AuthFile.read(tmp_path / "absent.json") is None
    assert AuthFile.read(write(tmp_path / "empty.json", "")) is not None
    assert AuthFile.read(Path("/dev/null")) is not None  # what people name to have no credentials


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "auth.json")
    with pytest.raises(CredentialsError, match=r"auth\.json: a pipe, a socket or a device"):
        AuthFile.read(tmp_path / "auth.json")


def test_credentials_are_never_printed() -> None:
    credentials = Credentials("ci", "secret", "identity", "bearer")
    assert repr(credentials) == "Credentials()"


def test_a_files_secrets_are_never_printed(tmp_path: Path) -> None:
    file = AuthFile.read(write(tmp_path / "auth.json", {"auths": {"quay.io": auth("ci")}}))
    assert auth("ci")["auth"] not in repr(file)
