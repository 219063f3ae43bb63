"""A `trustpolicy.oci.json` is read as notation reads it, and what it does not know is an error."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from regsync.spec.model import Position
from regsync.spec.verification import Material, NotationLevel, NotationRoot
from regsync.trust.envelopes import Proven
from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.notation.errors import NotationTrustError
from regsync.trust.notation.policy import TrustPolicies
from regsync.trust.notation.verifier import Notary, NotationTrust
from tests.support.notation_pki import Holder, make_chain, make_root
from tests.support.notation_signing import JWS, Request, sign_jws

Prove = Callable[..., Proven]
STORES = ("ca:acme", "ca:other", "tsa:acme", "signingAuthority:acme")
WHO = "x509.subject: C=US, ST=WA, O=Acme"


def statement(**changes: Any) -> dict[str, Any]:
    usual = {
        "name": "acme",
        "registryScopes": ["registry.example/acme/app"],
        "signatureVerification": {"level": "strict"},
        "trustStores": ["ca:acme"],
        "trustedIdentities": ["*"],
    }
    return {key: value for key, value in {**usual, **changes}.items() if value is not None}


def document(*statements: dict[str, Any], **changes: Any) -> Mapping[str, Any]:
    return {"version": "1.0", "trustPolicies": list(statements), **changes}


def parse(policy: object) -> TrustPolicies:
    data = policy if isinstance(policy, bytes) else json.dumps(policy).encode()
    return TrustPolicies.parse(Material("trustpolicy.oci.json", data, Position("r.yaml", 1, 2)), STORES)


def test_the_policy_whose_scope_has_the_repository_holds_and_else_the_one_for_all() -> None:
    policies = parse(
        document(
            statement(name="one", registryScopes=["registry.example/acme/app", "r:5000/a/b_c/d--e"]),
            statement(name="all", registryScopes=["*"]),
        )
    )
    names = {
        scope: policies.applying(scope).name
        for scope in ("registry.example/acme/app", "r:5000/a/b_c/d--e", "registry.example/acme", "r:5000/a")
    }
    assert list(names.values()) == ["one", "one", "all", "all"]


def test_an_image_without_a_policy_is_refused() -> None:
    with pytest.raises(EvidenceRejectedError, match="no statement has registry"):
        parse(document(statement())).applying("registry.example/acme/web")


def test_the_host_and_repository_of_the_image_choose_the_policy(root: Holder, prove: Prove) -> None:
    other = make_root()
    policy = document(
        statement(name="ours", registryScopes=["registry.example/acme/app"]),
        statement(name="all", registryScopes=["*"], trustStores=["ca:other"]),
    )
    stores = {"ca:acme": root.pem, "ca:other": other.pem}
    raw = sign_jws(Request(), make_chain(root=root))
    assert prove(raw, JWS, stores=stores, policy=policy, image="registry.example/acme/app")
    for image in ("registry.example/acme/web", "mirror.example/acme/app"):
        with pytest.raises(EvidenceRejectedError, match="authenticity"):
            prove(raw, JWS, stores=stores, policy=policy, image=image)


def test_only_the_stores_that_a_statement_names_are_trusted(root: Holder, prove: Prove) -> None:
    stores = {"ca:acme": make_root().pem, "ca:other": root.pem}
    with pytest.raises(EvidenceRejectedError, match="authenticity"):
        prove(sign_jws(Request(), make_chain(root=root)), JWS, stores=stores, policy=document(statement()))


def test_the_identities_of_a_statement_are_asked(root: Holder, prove: Prove) -> None:
    raw = sign_jws(Request(), make_chain(root=root))
    ours = document(statement(trustedIdentities=[f"{WHO}, CN=acme-signer"]))
    assert "authenticity (ca store, identity)" in prove(raw, JWS, policy=ours).checks
    with pytest.raises(EvidenceRejectedError, match="none of the trusted identities"):
        prove(raw, JWS, policy=document(statement(trustedIdentities=[f"{WHO}, CN=other"])))


def test_a_trust_policy_says_how_to_verify_and_an_authority_does_not(root: Holder) -> None:
    trust = NotationTrust.parse(
        NotationRoot(
            {"ca:acme": (Material("root", root.pem),)},
            Material("trustpolicy.oci.json", json.dumps(document(statement())).encode()),
        )
    )
    notary = Notary.of("vendor", trust, NotationLevel.AUDIT)
    assert notary.policies.applying("registry.example/acme/app").level.name == "strict"


def test_an_authority_with_wrong_identities_is_an_error(root: Holder) -> None:
    trust = NotationTrust.parse(NotationRoot({"ca:acme": (Material("root", root.pem),)}))
    with pytest.raises(NotationTrustError, match=r"authority vendor: trustedIdentities: .* lacks C, ST, O"):
        Notary.of("vendor", trust, None, ("x509.subject: CN=a",))


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        pytest.param(b"", "not JSON", id="empty"),
        pytest.param(b'{"version":"1.0","version":"1.0"}', "stands twice", id="a key twice"),
        pytest.param(b"[" * 100_000, "nested deeper", id="deep"),
        pytest.param([], "the document is missing or no object", id="a list"),
        pytest.param(
            document(statement(), version="2.0"), "version is '2.0'; 1.0 is supported", id="version"
        ),
        pytest.param({"trustPolicies": [statement()]}, "version is None", id="no version"),
        pytest.param(document(), "trustPolicies is missing or empty", id="no statement"),
        pytest.param(document(statement(), extra=1), "the document has 'extra'", id="unknown at the top"),
        pytest.param(
            document(statement(globalPolicy=True)), "trustPolicies[0] has 'globalPolicy'", id="blob's"
        ),
        pytest.param(
            document(statement(signatureVerification={"level": "strict", "overide": {}})),
            "trustPolicies[0].signatureVerification has 'overide'",
            id="a typing error",
        ),
        pytest.param(document(statement(name="")), "trustPolicies[0].name is missing", id="no name"),
        pytest.param(
            document(statement(), statement(registryScopes=["*"])),
            "trustPolicies[1].name 'acme'",
            id="name twice",
        ),
        pytest.param(
            document(statement(), statement(name="b")),
            "trustPolicies[1].registryScopes: registry.example/acme/app has a statement already",
            id="a scope twice",
        ),
        pytest.param(
            document(statement(registryScopes=["*"]), statement(name="b", registryScopes=["*"])),
            "registryScopes: * has a statement already",
            id="two for all",
        ),
        pytest.param(
            document(statement(registryScopes=["*", "registry.example/a"])),
            "`*` stands alone",
            id="* and more",
        ),
        pytest.param(
            document(statement(registryScopes=[])), "registryScopes is missing or empty", id="scopes"
        ),
        *(
            pytest.param(document(statement(registryScopes=[scope])), "is no HOST/REPOSITORY", id=scope)
            for scope in (
                *("registry.example/*", "registry.example", "https://registry.example/a", "r/A", "/a"),
                *("r/a:v1", "r/a@sha256:" + "a" * 64, "r/a/", "r/a\n", ""),
            )
        ),
        pytest.param(
            document(statement(signatureVerification=None)), "signatureVerification is missing", id="no level"
        ),
        pytest.param(
            document(statement(signatureVerification={"level": "lax"})), "level 'lax' is none of", id="level"
        ),
        pytest.param(
            document(statement(signatureVerification={"level": "strict", "override": {"integrity": "log"}})),
            "override of 'integrity', which is no check that a policy may override",
            id="integrity",
        ),
        pytest.param(
            document(statement(signatureVerification={"level": "strict", "override": {"expiry": "skip"}})),
            "override of expiry is 'skip', not one of enforce, log",
            id="expiry skipped",
        ),
        pytest.param(
            document(statement(signatureVerification={"level": "strict", "override": {"expiry": []}})),
            "override of expiry is [], not one of",
            id="no action",
        ),
        pytest.param(
            document(statement(signatureVerification={"level": "skip", "override": {"expiry": "log"}})),
            "level skip takes no override",
            id="skip overridden",
        ),
        pytest.param(
            document(statement(signatureVerification={"level": "strict", "override": []}, trustStores=[])),
            "trustStores is missing or empty",
            id="no store",
        ),
        pytest.param(
            document(statement(signatureVerification={"level": "strict", "override": [1]})),
            "override is no object",
            id="override",
        ),
        pytest.param(
            document(statement(signatureVerification={"level": "strict", "verifyTimestamp": "never"})),
            "verifyTimestamp is 'never', not one of always, afterCertExpiry",
            id="timestamps",
        ),
        pytest.param(
            document(statement(signatureVerification={"level": "skip"})),
            "skips verification, and has trustStores or trustedIdentities",
            id="skip with stores",
        ),
        pytest.param(
            document(statement(trustStores=["ca:none"])),
            "there are no certificates in ca:none",
            id="no such store",
        ),
        pytest.param(
            document(statement(trustStores=["acme"])), "there are no certificates in acme", id="no type"
        ),
        pytest.param(
            document(statement(trustStores="ca:acme")), "trustStores is no list of texts", id="text"
        ),
        pytest.param(
            document(statement(trustedIdentities=[])),
            "trustedIdentities: trusted identities are",
            id="nobody",
        ),
        pytest.param(
            document(statement(trustedIdentities=[WHO, f"{WHO}, OU=a"])), "overlap", id="overlapping"
        ),
        pytest.param(
            document(statement(trustedIdentities=["com.example.plugin: a"])),
            "identities of plugins are not supported",
            id="a plugin's",
        ),
    ],
)
def test_a_policy_that_cannot_be_followed_says_where_and_why(policy: object, reason: str) -> None:
    with pytest.raises(NotationTrustError) as caught:
        parse(policy)
    assert str(caught.value).startswith("trustpolicy.oci.json: ")
    assert reason in str(caught.value)
    assert caught.value.position == Position("r.yaml", 1, 2)


def test_the_files_of_a_user_of_notation_are_read_as_they_are(
    tmp_path: Path, root: Holder, prove: Prove
) -> None:
    """The document of notation's own guide, and the directory that its commands make."""
    stored = tmp_path / "truststore/x509/ca/wabbit-networks.io/wabbit-networks.io.crt"
    stored.parent.mkdir(parents=True)
    stored.write_bytes(root.pem)
    policy = {
        "version": "1.0",
        "trustPolicies": [
            {
                "name": "wabbit-networks-images",
                "registryScopes": ["*"],
                "signatureVerification": {"level": "strict"},
                "trustStores": ["ca:wabbit-networks.io"],
                "trustedIdentities": ["*"],
            }
        ],
    }
    stores = {
        f"{file.parent.parent.name}:{file.parent.name}": file.read_bytes()
        for file in (tmp_path / "truststore/x509").glob("*/*/*")
    }
    assert prove(sign_jws(Request(), make_chain(root=root)), JWS, stores=stores, policy=policy)
