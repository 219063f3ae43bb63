"""Policies beside mirrors and upstreams: names of nothing, policies of no use, what none lets pass."""

import pytest

from tests.spec.policy_files import mistakes, policy, root, with_files
from tests.spec.spec_files import HUB, STORE, WEB, Specs, document, mirror


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        pytest.param(
            mirror("source: hub/a/b\ntargets: [local/x]\ntags: [a]\nverify: [prd]"),
            "spec.verify[0]: there is no VerificationPolicy named 'prd'; did you mean 'prod'?",
            id="mirror",
        ),
        pytest.param(
            document("MirrorDefaults", None, "verify: [prd]"), "spec.verify[0]: there is no", id="defaults"
        ),
        pytest.param(
            document("Server", None, "upstreams: [{prefix: a, registry: hub, verify: [prd]}]"),
            "spec.upstreams[0].verify[0]: there is no",
            id="upstream",
        ),
    ],
)
def test_verify_names_policies(specs: Specs, extra: str, expected: str) -> None:
    found = [
        one.partition(": ")[2]
        for one in with_files(specs).problems(
            HUB, STORE, WEB.replace("name: web", "name: other"), policy(more="images: ['**']"), extra
        )
    ]
    assert len(found) == 1, found
    assert expected in found[0]


def test_a_policy_that_nothing_names_and_no_glob_applies_is_unused(specs: Specs) -> None:
    (found,) = with_files(specs).problems(HUB, STORE, WEB, policy())
    assert "metadata.name: nothing uses the policy prod: name it under verify" in found
    assert with_files(specs).load(HUB, STORE, WEB, policy(more="images: ['hub/**']"))


def test_what_a_broken_document_may_use_is_not_called_unused(specs: Specs) -> None:
    broken = mirror("source: hub/a/b\ntargets: [local/x]\ntags: [a]\nverify: {}")
    (found,) = with_files(specs).problems(HUB, STORE, broken, policy())
    assert "spec.verify: expected a list" in found
    uses = policy(more="mode: x", authorities="ops: {key: {file: ops.pub, trustRoot: acme}}")
    (found,) = mistakes(specs, uses, root("sigstore: {}"))
    assert found.startswith("spec.mode")


MIRROR = "source: hub/acme/app\ntargets: [local/prod/app]\ntags: [latest]\n"
WAYS_OUT = "give the policy scope: platforms, or write {include: […], index: original}, or copy all platforms"


@pytest.mark.parametrize(
    "applies", ["images: [hub/acme/*]", "images: [docker.io/acme/**]", "targets: ['*/prod/**']"]
)
@pytest.mark.parametrize("scope", ["index", "both"])
def test_a_list_of_platforms_leaves_no_index_that_anybody_signed(
    specs: Specs, applies: str, scope: str
) -> None:
    text = mirror(MIRROR + "platforms: [linux/amd64]")
    (found,) = with_files(specs).problems(HUB, STORE, text, policy(more=f"{applies}\nscope: {scope}"))
    assert "spec.platforms: a list makes an index with a digest that nobody has signed" in found
    assert WAYS_OUT in found


@pytest.mark.parametrize(
    ("keys", "more"),
    [
        pytest.param("platforms: [linux/amd64]", "scope: platforms", id="its platforms are signed"),
        pytest.param(
            "platforms: {include: [linux/amd64], index: original}", "scope: both", id="the original"
        ),
        pytest.param("platforms: [linux/amd64]", "images: [hub/other/**]", id="another image"),
        pytest.param(
            "referrers: [application/vnd.dev.sigstore.bundle.v0.3+json]", "", id="types of evidence"
        ),
    ],
)
def test_the_ways_out_are_ways_out(specs: Specs, keys: str, more: str) -> None:
    applies = "" if "images" in more else "images: [hub/acme/*]\n"
    assert with_files(specs).load(HUB, STORE, mirror(MIRROR + keys), policy(more=applies + more))


def test_what_is_verified_is_not_left_behind(specs: Specs) -> None:
    (found,) = with_files(specs).problems(
        HUB, STORE, mirror(MIRROR + "referrers: none\nverify: [prod]"), policy()
    )
    assert "spec.referrers: the policy prod needs evidence at the target too" in found


@pytest.mark.parametrize(
    ("include", "clashes"), [("acme/*", True), ("**", True), ("ac*/web", True), ("other/*", False)]
)
def test_repositories_that_only_a_listing_knows_count_by_their_globs(
    specs: Specs,
    include: str,
    clashes: bool,
) -> None:
    text = mirror(
        f"source: hub/{{repository}}\ntargets: ['local/{{repository}}']\n"
        f"repositories: {{include: ['{include}']}}\ntags: [latest]\nplatforms: [linux/amd64]"
    )
    documents = (HUB, STORE, text, policy(more="images: [hub/acme/**]"))
    if clashes:
        assert "spec.platforms" in with_files(specs).problems(*documents)[0]
    else:
        assert with_files(specs).load(*documents)
