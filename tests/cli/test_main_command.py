import subprocess
import sys

import click
import pytest

from regsync import __version__
from regsync.cli import failures
from regsync.cli.failures import Manner
from regsync.cli.main import VERBS, root
from regsync.errors import RefusedError, RegsyncError, SpecError, TemporaryError, UsageError
from tests.cli.command_line import QUICKSTART, Regsync


def test_help_lists_every_verb_without_loading_one(regsync: Regsync) -> None:
    ran = regsync("--help")
    assert ran.code == 0
    assert all(f"\n  {name} " in ran.out for name in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(regsync: Regsync, verb: str) -> None:
    assert regsync(verb, "--help").code == 0
    context = click.Context(root)
    command = root.get_command(context, verb)
    assert command is not None
    assert command.help


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["sink"], id="an unknown verb"),
        pytest.param(["plan", "--nope"], id="an unknown option"),
        pytest.param(["plan", "-o", "pdf"], id="a format that there is not"),
        pytest.param(["plan", "--report", "x.xml"], id="a report of an unknown suffix"),
        pytest.param(["plan", "-l", "team"], id="a label without a value"),
        pytest.param(["plan", "-l", "a=1", "-l", "a=2"], id="a label with two values"),
        pytest.param(["sync", "--wait", "soon"], id="a duration that is none"),
        pytest.param(["sync", "--exit-zero"], id="exit-zero where nothing is pending"),
        pytest.param(["apply"], id="a missing argument"),
        pytest.param(["inspect", "store:x/y"], id="a store that is not there"),
        pytest.param(["inspect", "a b"], id="no reference"),
        pytest.param(["store", "stats", "/nonexistent"], id="no store"),
        pytest.param(["apply", "/nonexistent/plan.json"], id="a plan that is not there"),
    ],
)
def test_misuse_exits_with_64_and_a_message(regsync: Regsync, arguments: list[str]) -> None:
    ran = regsync(*arguments)
    assert ran.code == 64
    assert ran.err.startswith("error: ")
    assert ran.out == ""
    assert "Traceback" not in ran.err


def test_an_unknown_verb_gets_the_nearest_name(regsync: Regsync) -> None:
    assert "Did you mean 'sync'?" in regsync("sinc").err


@pytest.mark.parametrize(
    ("arguments", "error", "command"),
    [
        (["sink\x1b[2J"], "no such command 'sink\\x1b[2J'", "regsync"),
        (["plan", "--nope"], "no such option '--nope'", "regsync plan"),
        (["store", "stats"], "missing argument 'STORE'", "regsync store stats"),
        (
            ["sync", "--wait", "soon"],
            "invalid value for '--wait': 'soon': expected a duration",
            "regsync sync",
        ),
        (["sync", "--exit-zero"], "--exit-zero is about pending changes", "regsync sync"),
    ],
)
def test_misuse_reads_like_every_other_error(
    regsync: Regsync, arguments: list[str], error: str, command: str
) -> None:
    first, hint = regsync(*arguments).err.splitlines()
    assert first.startswith(f"error: {error}")
    assert hint == f"hint: `{command} --help` shows what it takes"


def test_without_a_verb_the_verbs_are_shown(regsync: Regsync) -> None:
    ran = regsync()
    assert ran.code == 64
    assert all(f"\n  {name} " in ran.err for name in VERBS)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RegsyncError("x"), 1),
        (RefusedError("x"), 3),
        (UsageError("x"), 64),
        (SpecError("x"), 65),
        (TemporaryError("x"), 75),
        (ValueError("x"), 70),
        (ExceptionGroup("x", [TemporaryError("a"), RegsyncError("b")]), 1),
        (ExceptionGroup("x", [TemporaryError("a"), ExceptionGroup("y", [RefusedError("b")])]), 3),
        (ExceptionGroup("x", [TemporaryError("a"), ValueError("b")]), 70),
    ],
)
def test_every_error_has_its_exit_code(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failures.handle(error, Manner()) == code
    assert "Traceback" not in capsys.readouterr().err


class HintedError(RegsyncError):
    @property
    def hint(self) -> str:
        return "turn it\x1b[2J off and on"


def test_an_error_is_its_message_and_its_hint(capsys: pytest.CaptureFixture[str]) -> None:
    failures.handle(HintedError("ghcr.io: says \x1b[31mno\nforged: line"), Manner())
    assert capsys.readouterr().err == (
        "error: ghcr.io: says \\x1b[31mno\n  forged: line\nhint: turn it\\x1b[2J off and on\n"
    )


def test_an_error_is_a_line_of_json_where_the_log_is(capsys: pytest.CaptureFixture[str]) -> None:
    failures.handle(HintedError("no"), Manner(json_log=True))
    line = capsys.readouterr().err
    assert '"event": "error"' in line
    assert line.count("\n") == 1


def test_a_defect_shows_its_traceback_only_when_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REGSYNC_DEBUG", raising=False)
    failures.handle(ValueError("secret"), Manner())
    shown = capsys.readouterr().err
    assert "REGSYNC_DEBUG=1" in shown
    assert "secret" not in shown
    monkeypatch.setenv("REGSYNC_DEBUG", "1")
    try:
        raise ValueError("secret")
    except ValueError as error:
        failures.handle(error, Manner())
    assert "Traceback" in capsys.readouterr().err


def module(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "regsync", *arguments], capture_output=True, text=True, check=False
    )


def test_the_module_is_the_command() -> None:
    assert module("--version").stdout == f"regsync {__version__}\n"
    assert module("plan", "--nope").returncode == 64


def test_a_reader_that_goes_away_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "regsync", "inspect", f"oci:{QUICKSTART}/images/acme/web:latest"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() == 0
