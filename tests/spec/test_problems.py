from pathlib import Path

import pytest

from regsync.spec.load import load
from regsync.spec.problems import InvalidSpecError, NoSpecError
from tests.spec.spec_files import HUB, STORE, WEB, Specs, document, join, mirror

BASE = "source: hub/library/nginx\ntargets: [local/nginx]\n"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param(
            "tag: [a]",
            "spec.tag: unknown key; expected atLeast, digests, excludeTags, history, images, immutable, "
            "platforms, prune, referrers, rename, repositories, schedule, source, tags, targets, timezone, "
            "verify; did you mean 'tags'?",
            id="a typo",
        ),
        pytest.param("tags: latest", "spec.tags: expected a list", id="text for a list"),
        pytest.param("tags: []", "spec.tags: expected at least one entry", id="an empty list"),
        pytest.param("tags:", "spec.tags: there is no value", id="nothing"),
        pytest.param(
            "tags: [[a]]", "spec.tags[0]: expected a tag, a glob, or a mapping", id="a list for a rule"
        ),
        pytest.param("tags: ['a b']", "spec.tags[0]: invalid tag 'a b'", id="no tag"),
        pytest.param("tags: ['[a']", "spec.tags[0]: invalid glob '[a': a '[' is not closed", id="no glob"),
        pytest.param(
            "tags: [{}]",
            "spec.tags[0]: expected exactly one of names, glob, regex, semver",
            id="an empty rule",
        ),
        pytest.param(
            "tags: [{glob: a, semver: '1'}]",
            "(or regex with semver), found glob and semver",
            id="two selectors",
        ),
        pytest.param(
            "tags: [{regex: a, semver: '1'}]", "{of: GROUP, range: RANGE}", id="regex with a bare range"
        ),
        pytest.param(
            "tags: [{semver: {of: v, range: '1'}}]",
            "semver.of: 'v' is no named group of a regex (there is none)",
            id="a group without a regex",
        ),
        pytest.param(
            "tags: [{regex: '(?P<x>a)', semver: {of: y, range: '1'}}]",
            "(it has x)",
            id="a group that is not there",
        ),
        pytest.param(
            "tags: [{semver: latest}]", "spec.tags[0].semver: invalid semver range 'latest'", id="no range"
        ),
        pytest.param(
            "tags: [{semver: [1]}]", "spec.tags[0].semver: expected a range such as", id="a list for a range"
        ),
        pytest.param("tags: [{regex: '('}]", "spec.tags[0].regex: invalid regex '('", id="no regex"),
        pytest.param("tags: [{regex: '(a+)+'}]", "can take for ever", id="a regex that hangs"),
        pytest.param(
            "tags: [{glob: a, newest: 0}]",
            "newest: expected a value greater than or equal to 1",
            id="none of the newest",
        ),
        pytest.param(
            "tags: [{glob: a, newest: '3'}]",
            "newest: expected a whole number, found '3'",
            id="a number in quotes",
        ),
        pytest.param(
            "tags: [{glob: a, newest: 1.5}]", "newest: expected a whole number, found '1.5'", id="half a tag"
        ),
        pytest.param(
            "tags: [{glob: a, per: minor, newest: 1}]", "per: minor needs semver", id="per without versions"
        ),
        pytest.param(
            "tags: [{semver: '1', per: branch, newest: 1}]",
            "expected major, minor or a named group",
            id="per what",
        ),
        pytest.param(
            "tags: [{semver: '1', per: minor}]", "per has no effect without newest", id="per without newest"
        ),
        pytest.param(
            "tags: [{regex: '(?P<v>.)(?P<minor>x)', semver: {of: v, range: '1'}, per: minor, newest: 1}]",
            "rename the group",
            id="per that could be two things",
        ),
        pytest.param(
            "tags: [{glob: a, sort: newest}]",
            "sort: expected one of semver, natural, created, name",
            id="sort how",
        ),
        pytest.param(
            "tags: [{glob: a, sort: {natural: x}}]",
            "sort.natural: 'x' is no named group",
            id="sort by no group",
        ),
        pytest.param(
            "tags: [{glob: a, sort: {natural: x, name: y}}]", "found natural and name", id="sort two ways"
        ),
        pytest.param(
            "tags: [{glob: a, maxAge: 1mo}]", "maxAge: expected a duration such as 90s", id="no duration"
        ),
        pytest.param(
            "tags: [a]\natLeast: yes", "spec.atLeast: expected a whole number, found 'yes'", id="no number"
        ),
        pytest.param("tags: [a]\nrename: '{name}'", "spec.rename: invalid rename", id="no template"),
        pytest.param("digests: [sha256:abc]", "spec.digests[0]: invalid digest", id="no digest"),
        pytest.param(
            "tags: [a]\nplatforms: [amd64]", "spec.platforms[0]: invalid platform 'amd64'", id="no platform"
        ),
        pytest.param(
            "tags: [a]\nplatforms: {include: [linux/amd64], index: orignal}",
            "expected 'original' or 'trimmed'",
            id="no form of an index",
        ),
        pytest.param(
            "tags: [a]\nreferrers: some",
            "spec.referrers: expected one of all, none, found 'some'",
            id="which referrers",
        ),
        pytest.param(
            "tags: [a]\nreferrers: [sbom]", "expected an artifact type such as", id="no artifact type"
        ),
        pytest.param(
            "tags: [a]\nrepositories: [a]",
            "no effect without a placeholder in source",
            id="repositories for nothing",
        ),
        pytest.param(
            "images: {list: [quay.io/a/b:1]}", "images stands instead of source", id="images and a source"
        ),
        pytest.param("atLeast: 1", "spec.tags: expected tags, or digests", id="no tags"),
    ],
)
def test_every_mistake_says_what_was_expected(specs: Specs, spec: str, expected: str) -> None:
    assert expected in "\n".join(specs.mirror_problems(BASE + spec))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param("{}", "expected exactly one of url, store, layout, found none", id="no place"),
        pytest.param("url: a.b\nstore: c", "found url and store", id="two places"),
        pytest.param(
            "url: quay.io/acme", "a host without a path; 'acme' belongs to the repositories", id="a path"
        ),
        pytest.param(
            "url: ftp://quay.io", "expected a host, https:// or http://, found ftp://", id="another protocol"
        ),
        pytest.param("url: me:pw@quay.io", "credentials do not stand in a URL", id="credentials in a url"),
        pytest.param(
            "url: https://me:p/w@quay.io", "credentials do not stand in a URL", id="credentials with a slash"
        ),
        pytest.param(
            "url: 'https://me:x://w@quay.io'",
            "credentials do not stand in a URL",
            id="a scheme in a password",
        ),
        pytest.param("url: 'a b'", "invalid registry host 'a b'", id="no host"),
        pytest.param(
            "url: a.b\nprovider: azure", "provider: expected one of auto, generic", id="no provider"
        ),
        pytest.param(
            "url: a.b\nauth: {username: {env: A}}",
            "spec.auth: username and password are given together",
            id="half of auth",
        ),
        pytest.param(
            "url: a.b\nauth: {}", "spec.auth: expected username and password, or realms", id="nothing of auth"
        ),
        pytest.param(
            "url: a.b\nauth: {realms: [https://sso.example.org/realms/x]}",
            "spec.auth.realms[0]: expected a host, such as sso.example.com",
            id="a realm with its URL",
        ),
        pytest.param(
            "url: a.b\nauth: {username: {env: A}, password: hunter2}",
            "secrets are never written",
            id="a secret",
        ),
        pytest.param(
            "url: a.b\nauth: {username: {env: A}, password: {value: hunter2}}",
            "password.value: unknown key",
            id="a value",
        ),
        pytest.param(
            "url: a.b\nauth: {username: {env: A}, password: {env: hunter2!}}",
            "the name of an environment variable",
            id="no name",
        ),
        pytest.param(
            "url: a.b\nauth: {username: {env: A, file: b}, password: {env: B}}",
            "found env and file",
            id="two secrets",
        ),
        pytest.param(
            "url: a.b\ntls: {cert: c.pem}", "cert and key are given together", id="half of a certificate"
        ),
        pytest.param("url: http://a.b\ntls: {ca: c.pem}", "tls has no effect", id="TLS without TLS"),
        pytest.param(
            "store: d\nlimits: {concurrency: 1}", "limits is for remote registries", id="limits of a store"
        ),
        pytest.param("url: a.b\nlimits: {reserve: 101}", "less than or equal to 100", id="more than all"),
        pytest.param(
            "url: a.b\nlimits: {bytesPerSecond: 50}",
            "expected a size such as 64KiB",
            id="a size without a unit",
        ),
        pytest.param(
            "url: a.b\ncreateRepositories: {}", "spec.createRepositories: unknown key", id="a key to come"
        ),
        pytest.param(
            "store: {database: x}", "spec.store: expected text, found a mapping", id="the long form of store"
        ),
    ],
)
def test_mistakes_in_registries(specs: Specs, spec: str, expected: str) -> None:
    problems = "\n".join(specs.problems(document("Registry", "hub", spec)))
    assert expected in problems
    assert "hunter2" not in problems
    assert "p/w" not in problems


def test_a_problem_stands_at_its_line_and_column(specs: Specs) -> None:
    path = specs.write(
        "regsync.yaml", HUB, STORE, mirror(BASE + "tags:\n  - latest\n  - {glob: 'a*', newset: 3}")
    )
    with pytest.raises(InvalidSpecError) as caught:
        load([path])
    (problem,) = caught.value.problems
    line = path.read_text().splitlines()[problem.position.line - 1]
    assert line[problem.position.column - 1 :].startswith("newset")
    assert problem.path == "spec.tags[1].newset"
    assert problem.nearest == "newest"
    assert str(caught.value).startswith(f"{path}:")


def test_all_problems_of_a_run_are_shown_together(specs: Specs) -> None:
    specs.write("a.yaml", document("Registry", "hub", "url: docker.io\nlimit: {}"))
    specs.write(
        "b.yaml",
        mirror("source: hbu/library/nginx\ntargets: [nowhere/x]\ntags: [{glob: a, newset: 1}]\natLeast: x"),
    )
    specs.write("c.yaml", "a: [b")
    specs.write("d.yaml", "apiVersion: regsync.dev/v1\nkind: Mirro\n")
    problems = specs.problems_of(lambda: load([specs.directory]))
    text = "\n".join(problems)
    for expected in ("spec.limit", "'hbu'", "'nowhere'", "newset", "spec.atLeast", "did you mean 'Mirror'?"):
        assert expected in text
    assert "did you mean 'hub'?" in text


def test_a_broken_registry_does_not_make_its_mirrors_wrong(specs: Specs) -> None:
    problems = specs.problems(document("Registry", "hub", "url: 'a b'"), STORE, WEB)
    assert len(problems) == 1


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        pytest.param([WEB, WEB, HUB, STORE], "the name 'web' is used twice; first at", id="two mirrors"),
        pytest.param(
            [HUB, document("RegistryGroup", "hub", "registries: [hub]")],
            "used twice",
            id="registry and group",
        ),
        pytest.param(
            [document("RegistryGroup", "all", "registries: [hbu]"), HUB],
            "no Registry named 'hbu'; did you mean 'hub'?",
            id="a group of nothing",
        ),
        pytest.param(
            [
                document("RegistryGroup", "a", "registries: [b]"),
                document("RegistryGroup", "b", "registries: [hub]"),
                HUB,
            ],
            "b is a RegistryGroup; members are registries",
            id="a group of groups",
        ),
        pytest.param(
            [document("Registry", "quay.io", "url: quay.io")], "looks like a host", id="a name like a host"
        ),
        pytest.param(
            [document("Registry", "localhost", "url: quay.io")], "looks like a host", id="localhost"
        ),
        pytest.param([document("Registry", "Hub", "url: quay.io")], "a-z 0-9", id="a name with capitals"),
        pytest.param(
            [document("Mirror", None, "source: a.b/c")], "metadata.name: the key is missing", id="no name"
        ),
        pytest.param(
            ["apiVersion: regsync.dev/v2\nkind: Mirror\nspec: {}\n"],
            "apiVersion: expected regsync.dev/v1",
            id="a version to come",
        ),
        pytest.param(["kind: Mirror\nspec: {}\n"], "apiVersion: the key is missing", id="no version"),
        pytest.param(
            ["apiVersion: apps/v1\nkind: Deployment\n"],
            "apiVersion: expected regsync.dev/v1",
            id="not ours, named",
        ),
        pytest.param(
            ["apiVersion: regsync.dev/v1\nkind: Robot\nspec: {}\n"],
            "kind: expected Registry",
            id="a kind to come",
        ),
        pytest.param(["- a\n"], "expected a document with apiVersion", id="a list"),
        pytest.param(["# nothing\n"], "there is no document in this file", id="nothing"),
        pytest.param(
            [document("Settings", None, "concurrency: 0")], "greater than or equal to 1", id="no concurrency"
        ),
        pytest.param(
            [document("Settings", None, "notifications: []")],
            "spec.notifications: expected at least one entry",
            id="no notifications",
        ),
        pytest.param(
            [document("Settings", None, "{}"), document("Settings", None, "{}")],
            "at most one Settings",
            id="two Settings",
        ),
    ],
)
def test_mistakes_across_documents(specs: Specs, documents: list[str], expected: str) -> None:
    assert expected in "\n".join(specs.problems(*documents))


def test_nothing_to_read_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(NoSpecError, match=r"neither regsync\.yaml nor a directory regsync/"):
        load(directory=tmp_path)
    with pytest.raises(NoSpecError, match="no such file"):
        load([tmp_path / "x.yaml"])
    with pytest.raises(NoSpecError, match=r"no \*\.yaml"):
        load([tmp_path])
    (tmp_path / "kustomization.yaml").write_text("resources: []\n")
    with pytest.raises(NoSpecError, match="no document of regsync"):
        load([tmp_path])


def test_many_problems_are_cut_short(specs: Specs) -> None:
    with pytest.raises(InvalidSpecError) as caught:
        load([specs.write("regsync.yaml", join(*(mirror("x: 1", f"m{number}") for number in range(300))))])
    assert len(str(caught.value).splitlines()) == 201
    assert str(caught.value).endswith("more problems")


@pytest.mark.parametrize(
    "text",
    [
        "S3CRET: x\nother: y\n",
        "apiVersion: S3CRET\nkind: S3CRET\n",
        "kind: S3CRET\nS3CRET:\n",
        "S3CRET: 1\nS3CRET: 2\n",
        "a: !S3CRET x\n",
        "a: *S3CRET\n",
        "root:S3CRET:1::\n",
    ],
)
def test_nothing_of_a_file_that_is_not_ours_is_shown(specs: Specs, text: str) -> None:
    path = specs.directory / "shadow"
    path.write_text(text)
    problems = specs.problems_of(lambda: load([path]))
    assert problems
    assert "S3CRET" not in "\n".join(problems)
