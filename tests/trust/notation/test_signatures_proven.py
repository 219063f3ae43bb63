"""A notation signature is proven by the certificates that a root trusts, and every change to it is seen."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import cbor2
import pytest

from regsync.oci.digest import Digest
from regsync.spec.verification import Material, NotationLevel, NotationRoot
from regsync.trust.envelopes import (
    Image,
    Kind,
    Message,
    NotationEnvelope,
    Proven,
    Question,
    SigstoreEnvelope,
)
from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.notation.reading import read_notation
from regsync.trust.notation.verifier import Notary, NotationTrust
from tests.support.notation_pki import KEY_KINDS, Chain, Holder, issue, make_chain, make_root, name
from tests.support.notation_signing import (
    COSE,
    JWS,
    SIGNED_AT,
    SIGNING_AUTHORITY,
    Request,
    base64url,
    jws,
    payload_of,
    sign,
)

Prove = Callable[..., Proven]
BOTH = pytest.mark.parametrize("media_type", [JWS, COSE], ids=["jws", "cose"])
OTHER = "sha256:" + "b" * 64
SIGNER = "x509.subject: C=US, ST=WA, O=Acme, CN=acme-signer"


@BOTH
@pytest.mark.parametrize("kind", KEY_KINDS)
def test_a_key_of_every_kind_proves_what_it_signed(
    kind: str, media_type: str, root: Holder, prove: Prove
) -> None:
    raw = sign(media_type, Request(), make_chain(kind, root=root))
    proven = prove(raw, media_type, identities=[SIGNER])
    assert proven.signer.authority == "vendor"
    assert proven.signer.subject == "CN=acme-signer,O=Acme,ST=WA,C=US"
    assert proven.checks == (
        *(f"signature ({_ALGORITHM[kind]}, {kind})", "certificate chain"),
        *("authenticity (ca store, identity)", "certificates valid now"),
    )
    assert proven.signed_at is None  # the time in it is the signer's own word
    assert proven.expires == datetime(2036, 1, 1, tzinfo=UTC)


_ALGORITHM = dict(zip(KEY_KINDS, ("PS256", "PS384", "PS512", "ES256", "ES384", "ES512"), strict=True))


@BOTH
def test_revocation_is_said_not_to_be_checked(media_type: str, root: Holder, prove: Prove) -> None:
    proven = prove(sign(media_type, Request(), make_chain(root=root)), media_type)
    assert proven.relaxed == ("revocation: not checked, since that asks the network (policy: enforce)",)


@BOTH
def test_an_envelope_says_which_digest_it_signs_and_its_metadata(media_type: str, root: Holder) -> None:
    raw = sign(media_type, Request(annotations={"team": "core"}), make_chain(root=root))
    message = read_notation(raw, media_type).message
    assert message == Message(
        Kind.SIGNATURE, frozenset({Digest.parse("sha256:" + "a" * 64)}), {"team": "core"}
    )


@BOTH
def test_a_chain_with_authorities_between_leads_to_the_root(
    media_type: str, root: Holder, prove: Prove
) -> None:
    chain = make_chain(root=root, between=["policy", "issuing"])
    assert prove(sign(media_type, Request(), chain), media_type).signer.issuer == (
        "CN=issuing,O=Acme,ST=WA,C=US"
    )


@BOTH
def test_a_signer_that_signed_itself_is_trusted_by_its_own_certificate(media_type: str, prove: Prove) -> None:
    alone = Chain((make_chain(root=make_root()).leaf,))
    with pytest.raises(EvidenceRejectedError, match="no root that signed itself"):
        prove(sign(media_type, Request(), alone), media_type)
    own = Chain((issue(name("acme-signer")),))
    assert prove(sign(media_type, Request(), own), media_type, stores={"ca:acme": own.leaf.pem})


@BOTH
def test_another_root_of_the_same_name_is_not_trusted(media_type: str, prove: Prove) -> None:
    raw = sign(media_type, Request(), make_chain(root=make_root()))
    with pytest.raises(EvidenceRejectedError, match="authenticity: no ca store of the policy has"):
        prove(raw, media_type)


@BOTH
def test_another_identity_under_the_root_is_not_trusted(media_type: str, root: Holder, prove: Prove) -> None:
    raw = sign(media_type, Request(), make_chain(root=root))
    with pytest.raises(EvidenceRejectedError, match="none of the trusted identities"):
        prove(raw, media_type, identities=["x509.subject: C=US, ST=WA, O=Acme, CN=other"])


@BOTH
def test_a_trusted_root_appended_to_a_strangers_chain_proves_nothing(
    media_type: str, root: Holder, prove: Prove
) -> None:
    stranger = make_chain(root=make_root())
    raw = sign(media_type, Request(), Chain((*stranger.holders, root)))
    with pytest.raises(EvidenceRejectedError, match="certificate chain"):
        prove(raw, media_type)


# What follows changes one field of a right envelope: flipped, or taken from a right one of another image.


def _jws(change: Callable[[dict[str, Any], dict[str, Any]], None], raw: bytes, other: bytes) -> bytes:
    envelope = json.loads(raw)
    change(envelope, json.loads(other))
    return json.dumps(envelope).encode()


def _cose(change: Callable[[list[Any], list[Any]], None], raw: bytes, other: bytes) -> bytes:
    parts, others = list(cbor2.loads(raw).value), list(cbor2.loads(other).value)
    parts[1] = dict(parts[1])
    change(parts, others)
    return cbor2.dumps(cbor2.CBORTag(18, parts))


def _flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _flip_text(text: str, at: int) -> str:
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    return base64url(_flip(data, at))


def _swap(part: Any) -> Callable[[Any, Any], None]:
    def change(envelope: Any, other: Any) -> None:
        envelope[part] = other[part]

    return change


def _flipped_jws(part: str, at: int) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def change(envelope: dict[str, Any], _other: dict[str, Any]) -> None:
        envelope[part] = _flip_text(envelope[part], at)

    return change


def _flipped_cose(part: int, at: int) -> Callable[[list[Any], list[Any]], None]:
    def change(parts: list[Any], _other: list[Any]) -> None:
        parts[part] = _flip(parts[part], at)

    return change


def _jws_chain(envelope: dict[str, Any], other: dict[str, Any]) -> None:
    envelope["header"]["x5c"] = other["header"]["x5c"]


def _cose_chain(parts: list[Any], others: list[Any]) -> None:
    parts[1][33] = others[1][33]


_WRONG = "integrity: the signature is wrong"
TAMPERED = [
    pytest.param(JWS, _flipped_jws("signature", 0), _WRONG, id="jws signature flipped"),
    pytest.param(JWS, _flipped_jws("signature", 63), _WRONG, id="jws signature flipped at its end"),
    pytest.param(JWS, _flipped_jws("payload", 80), "integrity|payload", id="jws payload flipped"),
    pytest.param(JWS, _flipped_jws("protected", 60), "integrity|envelope", id="jws header flipped"),
    pytest.param(JWS, _swap("signature"), _WRONG, id="jws signature of another"),
    pytest.param(JWS, _swap("payload"), _WRONG, id="jws payload of another"),
    pytest.param(JWS, _swap("protected"), _WRONG, id="jws header of another"),
    pytest.param(JWS, _jws_chain, _WRONG, id="jws chain of another"),
    pytest.param(COSE, _flipped_cose(3, 0), _WRONG, id="cose signature flipped"),
    pytest.param(COSE, _flipped_cose(3, 63), _WRONG, id="cose signature flipped at its end"),
    pytest.param(COSE, _flipped_cose(2, 80), "integrity|payload", id="cose payload flipped"),
    pytest.param(COSE, _flipped_cose(0, 60), "integrity|envelope", id="cose header flipped"),
    pytest.param(COSE, _swap(3), _WRONG, id="cose signature of another"),
    pytest.param(COSE, _swap(2), _WRONG, id="cose payload of another"),
    pytest.param(COSE, _swap(0), _WRONG, id="cose header of another"),
    pytest.param(COSE, _cose_chain, _WRONG, id="cose chain of another"),
]


@pytest.mark.parametrize("level", [None, NotationLevel.AUDIT], ids=["strict", "audit"])
@pytest.mark.parametrize(("media_type", "change", "reason"), TAMPERED)
def test_no_part_can_be_changed_or_taken_from_another_right_envelope(
    media_type: str,
    change: Callable[[Any, Any], None],
    reason: str,
    level: NotationLevel | None,
    root: Holder,
    prove: Prove,
) -> None:
    right = make_chain(root=root)
    other = Chain((issue(name("acme-signer"), root), root))  # another key of the same name
    moment = SIGNED_AT + timedelta(hours=1)
    raw = sign(media_type, Request(), right)
    swapped_from = sign(media_type, Request(OTHER, signed_at=moment), other)
    tampered = (_jws if media_type == JWS else _cose)(change, raw, swapped_from)
    with pytest.raises(EvidenceRejectedError, match=f"^({reason})"):
        prove(tampered, media_type, level=level)


def _longer(envelope: dict[str, Any], _other: dict[str, Any]) -> None:
    r_and_s = base64.urlsafe_b64decode(envelope["signature"] + "==")
    envelope["signature"] = base64url(r_and_s[:32] + b"\x00" + r_and_s[32:])


def test_a_signature_is_written_in_one_way_only(root: Holder, prove: Prove) -> None:
    raw = sign(JWS, Request(), make_chain("EC 256", root=root))
    with pytest.raises(EvidenceRejectedError, match="the signature has 65 bytes, not 64"):
        prove(_jws(_longer, raw, raw), JWS)


@pytest.mark.parametrize("named", ["ES384", "ES512", "PS256"])
@BOTH
def test_the_key_alone_says_which_algorithm_there_is(
    media_type: str, named: str, root: Holder, prove: Prove
) -> None:
    raw = sign(media_type, Request(algorithm=named), make_chain("EC 256", root=root))
    with pytest.raises(EvidenceRejectedError, match=f"names {named}, and the signer's key is for ES256"):
        prove(raw, media_type)


@pytest.mark.parametrize("named", ["none", "HS256", "RS256", "EdDSA", "", None, 7])
def test_no_other_algorithm_is_known(named: object, root: Holder, prove: Prove) -> None:
    protected = {
        "alg": named,
        "cty": "application/vnd.cncf.notary.payload.v1+json",
        "crit": ["io.cncf.notary.signingScheme"],
        "io.cncf.notary.signingScheme": "notary.x509",
        "io.cncf.notary.signingTime": "2026-06-01T12:00:00Z",
    }
    raw = jws(protected, payload_of(Request()), make_chain(root=root))
    with pytest.raises(EvidenceRejectedError, match="none of the specification's"):
        prove(raw, JWS)


@pytest.mark.parametrize("kind", ["RSA 1024", "Ed25519 0"])
@BOTH
def test_a_key_that_the_specification_does_not_take_signs_nothing(
    media_type: str, kind: str, root: Holder, prove: Prove
) -> None:
    raw = sign(media_type, Request(), make_chain(kind, root=root))
    with pytest.raises(EvidenceRejectedError, match="no key of the specification"):
        prove(raw, media_type)


@BOTH
def test_a_signing_authority_vouches_for_its_time(media_type: str, root: Holder, prove: Prove) -> None:
    chain = make_chain(root=root, end=datetime(2026, 6, 15, tzinfo=UTC))  # expired by now
    raw = sign(media_type, Request(scheme=SIGNING_AUTHORITY), chain)
    proven = prove(raw, media_type, stores={"signingAuthority:acme": root.pem})
    assert proven.signed_at == SIGNED_AT
    assert proven.expires is None
    assert "authenticity (signingAuthority store)" in proven.checks


@BOTH
def test_a_signing_authoritys_time_outside_of_its_certificates_is_refused(
    media_type: str, root: Holder, prove: Prove
) -> None:
    chain = make_chain(root=root, end=SIGNED_AT - timedelta(seconds=1))
    raw = sign(media_type, Request(scheme=SIGNING_AUTHORITY), chain)
    with pytest.raises(EvidenceRejectedError, match=r"authenticTimestamp: CN=acme-signer.* not valid when"):
        prove(raw, media_type, stores={"signingAuthority:acme": root.pem})


@BOTH
def test_a_root_of_one_use_is_not_one_of_the_other(media_type: str, root: Holder, prove: Prove) -> None:
    """Otherwise whoever has a certificate could claim to be an authority of times."""
    claims = sign(media_type, Request(scheme=SIGNING_AUTHORITY), make_chain(root=root))
    with pytest.raises(EvidenceRejectedError, match="no signingAuthority store"):
        prove(claims, media_type, stores={"ca:acme": root.pem})
    plain = sign(media_type, Request(), make_chain(root=root))
    with pytest.raises(EvidenceRejectedError, match="no ca store"):
        prove(plain, media_type, stores={"signingAuthority:acme": root.pem, "tsa:acme": root.pem})


@BOTH
def test_an_expired_signature_is_refused_from_the_moment_it_names(
    media_type: str, root: Holder, prove: Prove
) -> None:
    end = datetime(2026, 7, 1, tzinfo=UTC)
    raw = sign(media_type, Request(expiry=end), make_chain(root=root))
    with pytest.raises(EvidenceRejectedError, match="expiry: the signature expired at 2026-07-01"):
        prove(raw, media_type, now=end)
    assert prove(raw, media_type, now=end - timedelta(seconds=1)).expires == end


@BOTH
@pytest.mark.parametrize(
    "now", [datetime(2025, 12, 31, tzinfo=UTC), datetime(2036, 1, 2, tzinfo=UTC)], ids=["early", "late"]
)
def test_without_a_timestamp_certificates_have_to_be_valid_now(
    media_type: str, now: datetime, root: Holder, prove: Prove
) -> None:
    raw = sign(media_type, Request(), make_chain(root=root))
    with pytest.raises(EvidenceRejectedError, match=r"authenticTimestamp: CN=acme-signer.* not valid now"):
        prove(raw, media_type, now=now)


@BOTH
def test_what_an_envelope_is_said_to_say_has_to_be_what_is_signed(media_type: str, root: Holder) -> None:
    read = read_notation(sign(media_type, Request(), make_chain(root=root)), media_type)
    lie = NotationEnvelope(read.format, Message(Kind.SIGNATURE, frozenset({Digest.parse(OTHER)})), read.raw)
    with pytest.raises(EvidenceRejectedError, match="not what is signed"):
        _anybody(root).verify(lie, _question())


def test_what_cosign_signed_is_not_for_a_notary(root: Holder) -> None:
    subject = Digest.parse(OTHER)
    envelope = SigstoreEnvelope(
        "cosign-signature", Message(Kind.SIGNATURE, frozenset({subject})), b"s", b"p", subject
    )
    with pytest.raises(EvidenceRejectedError, match="cosign-signature is no signature of notation"):
        _anybody(root).verify(envelope, _question())


def _anybody(root: Holder) -> Notary:
    trust = NotationTrust.parse(NotationRoot({"ca:acme": (Material("root.crt", root.pem),)}))
    return Notary.of("vendor", trust)


def _question() -> Question:
    return Question(Image("hub", "acme/app", "v1", Digest.parse(OTHER)), datetime(2026, 7, 1, tzinfo=UTC))
