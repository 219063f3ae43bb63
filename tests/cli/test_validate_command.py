import json
from pathlib import Path

import pytest

from tests.cli.command_line import Regsync

BROKEN = """\
apiVersion: regsync.dev/v1
kind: Mirror
metadata: {name: web}
spec:
  source: local/web
  targts: [local/other]
  tags: [latest]
"""


GLOBS = """\
apiVersion: regsync.dev/v1
kind: Mirror
metadata: {name: all}
spec:
  source: quay.io/acme/{repository}
  targets: ["ghcr.io/acme/{repository}"]
  repositories: {include: ["*"], exclude: [old]}
  tags: ["v*"]
  excludeTags: ["*-rc"]
  platforms: [linux/amd64]
  rename: "x-{tag}"
  immutable: ["x-v1*"]
"""


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.yaml"
    path.write_text(BROKEN)
    return path


def test_a_valid_spec_is_said_to_be_valid(regsync: Regsync, quickstart: Path) -> None:
    ran = regsync("validate", quickstart)
    assert ran.code == 0
    assert ran.out.startswith("Valid: 2 registries and 1 mirror in 1 file")


def test_a_server_is_counted_too(regsync: Regsync) -> None:
    assert "and a server in 1 file" in regsync("validate", Path("examples/server")).out


def test_expand_fills_in_every_placeholder(regsync: Regsync, quickstart: Path) -> None:
    text = regsync("validate", "--expand", quickstart).out
    assert "bundle/acme/web → local/acme/web" in text
    assert "semver '>=1.0', newest 2 per minor" in text
    document = json.loads(regsync("validate", "--expand", "-o", "json", quickstart).out)
    repositories = document["mirrors"][0]["repositories"]
    assert [one["targets"] for one in repositories] == [["local/acme/web"], ["local/hello"]]
    assert "`bundle/hello → local/hello`" in regsync("validate", "--expand", "-o", "markdown", quickstart).out


def test_every_problem_comes_with_its_place(regsync: Regsync, broken: Path) -> None:
    ran = regsync("validate", broken)
    assert ran.code == 65
    assert f"{broken}:6:" in ran.err
    assert "targets" in ran.err
    assert ran.out == ""


def test_problems_are_data_and_markdown_too(regsync: Regsync, broken: Path) -> None:
    ran = regsync("validate", broken, "-o", "json")
    document = json.loads(ran.out)
    assert (ran.code, document["valid"]) == (65, False)
    assert {"file", "line", "column", "path", "message", "nearest"} == set(document["problems"][0])
    ran = regsync("validate", broken, "-o", "markdown")
    assert ran.code == 65
    assert ran.out.startswith("### regsync validate: ")


def test_no_spec_at_all_says_where_it_was_looked_for(
    regsync: Regsync, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = regsync("validate")
    assert ran.code == 65
    assert "regsync.yaml" in ran.err


def test_expand_shows_the_keys_of_a_mirror_whose_repositories_are_listed_later(
    regsync: Regsync, tmp_path: Path
) -> None:
    path = tmp_path / "regsync.yaml"
    path.write_text(GLOBS)
    for output in ("text", "markdown"):
        text = regsync("validate", "--expand", path, "-o", output).out
        for expected in (
            "* and not old",
            "tags ",
            "excludeTags *-rc",
            "linux/amd64",
            "rename x-",
            "immutable x-v1*",
        ):
            assert expected in text
    (document,) = json.loads(regsync("validate", "--expand", path, "-o", "json").out)["mirrors"]
    assert (document["repositories"], document["include"], document["exclude"]) == (None, ["*"], ["old"])
    assert (document["rename"], document["platforms"]) == ("x-{tag}", ["linux/amd64"])
    assert (document["immutable"], document["excludeTags"]) == (["x-v1*"], ["*-rc"])
    assert len(document["tags"]) == 1


def test_expand_says_who_else_gets_credentials(regsync: Regsync, tmp_path: Path) -> None:
    path = tmp_path / "regsync.yaml"
    path.write_text(
        "apiVersion: regsync.dev/v1\nkind: Registry\nmetadata: {name: hub}\n"
        "spec: {url: docker.io, auth: {realms: [sso.example.org, 'b.example.org:8443']}}\n"
    )
    told = "hub: its credentials also go to sso.example.org, b.example.org:8443"
    for output in ("text", "markdown"):
        assert told in regsync("validate", "--expand", path, "-o", output).out
        assert told not in regsync("validate", path, "-o", output).out
    document = json.loads(regsync("validate", "--expand", path, "-o", "json").out)
    assert document["realms"] == {"hub": ["sso.example.org", "b.example.org:8443"]}


VERIFIED = """\
apiVersion: regsync.dev/v1
kind: Mirror
metadata: {name: web}
spec:
  source: quay.io/acme/{repository}
  targets: ["ghcr.io/prod/{repository}"]
  repositories: [web, api]
  tags: [latest]
  verify: [named]
---
apiVersion: regsync.dev/v1
kind: VerificationPolicy
metadata: {name: named}
spec:
  authorities: {ci: {keyless: {issuer: https://issuer.example, subject: ci@acme.example}}}
  require: {signature: {authority: ci}}
---
apiVersion: regsync.dev/v1
kind: VerificationPolicy
metadata: {name: by-target}
spec:
  targets: ["ghcr.io/prod/web"]
  authorities: {ci: {keyless: {issuer: https://issuer.example, subject: ci@acme.example}}}
  require: {signature: {authority: ci}}
"""


def test_expand_shows_every_policy_that_applies(regsync: Regsync, tmp_path: Path) -> None:
    path = tmp_path / "verified.yaml"
    path.write_text(VERIFIED)
    text = regsync("validate", "--expand", path).out
    assert "    verify by-target, named\n" in text
    assert "    verify named\n" in text
    assert "Valid: 2 registries, 1 mirror and 2 policies in 1 file" in text
    document = json.loads(regsync("validate", "--expand", "-o", "json", path).out)
    assert document["policies"] == ["by-target", "named"]
    shown = {one["repository"]: one["verify"] for one in document["mirrors"][0]["repositories"]}
    assert shown == {"web": ["by-target", "named"], "api": ["named"]}


DELETING = """\
apiVersion: regsync.dev/v1
kind: Registry
metadata: {name: local}
spec: {store: ./data}
---
apiVersion: regsync.dev/v1
kind: Settings
spec: {notifications: [{url: {env: NOT_SET_IN_TESTS}, format: slack, on: [failure]}]}
---
apiVersion: regsync.dev/v1
kind: MirrorDefaults
spec: {prune: {grace: 36h, protect: [stable]}, history: {}, schedule: "0  3 * * *", timezone: Europe/Berlin}
---
apiVersion: regsync.dev/v1
kind: Mirror
metadata: {name: web}
spec: {source: quay.io/acme/web, targets: [local/web], tags: [latest]}
---
apiVersion: regsync.dev/v1
kind: RetentionPolicy
metadata: {name: previews}
spec:
  repositories: ["local/pr/**"]
  keep: [{glob: "pr-*", pushedWithin: 14d}, {pulledWithin: 30d}]
  protect: [keep-me]
  inUse: ["file:deployed.txt", "kubernetes:prod"]
  untagged: {keepFor: 7d}
  schedule: "@daily"
---
apiVersion: regsync.dev/v1
kind: Project
metadata: {name: team}
spec: {files: ["teams/**"], sources: ["local/**"], prune: {maxDeletes: 3}}
"""


def test_expand_shows_what_may_be_deleted_and_when(regsync: Regsync, tmp_path: Path) -> None:
    path = tmp_path / "regsync.yaml"
    path.write_text(DELETING)
    for output in ("text", "markdown"):
        text = regsync("validate", "--expand", path, "-o", output).out
        for expected in (
            "prune maxDeletes 10, maxDeletePercent 10, grace 36h, owns ledger, protect stable",
            "history {tag}-{date}-{digest:12}, 10 per tag",
            "schedule 0 3 * * * (Europe/Berlin)",
            "retention previews",
            "repositories local/pr/**",
            "keep glob 'pr-*', pushed within 14 days",
            "keep pulled within 30 days",
            "unmatched keep",
            "protect keep-me",
            f"inUse file:{tmp_path}/deployed.txt, kubernetes:prod",
            "untagged kept for 7 days",
            "limits maxDeletes 100, maxDeletePercent 20",
            "schedule @daily (UTC)",
            "project team",
            "files teams/**",
            "targets none",
            "prune maxDeletes 3, maxDeletePercent 10, grace 7d, owns ledger",
        ):
            assert expected in text
    assert "1 retention policy and 1 project in 1 file" in regsync("validate", path).out


def test_expand_shows_what_may_be_deleted_as_data(regsync: Regsync, tmp_path: Path) -> None:
    path = tmp_path / "regsync.yaml"
    path.write_text(DELETING)
    document = json.loads(regsync("validate", path, "-o", "json").out)
    assert (document["retention"], document["projects"]) == (["previews"], ["team"])
    document = json.loads(regsync("validate", "--expand", path, "-o", "json").out)
    (unit,) = document["mirrors"][0]["repositories"]
    assert unit["prune"]["graceSeconds"] == 36 * 3600
    assert unit["history"] == {"tag": "{tag}-{date}-{digest:12}", "keep": 10}
    assert unit["schedule"] == {"cron": "0 3 * * *", "timezone": "Europe/Berlin"}
    (policy,) = document["retention"]
    assert policy["keep"] == ["glob 'pr-*', pushed within 14 days", "pulled within 30 days"]
    assert policy["schedule"] == {"cron": "@daily", "timezone": "UTC"}
    (project,) = document["projects"]
    assert (project["targets"], project["prune"]["maxDeletes"]) == ([], 3)
