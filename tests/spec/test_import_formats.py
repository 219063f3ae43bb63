from pathlib import Path
from textwrap import dedent

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from regsync.spec.expand import units
from regsync.spec.imports import FORMATS, Imported, UnknownFormatError, import_file
from regsync.spec.load import load
from regsync.spec.model import Mirror, Spec
from regsync.spec.problems import InvalidSpecError

DIGEST = "sha256:" + "a" * 64
LINES = {
    "list": "# release\nquay.io/a/b:1\nnginx\nghcr.io/c/d@" + DIGEST + "\n",
    "imgpkg": f"""
        apiVersion: imgpkg.carvel.dev/v1alpha1
        kind: ImagesLock
        images:
        - image: index.docker.io/acme/web@{DIGEST}
          annotations: {{kbld.carvel.dev/id: acme/web}}
        """,
    "hauler": f"""
        apiVersion: content.hauler.cattle.io/v1
        kind: Images
        metadata:
          name: acme
          annotations: {{hauler.dev/registry: registry.example.com, hauler.dev/platform: linux/amd64}}
        spec:
          images:
            - name: team/web:1.2
            - {{name: ghcr.io/acme/api:2, platform: linux/arm64/v8, key: cosign.pub}}
            - {{name: "quay.io/acme/db@{DIGEST}", exclude-extras: true, rewrite: db}}
        ---
        apiVersion: content.hauler.cattle.io/v1
        kind: Charts
        spec: {{charts: [{{name: x}}]}}
        """,
    "kubernetes": f"""
        apiVersion: v1
        kind: List
        items:
        - apiVersion: apps/v1
          kind: Deployment
          spec:
            template:
              spec:
                initContainers: [{{name: i, image: busybox}}]
                containers: [{{name: c, image: 'quay.io/a/b:1@{DIGEST}'}}, {{name: d, image: ghcr.io/c/d:2}}]
                volumes: [{{name: v, image: {{reference: quay.io/models/m:1}}}}]
        ---
        apiVersion: batch/v1
        kind: CronJob
        spec: {{jobTemplate: {{spec: {{template: {{spec: {{containers: [{{image: ghcr.io/c/d:2}}]}}}}}}}}}}
        ---
        apiVersion: acme.example/v1
        kind: Database
        spec:
          image: acme/db:9
          podTemplate: {{spec: {{ephemeralContainers: [{{image: acme/debug:1}}]}}}}
        """,
    "skopeo": f"""
        registry.example.com:
          images:
            team/web: []
            redis: [1.10, latest, "{DIGEST}"]
          images-by-tag-regex: {{nginx: '^1\\.13\\.[12]-alpine$', api: rc|beta}}
          images-by-semver: {{alpine: ">= 3.12, <=3.14"}}
          credentials: {{username: john, password: hunter2}}
          tls-verify: false
          cert-dir: /certs
        docker.io:
          images: {{nginx: [1.27]}}
        """,
}


def imported(form: str, text: str, target: str | None = None) -> Imported:
    return import_file(form, dedent(text).encode(), name="in.yaml", target=target)


def loaded(found: Imported, directory: Path) -> Spec:
    path = directory / "regsync.yaml"
    path.write_text(found.documents, encoding="utf-8")
    return load([path])


def images(spec: Spec) -> list[str]:
    return sorted(
        f"{place}:{pin.tag or pin.digest}" for mirror in spec.mirrors for place, pin in mirror.images
    )


def by_name(spec: Spec) -> dict[str, Mirror]:
    return {mirror.name: mirror for mirror in spec.mirrors}


@pytest.mark.parametrize("form", LINES)
def test_what_is_written_loads_and_names_what_it_came_from(form: str, tmp_path: Path) -> None:
    found = imported(form, LINES[form])
    assert found.documents.startswith(f"# From in.yaml by `regsync import {form}`.\n")
    for mirror in loaded(found, tmp_path).mirrors:
        assert units(mirror)
    assert "hunter2" not in found.documents + "".join(found.not_carried)


@pytest.mark.parametrize("form", LINES)
def test_a_target_of_the_callers_choice_is_used(form: str, tmp_path: Path) -> None:
    for target in ("registry.inside:5000/mirror", "registry.inside:5000/mirror/{repository}"):
        spec = loaded(imported(form, LINES[form], target), tmp_path)
        for mirror in spec.mirrors:
            assert {one.registry for one in mirror.targets} == {"registry.inside:5000"}
            assert all(one.path.startswith("mirror/") for one in mirror.targets)


def test_a_list_is_taken_line_by_line(tmp_path: Path) -> None:
    found = imported("list", LINES["list"])
    assert images(loaded(found, tmp_path)) == [
        "docker.io/library/nginx:latest", f"ghcr.io/c/d:{DIGEST}", "quay.io/a/b:1",
    ]  # fmt: skip
    assert found.not_carried == ("nginx names no tag; taken as latest",)


def test_a_lock_of_imgpkg_is_digests(tmp_path: Path) -> None:
    assert images(loaded(imported("imgpkg", LINES["imgpkg"]), tmp_path)) == [f"docker.io/acme/web:{DIGEST}"]


def test_haulers_images_are_grouped_by_platform(tmp_path: Path) -> None:
    found = imported("hauler", LINES["hauler"])
    spec = loaded(found, tmp_path)
    assert {name: len(mirror.images) for name, mirror in by_name(spec).items()} == {
        "images-linux-amd64": 1, "images-linux-arm64": 1, "images-linux-amd64-bare": 1,
    }  # fmt: skip
    assert "registry.example.com/team/web:1.2" in images(spec)
    assert by_name(spec)["images-linux-amd64-bare"].referrers.mode.value == "none"
    notes = "\n".join(found.not_carried)
    assert "ghcr.io/acme/api:2: how its signature is verified" in notes
    assert f"quay.io/acme/db@{DIGEST}: rewrite" in notes
    assert "kind Charts" in notes


def test_every_container_of_a_cluster_is_found_once(tmp_path: Path) -> None:
    found = imported("kubernetes", LINES["kubernetes"])
    assert images(loaded(found, tmp_path)) == [
        "docker.io/acme/debug:1",
        "docker.io/library/busybox:latest",
        "ghcr.io/c/d:2",
        "quay.io/a/b:1",
        "quay.io/models/m:1",
    ]
    assert any("image acme/db:9 belongs to no container" in note for note in found.not_carried)


def test_images_that_would_meet_go_below_their_hosts(tmp_path: Path) -> None:
    spec = loaded(imported("list", "quay.io/a/b:1\nghcr.io:443/a/b:1\n"), tmp_path)
    targets = {str(one.targets[0]) for mirror in spec.mirrors for one in units(mirror)}
    assert targets == {"local/quay.io/a/b", "local/ghcr.io-443/a/b"}


def test_one_tag_with_two_digests_keeps_both(tmp_path: Path) -> None:
    other = "sha256:" + "b" * 64
    found = imported("list", f"quay.io/a/b:1@{DIGEST}\nquay.io/a/b:1@{other}\n")
    assert images(loaded(found, tmp_path)) == ["quay.io/a/b:1", f"quay.io/a/b:{other}"]
    assert "stands in the file with another digest too" in found.not_carried[0]


def test_skopeos_file_keeps_what_it_says(tmp_path: Path) -> None:
    found = imported("skopeo", LINES["skopeo"])
    spec = loaded(found, tmp_path)
    rules = {
        str(unit.source): [str(rule) for rule in unit.rules]
        for mirror in spec.mirrors
        for unit in units(mirror)
        if unit.rules
    }
    assert rules == {
        "registry-example-com/team/web": ["glob '*'"],
        "registry-example-com/redis": ["names 1.10", "names latest"],
        "registry-example-com/nginx": [r"regex '1\\.13\\.[12]-alpine'"],
        "registry-example-com/api": ["regex '.*(?:rc|beta).*'"],
        "registry-example-com/alpine": ["semver '>=3.12, <=3.14.x'"],
        "docker.io/library/nginx": ["names 1.27"],
    }
    assert images(spec) == [f"registry-example-com/redis:{DIGEST}"]
    notes = "\n".join(found.not_carried)
    assert "set REGISTRY_EXAMPLE_COM_USERNAME and REGISTRY_EXAMPLE_COM_PASSWORD" in notes
    assert "tls-verify: false" in notes
    assert "cert-dir" in notes


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("list", "# nothing\n"),
        ("imgpkg", "kind: Deployment\n"),
        ("imgpkg", "kind: ImagesLock\n"),
        ("hauler", "apiVersion: v1\nkind: Images\n"),
        ("kubernetes", "a: b\n"),
        ("skopeo", "a: b\n"),
        ("skopeo", ""),
        ("skopeo", "'a b': {images: {}}\n"),
        ("regclient", "a: b\n"),
        ("regclient", ""),
        ("regclient", "[1]\n"),
        ("regclient", "a: [\n"),
    ],
)
def test_a_file_of_another_kind_says_what_was_expected(form: str, text: str) -> None:
    with pytest.raises(InvalidSpecError, match=r"in\.yaml"):
        imported(form, text)


def test_an_unknown_format_names_the_nearest() -> None:
    with pytest.raises(UnknownFormatError, match="known are regclient") as caught:
        imported("scopeo", "")
    assert caught.value.hint == "did you mean skopeo?"


_TEXTS = st.sampled_from(
    [
        "quay.io/a/b:1",
        "nginx",
        "",
        "a b",
        "true",
        "3",
        "registry",
        "repository",
        "image",
        DIGEST,
        "^a.*$",
        "(a+)+",
        ">=1",
        "{{x}}",
    ]
)
_WORDS = (
    "sync creds source target type tags allow deny semverRange images containers image kind apiVersion spec "
    "name registry user pass defaults platforms platform repos quay.io images-by-semver images-by-tag-regex"
)
_KEYS = st.sampled_from(_WORDS.split())
_TREES = st.recursive(
    _TEXTS | st.none(),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(_KEYS, below, max_size=5),
    max_leaves=25,
)


@settings(max_examples=300, deadline=None)
@given(_TREES, st.sampled_from(sorted(FORMATS)))
def test_whatever_a_file_holds_gives_a_spec_that_loads_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, tree: object, form: str
) -> None:
    try:
        found = import_file(form, yaml.safe_dump(tree).encode())
    except InvalidSpecError:
        return
    if "\nkind: " in found.documents:
        loaded(found, tmp_path_factory.mktemp("spec"))


_NAMES = st.sampled_from(
    ["quay.io/a/b", "alpine", "registry:5000/x", "A", "quay.io", "a@sha256:1", f"a/b@{DIGEST}", "a:1"]
)
_PATTERNS = st.lists(
    st.sampled_from(
        [
            "latest",
            "v.*",
            "3.9",
            "(a+)+",
            "(",
            "[0-9]+",
            "a|b",
            ".*-(x|y)",
            "*",
            "a/.*",
            "v?",
            ">=1",
            "~1",
            "1 - 2",
        ]
    ),
    max_size=3,
)
_ENTRIES = st.fixed_dictionaries(
    {"source": _NAMES, "target": _NAMES, "type": st.sampled_from(["image", "repository", "registry"])},
    optional={
        "tags": st.fixed_dictionaries(
            {}, optional={"allow": _PATTERNS, "deny": _PATTERNS, "semverRange": _PATTERNS}
        ),
        "repos": st.fixed_dictionaries({}, optional={"allow": _PATTERNS, "deny": _PATTERNS}),
        "platforms": st.lists(st.sampled_from(["linux/amd64", "x", "linux/arm64"]), max_size=2),
        "platform": st.sampled_from(["linux/amd64", "local", ""]),
        "referrers": st.booleans(),
        "referrerFilters": st.lists(
            st.fixed_dictionaries({"artifactType": st.sampled_from(["a/b", "sbom"])}), max_size=2
        ),
    },
)
_CREDS = st.fixed_dictionaries(
    {"registry": st.sampled_from(["quay.io", "registry:5000", "docker.io", "a b"])},
    optional={
        "user": st.sampled_from(["me", '{{env "U"}}', '{{env "a b"}}']),
        "pass": st.sampled_from(["hunter2", '{{file "/x"}}']),
        "tls": st.sampled_from(["disabled", "insecure"]),
        "reqPerSec": st.sampled_from([0, 0.001, 5, 10**9, -1]),
        "reqConcurrent": st.sampled_from([0, 3, 10**6, "x"]),
    },
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(_ENTRIES, max_size=1), st.lists(_CREDS, max_size=3, unique_by=lambda one: str(one["registry"]))
)
def test_any_entry_of_regclients_file_loads_or_is_told_of(
    tmp_path_factory: pytest.TempPathFactory, entries: list[object], creds: list[object]
) -> None:
    found = import_file("regclient", yaml.safe_dump({"sync": entries, "creds": creds}).encode())
    assert "hunter2" not in found.documents + "".join(found.not_carried)
    if "\nkind: " in found.documents:
        try:
            loaded(found, tmp_path_factory.mktemp("spec"))
        except InvalidSpecError as error:
            # What the file itself asks for and nobody should do.
            assert "is also its source" in str(error)  # noqa: PT017
    if entries and "\nkind: Mirror" not in found.documents:
        assert found.not_carried
