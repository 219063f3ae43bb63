"""VerificationPolicy documents: what their keys come to."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import jsonschema
import pytest
import yaml

from regsync.oci.reference import RepositoryName
from regsync.spec.load import load
from regsync.spec.model import Location
from regsync.spec.schema import spec_schema
from regsync.spec.verification import (
    AllOf,
    Allowed,
    AtLeast,
    AttestationRequirement,
    HashChoice,
    KeyAuthority,
    KeylessAuthority,
    LogUse,
    Mode,
    NotationAuthority,
    NotationLevel,
    ScanFormat,
    Scope,
    Select,
    Severity,
    SignatureRequirement,
    Skip,
    SlsaCondition,
    TextMatch,
)
from tests.spec.policy_files import BY_OPS, CI, OPS, PUBLIC_KEY, mistakes, policy, read, root, with_files
from tests.spec.spec_files import HUB, STORE, WEB, Specs, document, mirror

# SIGNING.md, section 6, less what comes later.
PUBLISHED = r"""
apiVersion: regsync.dev/v1
kind: TrustRoot                    # without one: the public-good root that ships with the sigstore package
metadata: {name: github-private}
spec: {sigstore: {trustedRoot: trust/github.json, tlogThreshold: 0, timestampThreshold: 1, ctlogThreshold: 0}}
---
apiVersion: regsync.dev/v1
kind: TrustRoot
metadata: {name: acme-ca}
spec: {notation: {ca: [trust/acme-root.crt], tsa: [trust/tsa.crt], signingAuthority: []}}
---
apiVersion: regsync.dev/v1
kind: VerificationPolicy
metadata: {name: prod}
spec:
  images: ["hub/acme/**"]          # optional: applies to these sources without being named in a mirror
  targets: ["*/prod/**"]           # optional: applies to whatever is copied to these places, from wherever
  mode: enforce                    # enforce | warn
  scope: index                     # index | platforms | both: which digests must carry evidence
  evidence: [hub/acme/signatures]  # optional: other repositories where signatures and attestations are kept
  minAge: 3d                       # optional: signed, by a verified time, at least this long ago
  skip: [{images: ["hub/acme/legacy-*"], reason: "vendor does not sign yet", until: 2027-01-01}]
  authorities:
    release-ci:
      keyless:
        trustRoot: public-good
        issuer: https://token.actions.githubusercontent.com
        subjectRegExp: https://github\.com/acme/app/\.github/workflows/release\.yml@refs/tags/v[0-9.]+
        extensions: {sourceRepositoryURI: https://github.com/acme/app, runnerEnvironment: github-hosted}
    ops-key: {key: {file: keys/ops.pub, hashAlgorithm: auto, tlog: optional}}
    vendor: {notation: {trustRoot: acme-ca, level: strict, trustedIdentities: ["x509.subject: C=US, ST=WA, O=Acme, CN=acme-signer"]}}
    private-ci: {keyless: {trustRoot: github-private, issuer: https://token.actions.githubusercontent.com, subject: a}}
  require:
    all:
      - signature: {authority: release-ci, annotations: {team: core}}
      - any: [{signature: {authority: ops-key}}, {signature: {authority: vendor}}, {signature: {authority: private-ci}}]
      - attestation:
          name: slsa
          predicateType: slsaprovenance1      # cosign's alias or the URI
          authority: release-ci
          conditions: ['predicate.runDetails.builder.id.startsWith("https://github.com/acme/app/")']
      - attestation: {name: scan, predicateType: vuln, authority: release-ci, select: newest, maxAge: 7d,
          conditions: ['predicate.scanner.result.Results.all(r, r.Vulnerabilities.all(v, v.Severity != "CRITICAL"))']}
      - attestation: {predicateType: spdxjson, authority: release-ci}                 # presence alone
"""  # noqa: E501 - as it is published


def published(specs: Specs) -> Specs:
    for name in ("trust/github.json", "trust/acme-root.crt", "trust/tsa.crt", "keys/ops.pub"):
        path = specs.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(PUBLIC_KEY)
    return specs


def test_the_published_example_is_read_whole(specs: Specs) -> None:
    spec = published(specs).load(HUB, STORE, WEB, PUBLISHED)
    prod = spec.policies["prod"]
    assert set(spec.trust_roots) == {"github-private", "acme-ca"}
    assert (prod.mode, prod.scope, prod.min_age) == (Mode.ENFORCE, Scope.INDEX, timedelta(days=3))
    assert prod.evidence == (Location("hub", RepositoryName("acme/signatures")),)
    until = datetime(2027, 1, 1, tzinfo=UTC)
    assert prod.skip == (Skip(("hub/acme/legacy-*",), "vendor does not sign yet", until),)
    assert set(prod.authorities) == {"release-ci", "ops-key", "vendor", "private-ci"}
    assert isinstance(prod.require, AllOf)
    assert [type(one) for one in prod.require.of] == [
        *(
            SignatureRequirement,
            AtLeast,
            AttestationRequirement,
            AttestationRequirement,
            AttestationRequirement,
        )
    ]


def test_the_published_example_is_right_in_editors_too() -> None:
    validator = jsonschema.Draft202012Validator(spec_schema())
    for one in yaml.load_all(PUBLISHED, yaml.BaseLoader):
        found = [error.message for error in validator.iter_errors(one)]
        assert [message for message in found if "is not of type 'integer'" not in message] == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(
            "presence alone\n",
            "presence alone\n    conditions: ['attestations.scan.all(a, true)']\n",
            "spec.require.conditions: not yet: expressions cannot speak of several attestations",
            id="across attestations",
        ),
        pytest.param(
            "attestation: {predicateType: spdxjson, authority: release-ci}",
            "attestation: {authority: release-ci, vulnerabilities: {maxSeverity: HIGH, vex: true}}",
            "spec.require.all[4].attestation.vulnerabilities.vex: not yet: VEX documents are not read",
            id="VEX",
        ),
    ],
)
def test_what_comes_later_says_so_at_its_place(specs: Specs, old: str, new: str, expected: str) -> None:
    found = published(specs).problems(HUB, STORE, WEB, PUBLISHED.replace(old, new))
    assert [one for one in found if expected in one]
    assert len(found) == 1


def test_a_policy_has_the_defaults_of_the_language(specs: Specs) -> None:
    found = read(specs, policy())
    assert (found.mode, found.scope, found.min_age, found.skip) == (Mode.ENFORCE, Scope.INDEX, None, ())
    assert (found.images, found.targets, found.evidence) == ((), (), ())
    key = found.authorities["ops"]
    assert isinstance(key, KeyAuthority)
    assert (key.hash_algorithm, key.tlog, key.trust_root) == (HashChoice.AUTO, LogUse.REQUIRED, "public-good")
    assert key.key.name == "ops.pub"
    assert key.key.data.startswith(b"-----BEGIN PUBLIC KEY")


def test_a_key_may_stand_in_the_policy(specs: Specs) -> None:
    text = PUBLIC_KEY.replace("\n", "\n      ")
    found = read(specs, policy(authorities=f"ops:\n  key:\n    tlog: ignore\n    data: |\n      {text}"))
    key = found.authorities["ops"]
    assert isinstance(key, KeyAuthority)
    assert key.key.data.decode() == PUBLIC_KEY
    assert key.key.name == "data"


def test_an_identity_is_exact_or_a_regular_expression(specs: Specs) -> None:
    found = read(
        specs,
        policy(
            "{all: [{signature: {authority: a}}, {signature: {authority: b}}, {signature: {authority: c}}]}",
            authorities=r"""
            a: {keyless: {issuer: i, subject: s}}
            b: {keyless: {issuerRegExp: 'https://.*\.example', subjectRegExp: '.*@acme\.example'}}
            c: {keyless: {issuer: i, extensions: {sourceRepositoryURI: https://github.com/acme/app}}}
            """,
        ),
    )
    assert found.authorities == {
        "a": KeylessAuthority("public-good", TextMatch("i"), TextMatch("s")),
        "b": KeylessAuthority(
            "public-good", TextMatch(regex=r"https://.*\.example"), TextMatch(regex=r".*@acme\.example")
        ),
        "c": KeylessAuthority(
            "public-good", TextMatch("i"), None, {"sourceRepositoryURI": "https://github.com/acme/app"}
        ),
    }


def test_a_regular_expression_is_about_the_whole_identity() -> None:
    match = TextMatch(regex=r"https://github\.com/acme/.*")
    assert match.matches("https://github.com/acme/app")
    assert not match.matches("https://evil.example/?https://github.com/acme/app")
    assert not match.matches("https://github.com/acme/app\n")
    assert TextMatch("a.b").matches("a.b")
    assert not TextMatch("a.b").matches("axb")


def test_notation_is_strict_unless_it_says_otherwise(specs: Specs) -> None:
    authorities = 'ops: {notation: {trustRoot: acme, trustedIdentities: ["x509.subject: C=US, ST=WA, O=A"]}}'
    found = read(specs, policy(authorities=authorities), root("notation: {ca: [root.crt]}"))
    assert found.authorities["ops"] == NotationAuthority(
        "acme", NotationLevel.STRICT, ("x509.subject: C=US, ST=WA, O=A",)
    )


def test_any_is_at_least_one(specs: Specs) -> None:
    found = read(
        specs,
        policy(
            f"{{atLeast: {{count: 2, of: [{{any: [{BY_OPS}]}}, {{signature: {{authority: ci}}}}]}}}}",
            authorities=f"{OPS}\n{CI}",
        ),
    )
    assert isinstance(found.require, AtLeast)
    assert found.require.count == 2
    below = found.require.of[0]
    assert isinstance(below, AtLeast)
    assert below.count == 1


def attestation(specs: Specs, text: str) -> AttestationRequirement:
    found = read(specs, policy(f"{{attestation: {{authority: ops, {text}}}}}")).require
    assert isinstance(found, AttestationRequirement)
    return found


@pytest.mark.parametrize(
    ("written", "uri"),
    [
        ("slsaprovenance", "https://slsa.dev/provenance/v0.2"),
        ("slsaprovenance1", "https://slsa.dev/provenance/v1"),
        ("vuln", "https://cosign.sigstore.dev/attestation/vuln/v1"),
        ("spdxjson", "https://spdx.dev/Document"),
        ("https://acme.example/audit/v1", "https://acme.example/audit/v1"),
    ],
)
def test_a_predicate_type_is_an_alias_or_a_uri(specs: Specs, written: str, uri: str) -> None:
    assert attestation(specs, f"predicateType: '{written}'").predicate_type == uri


def test_provenance_needs_no_expression(specs: Specs) -> None:
    found = attestation(
        specs,
        r"slsa: {builderRegExp: 'https://github\.com/acme/.*', sourceRepository: 'https://github.com/acme/app',"
        " sourceRef: refs/heads/main, buildType: 'https://slsa.dev/x'}",
    )
    assert found.predicate_type == "https://slsa.dev/provenance/v1"
    assert found.slsa == SlsaCondition(
        TextMatch(regex=r"https://github\.com/acme/.*"),
        "https://github.com/acme/app",
        TextMatch("refs/heads/main"),
        "https://slsa.dev/x",
    )


def test_a_scan_is_judged_by_its_newest_and_its_age_is_the_attestations(specs: Specs) -> None:
    found = attestation(
        specs,
        "vulnerabilities: {maxSeverity: HIGH, maxAge: 7d, fixableOnly: true, format: trivy,"
        " allow: [{id: CVE-2026-1, reason: not reachable, until: '2027-02-01T12:00:00+02:00'}]}",
    )
    assert found.predicate_type == "https://cosign.sigstore.dev/attestation/vuln/v1"
    assert (found.select, found.max_age) == (Select.NEWEST, timedelta(days=7))
    scan = found.vulnerabilities
    assert scan is not None
    assert (scan.max_severity, scan.fixable_only, scan.format) == (Severity.HIGH, True, ScanFormat.TRIVY)
    assert scan.allow == (Allowed("CVE-2026-1", "not reachable", datetime(2027, 2, 1, 10, tzinfo=UTC)),)


def test_select_may_say_otherwise(specs: Specs) -> None:
    assert attestation(specs, "select: all, vulnerabilities: {}").select is Select.ALL
    assert attestation(specs, "predicateType: vuln").select is Select.ANY


def test_places_in_the_document_are_kept_for_what_is_understood_later(specs: Specs) -> None:
    found = attestation(specs, "predicateType: vuln, conditions: ['true', 'fal']")
    assert [one.expression for one in found.conditions] == ["true", "fal"]
    first, second = (one.position for one in found.conditions)
    assert first is not None
    assert second is not None
    assert first.line == second.line
    assert first.column < second.column


def test_a_mirrors_policies_replace_those_of_its_defaults(specs: Specs) -> None:
    defaults = document("MirrorDefaults", None, "verify: [prod]")
    text = "source: hub/acme/app\ntargets: [local/NAME]\ntags: [latest]"
    spec = with_files(specs).load(
        HUB,
        STORE,
        policy(),
        policy(name="other"),
        defaults,
        mirror(text.replace("NAME", "a"), "a"),
        mirror(text.replace("NAME", "b") + "\nverify: [other, other]", "b"),
        mirror(text.replace("NAME", "c") + "\nverify: []", "c"),
    )
    assert [one.verify for one in spec.mirrors] == [("prod",), ("other",), ()]


def test_an_upstream_names_policies(specs: Specs) -> None:
    server = document("Server", None, "upstreams: [{prefix: a, registry: hub, verify: [prod]}]")
    spec = with_files(specs).load(HUB, server, policy())
    assert spec.server is not None
    assert spec.server.upstreams[0].verify == ("prod",)


def test_a_spec_of_policies_alone_is_for_trying_them(specs: Specs) -> None:
    assert set(with_files(specs).load(policy()).policies) == {"prod"}


def test_another_tools_trust_root_is_passed_over_in_a_directory(specs: Specs) -> None:
    specs.write("a.yaml", HUB, STORE, WEB)
    foreign = (
        "apiVersion: policy.sigstore.dev/v1alpha1\nkind: TrustRoot\nmetadata: {name: x}\nspec: {remote: {}}\n"
    )
    specs.write("b.yaml", foreign)
    assert load([specs.directory]).trust_roots == {}


def test_nothing_of_this_is_loaded_for_a_spec_without_it(specs: Specs) -> None:
    path = specs.write("regsync.yaml", HUB, STORE, WEB)
    program = (
        "import sys; from pathlib import Path; from regsync.spec.load import load; "
        "load([Path(sys.argv[1])]); "
        "print([one for one in sys.modules if one.startswith('regsync.spec.verification_')])"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, str(path)], check=True, capture_output=True, text=True
    )
    assert found.stdout == "[]\n"


def test_requirements_bear_the_depth_that_people_write_and_no_more(specs: Specs) -> None:
    def nested(levels: int) -> str:
        return "{all: [" * levels + BY_OPS + "]}" * levels

    assert read(specs, policy(nested(8))).require
    assert mistakes(specs, policy(nested(9))) == ["spec.require: nested deeper than 8 levels"]
    many = ", ".join([BY_OPS] * 101)
    assert mistakes(specs, policy(f"{{all: [{many}]}}")) == [
        "spec.require: more than 100 signatures and attestations in one policy"
    ]
