"""Parts of the command line that need no command."""

import os
import signal
from datetime import timedelta
from pathlib import Path

import anyio
import click
import pytest

from regsync.cli import main
from regsync.cli.durations import duration
from regsync.cli.images import reference
from regsync.cli.interrupted import Interrupted
from regsync.cli.output import UnwritableFileError, write_file
from regsync.cli.places import Missing, SpecPlaces, UnwritableDirectoryError, stores_of
from regsync.cli.signals import Stop, run_until_signal
from regsync.clock import SystemClock
from regsync.content.errors import ContentNotFoundError
from regsync.errors import RegsyncError, TemporaryError
from regsync.oci.reference import RepositoryName, Tag
from regsync.reconcile.events import ignore
from regsync.reconcile.ledger_memory import MemoryLedger
from regsync.spec.load import load
from regsync.spec.model import Location, Spec

HELLO = RepositoryName("hello")


@pytest.mark.parametrize(
    ("text", "seconds"), [("0s", 0), ("90s", 90), ("15m", 900), ("24h", 86_400), ("2w", 1_209_600)]
)
def test_durations_are_read_as_in_the_spec(text: str, seconds: int) -> None:
    assert duration(click.Context(click.Command("x")), click.Option(["--x"]), text) == timedelta(
        seconds=seconds
    )


@pytest.mark.parametrize("text", ["", "10", "m", "-1s", "1.5h", "1h30m", "9999999d"])
def test_other_durations_are_a_misuse(text: str) -> None:
    with pytest.raises(click.BadParameter):
        duration(click.Context(click.Command("x")), click.Option(["--x"]), text)


def test_work_that_ends_by_itself_gives_its_result() -> None:
    async def work(_: Stop) -> str:
        return "done"

    assert run_until_signal(work) == ("done", None)


def test_an_error_of_the_work_comes_out_as_it_is() -> None:
    async def work(_: Stop) -> None:
        raise RegsyncError("no")

    with pytest.raises(RegsyncError, match="no"):
        run_until_signal(work)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_work_that_has_nothing_to_say(number: signal.Signals) -> None:
    cleaned: list[str] = []

    async def work(_: Stop) -> None:
        try:
            os.kill(os.getpid(), number)
            await anyio.sleep_forever()
        finally:
            cleaned.append("up")

    with pytest.raises(Interrupted) as caught:
        run_until_signal(work)
    assert caught.value.exit_code == 128 + number
    assert cleaned == ["up"]


def test_work_that_fails_while_a_signal_ends_it_was_interrupted_and_says_how_it_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def work(_: Stop) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await anyio.sleep_forever()
        finally:
            raise TemporaryError("tag v1 was given up")

    monkeypatch.setattr(main.root, "main", lambda *_, **__: run_until_signal(work))
    assert main.run(["copy"]) == 143
    assert "error: tag v1 was given up" in capsys.readouterr().err


def test_work_that_asked_for_the_event_ends_itself_and_is_heard() -> None:
    async def work(stop: Stop) -> str:
        event = stop.event
        os.kill(os.getpid(), signal.SIGTERM)
        await event.wait()
        return "partial"

    assert run_until_signal(work) == ("partial", signal.SIGTERM)


def test_a_signal_that_came_first_is_not_lost() -> None:
    async def look() -> bool:
        return Stop(signal=signal.SIGTERM).event.is_set()

    assert anyio.run(look)


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text("old")

    def pieces():  # type: ignore[no-untyped-def]
        yield "new"
        assert path.read_text() == "old"
        yield "er"

    write_file(path, pieces())
    assert path.read_text() == "newer"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_was_not_finished_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text("old")

    def pieces():  # type: ignore[no-untyped-def]
        yield "new"
        raise RegsyncError("no")

    with pytest.raises(RegsyncError):
        write_file(path, pieces())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnwritableFileError, match=r"no/where"):
        write_file(tmp_path / "no" / "where.json", [])


@pytest.fixture
def spec(quickstart: Path) -> Spec:
    return load((quickstart,))


@pytest.mark.anyio
async def test_a_place_gives_the_same_repository_each_time(spec: Spec) -> None:
    stores = stores_of(spec, Missing.CREATE)
    async with SpecPlaces.open(spec, SystemClock(), MemoryLedger(), stores, ignore) as places:
        for registry in ("bundle", "local"):
            location = Location(registry, HELLO)
            assert places.connect(location) is places.connect(location)
        assert await places.repositories("bundle") == ["acme/web", "hello"]
        assert await places.repositories("local") == []
        assert places.requests() == {}


@pytest.mark.anyio
async def test_a_store_that_is_not_there_is_planned_against_as_an_empty_one(spec: Spec) -> None:
    stores = stores_of(spec, Missing.EMPTY)
    assert stores == []
    async with SpecPlaces.open(spec, SystemClock(), MemoryLedger(), stores, ignore) as places:
        with pytest.raises(ContentNotFoundError):
            await places.connect(Location("local", HELLO)).resolve(Tag("latest"))
        await places.may_push(Location("local", HELLO))
    assert not (spec.root / ".regsync").exists()


@pytest.mark.anyio
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_store_that_may_not_be_made_shows_before_it_is_tried(spec: Spec) -> None:
    spec.root.chmod(0o500)
    try:
        async with SpecPlaces.open(spec, SystemClock(), MemoryLedger(), (), ignore) as places:
            with pytest.raises(UnwritableDirectoryError):
                await places.may_push(Location("local", HELLO))
    finally:
        spec.root.chmod(0o700)


@pytest.mark.anyio
async def test_a_file_in_the_way_of_a_store_shows_too(spec: Spec) -> None:
    (spec.root / ".regsync").write_text("")
    async with SpecPlaces.open(spec, SystemClock(), MemoryLedger(), (), ignore) as places:
        with pytest.raises(UnwritableDirectoryError):
            await places.may_push(Location("local", HELLO))


def test_a_reference_on_the_command_line_knows_stores_on_disk(tmp_path: Path) -> None:
    with pytest.raises(RegsyncError):
        reference(f"store:{tmp_path}/a")
