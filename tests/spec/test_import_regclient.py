from pathlib import Path
from textwrap import dedent

import pytest

from regsync.spec.history import History
from regsync.spec.imports import import_file
from regsync.spec.load import load
from regsync.spec.model import IndexForm, Login, Mirror, ReferrersMode, RemotePlace, RepositoryGlobs, Spec
from regsync.spec.schedules import Schedule
from regsync.spec.secret import SecretRef

HEAD = "version: 1\n"


class Result:
    """What an import gave: the spec as it loads, and the notes."""

    def __init__(self, text: str, directory: Path) -> None:
        found = import_file("regclient", (HEAD + dedent(text)).encode(), name="regsync.yml")
        path = directory / "regsync.yaml"
        path.write_text(found.documents, encoding="utf-8")
        self.text = found.documents
        self.spec: Spec = load([path])
        self.notes = "\n".join(found.not_carried)

    @property
    def mirror(self) -> Mirror:
        (found,) = self.spec.mirrors
        return found

    @property
    def rules(self) -> list[str]:
        return [str(rule) for rule in self.mirror.rules]


def sync(text: str, directory: Path) -> Result:
    return Result("sync:\n- " + dedent(text).strip("\n").replace("\n", "\n  "), directory)


def test_images_of_one_pair_of_repositories_are_one_mirror(tmp_path: Path) -> None:
    found = Result(
        """
        sync:
        - {source: "busybox:1.36", target: "registry:5000/library/busybox:1.36", type: image}
        - {source: "busybox", target: "registry:5000/library/busybox:latest", type: image}
        - {source: "busybox:1.36", target: "registry:5000/library/busybox:stable", type: image}
        """,
        tmp_path,
    )
    assert [[str(rule) for rule in one.rules] for one in found.spec.mirrors] == [
        ["names 1.36", "names latest"],
        ["names 1.36"],
    ]
    assert [one.rename for one in found.spec.mirrors] == ["{tag}", "stable"]
    assert str(found.spec.mirrors[0].sources[0]) == "docker.io/library/busybox"


def test_credentials_become_registries(tmp_path: Path) -> None:
    found = Result(
        """
        creds:
        - {registry: registry:5000, tls: disabled, reqPerSec: 10, reqConcurrent: 4, blobChunk: 1}
        - registry: docker.io
          user: '{{env "HUB_USER"}}'
          pass: '{{file "/run/secrets/hub"}}'
        - {registry: quay.io, user: me, pass: hunter2, tls: insecure, credHelper: docker-credential-x}
        - {registry: ghcr.io}
        """,
        tmp_path,
    )
    by_name = found.spec.registries
    assert sorted(by_name) == ["docker-io", "quay-io", "registry-5000"]
    assert by_name["registry-5000"].place == RemotePlace("http", "registry:5000")
    assert (
        by_name["registry-5000"].limits.requests_per_second,
        by_name["registry-5000"].limits.concurrency,
    ) == (10, 4)
    auth = by_name["docker-io"].auth
    assert auth is not None
    assert auth.login == Login(SecretRef(env="HUB_USER"), SecretRef(file=Path("/run/secrets/hub")))
    assert "hunter2" not in found.text + found.notes
    for expected in ("set QUAY_IO_USERNAME and QUAY_IO_PASSWORD", "tls: insecure", "credHelper", "blobChunk"):
        assert expected in found.notes


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ("", ["glob '*'"]),
        ("tags: {allow: [latest, 3, 3.9]}", ["names latest", "names 3", "regex '3.9'"]),
        ("tags: {allow: ['3\\.\\d+', '1.*']}", ["glob '1*'", r"regex '3\\.\\d+'"]),
        ("tags: {allow: ['v.+']}", ["glob 'v?*'"]),
        ("tags: {deny: ['.*-windows']}", ["glob '*'"]),
        ("tags: {deny: ['.*-(rc|beta)\\d+']}", [r"regex '(?!(?:.*-(rc|beta)\\d+)$)(?:.*)'"]),
        ("tags: {semverRange: ['>=1.0.0 <2.0.0', '~4']}", ["semver '>=1.0.0 <2.0.0 || ~4.0'"]),
        ("tags: {semverRange: ['>=1'], allow: ['.*-alpine']}", ["regex '(?P<version>.*-alpine)'"]),
        ("tagSets: [{allow: [a]}, {semverRange: ['^1']}]", ["names a", "semver '^1.0'"]),
        ("tags: {allow: [a, b], deny: [b]}", ["names a"]),
        ("tags: {allow: ['a', '(?<x>', 'b+c']}", None),
    ],
)
def test_filters_of_tags_keep_their_meaning(filters: str, expected: list[str] | None, tmp_path: Path) -> None:
    found = sync(f"source: alpine\ntarget: registry:5000/alpine\ntype: repository\n{filters}", tmp_path)
    if expected is None:
        assert found.rules == ["names a"]
        assert "invalid regex" in found.notes
        return
    assert found.rules == [one.replace("~4.0", "~4.0.0").replace("^1.0", "^1.0.0") for one in expected]
    assert found.mirror.at_least == 0


def test_a_denied_glob_is_an_exclude(tmp_path: Path) -> None:
    found = sync(
        "source: a\ntarget: registry:5000/a\ntype: repository\ntags: {deny: ['.*-win', 'x']}", tmp_path
    )
    assert found.mirror.rules[0].exclude == ("*-win", "x")


@pytest.mark.parametrize(
    ("keys", "mode", "note"),
    [
        ("", ReferrersMode.NONE, "stay behind"),
        ("referrers: true\ndigestTags: true", ReferrersMode.ALL, ""),
        ("digestTags: true", ReferrersMode.ALL, "are one choice here"),
        ("referrers: true\nreferrerFilters: [{artifactType: application/vnd.x}]", ReferrersMode.TYPES, ""),
    ],
)
def test_evidence_travels_where_it_did(keys: str, mode: ReferrersMode, note: str, tmp_path: Path) -> None:
    found = sync(f"source: a/b:1\ntarget: registry:5000/b:1\ntype: image\n{keys}", tmp_path)
    assert found.mirror.referrers.mode is mode
    assert note in found.notes


def test_platforms_keep_their_form(tmp_path: Path) -> None:
    base = "source: a/b:1\ntarget: registry:5000/b:1\ntype: image\n"
    one = sync(base + "platform: linux/amd64", tmp_path)
    assert (len(one.mirror.platforms or ()), one.mirror.index) == (1, IndexForm.TRIMMED)
    several = sync(base + "platforms: [linux/amd64, linux/arm64]", tmp_path)
    assert (len(several.mirror.platforms or ()), several.mirror.index) == (2, IndexForm.ORIGINAL)


def test_a_whole_registry_is_globs(tmp_path: Path) -> None:
    repos = "repos: {allow: ['library/.*', 'acme/web', '(a|b)/.*'], deny: ['library/old.*']}"
    found = sync(f"source: quay.io\ntarget: registry:5000/quay\ntype: registry\n{repos}", tmp_path)
    assert found.mirror.repositories == RepositoryGlobs(("library/**", "acme/web"))
    assert str(found.mirror.targets[0]) == "registry:5000/quay/{repository}"
    assert "repos '(a|b)/.*'" in found.notes
    assert "repos 'library/old.*'; 'library/old*' is near it" in found.notes


def test_defaults_and_merge_keys_reach_the_entries(tmp_path: Path) -> None:
    found = Result(
        """
        defaults: {referrers: true, digestTags: true, backup: "b-{{.Ref.Tag}}", interval: 60m, parallel: 2}
        x-hub: &hub {target: "registry:5000/hub/{{ .Sync.Source }}", type: repository}
        sync:
        - <<: *hub
          source: alpine
          tags: {allow: [3.9, 3.10]}
          schedule: "0 3 * * *"
        """,
        tmp_path,
    )
    assert str(found.mirror.targets[0]) == "registry:5000/hub/alpine"
    assert found.mirror.referrers.mode is ReferrersMode.ALL
    assert found.mirror.history == History("b-{tag}-{digest:12}", 1)
    assert found.mirror.schedule == Schedule("0 3 * * *")
    assert "parallel: " in found.notes


ENTRY = "source: a/b\ntarget: registry:5000/b\ntype: repository\n"


@pytest.mark.parametrize(
    ("keys", "schedule", "note"),
    [
        ("schedule: '0 3 * * *'", "0 3 * * * (UTC)", "read in UTC unless timezone says otherwise"),
        ("schedule: 'CRON_TZ=Asia/Tokyo 0 6 * * *'", "0 6 * * * (Asia/Tokyo)", ""),
        ("schedule: '@daily'\ninterval: 5m", "@daily (UTC)", ""),
        ("schedule: '@every 90m'", "0 * * * * (UTC)", "schedule 90m: every 1h here"),
        ("schedule: '0 0 30 2 *'", None, "there is no such day"),
        ("schedule: 'TZ=Mars/Olympus 0 6 * * *'", None, "there is none of that name"),
        ("interval: 60m", "0 * * * * (UTC)", ""),
        ("interval: 15m", "*/15 * * * * (UTC)", ""),
        ("interval: 25m", "*/20 * * * * (UTC)", "interval 25m: every 20m here"),
        ("interval: 12h", "0 */12 * * * (UTC)", ""),
        ("interval: 1h30m", "0 * * * * (UTC)", "every 1h here"),
        ("interval: 24h", "0 0 * * * (UTC)", ""),
        ("interval: 168h", "0 0 * * * (UTC)", "every 1d here"),
        ("interval: 30s", "* * * * * (UTC)", "every 1m here"),
        ("interval: 0s", None, "is no interval"),
        ("interval: soon", None, "is no interval"),
        ("", None, ""),
    ],
)
def test_times_are_schedules(keys: str, schedule: str | None, note: str, tmp_path: Path) -> None:
    found = sync(ENTRY + keys, tmp_path)
    assert (str(found.mirror.schedule) if found.mirror.schedule else None) == schedule
    assert note in found.notes


@pytest.mark.parametrize(
    ("backup", "history", "note"),
    [
        (
            "old-{{.Ref.Tag}}",
            History("old-{tag}-{digest:12}", 1),
            "behind the tag of a former image its digest",
        ),
        ("{{ .Ref.Tag }}.bak", History("{tag}.bak-{digest:12}", 1), ""),
        ("backup", History(), "kept as {tag}-{date}-{digest:12} instead"),
        ("registry:5000/old/b:{{.Ref.Tag}}", History(), "instead"),
        ('{{.Ref.Tag}}-{{time.Now.Format "20060102"}}', History(), "instead"),
    ],
)
def test_a_backup_is_history(backup: str, history: History, note: str, tmp_path: Path) -> None:
    found = sync(f"{ENTRY}backup: '{backup}'", tmp_path)
    assert found.mirror.history == history
    assert note in found.notes


def test_an_interval_of_its_own_stands_instead_of_the_default_schedule(tmp_path: Path) -> None:
    found = Result(
        """
        defaults: {schedule: "@daily"}
        sync:
        - {source: a/b, target: "registry:5000/b", type: repository, interval: 30m}
        """,
        tmp_path,
    )
    assert str(found.mirror.schedule) == "*/30 * * * * (UTC)"


@pytest.mark.parametrize(
    ("entry", "note"),
    [
        ("source: a\ntarget: registry:5000/{{ index .X 1 }}\ntype: repository", "made by a template"),
        ("source: ocidir:///x:1\ntarget: registry:5000/a:1\ntype: image", "declare a Registry with layout"),
        ("source: a\ntarget: registry:5000/a\ntype: volume", "its type is 'volume'"),
        ("source: A\ntarget: registry:5000/a\ntype: repository", "invalid repository"),
        ("source: a@sha256:1\ntarget: registry:5000/a:1\ntype: image", "invalid digest"),
    ],
)
def test_what_cannot_be_carried_is_told(entry: str, note: str, tmp_path: Path) -> None:
    found = import_file("regclient", (HEAD + "sync:\n- " + entry.replace("\n", "\n  ")).encode())
    assert note in "\n".join(found.not_carried)
    assert "kind:" not in found.documents


def test_a_digest_without_a_tag_is_a_digest(tmp_path: Path) -> None:
    digest = "sha256:" + "a" * 64
    found = sync(f"source: a/b@{digest}\ntarget: registry:5000/b@{digest}\ntype: image", tmp_path)
    assert [str(one) for one in found.mirror.digests] == [digest]
