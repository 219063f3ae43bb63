"""The Notary Project's own library and regsync say the same of what either of them signed."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from regsync.trust.envelopes import Proven
from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.notation.der import elements
from tests.support.notation_pki import KEY_KINDS, Chain, Holder, make_chain, name
from tests.support.notation_signing import COSE, JWS, SIGNING_AUTHORITY, X509, Request, sign
from tests.support.timestamp_authority import TimestampAuthority
from tests.support.tools import Tool, ToolError

pytestmark = pytest.mark.servers

Prove = Callable[..., Proven]
BOTH = pytest.mark.parametrize("media_type", [JWS, COSE], ids=["jws", "cose"])
NOW = datetime.now(UTC)  # the library asks the machine
DAY = timedelta(days=1)
START, ENDED = NOW - 100 * DAY, NOW - DAY
TARGET = {
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "digest": "sha256:" + "a" * 64,
    "size": 528,
}
TSA = TimestampAuthority("acme", START, NOW + 100 * DAY)


class Library:
    """The library with a trust policy and trust stores in a directory, as notation has them."""

    def __init__(self, tool: Tool, directory: Path, stores: Mapping[str, bytes]) -> None:
        self._tool, self._directory = tool, directory
        self._config = directory / "config/notation"
        self._environment = {"XDG_CONFIG_HOME": str(directory / "config")}
        self.stores = stores
        for store, pem in stores.items():
            file = self._config.joinpath("truststore/x509", *store.split(":"), "root.crt")
            file.parent.mkdir(parents=True)
            file.write_bytes(pem)

    def sign(self, media_type: str, chain: Chain, scheme: str) -> bytes:
        key, certificates = self._directory / "key.pem", self._directory / "chain.pem"
        key.write_bytes(chain.leaf.key_pem)
        certificates.write_bytes(b"".join(holder.pem for holder in chain.holders))
        request = {
            "Scheme": scheme,
            "SigningTime": f"{NOW:%Y-%m-%dT%H:%M:%SZ}",
            "Expiry": f"{NOW + DAY:%Y-%m-%dT%H:%M:%SZ}",
            "Payload": {"targetArtifact": TARGET},
        }
        return self._tool.run_bytes("sign", media_type, json.dumps(request), key, certificates)

    def accepts(self, media_type: str, raw: bytes, policy: Mapping[str, Any]) -> bool:
        document, envelope = self._config / "trustpolicy.json", self._directory / "envelope"
        document.write_text(json.dumps(policy))
        document.chmod(0o600)
        envelope.write_bytes(raw)
        reference = f"registry.example/acme/app@{TARGET['digest']}"
        try:
            self._tool(
                *("verify", media_type, json.dumps(TARGET), reference, envelope), env=self._environment
            )
        except ToolError:
            return False
        return True


@pytest.fixture
def library(tool: Callable[[str], Tool], tmp_path: Path, root: Holder) -> Library:
    pem = _pem(TSA.root.der)
    stores = {"ca:acme": root.pem, "signingAuthority:acme": root.pem, "tsa:acme": pem}
    return Library(tool("notation-go"), tmp_path, stores)


def _pem(der: bytes) -> bytes:
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


def policy(
    *stores: str, level: str = "strict", identity: str = "*", **verification: str
) -> Mapping[str, Any]:
    return {
        "version": "1.0",
        "trustPolicies": [
            {
                "name": "all",
                "registryScopes": ["*"],
                "signatureVerification": {"level": level, **verification},
                "trustStores": list(stores or ("ca:acme",)),
                "trustedIdentities": [identity],
            }
        ],
    }


def agreed(library: Library, prove: Prove, media_type: str, raw: bytes, asked: Mapping[str, Any]) -> bool:
    """What both say; fails where they do not say the same."""
    theirs, reason = library.accepts(media_type, raw, asked), None
    try:
        prove(raw, media_type, stores=library.stores, policy=asked, now=datetime.now(UTC))
    except EvidenceRejectedError as refused:
        reason = str(refused)
    assert theirs is (reason is None), f"the library and regsync differ: {theirs=}, {reason=}"
    return theirs


@BOTH
@pytest.mark.parametrize(
    ("scheme", "store"), [(X509, "ca:acme"), (SIGNING_AUTHORITY, "signingAuthority:acme")], ids=["x509", "sa"]
)
@pytest.mark.parametrize("kind", KEY_KINDS)
def test_each_accepts_what_the_other_signed(
    kind: str, scheme: str, store: str, media_type: str, root: Holder, library: Library, prove: Prove
) -> None:
    chain = make_chain(kind, root=root, between=["issuing"])
    ours = sign(media_type, Request(scheme=scheme, signed_at=NOW, expiry=NOW + DAY), chain)
    theirs = library.sign(media_type, chain, scheme)
    for raw in (ours, theirs):
        assert agreed(library, prove, media_type, raw, policy(store))


def stamped(at: datetime) -> Callable[[bytes], bytes]:
    return lambda signature: next(elements(TSA.stamp(signature, at))).children()[1].whole


def signed_before(timestamp: datetime | None, *, expiry: datetime | None = None) -> Request:
    taken = stamped(timestamp) if timestamp else None
    return Request(signed_at=NOW - 5 * DAY, expiry=expiry, timestamp=taken)


SUBJECT = "x509.subject: C=US, ST=WA, O=Acme, CN="
WITH_TSA = ("ca:acme", "tsa:acme")


@BOTH
@pytest.mark.parametrize(
    ("request_", "options", "asked", "is_right"),
    [
        pytest.param(signed_before(NOW - 2 * DAY), {"end": ENDED}, policy(*WITH_TSA), True, id="stamped"),
        pytest.param(signed_before(NOW), {"end": ENDED}, policy(*WITH_TSA), False, id="stamped late"),
        pytest.param(signed_before(None), {}, policy(*WITH_TSA), False, id="not stamped"),
        pytest.param(
            signed_before(None),
            {},
            policy(*WITH_TSA, verifyTimestamp="afterCertExpiry"),
            True,
            id="stamped only once ended",
        ),
        pytest.param(signed_before(None), {"end": ENDED}, policy(), False, id="ended"),
        pytest.param(
            signed_before(None), {"end": ENDED}, policy(level="permissive"), True, id="ended, permissive"
        ),
        pytest.param(signed_before(None, expiry=ENDED), {}, policy(), False, id="expired"),
        pytest.param(signed_before(None, expiry=ENDED), {}, policy(level="audit"), True, id="expired, audit"),
        pytest.param(signed_before(None), {"root": None}, policy(), False, id="a stranger"),
        pytest.param(
            signed_before(None), {"root": None}, policy(level="audit"), True, id="a stranger, audit"
        ),
        pytest.param(signed_before(None), {}, policy(identity=f"{SUBJECT}acme-signer"), True, id="identity"),
        pytest.param(signed_before(None), {}, policy(identity=f"{SUBJECT}other"), False, id="another"),
        pytest.param(
            signed_before(None),
            {"subject": name("a, b;c")},
            policy(identity=rf"{SUBJECT}a\, b\;c"),
            True,
            id="identity with escapes",
        ),
        pytest.param(Request(algorithm="ES384", signed_at=NOW), {}, policy(), False, id="another algorithm"),
    ],
)
def test_both_decide_alike(
    media_type: str,
    request_: Request,
    options: Mapping[str, Any],
    asked: Mapping[str, Any],
    is_right: bool,
    root: Holder,
    library: Library,
    prove: Prove,
) -> None:
    chain = make_chain(**{"root": root, "start": START, "end": NOW + 100 * DAY, **options})
    assert agreed(library, prove, media_type, sign(media_type, request_, chain), asked) is is_right
