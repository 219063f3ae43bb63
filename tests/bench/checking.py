"""The rows of `check`: a source and four targets at distribution, and servers of ours that are equal."""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import anyio

from regsync.clock import SystemClock
from regsync.oci.manifest import parse_manifest
from regsync.oci.reference import RepositoryName, Tag
from regsync.store.builtin import BuiltinStore
from tests.bench import contenders, measure
from tests.bench.rows import Goal, Outcome, Result, Run, Settings
from tests.remote.repositories import blob, stream
from tests.support import servers
from tests.support.images import Content, image
from tests.support.regsync_server import RegsyncServer

TAGS = 5_000
IMAGES = 50  # that the tags point to
TARGETS = 4
REPOSITORIES = 1_000  # of the registry that is compared as a whole
NAME = "team/app"


def against_distribution(settings: Settings) -> Outcome:
    """Compare 5,000 tags at five distributions."""
    with tempfile.TemporaryDirectory(dir=settings.directory) as name, contextlib.ExitStack() as stack:
        urls = {}
        for number in range(TARGETS + 1):
            directory = Path(name) / f"place{number}"
            directory.mkdir()
            server = stack.enter_context(servers.distribution(directory))
            _fill_distribution(server)
            urls[f"place{number}"] = {"url": server.url}
        targets = [f"{place}/{NAME}" for place in list(urls)[1:]]
        mirror = {"source": f"place0/{NAME}", "targets": targets, "tags": ["*"]}
        result = _measured(settings, Path(name), urls, mirror)
    title = f"check: {TAGS:,} tags at one source and {TARGETS} targets"
    return Outcome("check-distribution", title, [result], (Goal(6.0),), tags=TAGS * TARGETS)


def of_our_own(settings: Settings) -> Outcome:
    """Compare one repository of 5,000 tags at two servers of ours."""
    with _two_of_ours(settings) as (home, registries):
        mirror = {"source": f"one/{NAME}", "targets": [f"two/{NAME}"], "tags": ["*"]}
        result = _measured(settings, home, registries, mirror)
    title = f"check: {TAGS:,} tags at two servers of ours, equal by hash"
    return Outcome("check-ours", title, [result], (Goal(0.5),), tags=TAGS)


def of_whole_registries(settings: Settings) -> Outcome:
    """Compare two servers of ours as a whole."""
    with _two_of_ours(settings) as (home, registries):
        mirror = {
            "source": "one/{repository}",
            "targets": ["two/{repository}"],
            "repositories": {"include": ["**"]},
            "tags": ["*"],
        }
        result = _measured(settings, home, registries, mirror)
    title = f"check: {REPOSITORIES:,} repositories at two servers of ours, equal by hash"
    return Outcome("check-registries", title, [result], (Goal(0.5),), tags=TAGS + 5 * REPOSITORIES)


def _measured(
    settings: Settings, home: Path, registries: Mapping[str, object], mirror: Mapping[str, object]
) -> Result:
    documents = [_document("Registry", name, spec) for name, spec in registries.items()]
    spec = home / "regsync.yaml"
    spec.write_text("\n---\n".join(map(json.dumps, [*documents, _document("Mirror", "bench", mirror)])))
    command = [*contenders.our_program(), "check", str(spec), "--state", str(home / "state")]
    result = Result("regsync")
    for _ in range(settings.rounds):
        result.runs.append(Run(measure.run(command, directory=home, env=contenders.our_environment())))
    return result


def _fill_distribution(server: servers.RegistryServer) -> None:
    """Push the images, and write the other tags to its disk, as it would."""
    images = [image(f"bench{number}", layers=1) for number in range(IMAGES)]
    for number, content in enumerate(images):
        server.push(NAME, content, f"v{number}")
    tags = next(path for path in server.data.rglob("tags") if path.parent.name == "_manifests")
    for number in range(IMAGES, TAGS):
        current = tags / f"v{number}" / "current"
        current.mkdir(parents=True)
        (current / "link").write_text(images[number % IMAGES].digest)


@contextlib.contextmanager
def _two_of_ours(settings: Settings) -> Iterator[tuple[Path, Mapping[str, object]]]:
    with tempfile.TemporaryDirectory(dir=settings.directory) as name, contextlib.ExitStack() as stack:
        home, registries = Path(name), {}
        anyio.run(_fill_store, home / "one")
        shutil.copytree(home / "one", home / "two")
        for place in ("one", "two"):
            directory = home / f"{place}-files"
            directory.mkdir()
            server = stack.enter_context(RegsyncServer(directory, store=home / place))
            registries[place] = {"url": server.url, "provider": "regsync"}
        yield home, registries


async def _fill_store(path: Path) -> None:
    images = [image(f"bench{number}", layers=1) for number in range(IMAGES)]
    async with BuiltinStore.open(path, clock=SystemClock()) as store:
        for number, content in enumerate(images):
            await _put(store, NAME, content, range(number, TAGS, IMAGES))
        for number in range(REPOSITORIES):
            await _put(store, f"many/app{number}", images[number % IMAGES], range(5))


async def _put(store: BuiltinStore, name: str, content: Content, tags: range) -> None:
    repository = store.repository(RepositoryName(name))
    for data in content.blobs:
        await repository.push(blob(data), stream(data))
    manifest = parse_manifest(content.data, content.media_type)
    await repository.put_manifest(manifest, [Tag(f"v{number}") for number in tags])


def _document(kind: str, name: str, spec: object) -> object:
    return {"apiVersion": "regsync.dev/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
