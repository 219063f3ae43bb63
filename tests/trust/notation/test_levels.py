"""What a level lets pass is said, and what a trust policy skips proves nothing."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from regsync.spec.verification import NotationLevel
from regsync.trust.envelopes import Proven
from regsync.trust.errors import EvidenceRejectedError
from tests.support.notation_pki import Holder, make_chain, make_root
from tests.support.notation_signing import JWS, SIGNING_AUTHORITY, Request, sign_jws

Prove = Callable[..., Proven]
ENDED = datetime(2026, 6, 15, tzinfo=UTC)  # before the tests' now
REVOCATION = "revocation: not checked, since that asks the network (policy: log)"


def policy(level: str, **override: str) -> Mapping[str, Any]:
    verification = {"level": level, **({"override": override} if override else {})}
    return {
        "version": "1.0",
        "trustPolicies": [
            {
                "name": "all",
                "registryScopes": ["*"],
                "signatureVerification": verification,
                "trustStores": ["ca:acme"],
                "trustedIdentities": ["*"],
            }
        ],
    }


def test_permissive_lets_expiry_and_ended_certificates_pass_and_says_so(root: Holder, prove: Prove) -> None:
    raw = sign_jws(Request(expiry=ENDED), make_chain(root=root, end=ENDED))
    proven = prove(raw, JWS, level=NotationLevel.PERMISSIVE)
    assert proven.checks == ("signature (ES256, EC 256)", "certificate chain", "authenticity (ca store)")
    expiry, validity, revocation = proven.relaxed
    assert expiry.startswith("expiry: the signature expired at 2026-06-15")
    assert expiry.endswith("(logged alone: level permissive of 'vendor')")
    assert validity.startswith("authenticTimestamp: CN=acme-signer")
    assert revocation == REVOCATION
    assert proven.expires is None  # what does not count cannot end


def test_what_would_not_count_later_ends_nothing(root: Holder, prove: Prove) -> None:
    raw = sign_jws(Request(expiry=datetime(2026, 8, 1, tzinfo=UTC)), make_chain(root=root))
    assert prove(raw, JWS).expires == datetime(2026, 8, 1, tzinfo=UTC)
    assert prove(raw, JWS, level=NotationLevel.PERMISSIVE).expires is None


def test_permissive_does_not_let_a_stranger_pass(prove: Prove) -> None:
    raw = sign_jws(Request(), make_chain(root=make_root()))
    with pytest.raises(EvidenceRejectedError, match=r"^authenticity"):
        prove(raw, JWS, level=NotationLevel.PERMISSIVE)


def test_audit_lets_a_stranger_pass_without_taking_its_name_for_granted(prove: Prove) -> None:
    chain = make_chain(root=make_root())
    proven = prove(sign_jws(Request(), chain), JWS, level=NotationLevel.AUDIT)
    assert proven.relaxed[0].startswith("authenticity: no ca store of the policy has CN=acme-root")
    assert proven.signer.subject is None
    assert proven.signer.identity.startswith("a certificate that is not trusted, sha256:")


def test_audit_does_not_take_the_time_of_a_stranger_for_granted(prove: Prove) -> None:
    raw = sign_jws(Request(scheme=SIGNING_AUTHORITY), make_chain(root=make_root()))
    assert prove(raw, JWS, level=NotationLevel.AUDIT).signed_at is None


def test_a_level_with_overrides_enforces_what_they_say(root: Holder, prove: Prove) -> None:
    ended = sign_jws(Request(expiry=ENDED), make_chain(root=root))
    assert prove(ended, JWS, policy=policy("strict", expiry="log")).relaxed[0].startswith("expiry")
    with pytest.raises(EvidenceRejectedError, match=r"^expiry"):
        prove(ended, JWS, policy=policy("audit", expiry="enforce"))
    strange = sign_jws(Request(), make_chain(root=make_root()))
    with pytest.raises(EvidenceRejectedError, match=r"^authenticity"):
        prove(strange, JWS, policy=policy("audit", authenticity="enforce"))
    assert prove(strange, JWS, policy=policy("strict", authenticity="log"))


@pytest.mark.parametrize("action", ["enforce", "log", "skip"])
def test_whatever_the_policy_says_of_revocation_it_is_said_not_to_be_checked(
    action: str, root: Holder, prove: Prove
) -> None:
    proven = prove(
        sign_jws(Request(), make_chain(root=root)), JWS, policy=policy("strict", revocation=action)
    )
    assert proven.relaxed == (f"revocation: not checked, since that asks the network (policy: {action})",)


def test_a_statement_that_skips_vouches_for_nothing(root: Holder, prove: Prove) -> None:
    skips = {
        "version": "1.0",
        "trustPolicies": [
            {
                "name": "vendor images",
                "registryScopes": ["registry.example/acme/app"],
                "signatureVerification": {"level": "skip"},
            }
        ],
    }
    with pytest.raises(EvidenceRejectedError, match="'vendor images' skips verification") as caught:
        prove(sign_jws(Request(), make_chain(root=root)), JWS, policy=skips)
    assert "write `skip` in the VerificationPolicy" in str(caught.value)
