"""`regsync verify` on layouts signed by the real tools, without a network."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from regsync.report.schemas import verdicts_schema
from tests.cli.command_line import QUICKSTART, Regsync
from tests.support.signing_keys import new_key, public_pem

SIGNING = QUICKSTART.parents[1] / "tests" / "data" / "signing"
EXAMPLE = QUICKSTART.parent / "signing"
DIGEST = "sha256:3b0523e210a3186b571718ccbca97b4fde092716eca735a287e40d11f198519f"


def policy(name: str, **spec: Any) -> dict[str, Any]:
    rules: dict[str, Any] = {
        "authorities": {"ops": {"key": {"file": "cosign.pub", "tlog": "ignore"}}},
        "require": {"signature": {"authority": "ops"}},
    }
    return document("VerificationPolicy", name, rules | spec)


def document(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "regsync.dev/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A registry of the signed layouts, a policy for each that its key signs, and one for nobody."""
    for name in ("legacy", "newfmt", "attonly", "notation2"):
        shutil.copytree(SIGNING / name, tmp_path / "images" / name)
    shutil.copy(SIGNING / "cosign.pub", tmp_path)
    shutil.copy(SIGNING / "root.crt", tmp_path)
    (tmp_path / "other.pub").write_bytes(public_pem(new_key()))
    write(
        tmp_path,
        document("Registry", "bundle", {"layout": "./images"}),
        policy("signed", images=["bundle/*"]),
        policy("stranger", authorities={"ops": {"key": {"file": "other.pub", "tlog": "ignore"}}}),
        policy("warned", mode="warn", authorities={"ops": {"key": {"file": "other.pub", "tlog": "ignore"}}}),
        document("Mirror", "all", {**MIRROR, "verify": ["stranger", "warned"]}),
    )
    return tmp_path


MIRROR = {
    "source": "bundle/{repository}",
    "targets": ["bundle/copies/{repository}"],
    "repositories": ["legacy"],
    "tags": ["v1"],
}


def write(directory: Path, *documents: dict[str, Any]) -> None:
    text = "\n---\n".join(json.dumps(one) for one in documents)
    (directory / "regsync.yaml").write_text(text)


def verdicts(regsync: Regsync, spec: Path, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
    ran = regsync("verify", *arguments, "--spec", spec, "-o", "json")
    assert ran.code == code, ran.err + ran.out
    found = json.loads(ran.out)
    Draft202012Validator(verdicts_schema()).validate(found)
    result: list[dict[str, Any]] = found["verdicts"]
    return result


@pytest.mark.parametrize(
    ("name", "found_in", "form"),
    [("legacy", "tag:.sig", "cosign-signature"), ("newfmt", "referrers", "sigstore-bundle")],
)
def test_both_formats_of_cosign_pass_and_the_verdict_says_what_was_checked(
    regsync: Regsync, spec: Path, name: str, found_in: str, form: str
) -> None:
    (verdict,) = verdicts(regsync, spec, f"bundle/{name}:v1")
    assert (verdict["policy"], verdict["result"], verdict["digest"]) == ("signed", "pass", DIGEST)
    (seen,) = [one for one in verdict["requirements"][0]["evidence"] if one["reason"] is None]
    assert (seen["location"], seen["format"]) == (found_in, form)
    assert seen["checks"] == ["signature (ECDSA P-256, SHA-256)"]
    assert seen["relaxed"] == ["transparency log: not looked at (tlog: ignore)"]
    assert {one["location"] for one in verdict["searched"]} >= {"referrers", "fallback-tag", "tag:.sig"}


def test_an_attestation_alone_is_refused_and_text_says_why(regsync: Regsync, spec: Path) -> None:
    ran = regsync("verify", "bundle/attonly:v1", "--spec", spec)
    assert ran.code == 3
    assert "policy signed: FAIL" in ran.out
    assert "1 attestation beside it, which never counts as a signature" in ran.out
    assert "for 3b0523e210a3\n        referrers: 1 manifest\n" in ran.out
    assert "tag:.sbom, tag:.sig: nothing there" in ran.out


def test_text_says_each_reason_once(regsync: Regsync, spec: Path) -> None:
    of = [{"signature": {"authority": "ops"}}, {"any": [{"signature": {"authority": "ops"}}]}]
    write(
        spec,
        document("Registry", "bundle", {"layout": "./images"}),
        policy("nested", images=["bundle/*"], scope="both", require={"all": of}),
    )
    ran = regsync("verify", "bundle/attonly:v1", "--spec", spec)
    assert ran.code == 3
    assert "FAIL  any: none is met\n" in ran.out
    assert "FAIL  signature by ops: there is none" in ran.out
    assert "no signature by ops" not in ran.out
    assert ran.out.count("nothing there") == 3  # a line for each digest


def test_a_named_policy_is_asked_instead_of_those_that_apply(regsync: Regsync, spec: Path) -> None:
    (verdict,) = verdicts(regsync, spec, "bundle/newfmt:v1", "--policy", "stranger", code=3)
    assert verdict["policy"] == "stranger"
    assert "signature: it is not by this key" in verdict["reason"]


def test_a_policy_that_warns_says_no_and_exits_with_zero(regsync: Regsync, spec: Path) -> None:
    (verdict,) = verdicts(regsync, spec, "bundle/newfmt:v1", "--policy", "warned")
    assert (verdict["result"], verdict["mode"]) == ("fail", "warn")
    assert (
        "(mode: warn, it would pass)"
        in regsync("verify", "bundle/newfmt:v1", "--policy", "warned", "--spec", spec).out
    )


def test_several_images_are_asked_and_the_worst_decides_the_exit_code(regsync: Regsync, spec: Path) -> None:
    found = verdicts(regsync, spec, "bundle/legacy:v1", "bundle/attonly:v1", "bundle/newfmt:v1", code=3)
    assert [one["result"] for one in found] == ["pass", "fail", "pass"]


def test_one_image_that_is_not_there_hides_no_other(regsync: Regsync, spec: Path) -> None:
    ran = regsync("verify", "bundle/legacy:v1", "bundle/legacy:v9", "--spec", spec)
    assert ran.code == 1
    assert "PASS" in ran.out
    assert "v9 not found" in ran.err


def test_a_layout_named_by_its_path_meets_the_policies_of_its_registry(regsync: Regsync, spec: Path) -> None:
    (verdict,) = verdicts(regsync, spec, f"oci:{spec}/images/newfmt:v1")
    assert (verdict["policy"], verdict["result"]) == ("signed", "pass")


def test_a_policy_for_everything_is_for_a_layout_that_no_registry_has(regsync: Regsync, spec: Path) -> None:
    shutil.copytree(SIGNING / "newfmt", spec / "elsewhere")
    write(spec, policy("all", images=["**"]), policy("hub", images=["*/acme/**"]))
    (verdict,) = verdicts(regsync, spec, f"oci:{spec}/elsewhere:v1")
    assert verdict["policy"] == "all"


def test_an_image_that_no_policy_speaks_of_is_an_error_that_names_them(regsync: Regsync, spec: Path) -> None:
    shutil.copytree(SIGNING / "newfmt", spec / "elsewhere")
    ran = regsync("verify", f"oci:{spec}/elsewhere:v1", "--spec", spec)
    assert ran.code == 64
    assert "no policy applies" in ran.err
    assert "--policy; there are signed, stranger, warned" in ran.err


def test_a_policy_that_is_none_is_refused_with_the_nearest(regsync: Regsync, spec: Path) -> None:
    ran = regsync("verify", "bundle/newfmt:v1", "--policy", "singed", "--spec", spec)
    assert ran.code == 64
    assert "did you mean signed?" in ran.err


def test_what_is_wrong_with_a_key_is_said_before_anything_is_read(regsync: Regsync, spec: Path) -> None:
    (spec / "cosign.pub").write_text("-----BEGIN PUBLIC KEY-----\nbm9uZQ==\n-----END PUBLIC KEY-----\n")
    for verb in (["verify", "bundle/newfmt:v1", "--spec"], ["validate"], ["plan"]):
        ran = regsync(*verb, spec)
        assert ran.code == 65, verb
        assert "regsync.yaml:" in ran.err


def test_a_digest_tells_what_is_asked_about(regsync: Regsync, spec: Path) -> None:
    (verdict,) = verdicts(regsync, spec, f"bundle/newfmt@{DIGEST}")
    assert verdict["result"] == "pass"


def test_the_example_copies_what_is_signed_and_keeps_the_rest_out(regsync: Regsync, tmp_path: Path) -> None:
    here = tmp_path / "signing"
    shutil.copytree(EXAMPLE, here, ignore=shutil.ignore_patterns(".regsync"))
    ran = regsync("sync", here, "-o", "json")
    assert ran.code == 3
    report = json.loads(ran.out)
    outcomes = {one["target"]: one["outcome"] for one in report["actions"]}
    assert outcomes == {"local/acme/signed": "done", "local/acme/scanned": "blocked"}
    (judged,) = [one["verdicts"] for one in report["actions"] if one["outcome"] == "done"]
    assert [(one["policy"], one["result"]) for one in judged] == [("signed", "pass")]
    assert regsync("verify", "local/acme/signed:v1", "--policy", "signed", "--spec", here).code == 0
