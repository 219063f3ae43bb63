import os
from pathlib import Path

import pytest

from regsync.spec.secret import MAX_SECRET_SIZE, MissingSecretError, SecretRef


def test_a_secret_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN_OF_TEST", "hunter2")
    assert SecretRef.from_env("TOKEN_OF_TEST").read() == "hunter2"
    assert SecretRef.from_env("A").read({"A": "b"}) == "b"


@pytest.mark.parametrize(
    ("written", "expected"), [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a ", " a ")]
)
def test_one_newline_at_the_end_of_a_file_is_not_part_of_it(
    tmp_path: Path, written: str, expected: str
) -> None:
    path = tmp_path / "secret"
    path.write_bytes(written.encode())
    assert SecretRef.from_file(path).read() == expected


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (None, "No such file"),
        (b"", "empty"),
        (b"\n", "empty"),
        (b"x" * (MAX_SECRET_SIZE + 1), "longer than"),
        (b"hunter2\xff", "not UTF-8"),
    ],
)
def test_what_is_no_secret_names_the_file_and_never_what_is_in_it(
    tmp_path: Path, content: bytes | None, cause: str
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MissingSecretError, match=cause) as caught:
        SecretRef.from_file(path).read()
    assert str(path) in str(caught.value)
    assert "hunter2" not in repr(caught.value)
    assert caught.value.__cause__ is None or "hunter2" not in repr(caught.value.__cause__)


def test_a_pipe_or_device_is_no_secret_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(MissingSecretError, match=f"{path}: a pipe, a socket or a device"):
            SecretRef.from_file(path).read()


@pytest.mark.parametrize(("environ", "cause"), [({}, "not set"), ({"A": ""}, "empty")])
def test_a_variable_that_holds_nothing_is_named(environ: dict[str, str], cause: str) -> None:
    with pytest.raises(MissingSecretError, match=f"environment variable A: the variable is {cause}"):
        SecretRef.from_env("A").read(environ)


def test_a_reference_does_not_show_what_it_leads_to() -> None:
    assert repr(SecretRef.from_env("A")) == "SecretRef(env='A', file=None)"
