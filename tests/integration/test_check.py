"""`check` over real registries, our own server, a store and layouts: drift made by hand, and bad days."""

import hashlib
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from regsync.report.schemas import SCHEMAS
from tests.integration.workspace import Json, Ran, Workspace
from tests.support.fake_registry import FakeRegistry, drop, error, respond
from tests.support.images import (
    DOCKER_MANIFEST,
    Content,
    as_json,
    cosign_signature,
    cosign_tag,
    image,
    index,
    referrer,
)
from tests.support.regsync_server import RegsyncServer
from tests.support.servers import RegistryServer

BRIEF = {"maxWait": "1s"}
TAGS = ("v1", "v2", "v3", "v4", "v5", "v6")
READS = {"GET", "HEAD"}


def app(name: str) -> Content:
    return index(*(image(name, arch=arch) for arch in ("amd64", "arm64", "s390x")))


def told(ran: Ran) -> dict[str, str]:
    """Every row as `target:tag`, with its kind of drift or its state."""
    return {f"{row['target']}:{row['tag']}": row.get("drift") or row["state"] for row in ran.report["rows"]}


def checked(workspace: Workspace, code: int, *arguments: str | Path) -> Ran:
    """A check, whose report follows its published schema."""
    ran = workspace.run("check", *arguments).exited(code)
    jsonschema.validate(ran.report, SCHEMAS["check"]())
    return ran


def untag(server: RegistryServer, repository: str, tag: str) -> None:
    with server.client() as http:
        assert http.delete(f"{server.url}/v2/{repository}/manifests/{tag}").status_code == 202


@pytest.fixture
def five(
    workspace: Workspace,
    distribution: RegistryServer,
    debian_registry: RegistryServer,
    regsync_server: RegsyncServer,
    repository: str,
) -> Workspace:
    """One source and four targets of four kinds, all equal."""
    for tag in TAGS:
        distribution.push(repository, app(tag), tag)
    distribution.push(repository, referrer(app("v1"), artifact_type="application/spdx+json"))
    distribution.push(repository, cosign_signature(app("v2")), cosign_tag(app("v2")))
    workspace.registry("source", distribution.url).registry("debian", debian_registry.url)
    workspace.registry("ours", regsync_server.url, provider="regsync")
    workspace.registry("store", store="./store").registry("files", layout="./layouts")
    targets = (f"{name}/copy/{repository}" for name in ("source", "debian", "ours", "store", "files"))
    workspace.mirror("app", f"source/{repository}", *targets, tags=["v*"])
    workspace.run("sync").exited(0)
    return workspace


def test_what_was_just_synced_is_equal_at_every_kind_of_place(five: Workspace) -> None:
    ran = checked(five, 0)
    assert ran.report["summary"]["equal"] == 30
    assert ran.report["rows"] == []
    assert [place["equal"] for place in ran.report["places"]] == [6] * 5
    text = five.call("check", five.path).exited(0)
    assert "Equal: 30 tags equal at 5 places" in text.out


def test_nothing_is_written_and_two_checks_say_the_same(
    five: Workspace, distribution: RegistryServer, debian_registry: RegistryServer
) -> None:
    before = five.files()
    marks = [(one, one.log_size()) for one in (distribution, debian_registry)]
    reports = [checked(five, 0).report for _ in range(2)]
    assert five.files() == before
    assert {access.method for server, mark in marks for access in server.accesses(mark)} <= READS
    assert all(report.pop("run") for report in reports)
    assert reports[0] == reports[1]


def test_a_dozen_kinds_of_drift_made_by_hand(
    five: Workspace,
    distribution: RegistryServer,
    debian_registry: RegistryServer,
    regsync_server: RegsyncServer,
    repository: str,
) -> None:
    copy = f"copy/{repository}"
    untag(distribution, copy, "v1")
    distribution.push(copy, image("stray"), "v2")
    debian_registry.push(copy, index(*app("v3").children[:1]), "v3")
    debian_registry.push(copy, app("v4").children[1], "v4")
    spaced = json.dumps(json.loads(app("v5").data), indent=1).encode()
    regsync_server.push(copy, Content(app("v5").media_type, spaced, children=app("v5").children), "v5")
    with regsync_server.client() as http:
        http.delete(f"{regsync_server.url}/v2/{copy}/manifests/{cosign_tag(app('v2'))}").raise_for_status()
    debian_registry.push(copy, image("evil"), "nightly")
    distribution.push(repository, app("new"), "v6")
    distribution.push(repository, image("later"), "v7")
    children = [
        Content(
            DOCKER_MANIFEST,
            as_json({**one.document, "mediaType": DOCKER_MANIFEST}),
            one.blobs,
            platform=one.platform,
        )
        for one in app("v1").children
    ]
    regsync_server.push(copy, index(*children), "v1")
    ran = checked(five, 2)
    late = {f"{name}/{copy}:v6": "moved-at-source" for name in ("source", "debian", "ours", "store", "files")}
    absent = {f"{name}/{copy}:v7": "missing" for name in ("source", "debian", "ours", "store", "files")}
    assert told(ran) == {
        f"source/{copy}:v1": "missing",
        f"source/{copy}:v2": "moved-there",
        f"debian/{copy}:v3": "other-platforms",
        f"debian/{copy}:v4": "other-platforms",
        f"ours/{copy}:v5": "re-serialised",
        f"ours/{copy}:v1": "re-serialised",
        f"ours/{copy}:v2": "evidence-missing",
        f"debian/{copy}:nightly": "extra",
        **late,
        **absent,
    }
    rows = {f"{row['target']}:{row['tag']}": row for row in ran.report["rows"]}
    moved = rows[f"source/{copy}:v2"]
    assert (moved["digest"], moved["expected"]) == (image("stray").digest, app("v2").digest)
    stray = rows[f"debian/{copy}:nightly"]
    assert (stray["owner"], stray["digest"], stray["expected"]) == ("others", image("evil").digest, None)


def test_the_matrix_as_text_and_in_files(
    five: Workspace, distribution: RegistryServer, repository: str, tmp_path: Path
) -> None:
    untag(distribution, f"copy/{repository}", "v1")
    report, page = tmp_path / "report.json", tmp_path / "page.md"
    ran = five.call("check", five.path, "--report", report, "--report", page).exited(2)
    assert "5 of 6 tags equal at all of 5 places" in ran.out
    line = next(one for one in ran.out.splitlines() if one.strip().startswith("v1 "))
    assert line.split()[1:].count("missing") == 1
    assert line.split()[1:].count("=") == 4
    assert "Drift: 1 missing, 29 tags equal at 5 places" in ran.out
    assert json.loads(report.read_text())["kind"] == "CheckReport"
    assert "| `v1` |" in page.read_text()
    five.call("check", five.path, "--exit-zero").exited(0)


def test_repair_plans_exactly_what_heals_it(
    five: Workspace, distribution: RegistryServer, debian_registry: RegistryServer, repository: str
) -> None:
    copy = f"copy/{repository}"
    untag(distribution, copy, "v1")
    debian_registry.push(copy, image("stray"), "v2", "stray")
    plan, found = five.path / "heal.json", five.path / "found.json"
    ran = five.run("check", "--repair", "--out", plan, "--report", found).exited(2)
    assert {f"{one['target']}:{one['tag']}": one["action"] for one in ran.actions} == {
        f"source/{copy}:v1": "create",
        f"debian/{copy}:v2": "update",
    }
    assert ran.report["kind"] == "Plan"
    assert json.loads(found.read_text())["kind"] == "CheckReport"
    applied = five.call("apply", plan, five.path, "-o", "json").exited(0)
    assert set(applied.outcomes().values()) == {"done"}
    assert told(checked(five, 2)) == {f"debian/{copy}:stray": "extra"}


@pytest.fixture
def pair(workspace: Workspace, distribution: RegistryServer, repository: str) -> Workspace:
    """A source with four tags, and a store and layouts that have them."""
    for number in range(4):
        distribution.push(repository, image(f"{repository}{number}", layers=2), f"v{number}")
    workspace.registry("source", distribution.url)
    workspace.registry("store", store="./store").registry("files", layout="./layouts")
    workspace.mirror("app", f"source/{repository}", "store/app", "files/app", tags=["*"])
    workspace.run("sync").exited(0)
    return workspace


def blob_of(pair: Workspace, place: str, data: bytes) -> Path:
    name = hashlib.sha256(data).hexdigest()
    return next(path for path in (pair.path / place).rglob(f"*{name}*") if path.is_file())


def test_deep_finds_what_is_wrong_beneath_the_right_tag(pair: Workspace, repository: str) -> None:
    contents = [image(f"{repository}{number}", layers=2) for number in range(4)]
    clean = checked(pair, 0, "--deep")
    assert clean.report["reread"]["blobs"] == 2 * sum(len(one.all_blobs()) for one in contents)
    rotten = blob_of(pair, "store", contents[0].blobs[-1])
    rotten.chmod(0o600)
    rotten.write_bytes(b"\0" * len(contents[0].blobs[-1]))
    cut = blob_of(pair, "store", contents[1].blobs[-1])
    cut.chmod(0o600)
    cut.write_bytes(contents[1].blobs[-1][:-1])
    blob_of(pair, "layouts", contents[2].blobs[-1]).unlink()
    assert told(checked(pair, 2, "--deep")) == {
        "store/app:v0": "damaged",
        "store/app:v1": "damaged",
        "files/app:v2": "incomplete",
    }
    assert checked(pair, 0).report["rows"] == []


def test_deep_goes_on_after_a_kill(pair: Workspace, repository: str) -> None:
    total = 2 * sum(len(image(f"{repository}{number}", layers=2).all_blobs()) for number in range(4))
    process = pair.start("check", "--deep", "--rate", "20KiB")
    progress = pair.path / ".regsync" / "check-deep.jsonl"
    while process.poll() is None and (not progress.exists() or progress.read_bytes().count(b"\n") < 3):
        pass
    process.send_signal(signal.SIGKILL)
    process.communicate()
    read = progress.read_bytes().count(b"\n") - 1
    ran = checked(pair, 0, "--deep")
    assert ran.report["reread"]["skipped"] == read > 0
    assert ran.report["reread"]["blobs"] == total - read
    assert not progress.exists()


def test_deep_against_a_registry_that_lost_a_blob(
    workspace: Workspace, distribution: RegistryServer, distribution_factory: Callable[..., RegistryServer]
) -> None:
    target = distribution_factory()
    content = image("lost", layers=2)
    for server in (distribution, target):
        server.push("lost/app", content, "v1")
        server.push("lost/app", image("kept"), "v2")
    workspace.registry("source", distribution.url).registry("target", target.url)
    workspace.mirror("app", "source/lost/app", "target/lost/app", tags=["*"])
    layer = content.document["layers"][0]["digest"].removeprefix("sha256:")
    shutil.rmtree(next(path for path in target.data.rglob(layer) if "blobs" in path.parts))
    assert told(checked(workspace, 2, "--deep")) == {"target/lost/app:v1": "incomplete"}


def test_two_registries_of_ours_that_are_equal_cost_two_requests(
    workspace: Workspace, regsync_server_factory: Callable[..., RegsyncServer]
) -> None:
    here, there = regsync_server_factory(), regsync_server_factory()
    for number in range(20):
        for server in (here, there):
            server.push(f"team/app{number}", image(f"app{number}"), "v1", "v2")
            server.push(f"team/app{number}", referrer(image(f"app{number}"), artifact_type="application/x"))
    workspace.registry("here", here.url, provider="regsync").registry("there", there.url, provider="regsync")
    names = [f"team/app{number}" for number in range(20)]
    workspace.mirror("all", "here/{repository}", "there/{repository}", repositories=names, tags=["*"])
    ran = checked(workspace, 0)
    assert ran.report["summary"]["equal"] == 40
    assert sum(ran.requests("here").values()) == sum(ran.requests("there").values()) == 1
    there.push("team/app3", image("other"), "v2")
    found = checked(workspace, 2)
    assert told(found) == {"there/team/app3:v2": "unknown"}
    assert sum(found.requests("there").values()) <= 8


@pytest.mark.parametrize("count", [pytest.param(1, id="one repository"), pytest.param(12, id="many")])
def test_a_server_of_ours_and_a_store_are_compared_by_hash(
    workspace: Workspace, regsync_server: RegsyncServer, count: int
) -> None:
    names = [f"team/app{number}" for number in range(count)]
    for name in names:
        regsync_server.push(name, image(name), "v1", "v2")
    workspace.registry("ours", regsync_server.url, provider="regsync").registry("store", store="./store")
    workspace.mirror("all", "ours/{repository}", "store/{repository}", repositories=names, tags=["*"])
    workspace.run("sync").exited(0)
    ran = checked(workspace, 0)
    assert ran.report["summary"]["equal"] == 2 * count
    assert sum(ran.requests("ours").values()) == 1
    regsync_server.push(names[0], image("new"), "v2")
    assert told(checked(workspace, 2)) == {f"store/{names[0]}:v2": "moved-at-source"}


def test_a_referrer_that_only_the_api_shows_is_missed_by_hash_too(
    workspace: Workspace, regsync_server_factory: Callable[..., RegsyncServer]
) -> None:
    here, there = regsync_server_factory(), regsync_server_factory()
    for server in (here, there):
        server.push("team/app", image("app"), "v1")
    here.push("team/app", referrer(image("app"), artifact_type="application/spdx+json"))
    workspace.registry("here", here.url, provider="regsync").registry("there", there.url, provider="regsync")
    workspace.mirror("app", "here/team/app", "there/team/app", tags=["*"])
    assert told(checked(workspace, 2)) == {"there/team/app:v1": "evidence-missing"}


@pytest.fixture
def shaky(
    workspace: Workspace, distribution: RegistryServer, fake_registry: FakeRegistry, repository: str
) -> Workspace:
    """A fake target that has what its source has, and one that is well."""
    for number in range(20):
        content = image(f"{repository}{number}")
        distribution.push(repository, content, f"v{number}")
        distribution.push(f"copy/{repository}", content, f"v{number}")
        fake_registry.add("app", content, f"v{number}")
    workspace.registry("source", distribution.url).registry("fake", fake_registry.url, limits=BRIEF)
    workspace.mirror("app", f"source/{repository}", "fake/app", f"source/copy/{repository}", tags=["*"])
    return workspace


def whole(ran: Ran) -> Json:
    """The one row of a place that could not be compared; the other place is equal."""
    (row,) = ran.report["rows"]
    assert (row["target"], row["tag"], row["state"]) == ("fake/app", None, "unreachable")
    assert max(place["equal"] for place in ran.report["places"]) == 20
    problem: Json = row["problem"]
    return problem


def test_a_target_that_is_equal_and_only_fake(shaky: Workspace) -> None:
    assert checked(shaky, 0).report["summary"]["equal"] == 40


@pytest.mark.parametrize(
    ("status", "code"),
    [pytest.param(403, 1, id="forbidden"), pytest.param(429, 75, id="too many requests"), (503, 75)],
)
def test_a_target_whose_listing_is_refused(
    shaky: Workspace, fake_registry: FakeRegistry, status: int, code: int
) -> None:
    fake_registry.on("GET", r"/v2/app/tags/list", error(status, "DENIED"))
    assert whole(checked(shaky, code))["exitCode"] == code


def test_a_target_that_answers_429_from_the_middle_on(shaky: Workspace, fake_registry: FakeRegistry) -> None:
    limited = respond(429, "", retry_after="3600")
    fake_registry.on("HEAD", r"/v2/app/manifests/v1.", limited)
    ran = checked(shaky, 75)
    assert {row["state"] for row in ran.report["rows"]} == {"unreachable"}
    assert len(ran.report["rows"]) < 12


def test_a_target_that_dies_in_the_middle(shaky: Workspace, fake_registry: FakeRegistry) -> None:
    fake_registry.on("HEAD", r"/v2/app/manifests/v1.", drop())
    ran = checked(shaky, 75)
    (place,) = [one for one in ran.report["places"] if one["target"] == "fake/app"]
    assert place["equal"] == place["tags"] < 20
    assert {row["state"] for row in ran.report["rows"]} == {"unreachable"}
    assert any(row["tag"] is None and "only" in row["reason"] for row in ran.report["rows"])
    assert sum(one["equal"] for one in ran.report["places"]) == 20 + place["equal"]


def test_a_target_that_is_switched_off(shaky: Workspace, fake_registry: FakeRegistry) -> None:
    fake_registry.close()
    assert whole(checked(shaky, 75))["exitCode"] == 75
    plan = shaky.run("check", "--repair").exited(75)
    assert plan.actions == []
    assert any("fake/app was not compared" in warning for warning in plan.report["warnings"])


def test_a_listing_that_leaves_tags_out_makes_nothing_missing(
    shaky: Workspace, fake_registry: FakeRegistry
) -> None:
    short = json.dumps({"name": "app", "tags": ["v0", "v1", "v2"]})
    fake_registry.on("GET", r"/v2/app/tags/list", respond(200, short, content_type="application/json"))
    ran = checked(shaky, 0)
    assert any("leaves out tags" in warning for warning in ran.report["warnings"])


def test_a_listing_that_breaks_off_is_not_taken_for_whole(
    shaky: Workspace, fake_registry: FakeRegistry
) -> None:
    page = json.dumps({"name": "app", "tags": ["v0"]})
    link = {"link": '</v2/app/tags/list?last=v0>; rel="next"'}
    fake_registry.on("GET", r"/v2/app/tags/list", error(404, "NAME_UNKNOWN"))
    fake_registry.on(
        "GET", r"/v2/app/tags/list", respond(200, page, content_type="application/json", **link), times=1
    )
    assert "extra" not in told(checked(shaky, 1)).values()


def test_a_registry_that_confirms_whatever_it_is_asked_hides_nothing(
    shaky: Workspace, fake_registry: FakeRegistry
) -> None:
    fake_registry.add("app", image("moved"), "v3")

    fake_registry.on("HEAD", r"/v2/app/manifests/v\d+", respond(304), times=1)
    assert set(told(checked(shaky, 2))) == {"fake/app:v3"}


def test_a_source_that_is_down_leaves_its_targets_to_be_compared(
    workspace: Workspace,
    fake_registry: FakeRegistry,
    distribution: RegistryServer,
    debian_registry: RegistryServer,
    repository: str,
) -> None:
    fake_registry.add("app", image("app"), "v1")
    workspace.registry("hub", fake_registry.url, limits=BRIEF)
    workspace.registry("one", distribution.url).registry("two", debian_registry.url)
    targets = (f"one/{repository}", f"two/{repository}", f"one/{repository}/b")
    workspace.mirror("app", "hub/app", *targets, tags=["*"])
    workspace.run("sync").exited(0)
    debian_registry.push(repository, image("other"), "v1")
    fake_registry.close()
    assert told(checked(workspace, 75)) == {
        "hub/app:None": "unreachable",
        f"two/{repository}:v1": "unknown",
    }


def test_options_that_need_others(workspace: Workspace) -> None:
    for arguments in (
        ["--rate", "1MiB"],
        ["--sample", "5"],
        ["--out", "plan.json"],
        ["--deep", "--rate", "x"],
    ):
        workspace.call("check", *arguments).exited(64)
