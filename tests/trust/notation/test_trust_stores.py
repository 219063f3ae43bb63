"""Trust stores hold certificates in PEM or DER, one or several in a file."""

from collections.abc import Callable

import pytest

from regsync.spec.model import Position
from regsync.spec.verification import Material, NotationRoot
from regsync.trust.envelopes import Proven
from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.notation.errors import NotationTrustError
from regsync.trust.notation.store import StoreType, TrustStores
from tests.support.notation_pki import AUTHORITY, Chain, Holder, issue, make_chain, make_root, name
from tests.support.notation_signing import JWS, Request, sign_jws

Prove = Callable[..., Proven]
FIRST, SECOND = make_root("first"), make_root("second")


def read(data: bytes, store: str = "ca:acme") -> tuple[str, ...]:
    material = Material("trust/roots", data, Position("regsync.yaml", 3, 5))
    stores = TrustStores.parse(NotationRoot({store: (material,)}))
    return tuple(found.subject.partition(",")[0] for found in stores.by_name[store])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(FIRST.pem + SECOND.pem, id="PEM"),
        pytest.param(b"# the root\n" + FIRST.pem + b"\n# the next\n\n" + SECOND.pem, id="PEM with notes"),
        pytest.param((FIRST.pem + SECOND.pem).replace(b"\n", b"\r\n"), id="PEM of Windows"),
        pytest.param(FIRST.der + SECOND.der, id="DER"),
    ],
)
def test_a_file_may_hold_several(data: bytes) -> None:
    assert read(data) == ("CN=first", "CN=second")


def test_a_store_may_have_several_files() -> None:
    files = tuple(Material(f"{number}.pem", holder.pem) for number, holder in enumerate((FIRST, SECOND)))
    assert len(TrustStores.parse(NotationRoot({"ca:acme": files})).by_name["ca:acme"]) == 2


def test_stores_of_one_use_are_found_by_their_type_alone() -> None:
    files = {
        f"{kind}:acme": (Material("root", holder.pem),)
        for kind, holder in (("ca", FIRST), ("signingAuthority", SECOND), ("tsa", make_root("third")))
    }
    stores = TrustStores.parse(NotationRoot(files))
    found = {kind: stores.certificates(kind, files)[0].subject.partition(",")[0] for kind in StoreType}
    assert list(found.values()) == ["CN=first", "CN=second", "CN=third"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "it holds no certificate", id="empty"),
        pytest.param(b"what is this", "trust/roots: ", id="text"),
        pytest.param(FIRST.der[:-1], "truncated", id="broken DER"),
        pytest.param(b"\x30\x80\x00\x00", "indefinite", id="BER"),
        pytest.param(
            b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "trust/roots: ", id="PEM"
        ),
        pytest.param(FIRST.pem + FIRST.key_pem, "holds a private key, which nothing needs", id="a key"),
        pytest.param(make_chain(root=FIRST).leaf.pem, "neither an authority's certificate nor", id="a leaf"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_named_with_its_place(data: bytes, reason: str) -> None:
    with pytest.raises(NotationTrustError) as caught:
        read(data)
    assert str(caught.value).startswith("trust/roots: ")
    assert reason in str(caught.value)
    assert caught.value.position == Position("regsync.yaml", 3, 5)


def test_a_store_of_timestamp_authorities_takes_roots_alone() -> None:
    between = issue(name("between"), FIRST, extensions=AUTHORITY)
    assert read(between.pem) == ("CN=between",)
    with pytest.raises(NotationTrustError, match="a tsa store takes roots alone"):
        read(between.pem, "tsa:acme")
    assert read(FIRST.pem, "tsa:acme") == ("CN=first",)


def test_a_store_without_files_is_none_and_one_of_no_known_type_an_error() -> None:
    files = {"ca:acme": (Material("root", FIRST.pem),), "ca:empty": ()}
    assert set(TrustStores.parse(NotationRoot(files)).by_name) == {"ca:acme"}
    with pytest.raises(NotationTrustError, match="its type is none of ca, signingAuthority and tsa"):
        read(FIRST.pem, "roots:acme")


def test_an_authority_below_the_root_may_be_what_is_trusted(root: Holder, prove: Prove) -> None:
    chain = make_chain(root=root, between=["issuing"])
    raw = sign_jws(Request(), chain)
    assert prove(raw, JWS, stores={"ca:acme": chain.holders[1].pem})
    with pytest.raises(EvidenceRejectedError, match="authenticity"):
        prove(sign_jws(Request(), make_chain(root=root)), JWS, stores={"ca:acme": chain.holders[1].pem})


def test_several_roots_trust_what_any_of_them_issued(prove: Prove) -> None:
    stores = {"ca:acme": FIRST.pem + SECOND.pem}
    for root in (FIRST, SECOND):
        assert prove(sign_jws(Request(), Chain((make_chain(root=root).leaf, root))), JWS, stores=stores)
