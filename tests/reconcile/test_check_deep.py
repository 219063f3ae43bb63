"""`check --deep`: what is equal is read again, byte for byte, in one pass however often it is interrupted."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsync.content.references import Children
from regsync.errors import TemporaryError
from regsync.oci.digest import Digest
from regsync.oci.platform import Platform
from regsync.plan.check import CheckReport, Drift, State
from regsync.reconcile.check import check
from regsync.reconcile.check_deep import Deep, Throttle
from regsync.reconcile.check_progress import GOES_ON_FOR, Progress
from regsync.reconcile.ledger import Spot
from regsync.spec.model import IndexForm
from tests.reconcile.test_check import told
from tests.reconcile.world import World
from tests.support.clock import FrozenClock
from tests.support.images import Content, image, index

pytestmark = pytest.mark.anyio

ONE, TWO = image("one", layers=2), image("two", layers=1)
MULTI = index(image("app", arch="amd64"), image("app", arch="arm64"))
SPOT = Spot("https://eu.test", "app")


class DownError(TemporaryError):
    """503."""


@pytest.fixture
async def world() -> World:
    """One target that has all that its source has."""
    world = World()
    await world.put("hub/app", ONE, "v1", "v1.0")
    await world.put("hub/app", TWO, "v2")
    await world.put("hub/app", MULTI, "multi")
    world.mirror("app", "hub/app", ["eu/app"])
    await world.sync()
    world.forget_calls()
    return world


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "check-deep.jsonl"


async def deepened(
    world: World, path: Path, *, percent: float = 100.0, rate: int | None = None
) -> CheckReport:
    with Progress.open(path, world.clock) as progress:
        deep = Deep(progress, Throttle(rate, world.clock), percent)
        return (await check(world.spec(), world.engine(), deep=deep)).report


def noted(path: Path, clock: FrozenClock, *contents: bytes) -> str:
    """A pass that has read these and was interrupted; by what it samples."""
    with Progress.open(path, clock) as progress:
        for content in contents:
            progress.note(SPOT, Digest.of(content))
        return progress.seed


def is_done(path: Path, clock: FrozenClock, content: bytes) -> bool:
    with Progress.open(path, clock) as progress:
        return progress.is_done(SPOT, Digest.of(content))


def blobs_of(*contents: Content) -> set[bytes]:
    return {blob for content in contents for node in content.walk() for blob in node.blobs}


def damage(world: World, blob: bytes, instead: bytes | None, path: str = "eu/app") -> None:
    """Have a place hold other bytes under a blob's digest, or none."""
    blobs = world.repository(path)._blobs
    digest = Digest.of(blob)
    if instead is None:
        del blobs[digest]
    else:
        blobs[digest] = instead


async def test_every_blob_of_every_target_is_read_once_and_the_source_is_not(
    world: World, path: Path
) -> None:
    report = await deepened(world, path)
    every = blobs_of(ONE, TWO, MULTI)
    assert report.reread is not None
    assert (report.reread.blobs, report.reread.bytes) == (len(every), sum(map(len, every)))
    assert (report.rows, report.exit_code) == ((), 0)
    assert world.repository("hub/app").count("fetch") == 0
    assert not any(is_done(path, world.clock, blob) for blob in every)  # the pass is over


async def test_a_blob_with_other_bytes_damages_every_tag_that_leads_to_it(world: World, path: Path) -> None:
    layer = ONE.blobs[-1]
    damage(world, layer, b"\0" * len(layer))
    report = await deepened(world, path)
    assert told(report) == {"eu/app:v1": "damaged", "eu/app:v1.0": "damaged"}
    assert str(Digest.of(layer)) in report.rows[0].why
    assert (report.counts[State.EQUAL], report.exit_code) == (2, 2)


@pytest.mark.parametrize(
    ("instead", "drift"),
    [
        pytest.param(None, Drift.INCOMPLETE, id="a blob that is gone"),
        pytest.param(b"", Drift.DAMAGED, id="a blob without bytes"),
        pytest.param(b"short", Drift.DAMAGED, id="a blob that is cut short"),
        pytest.param(b"x" * 10_000, Drift.DAMAGED, id="a blob that is longer than is said"),
    ],
)
async def test_what_is_wrong_with_a_blob(
    world: World, path: Path, instead: bytes | None, drift: Drift
) -> None:
    damage(world, TWO.blobs[0], instead)
    assert told(await deepened(world, path)) == {"eu/app:v2": drift.value}


async def test_a_child_of_an_index_that_is_gone(world: World, path: Path) -> None:
    eu = world.repository("eu/app")
    del eu._manifests[Digest.parse(MULTI.children[0].digest)]
    assert told(await deepened(world, path)) == {"eu/app:multi": "incomplete"}


async def test_children_that_a_sparse_index_leaves_out_are_not_missed(path: Path) -> None:
    world = World()
    await world.put("hub/app", MULTI, "v1")
    amd = (Platform.parse("linux/amd64"),)
    world.mirror("app", "hub/app", ["eu/app"], platforms=amd, index=IndexForm.ORIGINAL)
    world.repository("eu/app")._children = Children.OPTIONAL
    await world.sync()
    report = await deepened(world, path)
    assert report.rows == ()
    assert report.reread is not None
    assert report.reread.blobs == len(blobs_of(MULTI.children[0]))


async def test_what_differs_is_not_read_again(world: World, path: Path) -> None:
    await world.put("eu/app", image("stray"), "v1", "v1.0", "v2")
    report = await deepened(world, path)
    assert report.reread is not None
    assert report.reread.blobs == len(blobs_of(MULTI))


async def test_an_interrupted_pass_goes_on_behind_what_it_has_read(world: World, path: Path) -> None:
    eu = world.repository("eu/app")
    total = len(blobs_of(ONE, TWO, MULTI))
    eu.fail("fetch", DownError("503"), when=str(Digest.of(TWO.blobs[0])))
    failing = eu.failing["fetch"]
    eu.failing["fetch"] = lambda argument: failing(str(argument))
    first = await deepened(world, path)
    assert told(first) == {"eu/app:None": "unreachable"}
    assert first.exit_code == 75
    eu.failing.clear()
    second = await deepened(world, path)
    assert first.reread is not None
    assert second.reread is not None
    assert second.reread.skipped == first.reread.blobs
    assert first.reread.blobs + second.reread.blobs == total
    assert second.rows == ()
    assert not is_done(path, world.clock, TWO.blobs[0])  # the pass is over


async def test_damage_is_told_again_by_the_run_that_goes_on(world: World, path: Path) -> None:
    damage(world, ONE.blobs[-1], b"\0" * len(ONE.blobs[-1]))
    noted(path, world.clock, TWO.blobs[0])
    report = await deepened(world, path)
    assert told(report) == {"eu/app:v1": "damaged", "eu/app:v1.0": "damaged"}
    assert report.reread is not None
    assert report.reread.skipped == 1


async def test_a_sample_is_the_same_in_every_part_of_a_pass(path: Path) -> None:
    world = World()
    for number in range(40):
        await world.put("hub/app", image(f"app{number}", layers=1), f"v{number}")
    world.mirror("app", "hub/app", ["eu/app"])
    await world.sync()
    seed = noted(path, world.clock)
    report = await deepened(world, path, percent=25)
    assert report.reread is not None
    assert report.reread.blobs + report.reread.unsampled == len(
        blobs_of(*(image(f"app{number}", layers=1) for number in range(40)))
    )
    assert 5 <= report.reread.blobs <= 40
    assert noted(path, world.clock) != seed  # the pass was finished: another one takes another sample


async def test_the_rate_is_kept_over_all_places() -> None:
    clock = FrozenClock()
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.advance(seconds)

    throttle = Throttle(1000, clock, sleep)
    for _ in range(5):
        await throttle.moved(500)
    assert sum(slept) == pytest.approx(2.5)


def test_a_pass_that_is_too_old_begins_anew(path: Path) -> None:
    clock = FrozenClock()
    noted(path, clock, b"a")
    clock.advance(timedelta(days=1).total_seconds())
    assert is_done(path, clock, b"a")
    clock.advance(GOES_ON_FOR.total_seconds())
    assert not is_done(path, clock, b"a")


@given(st.lists(st.binary(max_size=4), max_size=8), st.integers(0, 2000), st.binary(max_size=30))
def test_a_file_cut_anywhere_only_loses_lines(
    tmp_path_factory: pytest.TempPathFactory, names: list[bytes], cut: int, rubbish: bytes
) -> None:
    path = tmp_path_factory.mktemp("progress") / "deep.jsonl"
    clock = FrozenClock()
    noted(path, clock, *names)
    path.write_bytes(path.read_bytes()[:cut] + rubbish)
    known = {name for name in names if is_done(path, clock, name)}
    noted(path, clock, b"next")
    assert known <= {name for name in names if is_done(path, clock, name)}
    assert is_done(path, clock, b"next")


@pytest.mark.parametrize(
    "head", ["", "[]", "{}", '{"form": 99}', json.dumps({"form": 1, "began": "now", "seed": 1})]
)
def test_a_file_of_another_kind_is_begun_anew(path: Path, head: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(head + '\n["https://eu.test", "app", "sha256:00"]\n')
    noted(path, FrozenClock())
    assert "sha256:00" not in path.read_text()
