import os
from datetime import timedelta
from pathlib import Path

import pytest

from regsync.oci.platform import Platform
from regsync.oci.reference import RepositoryName
from regsync.spec.load import load
from regsync.spec.model import (
    Auth,
    IndexForm,
    LayoutPlace,
    Limits,
    Location,
    LocationTemplate,
    Login,
    Pin,
    ReferrersMode,
    ReferrersPolicy,
    RemotePlace,
    RepositoryEntry,
    RepositoryGlobs,
    SemverMatch,
    Sort,
    SortBy,
    StorePlace,
    TagRule,
    Tls,
)
from regsync.spec.secret import MissingSecretError, SecretRef
from tests.spec.spec_files import HUB, STORE, WEB, Specs, document, mirror


def test_a_registry_is_read_with_all_it_can_say(specs: Specs) -> None:
    spec = """
        url: https://Registry.Example.com:443/
        provider: harbor
        auth: {username: {env: USER_OF_TEST}, password: {file: secrets/hub}, realms: [SSO.Example.org:8443]}
        tls: {ca: certs/ca.pem, cert: c.pem, key: k.pem}
        limits: {concurrency: 0o10, requestsPerSecond: 0.5, bytesPerSecond: 50MiB, reserve: 20, maxWait: 10m}
    """
    (found,) = specs.load(document("Registry", "hub", spec)).registries.values()
    here = specs.directory
    assert found.place == RemotePlace("https", "registry.example.com")
    assert found.place.key == "https://registry.example.com"
    assert found.provider == "harbor"
    login = Login(SecretRef.from_env("USER_OF_TEST"), SecretRef.from_file(here / "secrets/hub"))
    assert found.auth == Auth(login, ("sso.example.org:8443",))
    assert found.tls == Tls(here / "certs/ca.pem", here / "c.pem", here / "k.pem")
    assert found.limits == Limits(8, 0.5, 50 * 2**20, 20, 600.0)


def test_realms_alone_leave_the_credentials_to_the_container_tools(specs: Specs) -> None:
    spec = specs.load(document("Registry", "hub", "url: a.b\nauth: {realms: [sso.example.org]}"))
    assert spec.registries["hub"].auth == Auth(None, ("sso.example.org",))


def test_a_realm_is_the_host_as_registries_name_it(specs: Specs) -> None:
    realms = "[index.docker.io, 'Sso.example.org:0443', '[::1]:8443', '[::1]']"
    spec = specs.load(document("Registry", "hub", f"url: a.b\nauth: {{realms: {realms}}}"))
    found = spec.registries["hub"].auth.realms
    assert found == ("index.docker.io", "sso.example.org:443", "[::1]:8443", "[::1]")


def test_a_secret_that_is_not_there_says_which_key_of_which_document_wants_it(specs: Specs) -> None:
    auth = "url: a.b\nauth:\n  username: {env: UNSET_IN_TESTS}\n  password: {file: nothing}"
    login = specs.load(document("Registry", "hub", auth)).registries["hub"].auth.login
    assert login is not None
    for secret, key in ((login.username, "username"), (login.password, "password")):
        with pytest.raises(MissingSecretError, match=rf":\d+: Registry hub: spec\.auth\.{key}: secret"):
            secret.read()


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("url: docker.io", "https://docker.io"),
        ("url: index.docker.io", "https://docker.io"),
        ("url: http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("url: '[::1]:5000'", "https://[::1]:5000"),
        ("url: http://a.b:80", "http://a.b"),
        ("store: ../data/./x", "store:{parent}/data/x"),
        ("layout: /srv/images", "layout:/srv/images"),
    ],
)
def test_what_makes_two_registries_one_place(specs: Specs, written: str, key: str) -> None:
    (found,) = specs.load(document("Registry", "r", written)).registries.values()
    assert found.place.key == key.format(parent=specs.directory.parent)


def test_a_mirror_is_read_with_all_it_can_say(specs: Specs) -> None:
    found = specs.mirror(r"""
        source: ['hub/{repository}', 'quay.io/acme/{basename}']
        targets: ["local/hub/{repository}", "local/flat-{basename}"]
        repositories:
          - library/nginx
          - {name: library/postgres, tags: [{semver: 15, newest: 3}]}
        tags:
          - {semver: ">=1.25 <2", newest: 3, per: minor, maxAge: 2y}
          - {regex: "(?P<version>.+)-alpine", semver: {of: version, range: 1.25}, newest: 3}
          - {regex: "pr-(?P<b>.+)-(?P<n>\\d+)", per: b, sort: {natural: n}, newest: 5}
          - {glob: "stable-*", exclude: ["*-perl"], labels: {org.opencontainers.image.vendor: "Acme*"}}
          - 1.10
          - "1.*"
        excludeTags: ["*-windows*"]
        atLeast: 2
        rename: "{tag}-x"
        digests: ["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]
        platforms: {include: [linux/amd64, linux/arm64/v8, linux/arm64], index: original}
        referrers: {types: [application/vnd.cyclonedx+json], required: true}
        immutable: ["v*"]
    """)
    assert found.sources == (
        LocationTemplate("hub", "{repository}"),
        LocationTemplate("quay.io", "acme/{basename}"),
    )
    assert found.targets[1] == LocationTemplate("local", "flat-{basename}")
    assert isinstance(found.repositories, tuple)
    assert found.repositories[0] == RepositoryEntry(RepositoryName("library/nginx"))
    assert found.repositories[1].tags == (TagRule(semver=SemverMatch("15"), newest=3),)
    assert found.rules == (
        TagRule(semver=SemverMatch(">=1.25 <2"), newest=3, per="minor", max_age=timedelta(days=730)),
        TagRule(regex="(?P<version>.+)-alpine", semver=SemverMatch("1.25", "version"), newest=3),
        TagRule(regex=r"pr-(?P<b>.+)-(?P<n>\d+)", per="b", sort=Sort(SortBy.NATURAL, "n"), newest=5),
        TagRule(glob="stable-*", exclude=("*-perl",), labels={"org.opencontainers.image.vendor": "Acme*"}),
        TagRule(names=("1.10",)),  # type: ignore[arg-type]
        TagRule(glob="1.*"),
    )
    assert (found.exclude_tags, found.at_least, found.rename) == (("*-windows*",), 2, "{tag}-x")
    assert len(found.digests) == 1
    assert found.platforms == (Platform.parse("linux/amd64"), Platform.parse("linux/arm64"))
    assert found.index is IndexForm.ORIGINAL
    assert found.referrers == ReferrersPolicy(
        ReferrersMode.TYPES, ("application/vnd.cyclonedx+json",), required=True
    )
    assert found.immutable == ("v*",)


def test_a_mirror_says_little_and_means_much(specs: Specs) -> None:
    found = specs.load(HUB, STORE, WEB).mirrors[0]
    assert (found.at_least, found.rename, found.platforms, found.index) == (
        1,
        "{tag}",
        None,
        IndexForm.TRIMMED,
    )
    assert found.referrers == ReferrersPolicy()
    assert found.referrers.takes("anything")


def test_groups_are_many_targets(specs: Specs) -> None:
    group = document("RegistryGroup", "everywhere", "registries: [local, quay, local]")
    quay = document("Registry", "quay", "url: quay.io")
    spec = specs.load(
        HUB, STORE, quay, group, mirror("source: hub/a/b\ntargets: [everywhere/x, local/x]\ntags: [a]")
    )
    assert [str(one) for one in spec.mirrors[0].targets] == ["local/x", "quay/x"]


class TestNames:
    @pytest.mark.parametrize(
        ("source", "expected"),
        [
            ("hub/library/nginx", "hub/library/nginx"),
            ("docker.io/library/nginx", "hub/library/nginx"),
            ("docker.io/nginx", "hub/library/nginx"),
            ("index.docker.io/acme/web", "hub/acme/web"),
            ("quay.io/a/b", "quay.io/a/b"),
            ("QUAY.io/a/b", "quay.io/a/b"),
            ("localhost/a", "localhost/a"),
            ("127.0.0.1:5000/a", "127.0.0.1:5000/a"),
            ("http://127.0.0.1:5000/a", "http://127.0.0.1:5000/a"),
            ("https://quay.io/a", "quay.io/a"),
        ],
    )
    def test_what_a_first_part_means(self, specs: Specs, source: str, expected: str) -> None:
        found = specs.mirror(f"source: {source}\ntargets: [local/x]\ntags: [a]")
        assert str(found.sources[0]) == expected

    @pytest.mark.parametrize(
        ("source", "expected"),
        [
            (
                "hbu/library/nginx",
                "no Registry or RegistryGroup named 'hbu'; a full reference begins with a host",
            ),
            (
                "nginx",
                "expected REGISTRY/REPOSITORY, found 'nginx'; did you mean 'docker.io/library/nginx'?",
            ),
            ("library/nginx", "such as docker.io/; did you mean 'docker.io/library/nginx'?"),
            ("hub/", "expected REGISTRY/REPOSITORY"),
            ("hub/nginx", "Docker Hub has no repository nginx; its own images are library/nginx"),
            ("hub/library/nginx:1.27", "without tag or digest"),
            ("hub/Library/nginx", "invalid repository"),
            ("hub/{repo}", "expected {repository} {namespace} {basename} in braces"),
            ("me:hunter2@quay.io/a", "credentials do not stand in a URL"),
            ("https://me:hun/ter2@quay.io/a", "credentials do not stand in a URL"),
            (f"https://quay.io/a@sha256:{'a' * 64}", "without tag or digest"),
            ("ftp://quay.io/a", "expected a host, https:// or http://, found ftp://"),
        ],
    )
    def test_a_typo_never_becomes_a_name_at_docker_hub(
        self, specs: Specs, source: str, expected: str
    ) -> None:
        problems = "\n".join(specs.mirror_problems(f"source: '{source}'\ntargets: [local/x]\ntags: [a]"))
        assert expected in problems
        assert "hunter2" not in problems

    def test_a_host_that_two_registries_declare_has_to_be_named(self, specs: Specs) -> None:
        second = document("Registry", "hub-two", "url: docker.io")
        spec = "source: docker.io/library/nginx\ntargets: [local/x]\ntags: [a]"
        (problem,) = specs.problems(HUB, second, STORE, mirror(spec))
        assert "docker.io is declared as hub and hub-two: name the one that is meant" in problem

    def test_registries_of_one_host_share_their_limits(self, specs: Specs) -> None:
        limited = document("Registry", "two", "url: docker.io\nlimits: {concurrency: 3}")
        found = specs.load(HUB, limited).registries
        assert found["hub"].limits == found["two"].limits == Limits(concurrency=3)
        other = document("Registry", "three", "url: docker.io\nlimits: {concurrency: 4}")
        assert "two sets other limits for docker.io" in specs.problems(HUB, limited, other)[0]

    def test_a_source_is_one_registry(self, specs: Specs) -> None:
        group = document("RegistryGroup", "all", "registries: [hub]")
        problems = specs.problems(HUB, STORE, group, mirror("source: all/a/b\ntargets: [local/x]\ntags: [a]"))
        assert "all is a RegistryGroup; a source is one registry" in problems[0]

    def test_a_name_of_docker_hub_in_a_list_is_checked_too(self, specs: Specs) -> None:
        spec = "source: hub/{repository}\ntargets: ['local/{repository}']\nrepositories: [nginx]\ntags: [a]"
        assert "its own images are library/nginx" in specs.mirror_problems(spec)[0]


class TestPlaceholders:
    @pytest.mark.parametrize(
        ("spec", "expected"),
        [
            (
                "source: hub/a/{repository}\ntargets: ['local/{repository}']",
                "its placeholder needs repositories",
            ),
            (
                "source: hub/a/{repository}\ntargets: [local/x]\nrepositories: [a, b]",
                "many repositories would go to one",
            ),
            (
                "source: hub/a/{basename}\ntargets: ['local/{repository}']\nrepositories: {include: ['**']}",
                "globs need",
            ),
            ("source: [hub/a/b, 'hub/{repository}']\ntargets: [local/x]\nrepositories: [a/c]", "or none"),
            (
                "source: hub/a/{repository}\ntargets: ['local/{repository}']\nrepositories: [a, a]",
                "stands twice",
            ),
        ],
    )
    def test_placeholders_that_do_not_fit(self, specs: Specs, spec: str, expected: str) -> None:
        assert expected in "\n".join(specs.mirror_problems(spec + "\ntags: [a]"))

    def test_globs_wait_for_a_listing(self, specs: Specs) -> None:
        spec = "source: hub/a/{repository}\ntargets: ['local/{repository}']\n"
        spec += "repositories: {include: ['**'], exclude: [x]}\ntags: [a]"
        assert specs.mirror(spec).repositories == RepositoryGlobs(("**",), ("x",))


class TestDefaults:
    def defaults(self, spec: str) -> str:
        return document("MirrorDefaults", None, spec).replace("metadata: {}\n", "")

    def test_the_nearest_wins_key_by_key(self, specs: Specs) -> None:
        specs.write(
            "a.yaml", HUB, STORE, self.defaults("platforms: [linux/amd64]\nexcludeTags: [a, b]\natLeast: 3")
        )
        specs.write("teams/defaults.yaml", self.defaults("excludeTags: [c]"))
        specs.write("teams/web/m.yaml", mirror("source: hub/a/b\ntargets: [local/x]\ntags: [a]\natLeast: 0"))
        (found,) = load([specs.directory]).mirrors
        assert found.platforms == (Platform.parse("linux/amd64"),)
        assert found.exclude_tags == ("c",)
        assert found.at_least == 0

    def test_they_do_not_reach_beside_their_directory(self, specs: Specs) -> None:
        specs.write("a/d.yaml", self.defaults("atLeast: 7"))
        specs.write("b/m.yaml", HUB, STORE, WEB)
        assert load([specs.directory]).mirrors[0].at_least == 1

    def test_what_they_supply_need_not_be_repeated(self, specs: Specs) -> None:
        both = self.defaults("targets: ['local/{repository}']\ntags: [latest]")
        assert specs.load(HUB, STORE, both, mirror("source: hub/library/nginx")).mirrors[0].rules

    def test_tags_by_default_step_back_for_images(self, specs: Specs) -> None:
        both = self.defaults("tags: [latest]\natLeast: 2\ntargets: ['local/{repository}']")
        assert specs.load(HUB, STORE, both, mirror("images: {list: [quay.io/a/b:1]}")).mirrors[0].rules == ()

    def test_a_mistake_in_them_is_shown_once_and_where_it_stands(self, specs: Specs) -> None:
        both = self.defaults("targets: [nowhere/x]")
        problems = specs.problems(
            HUB,
            STORE,
            both,
            mirror("source: hub/a/b\ntags: [a]", "one"),
            mirror("source: hub/a/b\ntags: [b]", "two"),
        )
        assert len(problems) == 1

    def test_a_directory_has_one(self, specs: Specs) -> None:
        assert (
            "has MirrorDefaults already"
            in specs.problems(self.defaults("atLeast: 1"), self.defaults("atLeast: 2"))[0]
        )

    def test_those_above_must_not_be_left_out(self, specs: Specs) -> None:
        (specs.directory / ".git").mkdir()
        specs.write("a.yaml", self.defaults("platforms: [linux/amd64]"))
        path = specs.write("teams/web/m.yaml", HUB, STORE, WEB)
        problems = specs.problems_of(lambda: load([path.parent]))
        assert "this MirrorDefaults applies to what was named, and is left out" in problems[0]
        assert load([specs.directory / "a.yaml", path.parent]).mirrors[0].platforms is not None

    def test_beyond_the_git_tree_nothing_is_looked_for(self, specs: Specs) -> None:
        specs.write("a.yaml", self.defaults("platforms: [linux/amd64]"))
        path = specs.write("repo/m.yaml", HUB, STORE, WEB)
        (specs.directory / "repo/.git").mkdir()
        assert load([path]).mirrors


class TestImages:
    def test_references_in_every_published_form(self, specs: Specs) -> None:
        digest = "sha256:" + "a" * 64
        specs.write(
            "list.txt",
            "# release 1.9\n\nquay.io/a/b:1  # web\ndocker.io/nginx:1\n"
            f"quay.io/a/b@{digest}\nhub/acme/c:2@{digest}\nquay.io/a/b:1\n",
        )
        found = specs.mirror("images: {file: list.txt}\ntargets: ['local/{repository}']").images
        assert [(str(place), pin.tag, pin.digest is not None) for place, pin in found] == [
            ("quay.io/a/b", "1", False),
            ("hub/library/nginx", "1", False),
            ("quay.io/a/b", None, True),
            ("hub/acme/c", "2", True),
        ]
        assert found[0] == (Location("quay.io", RepositoryName("a/b")), Pin(found[0][1].tag, None))

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("nginx:1", "expected a full reference with a host"),
            ("rancher/rancher:v1", "expected a host, or the name of one Registry"),
            ("quay.io/a/b", "has neither tag nor digest; regsync does not guess :latest"),
            ("quay.io/a/B:1", "invalid repository"),
            ("hub/nginx:1", "its own images are library/NAME"),
            ("me:pw@quay.io/a:1", "credentials do not stand in a URL"),
            (f"https://me:p/w@quay.io/a@sha256:{'a' * 64}", "credentials do not stand in a URL"),
            ("quay.io/a/b@sha256:1", "invalid digest"),
            (
                f"quay.io/a/b:1@sha256:{'a' * 64}\nquay.io/a/b:1@sha256:{'b' * 64}",
                "stands in the list with another digest",
            ),
        ],
    )
    def test_a_line_that_is_none_is_named(self, specs: Specs, line: str, expected: str) -> None:
        specs.write("list.txt", "# head\n" + line)
        path = specs.write(
            "regsync.yaml", HUB, STORE, mirror("images: {file: list.txt}\ntargets: ['local/{repository}']")
        )
        (problem,) = specs.problems_of(lambda: load([path]))
        assert expected in problem
        assert problem.startswith(("2:1", "3:1"))

    @pytest.mark.parametrize(
        "line",
        [
            "S3CRET",
            "S3CRET/a:1",
            "quay.io/S3CRET:1",
            "quay.io/a:S3CRET^",
            "me:S3CRET@quay.io/a:1",
            "hub/s3cret:1",
        ],
    )
    def test_a_line_of_a_file_is_never_shown(self, specs: Specs, line: str) -> None:
        specs.write("list.txt", line)
        spec = mirror("images: {file: list.txt}\ntargets: ['local/{repository}']")
        path = specs.write("regsync.yaml", HUB, STORE, spec)
        (problem,) = specs.problems_of(lambda: load([path]))
        assert "s3cret" not in problem.lower()

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            (None, "cannot read list.txt: No such file"),
            (b"\xff", "not UTF-8"),
            (b"# x\n", "no image in list.txt"),
        ],
    )
    def test_a_file_that_is_no_list(self, specs: Specs, content: bytes | None, expected: str) -> None:
        if content is not None:
            (specs.directory / "list.txt").write_bytes(content)
        spec = "images: {file: list.txt}\ntargets: ['local/{repository}']"
        assert expected in specs.mirror_problems(spec)[0]

    def test_a_list_that_is_no_file_is_not_waited_for(self, specs: Specs) -> None:
        os.mkfifo(specs.directory / "list.txt")
        spec = "images: {file: list.txt}\ntargets: ['local/{repository}']"
        found = "cannot read list.txt: a pipe, a socket or a device; only regular files are read"
        assert specs.mirror_problems(spec) == [f"spec.images.file: {found}"]


class TestFiles:
    def test_a_directory_is_walked_and_what_is_not_ours_passed_over(self, specs: Specs) -> None:
        specs.write("b.yml", WEB)
        specs.write("a.yaml", HUB)
        specs.write("sub/c.yaml", STORE)
        specs.write("kustomization.yaml", "resources: [a.yaml]\n")
        specs.write("deploy.yaml", "apiVersion: apps/v1\nkind: Deployment\nx: !Ref y\nx: 1\n")
        specs.write("chart/templates/x.yaml", "{{ if .Values.a }}\na: b\n{{ end }}\n")
        specs.write(".hidden/d.yaml", "apiVersion: regsync.dev/v1\nkind: Nothing\n")
        specs.write("notes.txt", "apiVersion: regsync.dev/v1\n")
        found = load([specs.directory])
        assert [mirror.name for mirror in found.mirrors] == ["web"]
        assert [path.name for path in found.files][:3] == ["a.yaml", "b.yml", "x.yaml"]

    @pytest.mark.parametrize(
        "text",
        [
            "kind: Mirror\nmetadata: {name: a}\nspec: {}\n",
            "apiVersion: regsync.dev/v1beta1\nkind: Mirror\n",
            "apiVersion: regsinc.dev/v1\nkind: Mirror\n",
            "apiVersion: regsync.dev/v1\nkind: [\n",
        ],
    )
    def test_a_slip_does_not_make_a_document_somebody_elses(self, specs: Specs, text: str) -> None:
        specs.write("a.yaml", HUB)
        specs.write("b.yaml", text)
        assert specs.problems_of(lambda: load([specs.directory]))

    def test_ours_may_stand_beside_others_in_a_file(self, specs: Specs) -> None:
        specs.write("a.yaml", "apiVersion: v1\nkind: ConfigMap\ndata: {a: 1, a: 2}\n", HUB)
        assert list(load([specs.directory]).registries) == ["hub"]

    def test_without_a_path_the_file_comes_before_the_directory(self, specs: Specs) -> None:
        specs.write("regsync/a.yaml", HUB)
        assert list(load(directory=specs.directory).registries) == ["hub"]
        specs.write("regsync.yaml", STORE)
        assert list(load(directory=specs.directory).registries) == ["local"]

    def test_a_mounted_config_map_is_read_once(self, specs: Specs) -> None:
        specs.write("..2026/a.yaml", HUB)
        os.symlink("..2026", specs.directory / "..data")
        os.symlink("..data/a.yaml", specs.directory / "a.yaml")
        assert list(load([specs.directory]).registries) == ["hub"]

    @pytest.mark.parametrize("name", ["pipe", "/dev/zero"])
    def test_what_is_no_file_is_not_waited_for(self, specs: Specs, name: str) -> None:
        os.mkfifo(specs.directory / "pipe")
        path = specs.directory / name
        found = "1:1: a pipe, a socket or a device; only regular files are read; `-` stands for stdin"
        assert specs.problems_of(lambda: load([path])) == [found]

    def test_a_file_named_twice_is_one(self, specs: Specs) -> None:
        path = specs.write("a.yaml", HUB)
        assert load([path, specs.directory, path]).files == (path,)

    def test_links_in_circles_end(self, specs: Specs) -> None:
        specs.write("a.yaml", HUB)
        os.symlink("..", specs.directory / "loop", target_is_directory=True)
        assert load([specs.directory]).registries

    def test_state_lies_beside_the_first_path(self, specs: Specs) -> None:
        path = specs.write("deep/a.yaml", HUB)
        assert load([path]).settings.state == specs.directory / "deep/.regsync/ledger.db"
        assert load([specs.directory]).settings.state == specs.directory / ".regsync/ledger.db"
        specs.write("deep/s.yaml", document("Settings", None, "state: ../x.db\nconcurrency: 7"))
        found = load([specs.directory]).settings
        assert (found.state, found.concurrency) == (specs.directory / "x.db", 7)

    def test_layouts_and_stores_are_places_on_disk(self, specs: Specs, tmp_path: Path) -> None:
        layout = document("Registry", "bundle", "layout: ./images")
        found = specs.load(STORE, layout).registries
        assert found["local"].place == StorePlace(tmp_path / "data")
        assert found["bundle"].place == LayoutPlace(tmp_path / "images")
