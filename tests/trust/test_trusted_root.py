"""A trusted root is read whole or not at all; what it may say in later versions does not break it."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regsync.trust.trusted_root import MAX_ITEMS, MAX_SIZE, TrustedRoot, TrustRootError, Validity, public_good
from tests.support.rekor_log import RekorLog, b64
from tests.support.signing_keys import KINDS, details, new_key, public_der
from tests.support.sigstore_pki import SigstorePki

Json = dict[str, Any]

SUITE = Path(__file__).parents[1] / "data" / "signing" / "conformance" / "bundle-verify"
ROOTS = sorted(SUITE.glob("*/trusted_root.json"))
PKI = SigstorePki()
DOCUMENT = PKI.trusted_root_document()


def changed(change: Callable[[Json], object]) -> bytes:
    document = json.loads(json.dumps(DOCUMENT))
    change(document)
    return json.dumps(document).encode()


def test_the_root_that_comes_with_sigstore_is_the_public_good_one() -> None:
    root = TrustedRoot.parse(public_good())
    assert [log.url for log in root.tlogs] == [
        "https://rekor.sigstore.dev",
        "https://log2025-1.rekor.sigstore.dev",
    ]
    assert [log.key.details for log in root.tlogs] == ["PKIX_ECDSA_P256_SHA_256", "PKIX_ED25519"]
    assert all(log.key.public is not None for log in root.tlogs)
    assert {ca.url for ca in root.certificate_authorities} == {"https://fulcio.sigstore.dev"}
    assert len(root.ctlogs) == 2
    assert len(root.timestamp_authorities) == 1


def test_sigstore_is_not_imported_for_it() -> None:
    code = (
        "import sys; from regsync.trust.trusted_root import TrustedRoot, public_good;"
        "TrustedRoot.parse(public_good());"
        "print(sorted({'sigstore', 'requests', 'tuf'} & sys.modules.keys()))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert ended.stdout.strip() == "[]"


@pytest.mark.parametrize("path", [pytest.param(path, id=path.parent.name) for path in ROOTS])
def test_the_roots_of_the_conformance_suite_are_read(path: Path) -> None:
    if path.parent.name == "trust-root-tlog-missing-validity-start_fail":
        with pytest.raises(TrustRootError, match=r"tlogs\[1\]\.publicKey\.validFor\.start"):
            TrustedRoot.parse(path.read_bytes())
    else:
        assert TrustedRoot.parse(path.read_bytes()).tlogs


def test_everything_in_a_root_is_read() -> None:
    root = TrustedRoot.parse(PKI.trusted_root())
    (log,) = root.tlogs
    assert (log.url, log.log_id, log.checkpoint_key_id) == (
        "https://rekor.example",
        PKI.log.log_id,
        PKI.log.log_id,
    )
    (fulcio,) = root.certificate_authorities
    assert fulcio.certificates == (PKI.intermediate.certificate, PKI.root.certificate)
    assert root.logs(PKI.log.log_id) == (log,)
    assert root.logs(b"another") == ()
    assert root.certificate_logs(root.ctlogs[0].log_id) == root.ctlogs


@pytest.mark.parametrize("kind", KINDS)
def test_logs_have_keys_of_every_kind(kind: str) -> None:
    key = new_key(kind)
    public = {"rawBytes": b64(public_der(key)), "keyDetails": details(key)}
    root = TrustedRoot.parse(changed(lambda root: root["tlogs"][0]["publicKey"].update(public)))
    assert root.tlogs[0].key.public == key.public_key()


def test_the_second_rekor_is_known_by_its_c2sp_key_id() -> None:
    pki = SigstorePki(log=RekorLog(version=2))
    (log,) = TrustedRoot.parse(pki.trusted_root()).tlogs
    assert log.log_id == pki.log.log_id
    assert log.key.details == "PKIX_ED25519"


def test_a_log_may_sign_checkpoints_by_another_id() -> None:
    log = {"checkpointKeyId": {"keyId": b64(b"c2sp")}}
    root = TrustedRoot.parse(changed(lambda root: root["tlogs"][0].update(log)))
    assert root.tlogs[0].checkpoint_key_id == b"c2sp"
    assert root.logs(b"c2sp") == root.logs(PKI.log.log_id) == root.tlogs


def test_what_later_versions_add_is_let_be() -> None:
    def add(root: Json) -> None:
        root["mediaType"] = "application/vnd.dev.sigstore.trustedroot.v0.2+json"
        root["witnesses"] = [{"new": True}]
        root["tlogs"][0]["operator"] = "sigstore.dev"
        root["tlogs"][0]["publicKey"]["validFor"]["note"] = None

    assert TrustedRoot.parse(changed(add)) == TrustedRoot.parse(PKI.trusted_root())


def test_a_log_of_a_new_kind_does_not_break_the_root() -> None:
    def add(root: Json) -> None:
        key = root["tlogs"][0]["publicKey"] | {
            "keyDetails": "PKIX_MLDSA_65",
            "rawBytes": b64(b"post-quantum"),
        }
        root["tlogs"].append(root["tlogs"][0] | {"publicKey": key})

    old, new = TrustedRoot.parse(changed(add)).tlogs
    assert old.key.public is not None
    assert new.key.public is None
    assert not new.key.has_signed(b"", b"")


def test_an_interval_holds_both_its_ends() -> None:
    start, end = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 6, 12, 12, 2, 20, tzinfo=UTC)
    second = timedelta(seconds=1)
    assert Validity(start, end).covers(start)
    assert Validity(start, end).covers(end)
    assert not Validity(start, end).covers(start - second)
    assert not Validity(start, end).covers(end + second)
    assert Validity(start, None).covers(datetime.max.replace(tzinfo=UTC))


def test_times_have_fractions_and_zones() -> None:
    interval = {"start": "2022-04-13T22:06:15.5+02:00", "end": "2022-12-31T23:59:59.999999999Z"}
    root = TrustedRoot.parse(
        changed(lambda root: root["certificateAuthorities"][0].update(validFor=interval))
    )
    assert root.certificate_authorities[0].valid == Validity(
        datetime(2022, 4, 13, 20, 6, 15, 500000, tzinfo=UTC),
        datetime(2022, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    )


def every_interval(interval: object) -> list[Callable[[Json], object]]:
    return [
        lambda root: root["tlogs"][0]["publicKey"].update(validFor=interval),
        lambda root: root["ctlogs"][0]["publicKey"].update(validFor=interval),
        lambda root: root["certificateAuthorities"][0].update(validFor=interval),
        lambda root: root["timestampAuthorities"][0].update(validFor=interval),
    ]


@pytest.mark.parametrize(
    "interval",
    [
        pytest.param(None, id="none"),
        pytest.param({}, id="empty"),
        pytest.param({"end": "2025-01-01T00:00:00Z"}, id="no start"),
        pytest.param({"start": None}, id="null"),
        pytest.param({"start": "2025-01-01"}, id="a date"),
        pytest.param({"start": "2025-01-01T00:00:00"}, id="no zone"),
        pytest.param({"start": "2025-13-01T00:00:00Z"}, id="no month"),
        pytest.param({"start": "0001-01-01T00:00:00+10:00"}, id="none in UTC"),
        pytest.param({"start": 1735689600}, id="a number"),
        pytest.param({"start": "2025-01-01T00:00:00Z", "end": "never"}, id="an end that is none"),
    ],
)
def test_an_interval_that_is_none_makes_the_whole_root_invalid(interval: object) -> None:
    for change in every_interval(interval):
        with pytest.raises(TrustRootError, match="validFor"):
            TrustedRoot.parse(changed(change))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(lambda root: root.pop("mediaType"), "mediaType", id="no media type"),
        pytest.param(
            lambda root: root.update(mediaType="application/vnd.dev.sigstore.signingconfig.v0.2+json"),
            "not that of a trusted root",
            id="a signing config",
        ),
        pytest.param(lambda root: root.update(tlogs={}), "tlogs is no list", id="no list"),
        pytest.param(lambda root: root.update(tlogs=[[]]), r"tlogs\[0\] is not an object", id="no log"),
        pytest.param(
            lambda root: root.update(tlogs=root["tlogs"] * (MAX_ITEMS + 1)), "at most 256", id="too many logs"
        ),
        pytest.param(
            lambda root: root["tlogs"][0].update(baseUrl="http://["),
            "baseUrl is no address",
            id="a bad address",
        ),
        pytest.param(lambda root: root["tlogs"][0].pop("logId"), "logId is missing", id="no log id"),
        pytest.param(lambda root: root["tlogs"][0].pop("publicKey"), "publicKey is missing", id="no key"),
        pytest.param(
            lambda root: root["tlogs"][0]["publicKey"].update(rawBytes="AAAA"),
            "cannot be used",
            id="a bad key",
        ),
        pytest.param(
            lambda root: root["tlogs"][0]["publicKey"].update(rawBytes="!"), "not base64", id="no base64"
        ),
        pytest.param(
            lambda root: root["tlogs"][0]["publicKey"].update(keyDetails="PKIX_ECDSA_P384_SHA_384"),
            "the key is not PKIX_ECDSA_P384_SHA_384",
            id="a key of another curve",
        ),
        pytest.param(
            lambda root: root["tlogs"][0]["publicKey"].update(keyDetails="PKIX_RSA_PKCS1V15_2048_SHA256"),
            "the key is not PKIX_RSA",
            id="a key of another kind",
        ),
        pytest.param(
            lambda root: root["certificateAuthorities"][0]["certChain"].update(certificates=[]),
            "is empty",
            id="no certificates",
        ),
        pytest.param(
            lambda root: root["timestampAuthorities"][0]["certChain"]["certificates"][0].update(
                rawBytes="AAAA"
            ),
            "is no certificate",
            id="a bad certificate",
        ),
        pytest.param(
            lambda root: [root.pop(key) for key in list(root) if key != "mediaType"],
            "names no log and no authority",
            id="empty",
        ),
    ],
)
def test_a_root_that_is_wrong_is_refused_with_the_place(
    change: Callable[[Json], object], reason: str
) -> None:
    with pytest.raises(TrustRootError, match=reason):
        TrustedRoot.parse(changed(change))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b"{" * 100_000, id="deep"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b" " * (MAX_SIZE + 1), id="long"),
        pytest.param(b'{"mediaType": "a", "mediaType": "b"}', id="a key that stands twice"),
    ],
)
def test_what_is_no_document_is_refused(data: bytes) -> None:
    with pytest.raises(TrustRootError, match="invalid trusted root"):
        TrustedRoot.parse(data)


@settings(deadline=None)
@given(st.integers(0), st.integers(1, 255))
def test_with_a_byte_changed_it_is_read_or_refused(place: int, change: int) -> None:
    data = bytearray(PKI.trusted_root())
    data[place % len(data)] ^= change
    try:
        assert isinstance(TrustedRoot.parse(bytes(data)), TrustedRoot)
    except TrustRootError as refused:
        assert str(refused).startswith("invalid trusted root: ")  # noqa: PT017 - either may come
