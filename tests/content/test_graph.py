"""Reading what is below a manifest: bounds, shared children, platforms, what is not carried."""

import hashlib
import json
from typing import Any

import pytest

from regsync.content import graph as graphs
from regsync.content.errors import (
    ContentTooLargeError,
    ForeignLayerError,
    GraphTooDeepError,
    GraphTooLargeError,
    NoPlatformError,
    SizeMismatchError,
)
from regsync.content.graph import MAX_DEPTH, Graph, Shape, Sparse, Trimmed, read_graph, subjects_below
from regsync.content.image_config import MAX_CONFIG_SIZE
from regsync.content.manifests import Manifests
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import InvalidManifestError, UnsupportedManifestError
from regsync.oci.media_type import OCI_CONFIG
from regsync.oci.platform import Platform
from tests.content.places import Repository
from tests.support.images import (
    DOCKER_SCHEMA1,
    OCI_INDEX,
    OCI_MANIFEST,
    Content,
    artifact,
    as_json,
    buildkit_index,
    image,
    index,
)

pytestmark = pytest.mark.anyio

AMD64 = Platform.parse("linux/amd64")


@pytest.fixture
def source() -> Repository:
    return Repository("source")


async def read(source: Repository, content: Content, shape: Shape = None) -> Graph:
    return await read_graph(Manifests(), [source], await source.add_image(content), shape=shape)


def plant(source: Repository, document: dict[str, Any], media_type: str = OCI_INDEX) -> Descriptor:
    """Serve a document that no honest registry would have taken."""
    raw = as_json(document)
    desc = Descriptor(media_type, Digest.of(raw), len(raw))
    source._manifests[desc.digest] = (desc, raw)
    return desc


def digests(graph: Graph) -> list[str]:
    return [str(node.descriptor.digest) for node in graph.nodes]


async def test_a_child_that_is_shared_is_read_once(source: Repository) -> None:
    shared = image("shared")
    app = index(index(shared, image("a")), index(shared, image("b")), shared)

    graph = await read(source, app)

    assert digests(graph).count(shared.digest) == 1
    assert len(graph.nodes) == 6
    assert digests(graph)[-1] == app.digest
    assert source.calls["manifest"] == 6
    assert graph.size == app.total_size()


def nested(levels: int) -> Content:
    node = image("leaf")
    for _ in range(levels):
        node = index(node)
    return node


async def test_indexes_are_followed_so_deep_and_no_deeper(source: Repository) -> None:
    assert len((await read(source, nested(MAX_DEPTH))).nodes) == MAX_DEPTH + 1

    with pytest.raises(GraphTooDeepError, match=f"deeper than {MAX_DEPTH}"):
        await read(source, nested(MAX_DEPTH + 1))


async def test_an_index_that_contains_itself_is_refused(source: Repository) -> None:
    desc = await source.add_image(image("app"))
    liar = Descriptor(OCI_INDEX, desc.digest, 0)
    raw = as_json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [{"mediaType": OCI_INDEX, "digest": str(desc.digest), "size": 1}],
        }
    )
    source._manifests[desc.digest] = (liar, raw)

    with pytest.raises((GraphTooDeepError, SizeMismatchError)):
        await read_graph(Manifests(), [source], Descriptor(OCI_INDEX, desc.digest, len(raw)))


async def test_ten_thousand_and_one_children_are_refused(source: Repository) -> None:
    entries = [
        {
            "mediaType": OCI_MANIFEST,
            "digest": "sha256:" + hashlib.sha256(str(n).encode()).hexdigest(),
            "size": 1,
        }
        for n in range(10_001)
    ]
    desc = plant(source, {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})

    with pytest.raises(InvalidManifestError, match="10001 entries"):
        await read_graph(Manifests(), [source], desc)


async def test_more_manifests_than_memory_should_hold_are_refused(
    source: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphs, "MAX_MANIFESTS_SIZE", 10_000)

    with pytest.raises(GraphTooLargeError, match="10000 bytes"):
        await read(source, index(*(image(f"{number}") for number in range(30))))


async def test_a_manifest_over_four_mebibytes_is_not_read(source: Repository) -> None:
    desc = plant(source, {"schemaVersion": 2, "manifests": [], "annotations": {"a": "x" * 4 * 1024 * 1024}})

    with pytest.raises(InvalidManifestError, match="at most"):
        await read_graph(Manifests(), [source], desc)


async def test_schema_1_is_called_by_its_name(source: Repository) -> None:
    desc = plant(source, {"schemaVersion": 1, "name": "old", "fsLayers": []}, DOCKER_SCHEMA1)

    with pytest.raises(UnsupportedManifestError, match="schema 1"):
        await read_graph(Manifests(), [source], desc)


async def test_a_foreign_layer_is_called_by_its_name(source: Repository) -> None:
    app = image("windows")
    document = json.loads(app.data)
    document["layers"][0]["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    foreign = Content(app.media_type, as_json(document), app.blobs)
    root = await source.add_image(foreign)

    with pytest.raises(ForeignLayerError, match="foreign"):
        await read_graph(Manifests(), [source], root)


async def test_one_digest_with_two_sizes_is_a_lie(source: Repository) -> None:
    app = image("app", layers=[b"layer"])
    document = json.loads(app.data)
    document["layers"].append({**document["layers"][0], "size": 999})
    desc = plant(source, document, OCI_MANIFEST)

    with pytest.raises(SizeMismatchError, match="999"):
        await read_graph(Manifests(), [source], desc)


async def test_a_child_of_another_size_than_its_index_says_is_a_lie(source: Repository) -> None:
    app = image("app")
    await source.add_image(app)
    entry = {**app.descriptor(), "size": app.size + 1}
    desc = plant(source, {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]})

    with pytest.raises(SizeMismatchError):
        await read_graph(Manifests(), [source], desc)


@pytest.mark.parametrize("shape", [Trimmed((AMD64,)), Sparse((AMD64,))])
async def test_only_wanted_platforms_are_carried_and_buildkits_attestations_follow(
    source: Repository, shape: Shape
) -> None:
    app = buildkit_index("app", ("amd64", "arm64", "s390x"))

    graph = await read(source, app, shape)

    assert len(graph.nodes) == 3, "an image, its attestation and the index"
    assert (digests(graph)[-1] == app.digest) is isinstance(shape, Sparse)
    assert len(graph.left_out) == (4 if isinstance(shape, Sparse) else 0)


async def test_a_nested_index_is_kept_whole(source: Repository) -> None:
    inner = index(image("x", arch="arm64"), image("y", arch="s390x"))
    graph = await read(source, index(image("a"), image("b", arch="arm64"), inner), Trimmed((AMD64,)))

    assert len(graph.nodes) == 1 + 1 + 3


async def test_an_artifact_without_platforms_is_taken_whole(source: Repository) -> None:
    chart = artifact("application/vnd.cncf.helm.config.v1+json")

    assert digests(await read(source, chart, Trimmed((AMD64,)))) == [chart.digest]
    both = index(chart, artifact("text/plain", {"text/plain": b"readme"}))
    assert digests(await read(source, both, Trimmed((AMD64,))))[-1] == both.digest


async def test_no_wanted_platform_is_an_error_that_names_those_there_are(source: Repository) -> None:
    app = index(image("a", arch="arm64"), image("b", arch="s390x"))

    with pytest.raises(NoPlatformError, match="linux/amd64; it has linux/arm64, linux/s390x"):
        await read(source, app, Trimmed((AMD64,)))


@pytest.mark.parametrize("shape", [Trimmed((AMD64,)), Sparse((AMD64,))])
@pytest.mark.parametrize(("arch", "os"), [("arm64", "linux"), ("amd64", "windows")])
async def test_a_single_image_for_another_platform_is_an_error_too(
    source: Repository, shape: Shape, arch: str, os: str
) -> None:
    with pytest.raises(NoPlatformError, match=f"is for none of linux/amd64; it has {os}/{arch}"):
        await read(source, image("app", arch=arch, os=os), shape)


@pytest.mark.parametrize("docker", [False, True])
async def test_a_single_image_for_a_wanted_platform_is_taken_and_its_config_read_once(
    source: Repository, docker: bool
) -> None:
    app = image("app", arch="arm", variant="v7", docker=docker)
    root, manifests = await source.add_image(app), Manifests()
    for _ in range(2):
        shape = Trimmed((AMD64, Platform.parse("linux/arm/v7")))
        graph = await read_graph(manifests, [source], root, shape=shape)
        assert digests(graph) == [app.digest]
    assert source.calls["fetch"] == 1


@pytest.mark.parametrize(
    "config",
    [
        b"{",
        b"[]",
        b"{}",
        b'{"os": "linux"}',
        b'{"os": 1, "architecture": []}',
        pytest.param(b'{"os": "%s", "architecture": "amd64"}' % (b"x" * 200_000), id="a long os"),
        pytest.param(b'{"os": "linux/amd64", "architecture": "v8"}', id="more than one part"),
    ],
)
async def test_an_image_that_says_no_platform_is_taken_whole(source: Repository, config: bytes) -> None:
    size = {"size": len(config), "digest": str(source.add(config).digest)}
    document = {"schemaVersion": 2, "config": {"mediaType": OCI_CONFIG, **size}, "layers": []}
    root = plant(source, document, OCI_MANIFEST)
    graph = await read_graph(Manifests(), [source], root, shape=Trimmed((AMD64,)))
    assert len(graph.nodes) == 1


async def test_a_config_beyond_all_bounds_is_not_read(source: Repository) -> None:
    huge = {"mediaType": OCI_CONFIG, "size": MAX_CONFIG_SIZE + 1, "digest": str(Digest.of(b""))}
    root = plant(source, {"schemaVersion": 2, "config": huge, "layers": []}, OCI_MANIFEST)
    with pytest.raises(ContentTooLargeError, match="config"):
        await read_graph(Manifests(), [source], root, shape=Trimmed((AMD64,)))
    assert source.calls["fetch"] == 0


@pytest.mark.parametrize("shape", [None, Trimmed((AMD64,)), Sparse((AMD64,))])
async def test_the_subjects_of_evidence_are_the_graph_and_reading_them_reads_indexes_alone(
    source: Repository, shape: Shape
) -> None:
    app = index(image("a"), image("b", arch="arm64"), index(image("x"), image("y")))
    graph = await read(source, app, shape)
    source.calls.clear()

    found = await subjects_below(Manifests(), [source], await source.add_image(app), shape=shape)

    assert sorted(map(str, found)) == sorted(digests(graph))
    assert str(found[0]) == digests(graph)[-1]
    assert source.calls["manifest"] == 2
