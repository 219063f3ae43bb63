"""What is wrong with a policy is said before any network, at its place, with the name that was meant."""

import pytest

from tests.spec.policy_files import (
    BY_OPS,
    CI,
    HERE,
    OPS,
    PRIVATE_KEY,
    PUBLIC_KEY,
    mistakes,
    policy,
    root,
    with_files,
)
from tests.spec.spec_files import Specs, document, join

BOTH = f"{{all: [{BY_OPS}, {{signature: {{authority: ci}}}}]}}"
KEYLESS = "ops: {{keyless: {{{}}}}}"
NOTATION = "ops: {{notation: {{trustRoot: acme, {}}}}}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            policy("{}"),
            "spec.require: expected exactly one of all, any, atLeast, signature, attestation, found none",
            id="nothing required",
        ),
        pytest.param(
            policy("{all: []}"), "spec.require.all: expected at least one entry", id="all of nothing"
        ),
        pytest.param(policy(f"{{any: [{BY_OPS}], all: [{BY_OPS}]}}"), "found all and any", id="two at once"),
        pytest.param(
            document("VerificationPolicy", "prod", f"authorities: {{{OPS}}}"),
            "spec.require: the key is missing",
            id="no requirement",
        ),
        pytest.param(
            document("VerificationPolicy", "prod", f"require: {BY_OPS}"),
            "spec.authorities: the key is missing",
            id="no authorities",
        ),
        pytest.param(
            policy("{signature: {authority: osp}}"),
            "spec.require.signature.authority: there is no authority named 'osp'; did you mean 'ops'?",
            id="an unknown authority",
        ),
        pytest.param(
            policy(authorities=f"{OPS}\n{CI}"),
            "spec.authorities.ci: no requirement uses the authority ci",
            id="an unused authority",
        ),
        pytest.param(
            policy(f"{{atLeast: {{count: 2, of: [{BY_OPS}]}}}}"),
            "spec.require.atLeast: expected a count of 1 to 1",
            id="more than there are",
        ),
        pytest.param(
            policy(f"{{atLeast: {{count: 0, of: [{BY_OPS}]}}}}"), "expected a count of 1 to 1", id="none"
        ),
        pytest.param(
            policy(f"{{atLeast: {{count: 2, of: [{BY_OPS}, {BY_OPS}]}}}}"),
            "spec.require.atLeast.count: 2 signers that differ cannot be had of 1 different keys",
            id="one key twice",
        ),
        pytest.param(
            policy(
                f"{{atLeast: {{count: 2, of: [{BY_OPS}, {{signature: {{authority: b}}}}]}}}}",
                authorities=f"{OPS}\nb: {{key: {{file: ops.pub, tlog: ignore}}}}",
            ),
            "cannot be had of 1 different keys",
            id="one key under two names",
        ),
        pytest.param(
            policy(authorities="ops: {}"),
            "spec.authorities.ops: expected exactly one of keyless, key, notation, found none",
            id="an empty authority",
        ),
        pytest.param(
            policy(authorities="Ops: {key: {file: ops.pub}}"), "expected at most 63 of a-z", id="its name"
        ),
        pytest.param(
            policy(authorities=KEYLESS.format("issuer: a")),
            "spec.authorities.ops.keyless: an issuer alone is anybody whom it knows",
            id="an issuer alone",
        ),
        pytest.param(
            policy(authorities=KEYLESS.format("issuer: a, extensions: {runnerEnvironment: x}")),
            "an issuer alone is anybody",
            id="an extension that anybody has",
        ),
        pytest.param(
            policy(authorities=KEYLESS.format("subject: a")),
            "expected exactly one of issuer, issuerRegExp, found none",
            id="no issuer",
        ),
        pytest.param(
            policy(authorities=KEYLESS.format("issuer: a, subject: a, subjectRegExp: b")),
            "expected only one of subject, subjectRegExp",
            id="two subjects",
        ),
        pytest.param(
            policy(authorities=KEYLESS.format("issuer: a, subjectRegExp: '(a+)+'")),
            "subjectRegExp: invalid regex '(a+)+': a repeat of what is itself a repeat",
            id="a slow regex",
        ),
        pytest.param(
            policy(authorities=KEYLESS.format("issuer: a, subjectRegExp: '(/+)+x'")),
            "invalid regex",
            id="slow on what no tag holds",
        ),
        pytest.param(
            policy(authorities=KEYLESS.format("issuer: a, extensions: {sourceRepositoryUri: x}")),
            "is no extension of a certificate",
            id="an unknown extension",
        ),
        pytest.param(
            policy(authorities=KEYLESS.format("issuer: a, subject: b, trustRoot: public")),
            "spec.authorities.ops.keyless.trustRoot: there is no TrustRoot named 'public'; "
            "did you mean 'public-good'?",
            id="an unknown root",
        ),
        pytest.param(policy(authorities="ops: {key: {}}"), "expected exactly one of file, data", id="no key"),
        pytest.param(
            policy(authorities="ops: {key: {file: ops.pub, tlog: maybe}}"),
            "tlog: expected one of required, optional, ignore, found 'maybe'",
            id="tlog",
        ),
        pytest.param(
            policy(authorities="ops: {key: {file: ops.pub, hashAlgorithm: sha265}}"),
            "did you mean 'sha256'?",
            id="a hash",
        ),
        pytest.param(
            policy(authorities="ops: {key: {data: keys/ops.pub}}"),
            "spec.authorities.ops.key.data: expected a public key in PEM form",
            id="a path as data",
        ),
        pytest.param(
            policy(more="mode: warning"),
            "spec.mode: expected one of enforce, warn, found 'warning'; did you mean 'warn'?",
            id="mode",
        ),
        pytest.param(
            policy(more="scope: all"), "spec.scope: expected one of index, platforms, both", id="scope"
        ),
        pytest.param(policy(more="minAge: 0s"), "spec.minAge: expected a duration above 0", id="no age"),
        pytest.param(
            policy(more="minAge: 3"), "spec.minAge: expected a duration such as", id="an age without unit"
        ),
        pytest.param(policy(more="images: []"), "spec.images: expected at least one entry", id="no images"),
        pytest.param(
            policy(more="images: [hbu/acme/**]"),
            "spec.images[0]: there is no Registry or RegistryGroup named 'hbu'; did you mean 'hub'?",
            id="an unknown registry",
        ),
        pytest.param(
            policy(more="targets: ['prod*/**']"),
            "spec.targets[0]: no Registry has a name that 'prod*' matches",
            id="a glob of no registry",
        ),
        pytest.param(
            policy(more="images: ['*']"), "expected REGISTRY/REPOSITORY, or `**` for everything", id="*"
        ),
        pytest.param(
            policy(more="images: [hub/acme/app:v1]"), "expected a repository without tag", id="a tag"
        ),
        pytest.param(policy(more="images: [hub/Acme/**]"), "in lower case, found 'Acme/**'", id="upper case"),
        pytest.param(
            policy(more="images: [hub/nginx]"), "Docker Hub has no repository nginx", id="Docker Hub"
        ),
        pytest.param(
            policy(more="images: ['u:p@ss/acme']"), "credentials do not stand in a URL", id="a password"
        ),
        pytest.param(
            policy(more="evidence: [hub]"), "spec.evidence[0]: expected REGISTRY/REPOSITORY", id="evidence"
        ),
        pytest.param(
            policy(more="evidence: ['hub/{repository}']"), "spec.evidence[0]: expected", id="a placeholder"
        ),
        pytest.param(
            policy(more="skip: [{images: ['hub/a/b'], until: 2027-01-01}]"),
            "spec.skip[0].reason: the key is missing",
            id="no reason",
        ),
        pytest.param(
            policy(more="skip: [{images: ['hub/a/b'], reason: x}]"),
            "spec.skip[0].until: the key is missing",
            id="no end",
        ),
        pytest.param(
            policy(more="skip: [{images: ['hub/a/b'], reason: x, until: 01.02.2027}]"),
            "spec.skip[0].until: expected a date such as 2027-01-31",
            id="a date",
        ),
        pytest.param(
            policy(more="skip: [{images: ['hub/a/b'], reason: x, until: '2027-01-01T10:00'}]"),
            "expected a date such as",
            id="a time of no zone",
        ),
        pytest.param(
            policy(more="skip: [{images: ['h*/a/b'], reason: x, until: 2027-01-01}]"),
            "spec.skip[0].images[0]: name the registry, or `*` for every one",
            id="a wide exception",
        ),
        pytest.param(
            policy("{attestation: {authority: ops}}"), "expected predicateType, or slsa", id="no type"
        ),
        pytest.param(
            policy("{attestation: {authority: ops, predicateType: slsaprovenence1}}"),
            "did you mean 'slsaprovenance1'?",
            id="an unknown type",
        ),
        pytest.param(
            policy("{attestation: {authority: ops, predicateType: spdx, slsa: {builder: x}}}"),
            "slsa is about provenance",
            id="provenance in an SBOM",
        ),
        pytest.param(
            policy("{attestation: {authority: ops, predicateType: spdx, vulnerabilities: {}}}"),
            "vulnerabilities is about scans",
            id="a scan in an SBOM",
        ),
        pytest.param(
            policy("{attestation: {authority: ops, slsa: {}}}"), "expected at least one of builder", id="{}"
        ),
        pytest.param(
            policy("{attestation: {authority: ops, slsa: {builder: x}, vulnerabilities: {}}}"),
            "expected only one of slsa, vulnerabilities",
            id="two shorthands",
        ),
        pytest.param(
            policy("{attestation: {authority: ops, maxAge: 1d, vulnerabilities: {maxAge: 7d}}}"),
            "maxAge stands twice",
            id="two ages",
        ),
        pytest.param(
            policy("{attestation: {authority: ops, predicateType: vuln, conditions: []}}"),
            "conditions: expected at least one entry",
            id="no conditions",
        ),
        pytest.param(
            policy("{attestation: {authority: ops, predicateType: vuln, conditions: ['  ']}}"),
            "expected a CEL expression",
            id="an empty condition",
        ),
        pytest.param(
            policy("{attestation: {authority: ops, predicateType: vuln, name: a-b}}"),
            "name: expected a name of letters, digits and _",
            id="a name",
        ),
        pytest.param(
            policy("{attestation: {authority: ops, vulnerabilities: {maxSeverity: high}}}"),
            "found 'high'; did you mean 'HIGH'?",
            id="a severity",
        ),
        pytest.param(
            policy(
                "{attestation: {authority: ops, vulnerabilities: {allow: ["
                "{id: CVE-A, reason: x}, {id: cve-a, reason: y, until: 2027-01-01}]}}}"
            ),
            "vulnerabilities.allow[1].id: 'CVE-A' stands twice in this list",
            id="allowed twice",
        ),
    ],
)
def test_a_mistake_in_a_policy_is_the_one_problem(specs: Specs, text: str, expected: str) -> None:
    found = mistakes(specs, text)
    assert len(found) == 1, found
    assert expected in found[0]


@pytest.mark.parametrize(
    ("text", "roots", "expected"),
    [
        pytest.param(
            NOTATION.format("level: strict"),
            "notation: {ca: [root.crt]}",
            "spec.authorities.ops.notation.trustedIdentities: the key is missing",
            id="no identities",
        ),
        pytest.param(
            NOTATION.format("trustedIdentities: ['CN=a']"),
            "notation: {ca: [root.crt]}",
            "expected `x509.subject: C=…, ST=…, O=…`, or `*` alone",
            id="an identity of no kind",
        ),
        pytest.param(
            NOTATION.format("trustedIdentities: ['*', 'x509.subject: C=a']"),
            "notation: {ca: [root.crt]}",
            "`*` is every identity: it stands alone",
            id="everybody and somebody",
        ),
        pytest.param(
            NOTATION.format("level: skip, trustedIdentities: ['*']"),
            "notation: {ca: [root.crt]}",
            "level: expected one of strict, permissive, audit",
            id="a level that checks nothing",
        ),
        pytest.param(
            NOTATION.format("trustedIdentities: ['*']"),
            "sigstore: {trustedRoot: root.json}",
            "notation.trustRoot: acme is a sigstore root",
            id="a sigstore root for notation",
        ),
        pytest.param(
            "ops: {key: {file: ops.pub, trustRoot: acme}}",
            "notation: {ca: [root.crt]}",
            "key.trustRoot: acme is a notation root; key needs one with sigstore",
            id="the other way",
        ),
        pytest.param(
            "ops: {key: {file: ops.pub, trustRoot: acme}}",
            "sigstore: {trustedRoot: root.josn}",
            "spec.sigstore.trustedRoot: root.josn: No such file or directory",
            id="a missing file",
        ),
        pytest.param(
            "ops: {key: {file: ops.pub, trustRoot: acme}}",
            "sigstore: {tlogThreshold: 0, timestampThreshold: 0}",
            "spec.sigstore: expected a tlogThreshold or timestampThreshold of 1",
            id="no time at all",
        ),
        pytest.param(
            "ops: {key: {file: ops.pub, trustRoot: acme}}",
            "sigstore: {ctlogThreshold: 11}",
            "ctlogThreshold: expected a value less than or equal to 10",
            id="a threshold",
        ),
        pytest.param(
            "ops: {key: {file: ops.pub, trustRoot: acme}}",
            "{}",
            "spec: expected exactly one of sigstore, notation, found none",
            id="an empty root",
        ),
        pytest.param(
            NOTATION.format("trustedIdentities: ['*']"),
            "notation: {tsa: [root.crt]}",
            "spec.notation: expected certificates under ca or signingAuthority",
            id="times alone",
        ),
        pytest.param(
            NOTATION.format("trustedIdentities: ['*']"),
            "notation: {trustPolicy: root.json}",
            "trustPolicy and trustStore stand together",
            id="half of notation's",
        ),
        pytest.param(
            NOTATION.format("trustedIdentities: ['*']"),
            "notation: {trustPolicy: root.json, trustStore: ., ca: [root.crt]}",
            "trustPolicy and trustStore stand instead of ca",
            id="both forms",
        ),
        pytest.param(
            OPS,
            "sigstore: {trustedRoot: root.json}",
            "metadata.name: no authority of any policy uses acme",
            id="an unused root",
        ),
    ],
)
def test_a_mistake_about_a_root_is_the_one_problem(
    specs: Specs, text: str, roots: str, expected: str
) -> None:
    found = mistakes(specs, policy(authorities=text), root(roots))
    assert len(found) == 1, found
    assert expected in found[0]


def test_an_attestation_is_not_by_notation(specs: Specs) -> None:
    text = policy(
        "{attestation: {authority: ops, predicateType: vuln}}",
        authorities=NOTATION.format("trustedIdentities: ['*']"),
    )
    (found,) = mistakes(specs, text, root("notation: {ca: [root.crt]}"))
    assert found.startswith("spec.require.attestation.authority: ops is notation, which signs images")


def test_two_attestations_have_two_names(specs: Specs) -> None:
    one = "{attestation: {authority: ops, predicateType: vuln, name: scan}}"
    (found,) = mistakes(specs, policy(f"{{all: [\n    {one},\n    {one}]}}"))
    assert "attestation.name: the name 'scan' is used twice; first in line" in found


def test_a_problem_has_the_place_of_its_key(specs: Specs) -> None:
    found = with_files(specs).problems(HERE, policy("{signature: {authority: osp}}"))
    lines = join(HERE, policy("{signature: {authority: osp}}")).splitlines()
    line = next(number for number, text in enumerate(lines, start=1) if "osp" in text)
    assert f"{line}:{lines[line - 1].index('osp') + 1}: spec.require.signature.authority" in found[0]


def test_the_built_in_root_is_nobody_elses_to_declare(specs: Specs) -> None:
    authorities = "ops: {key: {file: ops.pub, trustRoot: public-good}}"
    found = mistakes(specs, policy(authorities=authorities), root("sigstore: {}", "public-good"))
    assert found == ["metadata.name: public-good is built in; give another instance another name"]


def test_names_are_unique_among_their_kind(specs: Specs) -> None:
    (found,) = mistakes(specs, policy(), policy())
    assert "metadata.name: the name 'prod' is used twice" in found
    shared = policy(authorities="ops: {key: {file: ops.pub, trustRoot: prod}}")
    assert with_files(specs).load(HERE, shared, root("sigstore: {}", "prod")).policies


@pytest.mark.parametrize(
    ("where", "content", "expected"),
    [
        pytest.param("file", PRIVATE_KEY, "ops.key: this is a private key", id="cosign's, in a file"),
        pytest.param("data", PRIVATE_KEY, "data: this is a private key", id="cosign's, in the spec"),
        pytest.param("data", PUBLIC_KEY.replace("PUBLIC", "PRIVATE"), "this is a private key", id="PKCS #8"),
        pytest.param("data", PUBLIC_KEY + PRIVATE_KEY, "this is a private key", id="both"),
        pytest.param(
            "file", '{"kty": "EC", "d": "MFkwEwYHKoZIzj0CAQYI"}', "this is a private key", id="a JWK"
        ),
        pytest.param("file", "", "ops.key: it is empty", id="an empty file"),
        pytest.param("file", "x" * (1024 * 1024 + 1), "ops.key: larger than 1024 KiB", id="a large file"),
    ],
)
def test_what_is_no_public_key_is_refused_unseen(
    specs: Specs, where: str, content: str, expected: str
) -> None:
    (specs.directory / "ops.key").write_text(content)
    if where == "file":
        authorities = "ops: {key: {file: ops.key}}"
    else:
        authorities = "ops:\n  key:\n    data: |\n      " + content.replace("\n", "\n      ")
    found = mistakes(specs, policy(authorities=authorities))
    assert len(found) == 1, found
    assert expected in found[0]
    assert "MFkw" not in found[0]


@pytest.mark.parametrize("text", [PUBLIC_KEY.replace("\n", "\\n"), "MHcCAQEEIODC7G" * 10])
def test_a_key_where_a_path_belongs_is_not_shown(specs: Specs, text: str) -> None:
    found = mistakes(specs, policy(authorities=f'ops: {{key: {{file: "{text}"}}}}'))
    assert found == [
        "spec.authorities.ops.key.file: expected a path, found what may be the content of a file"
    ]


@pytest.mark.parametrize(
    "place", ["images: ['KEY']", "mode: 'KEY'", "'KEY': x", "'KEY': 'KEY'", "skip: [{'KEY': {'KEY': x}}]"]
)
def test_a_private_key_is_not_shown_wherever_it_stands(specs: Specs, place: str) -> None:
    text = policy(more=place.replace("'KEY'", '"' + PRIVATE_KEY.replace("\n", "\\n") + '"'))
    found = mistakes(specs, text)
    assert found
    assert all("this is a private key" in one and "MFkw" not in one for one in found)
