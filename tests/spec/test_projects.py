"""What the files of a Project may do, and every way around it that somebody thought of."""

import os
from pathlib import Path

import pytest

from regsync.spec.load import load
from regsync.spec.model import Spec
from regsync.spec.problems import InvalidSpecError
from regsync.spec.pruning import PrunePolicy
from tests.spec.policy_files import PUBLIC_KEY
from tests.spec.spec_files import Specs, document, mirror

REGISTRIES = (
    document("Registry", "hub", "url: docker.io"),
    document("Registry", "hub-admin", "url: https://index.docker.io"),
    document("Registry", "dev", "url: dev.example.com"),
    document("Registry", "local", "store: ./data"),
    document("Registry", "eu", "url: eu.example.com"),
    document("RegistryGroup", "everywhere", "registries: [local, eu]"),
    document("Settings", None, "concurrency: 8"),
)
WEB = """
files: ["teams/web/**"]
sources: ["hub/**", "dev/web/**"]
targets: ["*/web/**"]
"""
NGINX = "source: hub/library/nginx\ntargets: [local/web/nginx]\ntags: [latest]"


class Estate:
    """The files of those who look after all, and below them those of teams."""

    def __init__(self, directory: Path) -> None:
        self.specs = Specs(directory)
        (directory / ".git").mkdir()
        self.central(WEB)

    def central(self, web: str, *more: str) -> None:
        """Write the one file beside the Settings."""
        self.specs.write("central.yaml", *REGISTRIES, document("Project", "web", web), *more)

    def write(self, name: str, *documents: str) -> Path:
        return self.specs.write(name, *documents)

    def load(self) -> Spec:
        return load([self.specs.directory])

    def problems(self) -> list[str]:
        with pytest.raises(InvalidSpecError) as caught:
            self.load()
        return [str(one).replace(f"{self.specs.directory}/", "") for one in caught.value.problems]

    def team(self, *documents: str, name: str = "teams/web/web.yaml") -> list[str]:
        """What is wrong with a file of the team."""
        self.write(name, *documents)
        return self.problems()


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    return Estate(tmp_path)


def policy(name: str = "prod", more: str = "") -> str:
    spec = "authorities: {ours: {key: {file: ours.pub}}}\nrequire: {signature: {authority: ours}}"
    return document("VerificationPolicy", name, f"{spec}\n{more}")


def web_with(**keys: str) -> str:
    return WEB + "\n".join(f"{key}: {value}" for key, value in keys.items())


def test_a_team_mirrors_what_its_project_allows(estate: Estate) -> None:
    estate.write("teams/web/deep/down/web.yaml", mirror(NGINX))
    estate.write("teams/web/all.yaml", mirror(
        "source: 'dev/{repository}'\ntargets: ['everywhere/{repository}']\n"
        "repositories: {include: ['web/**', 'web/shop-*']}\ntags: [a]", "all"
    ))  # fmt: skip
    spec = estate.load()
    assert [one.name for one in spec.mirrors] == ["all", "web"]
    assert [(one.name, one.files) for one in spec.projects] == [("web", ("teams/web/**",))]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param("source: dev/api/x\ntargets: [local/web/x]\ntags: [a]", "dev/api/x is outside",
                     id="a source of another team"),
        pytest.param("source: [hub/library/x, dev/api/x]\ntargets: [local/web/x]\ntags: [a]", "dev/api/x is",
                     id="a second source"),
        pytest.param("source: hub-admin/library/x\ntargets: [local/web/x]\ntags: [a]", "hub-admin/library/x",
                     id="another login at an allowed host"),
        pytest.param("source: hub/library/x\ntargets: [local/api/x]\ntags: [a]", "local/api/x is outside",
                     id="a target of another team"),
        pytest.param("source: hub/library/x\ntargets: [everywhere/api/x]\ntags: [a]", "local/api/x is",
                     id="a group"),
        pytest.param("source: hub/library/x\ntargets: [local/webs/x]\ntags: [a]", "local/webs/x is outside",
                     id="a name that begins like it"),
        pytest.param("source: 'hub/{repository}'\ntargets: ['local/{repository}']\n"
                     "repositories: [web/a, api/b]\ntags: [a]", "local/api/b is outside", id="one of many"),
        pytest.param("source: 'dev/{repository}'\ntargets: ['local/web/{repository}']\n"
                     "repositories: {include: ['**']}\ntags: [a]", "dev/** is outside", id="a glob"),
        pytest.param("source: 'dev/{repository}'\ntargets: ['local/web/{repository}']\n"
                     "repositories: {include: ['web*/**']}\ntags: [a]", "dev/web*/** is outside",
                     id="a glob that takes a little more"),
        pytest.param("source: 'dev/web/{repository}'\ntargets: ['local/{basename}/x-{repository}']\n"
                     "repositories: {include: ['**']}\ntags: [a]", "is outside", id="a target of a listing"),
        pytest.param("images: {list: [hub/library/x:1, dev/api/x:1]}\ntargets: ['local/web/{repository}']",
                     "dev/api/x is outside", id="one image of a list"),
        pytest.param("source: quay.io/acme/x\ntargets: [local/web/x]\ntags: [a]", "a full reference",
                     id="a full reference"),
        pytest.param("source: dev.example.com/web/x\ntargets: [local/web/x]\ntags: [a]", "a full reference",
                     id="a full reference to a declared host"),
        pytest.param("source: hub/library/x\ntargets: ['http://evil.example.com/web/x']\ntags: [a]",
                     "a full reference", id="a target anywhere"),
        pytest.param("images: {list: ['docker://quay.io/x/y:1']}\ntargets: ['local/web/{repository}']",
                     "a full reference", id="a full reference in a list"),
        pytest.param("images: {file: ../../list.txt}\ntargets: ['local/web/{repository}']",
                     "a list in another file", id="a list outside"),
        pytest.param(NGINX + "\nprune: {}", "prune: Project web", id="deletion"),
        pytest.param(NGINX + "\nhistory: {}", "history, which deletes", id="deletion of former images"),
    ],
)  # fmt: skip
def test_a_mirror_cannot_do_more_than_its_project_allows(estate: Estate, spec: str, expected: str) -> None:
    estate.write("list.txt", "hub/library/x:1\n")
    found = "\n".join(estate.team(mirror(spec)))
    assert expected in found
    assert "teams/web/web.yaml:" in found
    assert "Project web (central.yaml:" in found
    assert " allows " in found


def test_an_error_says_what_is_allowed(estate: Estate) -> None:
    (found,) = estate.team(mirror("source: hub/library/x\ntargets: [local/api/x]\ntags: [a]"))
    assert found.endswith("allows targets */web/**")
    estate.central(WEB.replace('targets: ["*/web/**"]', ""))
    (found,) = estate.team(mirror(NGINX))
    assert found.endswith("allows targets nowhere")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(document("Registry", "evil", "url: evil.example.com\nauth: {username: {env: A}, "
                              "password: {env: AWS_SECRET_ACCESS_KEY}}"), id="a registry that gets a secret"),
        pytest.param(document("Registry", "evil", "store: /etc"), id="a store anywhere"),
        pytest.param(document("RegistryGroup", "mine", "registries: [eu]"), id="a group"),
        pytest.param(policy("mine", "mode: warn"), id="a policy that only warns"),
        pytest.param(document("TrustRoot", "mine", "sigstore: {file: root.json}"), id="a root"),
        pytest.param(document("Settings", None, "concurrency: 9"), id="settings"),
        pytest.param(document("Server", None, "listen: 0.0.0.0:5000\nstorage: {store: ./d}"), id="a server"),
        pytest.param(document("Project", "more", "files: ['x/**']\nsources: ['**']\ntargets: ['**']"),
                     id="a project"),
        pytest.param(document("MirrorDefaults", None, "atLeast: 2"), id="defaults, where not allowed"),
        pytest.param(document("RetentionPolicy", "mine", "repositories: [local/web/**]\nkeep: [a]"),
                     id="retention, where not allowed"),
    ],
)  # fmt: skip
def test_a_file_holds_no_other_kinds_than_its_project_allows(estate: Estate, text: str) -> None:
    found = [one for one in estate.team(mirror(NGINX), text) if "allows kinds" in one]
    assert len(found) == 1
    assert "Project web (central.yaml:" in found[0]
    assert found[0].endswith("allows kinds Mirror")


@pytest.mark.parametrize("kind", ["Registry", "Server", "VerificationPolicy", "Project", "Settings"])
def test_no_project_can_allow_what_says_where_secrets_go(estate: Estate, kind: str) -> None:
    estate.central(web_with(kinds=f"[Mirror, {kind}]"))
    assert "expected one of Mirror, MirrorDefaults, RetentionPolicy" in "".join(estate.problems())


@pytest.mark.parametrize("glob", ["../**", "teams/../**", "/etc/**", "./teams/**"])
def test_files_lie_below_the_project(estate: Estate, glob: str) -> None:
    estate.central(WEB.replace("teams/web/**", glob))
    assert "expected files below the directory of the Project" in "".join(estate.problems())


@pytest.mark.parametrize(
    "name",
    ["teams/other/x.yaml", "teams/x.yaml", "x/central.yaml", "teams/webs/x.yaml", "teams/Web/x.yaml"],
)
def test_a_file_under_no_project_stands_beside_the_settings(estate: Estate, name: str) -> None:
    (found,) = estate.team(mirror(NGINX), name=name)
    assert f"{name}:1:1: this file is under no Project" in found
    assert "Project web (central.yaml:" in found
    assert "with files teams/web/**" in found


def test_beside_the_settings_everything_is_allowed(estate: Estate) -> None:
    estate.write("ours.yaml", mirror("source: quay.io/acme/x\ntargets: [local/api/x]\ntags: [a]\nprune: {}"))
    assert len(estate.load().mirrors) == 1


def test_without_settings_no_file_is_under_none(tmp_path: Path) -> None:
    specs = Specs(tmp_path)
    path = specs.write("a.yaml", *REGISTRIES[:-1], document("Project", "web", WEB))
    (found,) = specs.problems_of(lambda: load([path]))
    assert "under no Project" in found


def test_a_project_over_the_central_files_says_so(estate: Estate) -> None:
    estate.central(WEB.replace("teams/web/**", "**"))
    assert "Settings in this file: Project web" in "\n".join(estate.problems())


def test_a_file_under_two_projects_is_under_none(estate: Estate) -> None:
    estate.central(WEB, document("Project", "all", "files: ['teams/**']\nsources: ['**']\ntargets: ['**']"))
    (found,) = estate.team(mirror(NGINX))
    assert "under more than one Project" in found
    assert "Project all (" in found
    assert "Project web (" in found


def test_a_link_to_a_file_of_a_team_is_held_to_its_project(estate: Estate) -> None:
    # Whoever looks after all made the link; what stands behind it the team can change.
    target = estate.write("teams/web/web.txt", mirror("source: dev/api/x\ntargets: [local/api/x]\ntags: [a]"))
    os.symlink(target, estate.specs.directory / "linked.yaml")
    assert "dev/api/x is outside" in "\n".join(estate.problems())


def test_files_of_mounted_config_maps_are_where_they_are_seen(tmp_path: Path) -> None:
    for directory, name, documents in (
        ("", "central.yaml", (*REGISTRIES, document("Project", "web", WEB))),
        ("", "ours.yaml", (mirror("source: dev/api/x\ntargets: [local/api/x]\ntags: [a]", "ours"),)),
        ("teams/web", "web.yaml", (mirror(NGINX),)),
    ):
        mounted = Specs(tmp_path / directory)
        mounted.write(f"..2026_11_25/{name}", *documents)
        if not (mounted.directory / "..data").exists():
            os.symlink("..2026_11_25", mounted.directory / "..data")
        os.symlink(f"..data/{name}", mounted.directory / name)
    assert [one.name for one in load([tmp_path]).mirrors] == ["ours", "web"]


def test_a_link_of_a_team_leads_to_no_more_rights(estate: Estate) -> None:
    estate.write("elsewhere.txt", mirror("source: dev/api/x\ntargets: [local/api/x]\ntags: [a]"))
    (estate.specs.directory / "teams/web").mkdir(parents=True)
    os.symlink("../../elsewhere.txt", estate.specs.directory / "teams/web/x.yaml")
    assert "dev/api/x is outside" in "\n".join(estate.problems())


def test_a_link_into_the_files_of_another_team_is_of_two_projects(estate: Estate) -> None:
    api = "files: ['teams/api/**']\nsources: ['**']\ntargets: ['**']"
    estate.central(WEB, document("Project", "api", api))
    target = estate.write("teams/web/x.txt", mirror("source: dev/api/x\ntargets: [local/api/x]\ntags: [a]"))
    (estate.specs.directory / "teams/api").mkdir()
    os.symlink(target, estate.specs.directory / "teams/api/x.yaml")
    assert "under more than one Project" in "\n".join(estate.problems())


@pytest.mark.parametrize("path", ["teams/web", "teams/web/web.yaml", "teams/web/../web/web.yaml"])
def test_a_project_cannot_be_left_out(estate: Estate, path: str) -> None:
    estate.write("teams/web/web.yaml", mirror("source: quay.io/a/x\ntargets: [quay.io/b/x]\ntags: [a]"))
    with pytest.raises(InvalidSpecError, match="this Project applies to what was named, and is left out"):
        load([estate.specs.directory / path])


def test_documents_on_stdin_are_of_no_file(
    estate: Estate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    central = tmp_path / "central.yaml"
    with open(central, encoding="utf-8") as stream, monkeypatch.context() as patch:
        patch.setattr("sys.stdin", stream)
        patch.chdir(tmp_path)
        with pytest.raises(InvalidSpecError, match="documents come from files, not from stdin"):
            load([Path("-")])


def test_a_name_cannot_be_taken_over(estate: Estate) -> None:
    estate.write("ours.yaml", mirror("source: dev/api/x\ntargets: [local/api/x]\ntags: [a]"))
    assert "the name 'web' is used twice" in "\n".join(estate.team(mirror(NGINX)))


def test_policies_of_a_project_are_met_whether_named_or_not(estate: Estate) -> None:
    estate.write("ours.pub", PUBLIC_KEY)
    estate.central(web_with(verify="[prod]", kinds="[Mirror, MirrorDefaults]"), policy())
    estate.write(
        "teams/web/web.yaml", mirror(NGINX + "\nverify: []"), document("MirrorDefaults", None, "verify: []")
    )
    assert estate.load().mirrors[0].verify == ("prod",)


def test_a_project_names_no_policy_that_there_is_not(estate: Estate) -> None:
    estate.central(web_with(verify="[prd]"))
    assert "there is no VerificationPolicy named 'prd'" in "\n".join(estate.problems())


def test_evidence_cannot_be_left_behind(estate: Estate) -> None:
    estate.write("ours.pub", PUBLIC_KEY)
    estate.central(web_with(verify="[prod]"), policy())
    assert "the policy prod needs evidence" in "\n".join(estate.team(mirror(NGINX + "\nreferrers: none")))


def test_defaults_in_a_project_widen_nothing(estate: Estate) -> None:
    estate.central(web_with(kinds="[Mirror, MirrorDefaults]"))
    defaults = document("MirrorDefaults", None, "targets: [local/api/nginx]\nprune: {owns: repository}")
    found = "\n".join(estate.team(defaults, mirror("source: hub/library/nginx\ntags: [a]")))
    assert "local/api/nginx is outside" in found
    assert "prune: Project web" in found


def test_defaults_of_a_team_apply_to_no_mirror_of_another(estate: Estate) -> None:
    api = "files: ['teams/web/api/*']\nsources: ['**']\ntargets: ['**']\nprune: {}"
    web = WEB.replace("teams/web/**", "teams/web/*") + "kinds: [MirrorDefaults]"
    estate.central(web, document("Project", "api", api))
    estate.write(
        "teams/web/api/x.yaml", mirror("source: dev/api/x\ntargets: [local/api/x]\ntags: [a]", "api")
    )
    (found,) = estate.team(document("MirrorDefaults", None, "prune: {}"))
    assert "these defaults would apply to the mirror api, which is not of its files: Project web" in found


def test_defaults_of_a_team_apply_to_nothing_beside_the_settings(estate: Estate) -> None:
    estate.central("files: ['web-*.yaml']\nkinds: [MirrorDefaults]\nsources: ['**']\ntargets: ['**']")
    estate.write("ours.yaml", mirror(NGINX, "ours"))
    found = estate.team(document("MirrorDefaults", None, "verify: []"), name="web-defaults.yaml")
    assert "would apply to the mirror ours" in "\n".join(found)


def test_what_central_defaults_say_may_be_a_full_reference(estate: Estate) -> None:
    estate.central(WEB, document("MirrorDefaults", None, "source: dev.example.com/web/nginx"))
    estate.write("teams/web/web.yaml", mirror("targets: [local/web/x]\ntags: [a]"))
    assert str(estate.load().mirrors[0].sources[0]) == "dev/web/nginx"


PRUNE = "{maxDeletes: 20, grace: 3d, protect: [release-*]}"


@pytest.mark.parametrize(
    ("prune", "expected"),
    [
        pytest.param("{maxDeletes: 21}", "maxDeletes 21: Project", id="more tags"),
        pytest.param("{maxDeletePercent: 11}", "maxDeletePercent 11: Project", id="a larger part"),
        pytest.param("{grace: 2d}", "a grace of 2d: Project", id="a shorter grace"),
        pytest.param("{owns: repository}", "owns: repository: Project", id="what others pushed"),
    ],
)
def test_deletion_has_the_limits_of_the_project(estate: Estate, prune: str, expected: str) -> None:
    estate.central(web_with(prune=PRUNE))
    (found,) = estate.team(mirror(f"{NGINX}\nprune: {prune}"))
    assert f"spec.prune.{prune[1:].partition(':')[0]}: " in found
    assert expected in found


def test_what_a_project_protects_is_protected(estate: Estate) -> None:
    estate.central(web_with(prune=PRUNE))
    estate.write(
        "teams/web/web.yaml", mirror(f"{NGINX}\nprune: {{maxDeletes: 20, grace: 3d, protect: [v1]}}")
    )
    found = estate.load().mirrors[0].prune
    assert found is not None
    assert found.protect == ("v1", "release-*")
    assert found.owns is PrunePolicy().owns


RETENTION = "kinds: [Mirror, RetentionPolicy]\nprune: {maxDeletes: 20}"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param("repositories: [local/api/**]\nkeep: [a]", "local/api/** is outside", id="of others"),
        pytest.param("repositories: [local/**]\nkeep: [a]", "local/** is outside", id="of all"),
        pytest.param("repositories: [everywhere/api/x]\nkeep: [a]", "local/api/x is", id="by a group"),
        pytest.param("repositories: [local/web/**]\nkeep: [a]", "maxDeletes 100", id="the usual limits"),
        pytest.param("repositories: [local/web/**]\nuntagged: {keepFor: 1h}\nlimits: {maxDeletes: 1, "
                     "maxDeletePercent: 1}", "untagged manifests kept for 1h", id="at once"),
        pytest.param("repositories: [local/web/**]\nkeep: [a]\ninUse: ['file:/etc/passwd']\n"
                     "limits: {maxDeletes: 1, maxDeletePercent: 1}", "inUse file:/etc/passwd", id="a file"),
        pytest.param("repositories: [local/web/**]\nkeep: [a]\ninUse: ['kubernetes:admin']\nlimits: "
                     "{maxDeletes: 1, maxDeletePercent: 1}", "inUse kubernetes:admin", id="a cluster"),
    ],
)  # fmt: skip
def test_retention_stays_within_the_project(estate: Estate, spec: str, expected: str) -> None:
    estate.central(WEB + RETENTION)
    found = "\n".join(estate.team(document("RetentionPolicy", "mine", spec)))
    assert expected in found
    assert "Project web (central.yaml:" in found


def test_retention_within_the_project_is_carried_out(estate: Estate) -> None:
    estate.central(WEB + RETENTION.replace("20}", "20, protect: [v*]}"))
    limits = "limits: {maxDeletes: 20, maxDeletePercent: 10}"
    text = document("RetentionPolicy", "mine", f"repositories: [everywhere/web/*]\nkeep: [a]\n{limits}")
    estate.write("teams/web/web.yaml", text)
    (found,) = estate.load().retention
    assert found.protect == ("v*",)


def test_no_retention_where_a_project_deletes_nothing(estate: Estate) -> None:
    estate.central(web_with(kinds="[RetentionPolicy]"))
    found = estate.team(document("RetentionPolicy", "mine", "repositories: [local/web/**]\nkeep: [a]"))
    assert "retention: Project web" in "\n".join(found)


def test_a_host_is_nothing_that_a_project_could_allow(estate: Estate) -> None:
    estate.central(WEB.replace("hub/**", "docker.io/**"))
    assert "name a Registry" in "\n".join(estate.problems())


@pytest.mark.parametrize("rename", ["../api/{tag}", "{tag}/../x", "x/{tag}"])
def test_a_renamed_tag_stays_in_its_repository(estate: Estate, rename: str) -> None:
    keys = f"rename: '{rename}'\nhistory: {{tag: '{rename}-{{digest}}'}}"
    first, second = estate.team(mirror(f"{NGINX}\n{keys}"))
    assert "spec.history.tag: invalid history tag" in first + second
    assert "spec.rename: invalid rename" in first + second
