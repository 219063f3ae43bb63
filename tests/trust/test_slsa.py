"""Provenance says who built an image, how, and from what."""

from typing import Any

import pytest

from regsync.spec.verification import SlsaCondition, TextMatch
from regsync.trust.envelopes import Signer
from regsync.trust.slsa import unmet_by_provenance

V1, V02 = "https://slsa.dev/provenance/v1", "https://slsa.dev/provenance/v0.2"
REPOSITORY, REF = "https://github.com/acme/app", "refs/tags/v1.2.3"
REUSABLE = "https://github.com/acme/ci/.github/workflows/build.yml@refs/tags/v2"
GITHUB = "https://actions.github.io/buildtypes/workflow/v1"
KEY = Signer("key", "sha256:1")
Json = dict[str, Any]


def v1(parameters: Json, *, resolved: object = None, build_type: str = GITHUB) -> Json:
    return {
        "buildDefinition": {
            "buildType": build_type,
            "externalParameters": parameters,
            "resolvedDependencies": resolved,
        },
        "runDetails": {"builder": {"id": REUSABLE}},
    }


def v02(uri: str = f"git+{REPOSITORY}@{REF}") -> Json:
    return {
        "builder": {"id": REUSABLE},
        "buildType": GITHUB,
        "invocation": {"configSource": {"uri": uri, "entryPoint": ".github/workflows/release.yml"}},
    }


WORKFLOW = v1({"workflow": {"repository": REPOSITORY, "ref": REF, "path": ".github/workflows/release.yml"}})


def by_certificate(repository: str = REPOSITORY, ref: str = REF) -> Signer:
    return Signer("ci", "x", extensions={"sourceRepositoryURI": repository, "sourceRepositoryRef": ref})


def unmet(condition: SlsaCondition, predicate: Json, signer: Signer = KEY, kind: str = V1) -> str | None:
    return unmet_by_provenance(condition, kind, predicate, signer)


ALL = SlsaCondition(
    TextMatch(regex=r"https://github\.com/acme/ci/\.github/workflows/build\.yml@refs/tags/v[0-9.]+"),
    REPOSITORY,
    TextMatch(exact=REF),
    GITHUB,
)


@pytest.mark.parametrize(
    ("kind", "predicate"),
    [
        pytest.param(V1, WORKFLOW, id="GitHub, a reusable workflow"),
        pytest.param(V02, v02(), id="version 0.2"),
        pytest.param(V02, v02(f"git+{REPOSITORY}.git@{REF}"), id="version 0.2, as git clones it"),
        pytest.param(
            V1, v1({"buildConfigSource": {"repository": REPOSITORY, "ref": REF}}), id="Google Cloud Build"
        ),
        pytest.param(V1, v1({"source": {"uri": f"git+{REPOSITORY}@{REF}"}}), id="slsa-github-generator"),
        pytest.param(V1, v1({"source": f"git+{REPOSITORY}@{REF}"}), id="a source that is a text"),
        pytest.param(
            V1, v1({}, resolved=[{"uri": f"git+{REPOSITORY}@{REF}"}, {"uri": "pkg:x"}]), id="resolved"
        ),
    ],
)
@pytest.mark.parametrize("signer", [KEY, by_certificate()], ids=["by a key", "by a certificate"])
def test_builder_source_and_type_are_read_from_every_kind_of_provenance(
    kind: str, predicate: Json, signer: Signer
) -> None:
    assert unmet(ALL, predicate, signer, kind) is None


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        pytest.param(
            SlsaCondition(builder=TextMatch(exact="https://github.com/acme/ci")),
            f"the builder is {REUSABLE}, not https://github.com/acme/ci",
            id="builder",
        ),
        pytest.param(
            SlsaCondition(builder=TextMatch(regex="https://github.com/acme/ci/.*@refs/tags")),
            f"the builder is {REUSABLE}, not /https://github.com/acme/ci/.*@refs/tags/",
            id="a regex is over the whole text",
        ),
        pytest.param(
            SlsaCondition(source_repository="https://github.com/acme/ap"),
            "the source repository is https://github.com/acme/app, not https://github.com/acme/ap",
            id="repository",
        ),
        pytest.param(
            SlsaCondition(source_ref=TextMatch(exact="refs/heads/main")),
            "the source ref is refs/tags/v1.2.3, not refs/heads/main",
            id="ref",
        ),
        pytest.param(SlsaCondition(build_type="x"), f"the build type is {GITHUB}, not x", id="build type"),
    ],
)
def test_what_is_another_than_asked_is_named(condition: SlsaCondition, reason: str) -> None:
    assert unmet(condition, WORKFLOW) == reason


@pytest.mark.parametrize(
    ("asked", "found", "same"),
    [
        ("https://github.com/acme/app", "git+https://GitHub.com/acme/app.git", True),
        ("github.com/acme/app", "https://github.com/acme/app/", True),
        ("https://github.com/acme/app", "https://github.com/Acme/app", False),
        ("https://github.com/acme/app", "http://github.com/acme/app", False),
        ("https://github.com/acme/app", "https://github.com/acme/app/evil", False),
        ("https://github.com/acme/app", "https://evil.example/github.com/acme/app", False),
    ],
)
def test_a_repository_is_the_same_however_its_address_is_written(asked: str, found: str, same: bool) -> None:
    predicate = v1({"workflow": {"repository": found, "ref": REF}})
    assert (unmet(SlsaCondition(source_repository=asked), predicate) is None) == same


def test_a_ref_is_what_stands_behind_the_repository() -> None:
    uri = "git+ssh://git@git.example/acme/app@main"
    condition = SlsaCondition(None, "ssh://git@git.example/acme/app", TextMatch(exact="main"))
    assert unmet(condition, v02(uri), kind=V02) is None
    assert unmet(condition, v02("git+ssh://git@git.example/acme/app"), kind=V02) == (
        "it does not say the source ref"
    )


def test_the_certificate_has_to_agree_with_what_the_workflow_wrote() -> None:
    condition = SlsaCondition(source_repository=REPOSITORY)
    said = unmet(condition, WORKFLOW, by_certificate("https://github.com/mallory/app"))
    assert said == f"the certificate's source repository is https://github.com/mallory/app, not {REPOSITORY}"
    ref = SlsaCondition(source_ref=TextMatch(exact=REF))
    assert "the certificate's source ref is refs/heads/x" in (
        unmet(ref, WORKFLOW, by_certificate(ref="refs/heads/x")) or ""
    )
    assert unmet(condition, v1({}), by_certificate()) == "it does not say the source repository"


@pytest.mark.parametrize(
    "predicate",
    [
        pytest.param({}, id="empty"),
        pytest.param({"buildDefinition": [], "runDetails": "x"}, id="other types"),
        pytest.param(v1({"workflow": {"repository": 5, "ref": None}}), id="no texts"),
        pytest.param(
            v1({"source": ["x"]}, resolved={"uri": "git+https://github.com/acme/app"}), id="no list"
        ),
        pytest.param(
            v1({}, resolved=[{"uri": "git+https://github.com/a/b"}, {"uri": f"git+{REPOSITORY}"}]),
            id="several that were resolved",
        ),
    ],
)
def test_what_is_not_said_is_not_guessed(predicate: Json) -> None:
    condition = SlsaCondition(source_repository=REPOSITORY)
    assert unmet(condition, predicate) == "it does not say the source repository"


def test_another_predicate_is_no_provenance() -> None:
    said = unmet(SlsaCondition(build_type="x"), {}, kind="https://slsa.dev/verification_summary/v1")
    assert said == "https://slsa.dev/verification_summary/v1 is no SLSA provenance of version 0.2 or 1"
