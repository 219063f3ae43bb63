"""Policies are understood before anything is asked of a registry, with every problem at its place."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from regsync.spec.model import Position
from regsync.spec.problems import InvalidSpecError
from regsync.spec.verification import (
    PUBLIC_GOOD,
    AllOf,
    AttestationRequirement,
    Condition,
    HashChoice,
    KeyAuthority,
    KeylessAuthority,
    LogUse,
    Material,
    Mode,
    NotationAuthority,
    NotationRoot,
    Requirement,
    Select,
    SignatureRequirement,
    SigstoreRoot,
    TextMatch,
    TrustRoot,
    VerificationPolicy,
)
from regsync.trust.keyless import Keyless
from regsync.trust.keys import ManagedKey
from regsync.trust.notation.verifier import Notary
from regsync.trust.policy import compile_policies
from tests.support.evidence_pieces import SIGNING
from tests.support.images import as_json
from tests.support.signing_keys import new_key, public_pem
from tests.support.sigstore_evidence import SLSA
from tests.support.sigstore_pki import SigstorePki

PKI = SigstorePki()
KEY_FILE = Position("regsync.yaml", 7, 21)
PEM = Material("keys/ops.pub", (SIGNING / "cosign.pub").read_bytes(), KEY_FILE)
ROOT = TrustRoot("private", SigstoreRoot(Material("root.json", PKI.trusted_root())))
CA = TrustRoot(
    "acme-ca", NotationRoot({"ca:acme-ca": (Material("root.crt", (SIGNING / "root.crt").read_bytes()),)})
)
ISSUER = TextMatch(exact="https://issuer.example")
OPS = KeyAuthority(PEM, tlog=LogUse.IGNORE)
SIGNED = SignatureRequirement("ops")


def policy(require: Requirement = SIGNED, **authorities: Any) -> VerificationPolicy:
    return VerificationPolicy("prod", authorities or {"ops": OPS}, require, position=Position("p.yaml", 1, 1))


def compiled(one: VerificationPolicy, *roots: TrustRoot) -> Any:
    return compile_policies({one.name: one}, {root.name: root for root in roots})[one.name]


def problems(one: VerificationPolicy, *roots: TrustRoot) -> list[str]:
    with pytest.raises(InvalidSpecError) as raised:
        compiled(one, *roots)
    return [str(problem) for problem in raised.value.problems]


def with_condition(expression: str) -> VerificationPolicy:
    condition = Condition(expression, Position("p.yaml", 9, 5))
    return policy(AttestationRequirement(SLSA, "ops", conditions=(condition,)))


def test_every_kind_of_authority_is_made_ready() -> None:
    found = compiled(
        policy(
            ops=OPS,
            logged=KeyAuthority(PEM, trust_root="private"),
            ci=KeylessAuthority("private", ISSUER, TextMatch(regex="https://ci/.*")),
            good=KeylessAuthority(PUBLIC_GOOD, ISSUER, TextMatch(exact="x")),
            vendor=NotationAuthority("acme-ca", trusted_identities=("x509.subject: C=US, ST=WA, O=Acme",)),
        ),
        ROOT,
        CA,
    )
    kinds = {name: type(one) for name, one in found.authorities.items()}
    assert kinds == {
        "ops": ManagedKey,
        "logged": ManagedKey,
        "ci": Keyless,
        "good": Keyless,
        "vendor": Notary,
    }
    assert found.authorities["ops"].root is None
    assert found.authorities["logged"].root == found.authorities["ci"].root
    assert found.name == "prod"


def test_everything_that_is_wrong_is_said_at_its_place() -> None:
    broken = TrustRoot("broken", SigstoreRoot(Material("root.json", b"{", Position("roots.yaml", 5, 30))))
    store = NotationRoot({"ca:empty": (Material("empty.crt", b"", Position("roots.yaml", 11, 9)),)})
    found = problems(
        replace(
            with_condition("predicate.a =="),
            authorities={
                "ops": KeyAuthority(Material("keys/ops.pub", b"no key", KEY_FILE), tlog=LogUse.IGNORE),
                "ci": KeylessAuthority("broken", ISSUER),
                "vendor": NotationAuthority("empty"),
                "odd": NotationAuthority("acme-ca", trusted_identities=("x509.subject: nonsense",)),
            },
        ),
        broken,
        TrustRoot("empty", store),
        CA,
    )
    assert [one.partition(": ")[0] for one in found] == [
        "p.yaml:1:1",
        "p.yaml:9:5",
        "regsync.yaml:7:21",
        "roots.yaml:5:30",
        "roots.yaml:11:9",
    ]
    assert "spec.authorities.odd.notation: authority odd: trustedIdentities" in found[0]
    assert "spec.require: line 1, column 15: Syntax error" in found[1]
    assert "spec.authorities.ops.key: keys/ops.pub: invalid public key" in found[2]
    assert "spec.sigstore.trustedRoot: root.json: invalid trusted root" in found[3]
    assert "spec.notation: empty.crt: it holds no certificate" in found[4]


def test_a_root_that_no_policy_uses_is_read_all_the_same() -> None:
    broken = TrustRoot("broken", SigstoreRoot(Material("root.json", b"{}")))
    assert len(problems(policy(), broken)) == 1


def test_a_root_of_another_kind_is_refused() -> None:
    assert "is not one of Sigstore" in problems(policy(ci=KeylessAuthority("acme-ca", ISSUER)), CA)[0]
    assert "is not one of notation" in problems(policy(ops=NotationAuthority("private")), ROOT)[0]


def test_an_ed25519_key_with_a_hash_is_refused() -> None:
    pem = public_pem(Ed25519PrivateKey.generate())
    key = KeyAuthority(Material("data", pem), HashChoice.SHA256, LogUse.IGNORE)
    assert "one hash of its own" in problems(policy(ops=key))[0]


MOVED = KeyAuthority(replace(PEM, name="elsewhere.pub", position=None), tlog=LogUse.IGNORE)
ANOTHER_KEY = KeyAuthority(replace(PEM, data=public_pem(new_key())), tlog=LogUse.IGNORE)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(policy(AllOf((SIGNED,))), id="what it asks for"),
        pytest.param(policy(SignatureRequirement("ops", {"team": "core"})), id="annotations"),
        pytest.param(policy(AttestationRequirement(SLSA, "ops")), id="another requirement"),
        pytest.param(replace(policy(), mode=Mode.WARN), id="the mode"),
        pytest.param(replace(policy(), min_age=timedelta(days=3)), id="an age"),
        pytest.param(policy(ops=ANOTHER_KEY), id="the bytes of a key"),
        pytest.param(policy(ops=KeyAuthority(PEM, HashChoice.SHA256, LogUse.IGNORE)), id="the hash"),
        pytest.param(policy(ops=OPS, more=OPS), id="an authority more"),
    ],
)
def test_a_fingerprint_changes_with_whatever_could_change_a_verdict(changed: VerificationPolicy) -> None:
    assert compiled(changed).fingerprint != compiled(policy()).fingerprint


def test_a_fingerprint_changes_with_a_root() -> None:
    keyless = policy(ops=KeylessAuthority("private", ISSUER))
    first = compiled(keyless, ROOT).fingerprint
    assert isinstance(ROOT.root, SigstoreRoot)
    for other in (
        SigstoreRoot(Material("root.json", SigstorePki().trusted_root())),
        replace(ROOT.root, timestamp_threshold=1),
    ):
        assert compiled(keyless, TrustRoot("private", other)).fingerprint != first
    assert compiled(keyless, ROOT, CA).fingerprint == first


def test_a_fingerprint_is_the_same_wherever_things_are_written() -> None:
    moved = replace(policy(replace(SIGNED, position=KEY_FILE), ops=MOVED), position=KEY_FILE)
    assert compiled(moved).fingerprint == compiled(policy()).fingerprint
    one = policy(SignatureRequirement("ops", {"a": "1", "b": "2"}))
    other = policy(SignatureRequirement("ops", {"b": "2", "a": "1"}))
    assert compiled(one).fingerprint == compiled(other).fingerprint


def test_a_fingerprint_tells_apart_what_is_written_alike() -> None:
    """`a: "1, b: 2"` is one annotation, not two."""
    one = policy(SignatureRequirement("ops", {"a": "1|'b':'2'"}))
    other = policy(SignatureRequirement("ops", {"a": "1", "b": "2"}))
    assert compiled(one).fingerprint != compiled(other).fingerprint


@pytest.mark.parametrize(
    ("expression", "uses"),
    [
        ("image.repository == 'acme/app'", True),
        ("predicate.a == 1", False),
        ("predicate.imagery == 1", False),
    ],
)
def test_a_verdict_belongs_to_a_name_that_an_expression_speaks_of(expression: str, uses: bool) -> None:
    assert compiled(with_condition(expression)).uses_image is uses


def test_a_verdict_belongs_to_a_name_that_a_trust_policy_has_scopes_for() -> None:
    statement = {
        "name": "all",
        "registryScopes": ["*"],
        "signatureVerification": {"level": "strict"},
        "trustStores": ["ca:acme-ca"],
        "trustedIdentities": ["*"],
    }
    document = as_json({"version": "1.0", "trustPolicies": [statement]})
    assert isinstance(CA.root, NotationRoot)
    scoped = TrustRoot("acme-ca", replace(CA.root, policy=Material("trustpolicy.oci.json", document)))
    vendor = policy(ops=NotationAuthority("acme-ca"))
    assert compiled(vendor, scoped).uses_image
    assert not compiled(vendor, CA).uses_image


def test_more_evidence_can_undo_a_pass_where_the_newest_or_all_decide() -> None:
    def counts(select: Select) -> object:
        scan = AttestationRequirement(SLSA, "ops", select=select)
        return compiled(policy(AllOf((SIGNED, scan)))).newer_evidence_counts

    assert [counts(one) for one in Select] == [False, True, True]
    assert not compiled(policy()).newer_evidence_counts
