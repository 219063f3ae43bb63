"""The rows of the comparison: DESIGN.md, section 9, the engine's part, and what a run asks of registries.

A row says which profile, which network, who competes, and which goal binds. All but the start-up rows go
the same way: contenders in turn (ours, theirs, ours, theirs), each round on targets in the same state.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.bench import contenders, measure, world
from tests.bench.contenders import Contender
from tests.bench.measure import RunFailedError, Usage
from tests.bench.world import Traffic, World

MIB = 1 << 20
MEMORY_GOAL = 100 * MIB  # bytes, plus MEMORY_PER_TAG
MEMORY_PER_TAG = 1024  # bytes


@dataclass(frozen=True)
class Settings:
    """What the person who runs it chose."""

    directory: Path
    rounds: int
    slow_rounds: int
    keys: Mapping[str, object] = field(default_factory=dict)
    """Further keys of our Mirror, to see what a default costs."""
    only: Sequence[str] = ()
    """Contenders to run, by the beginning of their names; empty for all."""


@dataclass(frozen=True)
class Run:
    """One run of one contender."""

    usage: Usage
    source: Traffic = field(default_factory=Traffic)
    target: Traffic = field(default_factory=Traffic)
    """All targets together."""


@dataclass
class Result:
    """All runs of one contender in one row; its medians."""

    name: str
    runs: list[Run] = field(default_factory=list)
    failure: str = ""
    """Why it is out of the race; the others go on."""

    @property
    def seconds(self) -> float:
        """Median wall clock, seconds."""
        return median(run.usage.seconds for run in self.runs)

    @property
    def cpu_seconds(self) -> float:
        """Median CPU, seconds."""
        return median(run.usage.cpu_seconds for run in self.runs)

    @property
    def peak_bytes(self) -> int:
        """The largest peak of all runs, bytes."""
        return max(run.usage.peak_bytes for run in self.runs)

    @property
    def last(self) -> Run:
        """The last run, for its counts."""
        return self.runs[-1]


@dataclass(frozen=True)
class Goal:
    """Ours over theirs at most `ratio`, or, without `against`, at most `ratio` seconds."""

    ratio: float
    against: str | None = None


@dataclass
class Outcome:
    """What a row found."""

    row: str
    title: str
    results: list[Result]
    goals: Sequence[Goal] = ()
    tags: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Copying:
    """A row in which a profile is copied.

    Attributes:
        competitors: makes the contenders; ours comes first.
        latency: milliseconds in front of each side.
        again: whether the targets are full already, so that there is nothing to do.
        counts_blobs: note how often the source's blobs were read.
    """

    name: str
    title: str
    profile: str
    competitors: Callable[[Settings], Sequence[Contender | None]]
    goals: Sequence[Goal] = ()
    latency: int = 0
    targets: int = 1
    again: bool = False
    into_store: bool = False
    tags: int = 0

    def __call__(self, settings: Settings) -> Outcome:
        """Run it."""
        offered = [one for one in self.competitors(settings) if one is not None]
        competing = [one for one in offered if _wanted(one, settings)]
        results = [Result(one.name) for one in competing]
        directory = settings.directory
        with world.build(directory, self.profile, latency=self.latency, targets=self.targets) as place:
            for number in range(settings.rounds):
                for one, result in zip(competing, results, strict=True):
                    if result.failure or (one.slow and number >= settings.slow_rounds):
                        continue
                    try:
                        result.runs.append(self._round(directory, place, one, check=number == 0))
                    except (RunFailedError, AssertionError) as error:
                        result.failure = str(error)
        outcome = Outcome(self.name, self.title, results, self.goals, self.tags)
        outcome.notes += _blob_reads(results)
        return outcome

    def _round(self, parent: Path, place: World, one: Contender, *, check: bool) -> Run:
        home = parent / "contender"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        place.wipe_targets()
        if self.again:
            measure.run(one.command(place, home), directory=home, env=one.env)
        place.mark()
        usage = measure.run(one.command(place, home), directory=home, env=one.env)
        run = Run(usage, place.source.traffic(), _together([target.traffic() for target in place.targets]))
        if check and not self.into_store:
            place.check_targets()
        return run


def _engines(settings: Settings) -> list[Contender | None]:
    return [
        contenders.ours(keys=settings.keys),
        contenders.regclient(tuned=True),
        contenders.ocync(),
        contenders.regclient(tuned=False),
    ]


def _with_crane(settings: Settings) -> list[Contender | None]:
    return [
        contenders.ours(keys=settings.keys),
        contenders.regclient(tuned=True),
        contenders.crane(),
        contenders.ocync(),
    ]


def _against_crane(settings: Settings) -> list[Contender | None]:
    return [contenders.ours(keys=settings.keys), contenders.crane()]


def _into_a_directory(settings: Settings) -> list[Contender | None]:
    return [contenders.ours(keys=settings.keys, store=True), contenders.regclient(tuned=True, layout=True)]


def _immutable(settings: Settings) -> list[Contender | None]:
    return [contenders.ours(keys={"immutable": ["v*"], **settings.keys})]


COPYING = (
    Copying(
        "cold-loopback",
        "cold, loopback",
        "small",
        _engines,
        (Goal(1.0, "ocync"), Goal(0.9, "regclient, tuned")),
        tags=500,
    ),
    Copying(
        "cold-20ms",
        "cold, 20 ms to each side, default settings",
        "small",
        _engines,
        (Goal(0.5, "ocync"), Goal(0.4, "regclient, tuned")),
        latency=20,
        tags=500,
    ),
    Copying(
        "nothing-20ms",
        "nothing to do, 20 ms, default settings",
        "small",
        _engines,
        (Goal(0.4, "ocync"), Goal(0.6, "regclient, tuned")),
        latency=20,
        again=True,
        tags=500,
    ),
    Copying(
        "nothing-loopback",
        "nothing to do, loopback",
        "small",
        _engines,
        (Goal(0.35),),
        again=True,
        tags=500,
    ),
    Copying(
        "multi-loopback",
        "cold, indexes of two platforms, loopback",
        "multi",
        _with_crane,
        tags=50,
    ),
    Copying(
        "store",
        "cold into the built-in store, fsync included (peer: an OCI layout, no fsync)",
        "small",
        _into_a_directory,
        (Goal(2.0),),
        into_store=True,
        tags=500,
    ),
    Copying(
        "large",
        "1 GiB in 8 blobs, every byte hashed",
        "large",
        _with_crane,
        (Goal(1.5),),
        tags=4,
    ),
    Copying(
        "fan-out",
        "1 source to 3 targets, 1 GiB (crane: three times in a row)",
        "large",
        _against_crane,
        (Goal(0.6, "crane copy"),),
        targets=3,
        tags=12,
    ),
    Copying(
        "immutable",
        "nothing to do over 5,000 immutable tags",
        "wide",
        _immutable,
        again=True,
        tags=5_000,
    ),
)


def _wanted(one: Contender, settings: Settings) -> bool:
    return not settings.only or any(one.name.startswith(prefix) for prefix in settings.only)


def _together(parts: Sequence[Traffic]) -> Traffic:
    whole = Traffic()
    for part in parts:
        whole.requests += part.requests
        whole.blob_bytes += part.blob_bytes
    return whole


def _blob_reads(results: Sequence[Result]) -> list[str]:
    """How much each read from the source, against who read least."""
    read = {result.name: result.last.source.blob_bytes for result in results if result.runs}
    least = min(read.values(), default=0)
    if not least:
        return []
    parts = (f"{name} {size / MIB:.1f} MiB (x {size / least:.2f})" for name, size in read.items())
    return ["blob bytes read from the source: " + ", ".join(parts)]
