"""`regsync store export` and `import`: what goes out comes in again, whole, and nothing else does."""

import io
import json
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
import zstandard

from regsync.content.references import Children
from regsync.oci.reference import RepositoryName, Tag
from regsync.store.builtin import BuiltinStore
from tests.cli.command_line import Regsync
from tests.contract.places import put
from tests.support.images import (
    Content,
    as_json,
    cosign_signature,
    cosign_tag,
    fallback_index,
    fallback_tag,
    image,
    index,
    noise,
    referrer,
    sha256,
)

MULTI = index(image("web"), image("web", arch="arm64"))
BIG = image("big", layers=[noise("big", 3_000_000), b"small"])
SUFFIXES = [".tar", ".tar.zst"]
Members = dict[str, bytes]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two repositories, with evidence of both kinds, shared layers, and an image without a tag."""
    anyio.run(fill, tmp_path / "store")
    return tmp_path / "store"


async def fill(path: Path) -> None:
    async with BuiltinStore.open(path) as opened:
        web = opened.repository(RepositoryName("team/web"))
        await put(web, MULTI, "v1", "latest")
        await put(web, referrer(MULTI))
        await put(web, cosign_signature(MULTI), cosign_tag(MULTI))
        await put(web, image("untagged"))
        await put(opened.repository(RepositoryName("docker.io/library/big")), BIG, "1.0")


async def add(path: Path, repository: str, content: Content, *tags: str) -> None:
    async with BuiltinStore.open(path) as opened:
        where = opened.repository(RepositoryName(repository), children=Children.OPTIONAL)
        await put(where, content, *tags)


async def tags_and_repositories(path: Path) -> tuple[int, list[str]]:
    async with BuiltinStore.open(path) as opened:
        return (await opened.stats()).tags, list(await opened.repositories())


def export(regsync: Regsync, store: Path, archive: Path | str, *images: str) -> dict[str, int]:
    """The bytes copied and reused."""
    ran = regsync("store", "export", str(store), str(archive), *images, "-o", "json")
    assert ran.code == 0, ran.err
    found: dict[str, int] = json.loads(ran.out)["bytes"]
    return found


def members(archive: Path) -> Members:
    with tarfile.open(archive) as tar:
        return {one.name: tar.extractfile(one).read() for one in tar if one.isfile()}  # type: ignore[union-attr]


def written(archive: Path, files: Members) -> Path:
    with tarfile.open(archive, "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return archive


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_store_goes_out_and_comes_in_again_whole(
    regsync: Regsync, store: Path, tmp_path: Path, suffix: str
) -> None:
    archive, again = tmp_path / f"all{suffix}", tmp_path / "again.tar"
    export(regsync, store, archive)
    ran = regsync("store", "import", str(archive), f"store:{tmp_path}/copy//")
    assert ran.code == 0, ran.out + ran.err
    assert regsync("store", "fsck", str(tmp_path / "copy")).code == 0
    for path in (store, tmp_path / "copy"):
        export(regsync, path, again)
        again.rename(tmp_path / f"{path.name}.tar")
    assert (tmp_path / "store.tar").read_bytes() == (tmp_path / "copy.tar").read_bytes()


def test_a_stream_needs_no_file_on_either_side(store: Path, tmp_path: Path) -> None:
    regsync = [sys.executable, "-m", "regsync", "store"]
    with subprocess.Popen([*regsync, "export", str(store), "-"], stdout=subprocess.PIPE) as out:
        done = subprocess.run(
            [*regsync, "import", "-", f"store:{tmp_path}/copy//below", "-o", "json"],
            stdin=out.stdout,
            capture_output=True,
            check=False,
        )
    assert (out.returncode, done.returncode) == (0, 0), done.stderr
    report = json.loads(done.stdout)
    assert {one["outcome"] for one in report["images"]} == {"done"}
    _, names = anyio.run(tags_and_repositories, tmp_path / "copy")
    assert names == ["below/docker.io/library/big", "below/team/web"]


def test_an_image_goes_with_its_evidence_and_nothing_else(
    regsync: Regsync, store: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "web.tar"
    export(regsync, store, archive, "team/web:v1")
    found = members(archive)
    listed = json.loads(found["index.json"])["manifests"]
    names = {one["annotations"].get("org.opencontainers.image.ref.name") for one in listed}
    assert names == {"v1", cosign_tag(MULTI), None}  # tags alone: it is one repository
    evidence = [referrer(MULTI), cosign_signature(MULTI)]
    wanted = {one.digest for whole in (MULTI, *evidence) for one in whole.walk()}
    wanted |= {digest for whole in (MULTI, *evidence) for digest in whole.all_blobs()}
    assert {name.replace("blobs/sha256/", "sha256:") for name in found if "blobs" in name} == wanted
    assert all(name.endswith(sha256(data)[7:]) for name, data in found.items() if "blobs" in name)


def test_what_a_fallback_tag_lists_and_the_store_lacks_keeps_no_image_in(
    regsync: Regsync, store: Path, tmp_path: Path
) -> None:
    gone = referrer(MULTI, data=b"gone")
    anyio.run(add, store, "team/web", replace(fallback_index(gone), children=()), fallback_tag(MULTI))
    archive = tmp_path / "web.tar"

    export(regsync, store, archive, "team/web:v1")

    found = members(archive)
    assert f"blobs/sha256/{referrer(MULTI).digest[7:]}" in found
    assert f"blobs/sha256/{gone.digest[7:]}" not in found


def test_the_same_content_gives_the_same_bytes(regsync: Regsync, store: Path, tmp_path: Path) -> None:
    for name in ("one.tar", "two.tar"):
        export(regsync, store, tmp_path / name)
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_second_export_reads_only_what_is_new_from_the_store(
    regsync: Regsync, store: Path, tmp_path: Path, suffix: str
) -> None:
    archive = tmp_path / f"all{suffix}"
    first = export(regsync, store, archive)
    whole = archive.read_bytes()
    assert export(regsync, store, archive) == {"copied": 0, "reused": first["copied"]}
    assert archive.read_bytes() == whole
    new = image("new", layers=[b"a new layer"])
    anyio.run(add, store, "team/web", new, "v2")
    assert export(regsync, store, archive) == {
        "copied": sum(map(len, new.blobs)),
        "reused": first["copied"],
    }
    assert regsync("store", "import", str(archive), f"store:{tmp_path}/copy//").code == 0
    assert regsync("store", "fsck", str(tmp_path / "copy")).code == 0
    assert export(regsync, store, archive, "team/web:v2")["copied"] == 0
    assert len(members(archive)) == 2 + 1 + len(new.blobs) if suffix == ".tar" else True


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_something_else_in_the_file_is_replaced(
    regsync: Regsync, store: Path, tmp_path: Path, suffix: str
) -> None:
    archive = tmp_path / f"all{suffix}"
    archive.write_bytes(b"no archive at all, but longer than a footer")
    assert export(regsync, store, archive)["reused"] == 0
    assert [one.name for one in tmp_path.iterdir() if one.name != "store"] == [archive.name]


def test_damage_in_the_store_stops_the_export_and_keeps_the_earlier_archive(
    regsync: Regsync, store: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "all.tar"
    export(regsync, store, archive, "team/web:v1")
    before = archive.read_bytes()
    for file in (store / "blobs").rglob("*"):
        if file.is_file() and file.stat().st_size == 3_000_000:
            file.write_bytes(noise("other", 3_000_000))
    ran = regsync("store", "export", str(store), str(archive))
    assert ran.code == 1
    assert sha256(BIG.blobs[1]) in ran.err
    assert archive.read_bytes() == before


@pytest.mark.parametrize("at", [1, 3, 9, 15, 22])
def test_a_kill_leaves_the_earlier_archive(regsync: Regsync, store: Path, tmp_path: Path, at: int) -> None:
    archive = tmp_path / "all.tar"
    export(regsync, store, archive, "team/web:v1")
    before = archive.read_bytes()
    command = [sys.executable, "-c", DIES, str(at), "store", "export", str(store), str(archive)]
    died = subprocess.run(command, capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert archive.read_bytes() == before
    export(regsync, store, archive)
    assert [one.name for one in tmp_path.iterdir() if one.name != "store"] == [archive.name]


DIES = """
import os, signal, sys
from regsync.cli.main import run
from regsync.content.durable import PartFile
left, real = int(sys.argv[1]), PartFile.write
def write(self, buffers):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    real(self, buffers)
PartFile.write = write
run(sys.argv[2:])
"""


def test_an_import_again_brings_nothing(regsync: Regsync, store: Path, tmp_path: Path) -> None:
    archive = tmp_path / "all.tar"
    export(regsync, store, archive)
    ran = regsync("store", "import", str(archive), f"store:{store}", "-o", "json")
    assert json.loads(ran.out)["bytes"]["copied"] == 0


def test_an_index_with_some_of_its_platforms_stays_as_it_is(regsync: Regsync, tmp_path: Path) -> None:
    archive = tmp_path / "sparse.tar"
    one = MULTI.children[0]
    anyio.run(add, tmp_path / "store", "web", one)
    anyio.run(add, tmp_path / "store", "web", Content(MULTI.media_type, MULTI.data), "v1")
    export(regsync, tmp_path / "store", archive)
    ran = regsync("store", "import", str(archive), f"store:{tmp_path}/copy//")
    assert ran.code == 0, ran.out
    found, read = anyio.run(manifest, tmp_path / "copy", "web", "v1")
    assert (found, read) == (MULTI.digest, MULTI.data)
    export(regsync, tmp_path / "copy", tmp_path / "again.tar")
    assert (tmp_path / "again.tar").read_bytes() == archive.read_bytes()


async def manifest(path: Path, repository: str, tag: str) -> tuple[str, bytes]:
    async with BuiltinStore.open(path) as opened:
        desc, raw = await opened.repository(RepositoryName(repository)).manifest(Tag(tag))
        return str(desc.digest), raw


def layout(content: Content, *, name: str = "web:v1") -> Members:
    """A layout of one image, as other tools write it: blobs first."""
    files = {f"blobs/sha256/{digest[7:]}": data for digest, data in content.all_blobs().items()}
    files |= {f"blobs/sha256/{one.digest[7:]}": one.data for one in content.walk()}
    entry = content.descriptor(annotations={"org.opencontainers.image.ref.name": name})
    files["index.json"] = as_json({"schemaVersion": 2, "manifests": [entry]})
    files["oci-layout"] = b'{"imageLayoutVersion": "1.0.0"}'
    return files


IMAGE = image("web")
LAYER = f"blobs/sha256/{sha256(IMAGE.blobs[1])[7:]}"


@pytest.mark.parametrize(
    ("named", "target", "repository"),
    [
        pytest.param("web:v1", "", "web", id="a repository and a tag"),
        pytest.param("web:v1", "pre/fix", "pre/fix/web", id="below a prefix"),
        pytest.param("v1", "pre/fix", "pre/fix", id="a tag alone is of the prefix itself"),
        pytest.param("ghcr.io/acme/web:v1", "", "ghcr.io/acme/web", id="a host is a part of the name"),
        pytest.param("localhost:5000/web:v1", "", "localhost-5000/web", id="a port, too"),
    ],
)
def test_names_that_others_write_are_understood(
    regsync: Regsync, tmp_path: Path, named: str, target: str, repository: str
) -> None:
    archive = written(tmp_path / "a.tar", layout(IMAGE, name=named))
    ran = regsync("store", "import", str(archive), f"store:{tmp_path}/copy//{target}")
    assert ran.code == 0, ran.out + ran.err
    assert regsync("inspect", f"store:{tmp_path}/copy/{repository}:v1").code == 0


def test_a_tag_alone_needs_a_target_with_a_name(regsync: Regsync, tmp_path: Path) -> None:
    archive = written(tmp_path / "a.tar", layout(IMAGE, name="v1"))
    ran = regsync("store", "import", str(archive), f"store:{tmp_path}/copy//")
    assert ran.code == 64
    assert "names none" in ran.err


def without(name: str) -> Callable[[Members], Members]:
    return lambda files: {key: data for key, data in files.items() if key != name}


def with_file(name: str, data: bytes) -> Callable[[Members], Members]:
    return lambda files: {**files, name: data}


DAMAGED: list[tuple[str, Callable[[Members], Members], str]] = [
    ("a layer is missing", without(LAYER), "not found"),
    ("a layer is another", with_file(LAYER, noise("wrong", 1000)), "expected sha256"),
    ("a layer is longer than it should be", with_file(LAYER, bytes(5000)), "5000 bytes"),
    ("the manifest is another", with_file(f"blobs/sha256/{IMAGE.digest[7:]}", IMAGE.data + b" "), "sha256"),
    ("the manifest is missing", without(f"blobs/sha256/{IMAGE.digest[7:]}"), "not found"),
    ("there is no index", without("index.json"), "index.json"),
    ("there is no marker", without("oci-layout"), "oci-layout"),
    ("the index is no JSON", with_file("index.json", b"{"), "index.json"),
    ("the index is immense", with_file("index.json", b" " * 40_000_000), "at most"),
    ("the version is unknown", with_file("oci-layout", b'{"imageLayoutVersion": "7"}'), "imageLayoutVersion"),
]


@pytest.mark.parametrize(("spoil", "told"), [pytest.param(*one[1:], id=one[0]) for one in DAMAGED])
@pytest.mark.parametrize("how", ["file", "stream"])
def test_what_is_damaged_gets_no_tag(
    regsync: Regsync, tmp_path: Path, spoil: Callable[[Members], Members], told: str, how: str
) -> None:
    files = spoil(layout(IMAGE))
    if how == "stream":
        first = ["oci-layout", "index.json", f"blobs/sha256/{IMAGE.digest[7:]}"]
        files = {name: files[name] for name in (*first, *files) if name in files}
    archive = written(tmp_path / "a.tar", files)
    if how == "stream":
        archive = tmp_path / "a.tar.zst"
        archive.write_bytes(zstandard.compress((tmp_path / "a.tar").read_bytes()))
    ran = regsync("store", "import", str(archive), f"store:{tmp_path}/copy//")
    assert ran.code == 1
    assert told in ran.out + ran.err
    if (tmp_path / "copy").exists():
        assert anyio.run(tags_and_repositories, tmp_path / "copy")[0] == 0


def test_a_compressed_archive_in_another_order_is_refused_with_the_way_out(
    regsync: Regsync, tmp_path: Path
) -> None:
    plain = written(tmp_path / "a.tar", layout(IMAGE))
    archive = tmp_path / "a.tar.zst"
    archive.write_bytes(zstandard.compress(plain.read_bytes()))
    ran = regsync("store", "import", str(archive), f"store:{tmp_path}/copy//")
    assert (ran.code, "zstd -d" in ran.err) == (1, True)
    archive.write_bytes(zstandard.compress(plain.read_bytes())[:-20])
    cut = regsync("store", "import", str(archive), f"store:{tmp_path}/copy//")
    assert cut.code == 1


def test_a_bomb_is_not_unpacked(regsync: Regsync, tmp_path: Path) -> None:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        info = tarfile.TarInfo("filler")
        info.size = 300 * 1024 * 1024
        tar.addfile(info, io.BytesIO(bytes(info.size)))
    archive = tmp_path / "bomb.tar.zst"
    archive.write_bytes(zstandard.compress(plain.getvalue()))
    ran = regsync("store", "import", str(archive), f"store:{tmp_path}/copy//")
    assert (ran.code, "no part of an OCI layout" in ran.err) == (1, True)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("export", "{store}", "{tmp}/a.zip"), id="a suffix that says nothing"),
        pytest.param(("export", "{store}", "{tmp}/a.tar", "UPPER"), id="no repository"),
        pytest.param(("import", "{tmp}/a.tar", "oci:{tmp}/layout"), id="a target that is no registry"),
    ],
)
def test_misuse_is_told(regsync: Regsync, store: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    given = [one.format(store=store, tmp=tmp_path) for one in arguments]
    assert regsync("store", *given).code == 64


def test_a_target_that_is_no_store_yet_is_named_as_it_was_written(regsync: Regsync, tmp_path: Path) -> None:
    ran = regsync("store", "import", str(tmp_path / "a.tar"), f"store:{tmp_path}/new")
    assert (ran.code, f"store:{tmp_path}/new'" in ran.err, "store:PATH//" in ran.err) == (64, True, True)


def test_what_is_not_in_the_store_is_told(regsync: Regsync, store: Path, tmp_path: Path) -> None:
    ran = regsync("store", "export", str(store), str(tmp_path / "a.tar"), "team/web:v9")
    assert (ran.code, "v9 not found" in ran.err) == (1, True)
    assert not (tmp_path / "a.tar").exists()
