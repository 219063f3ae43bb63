"""What a certificate says of its holder is read by name, and only in the form that Fulcio writes it."""

import base64
import json
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.fulcio_extensions import MAX_VALUE, NAMES, read_extensions, read_issuer, read_subject

SUITE = Path(__file__).parents[1] / "data" / "signing" / "conformance" / "bundle-verify"
FULCIO = "1.3.6.1.4.1.57264.1"
KEY = ec.generate_private_key(ec.SECP256R1())
AT = datetime(2026, 11, 1, tzinfo=UTC)
USER_NAME = x509.ObjectIdentifier(f"{FULCIO}.7")


def certificate(
    values: dict[int, bytes] | None = None, names: list[x509.GeneralName] | None = None
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(AT)
        .not_valid_after(AT + timedelta(days=1))
    )
    for number, value in (values or {}).items():
        oid = x509.ObjectIdentifier(f"{FULCIO}.{number}")
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
    if names is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    return builder.sign(KEY, hashes.SHA256())


def utf8(text: str) -> bytes:
    content = text.encode()
    size = len(content)
    if size < 0x80:
        return bytes([0x0C, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x0C, 0x80 | len(length)]) + length + content


def test_a_certificate_of_the_public_good_instance_is_read() -> None:
    bundle = json.loads((SUITE / "happy-path-v0.3" / "bundle.sigstore.json").read_text())
    der = base64.b64decode(bundle["verificationMaterial"]["certificate"]["rawBytes"])
    read = x509.load_der_x509_certificate(der)
    beacon = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon"
    workflow = f"{beacon}/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main"
    assert read_issuer(read) == "https://token.actions.githubusercontent.com"
    assert read_subject(read) == workflow
    found = read_extensions(read)
    assert set(found) == set(NAMES.values()) - {"deploymentEnvironment"}
    assert found["sourceRepositoryURI"] == beacon
    assert found["githubWorkflowRepository"] == "sigstore-conformance/extremely-dangerous-public-oidc-beacon"
    assert found["githubWorkflowRef"] == found["sourceRepositoryRef"] == "refs/heads/main"
    assert found["githubWorkflowTrigger"] == found["buildTrigger"] == "workflow_dispatch"
    assert found["runnerEnvironment"] == "github-hosted"
    assert found["sourceRepositoryVisibilityAtSigning"] == "public"


def test_the_old_extensions_are_raw_and_the_new_ones_der() -> None:
    unknown = {24: b"\x00", 99: b"\xff"}
    read = certificate({2: b"push", 9: utf8("https://builder"), 23: utf8("production")} | unknown)
    assert read_extensions(read) == {
        "buildSignerURI": "https://builder",
        "deploymentEnvironment": "production",
        "githubWorkflowTrigger": "push",
    }


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({1: b"https://issuer"}, id="the old one"),
        pytest.param({8: utf8("https://issuer")}, id="the new one"),
        pytest.param({1: b"https://issuer", 8: utf8("https://issuer")}, id="both"),
    ],
)
def test_the_issuer_is_read_in_its_old_form_and_its_new_one(values: dict[int, bytes]) -> None:
    assert read_issuer(certificate(values)) == "https://issuer"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        pytest.param({}, "names no issuer", id="none"),
        pytest.param({1: b"https://a", 8: utf8("https://b")}, "two issuers: https://a and", id="two"),
        pytest.param({8: b"https://issuer"}, "no UTF8String", id="the new one raw"),
        pytest.param({1: b"https://\xff"}, "not UTF-8", id="no text"),
        pytest.param({1: b"https://a\x00.b"}, "do not print", id="a NUL"),
        pytest.param({1: b""}, "empty", id="empty"),
        pytest.param({1: b"x" * (MAX_VALUE + 1)}, "more than 4096", id="long"),
    ],
)
def test_an_issuer_is_one_and_plain(values: dict[int, bytes], reason: str) -> None:
    with pytest.raises(EvidenceRejectedError, match=reason):
        read_issuer(certificate(values))


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        pytest.param(x509.UniformResourceIdentifier("https://example/x"), "https://example/x", id="URI"),
        pytest.param(x509.RFC822Name("ann@example.com"), "ann@example.com", id="email"),
        pytest.param(x509.OtherName(USER_NAME, utf8("ann!example.com")), "ann!example.com", id="user name"),
    ],
)
def test_a_subject_is_a_uri_an_address_or_a_user_name(name: x509.GeneralName, subject: str) -> None:
    assert read_subject(certificate(names=[name])) == subject


ADDRESS = x509.RFC822Name("ann@example.com")


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        pytest.param(None, "names no subject", id="no extension"),
        pytest.param([], "0 subjects", id="no name"),
        pytest.param([ADDRESS, ADDRESS], "names 2 subjects", id="two"),
        pytest.param([x509.DNSName("example.com")], "a DNSName", id="a host"),
        pytest.param([x509.IPAddress(IPv6Address("::1"))], "an? IPAddress", id="an address"),
        pytest.param(
            [x509.OtherName(x509.ObjectIdentifier("1.2.3"), utf8("ann"))], "a OtherName", id="another name"
        ),
        pytest.param([x509.OtherName(USER_NAME, b"\x13\x03ann")], "no UTF8String", id="another string"),
        pytest.param([x509.UniformResourceIdentifier("https://a\n")], "do not print", id="a line end"),
    ],
)
def test_a_subject_is_one_and_plain(names: list[x509.GeneralName] | None, reason: str) -> None:
    with pytest.raises(EvidenceRejectedError, match=reason) as refused:
        read_subject(certificate(names=names))
    assert refused.value.check in ("certificate subject", "certificate extensions")


@settings(deadline=None)
@given(st.text(min_size=1, max_size=400))
def test_a_text_of_any_length_is_read_as_it_was_written(text: str) -> None:
    assert read_extensions(certificate({9: utf8(text)})) == {"buildSignerURI": text}


@pytest.mark.parametrize(
    "der",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x0c", id="a tag alone"),
        pytest.param(b"\x0c\x05ann", id="too short"),
        pytest.param(b"\x0c\x03annn", id="something behind it"),
        pytest.param(b"\x0c\x81\x03ann", id="a length not in its shortest form"),
        pytest.param(b"\x0c\x82\x00\x80" + b"a" * 128, id="a length with a leading zero"),
        pytest.param(b"\x0c\x80ann\x00\x00", id="an open length"),
        pytest.param(b"\x0c\x84\xff\xff\xff\xffann", id="a length of gigabytes"),
        pytest.param(b"\x16\x03ann", id="another kind of string"),
        pytest.param(b"\x0c\x02\xc3\x28", id="no UTF-8"),
        pytest.param(utf8("x" * (MAX_VALUE - 3)), id="long"),
    ],
)
def test_hostile_der_is_refused(der: bytes) -> None:
    with pytest.raises(EvidenceRejectedError, match=FULCIO):
        read_extensions(certificate({9: der}))


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(der: bytes) -> None:
    try:
        (text,) = read_extensions(certificate({9: der})).values()
    except EvidenceRejectedError:
        return
    assert utf8(text) == der
