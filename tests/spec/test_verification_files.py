"""Files that policies and roots name: read with the spec, a part of its digest, laid out as notation does."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from regsync.spec.load import load
from regsync.spec.materials import MAX_STORE_FILES
from regsync.spec.model import Spec
from regsync.spec.private_keys import is_private
from regsync.spec.verification import NotationAuthority, NotationRoot, SigstoreRoot
from tests.spec.policy_files import CERTIFICATE, HERE, PRIVATE_KEY, mistakes, policy, root, with_files
from tests.spec.spec_files import HUB, STORE, WEB, Specs

BY_STORE = "ops: {notation: {trustRoot: acme}}"
STORE_ROOT = root("notation: {trustPolicy: trustpolicy.oci.json, trustStore: trust}")


def trust_store(specs: Specs, below: str = "truststore/x509") -> Path:
    (specs.directory / "trustpolicy.oci.json").write_text('{"version": "1.0"}')
    base = specs.directory / "trust" / below
    for name in (
        "ca/acme/b.pem",
        "ca/acme/a.crt",
        "ca/other/c.pem",
        "tsa/times/t.pem",
        "signingAuthority/s/s.crt",
    ):
        path = base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(CERTIFICATE)
    return base


@pytest.mark.parametrize("below", ["truststore/x509", "x509", "."])
def test_a_trust_store_is_read_as_notation_lays_it_out(specs: Specs, below: str) -> None:
    base = trust_store(specs, below)
    (base / "ca/acme/README.md").write_text("no certificate")
    (base / "ca/acme/.hidden.pem").write_text("no certificate")
    spec = with_files(specs).load(HERE, policy(authorities=BY_STORE), STORE_ROOT)
    found = spec.trust_roots["acme"].root
    assert isinstance(found, NotationRoot)
    names = {name: [Path(one.name).name for one in files] for name, files in found.stores.items()}
    assert names == {
        "ca:acme": ["a.crt", "b.pem"],
        "ca:other": ["c.pem"],
        "tsa:times": ["t.pem"],
        "signingAuthority:s": ["s.crt"],
    }
    assert found.policy is not None
    assert found.policy.data == b'{"version": "1.0"}'
    assert spec.policies["prod"].authorities["ops"] == NotationAuthority("acme")


def test_lists_of_files_are_stores_of_the_roots_name(specs: Specs) -> None:
    text = root("notation: {ca: [root.crt], tsa: [root.crt, other.pub], signingAuthority: []}")
    authorities = "ops: {notation: {trustRoot: acme, trustedIdentities: ['*']}}"
    spec = with_files(specs).load(HERE, policy(authorities=authorities), text)
    found = spec.trust_roots["acme"].root
    assert isinstance(found, NotationRoot)
    assert {name: len(files) for name, files in found.stores.items()} == {"ca:acme": 1, "tsa:acme": 2}


@pytest.mark.parametrize("key", ["level: strict", "trustedIdentities: ['*']"])
def test_a_trust_policy_alone_says_whom_it_trusts(specs: Specs, key: str) -> None:
    trust_store(specs)
    (found,) = mistakes(
        specs, policy(authorities=f"ops: {{notation: {{trustRoot: acme, {key}}}}}"), STORE_ROOT
    )
    name = key.partition(":")[0]
    assert found == f"spec.authorities.ops.notation.{name}: the trust policy of acme says it; leave it out"


def no_store(base: Path) -> None:
    os.rename(base.parent.parent, base.parent.parent.parent / "gone")


def empty(base: Path) -> None:
    for path in base.rglob("*.*"):
        path.unlink()


def many(base: Path) -> None:
    for number in range(MAX_STORE_FILES + 1):
        (base / f"ca/acme/{number}.pem").touch()


def with_a_key(base: Path) -> None:
    (base / "ca/acme/a.crt").write_text(PRIVATE_KEY)


def with_a_pipe(base: Path) -> None:
    os.mkfifo(base / "ca/acme/p.pem")


def heavy(base: Path) -> None:
    for number in range(17):
        (base / f"ca/acme/{number}.pem").write_bytes(b"x" * 1024 * 1024)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (no_store, "trustStore: trust: there is no such directory"),
        (empty, "trustStore: trust: there are no certificates in truststore/x509/TYPE/NAME"),
        (many, "trustStore: trust: more than 1000 certificates"),
        (with_a_key, "trust/truststore/x509/ca/acme/a.crt: this is a private key"),
        (with_a_pipe, "ca/acme/p.pem: a pipe, a socket or a device; only regular files are read"),
        (heavy, "trustStore: trust: more than 16 MiB of certificates"),
    ],
)
def test_a_trust_store_that_is_none(specs: Specs, spoil: Callable[[Path], None], expected: str) -> None:
    spoil(trust_store(specs))
    (found,) = mistakes(specs, policy(authorities=BY_STORE), STORE_ROOT)
    assert expected in found


def test_a_root_without_a_file_is_the_public_one_with_its_own_thresholds(specs: Specs) -> None:
    authorities = "ops: {key: {file: ops.pub, trustRoot: acme}}"
    spec = with_files(specs).load(
        HERE, policy(authorities=authorities), root("sigstore: {ctlogThreshold: 0}")
    )
    assert spec.trust_roots["acme"].root == SigstoreRoot(None, 1, 0, 0)


def test_paths_are_relative_to_the_document(specs: Specs) -> None:
    with_files(specs)
    path = specs.write("teams/web/policy.yaml", HERE, policy(authorities="ops: {key: {file: ../../ops.pub}}"))
    assert load([path]).policies


def rooted(specs: Specs, thresholds: str = "ctlogThreshold: 1") -> Spec:
    keys = "ops: {key: {file: ops.pub, trustRoot: acme}}"
    text = root(f"sigstore: {{trustedRoot: root.json, {thresholds}}}")
    return specs.load(HERE, policy(authorities=keys), text)


def test_the_digest_of_a_spec_covers_what_is_in_its_files(specs: Specs) -> None:
    with_files(specs)
    before = rooted(specs).digest
    assert rooted(specs).digest == before
    for name in ("ops.pub", "root.json"):
        path = specs.directory / name
        was = path.read_bytes()
        path.write_bytes(was + b"\n")
        assert rooted(specs).digest != before
        path.write_bytes(was)
    assert rooted(specs, "ctlogThreshold: 0").digest != before


def test_the_digest_of_a_spec_covers_policies_and_not_where_their_files_lie(specs: Specs) -> None:
    with_files(specs)
    os.link(specs.directory / "ops.pub", specs.directory / "moved.pub")
    before = specs.load(HERE, policy()).digest
    assert specs.load(HERE, policy(authorities="ops: {key: {file: moved.pub}}")).digest == before
    assert specs.load(HERE, "# why\n" + policy()).digest == before
    for other in (
        policy(more="mode: warn"),
        policy(more="minAge: 1d"),
        policy(more="skip: [{images: ['hub/a/b'], reason: x, until: 2027-01-01}]"),
        policy(authorities="ops: {key: {file: ops.pub, tlog: ignore}}"),
        policy(authorities="ops: {key: {file: other.pub}}"),
    ):
        assert specs.load(HERE, other).digest != before


def test_the_bytes_of_a_file_are_in_no_representation(specs: Specs) -> None:
    spec = with_files(specs).load(HERE, policy())
    assert "BEGIN PUBLIC KEY" not in repr(spec)


@pytest.mark.parametrize(
    ("keys", "is_left_out"),
    [("images: ['hub/**']", True), ("targets: ['**']", True), ("mode: warn", False)],
)
def test_policies_of_a_parent_directory_are_not_left_out(
    specs: Specs,
    keys: str,
    is_left_out: bool,
) -> None:
    (specs.directory / ".git").mkdir()
    above = specs.write("policies.yaml", policy(more=keys), root("sigstore: {}"))
    with_files(specs)
    inside = specs.write("teams/web/mirrors.yaml", HUB, STORE, WEB)
    if not is_left_out:
        assert load([inside.parent])
        return
    (found,) = specs.problems_of(lambda: load([inside.parent]))
    assert found == "1:1: this VerificationPolicy applies to what was named, and is left out: name it too"
    specs.write("policies.yaml", policy(more=keys))
    assert load([inside.parent, above]).policies


@pytest.mark.parametrize(
    ("data", "private"),
    [
        pytest.param(bytes.fromhex("3059301306072a8648ce3d020106"), False, id="SubjectPublicKeyInfo"),
        pytest.param(bytes.fromhex("308201223082010a0282010100"), False, id="a certificate"),
        pytest.param(bytes.fromhex("3082010a0282010100c0ffee"), False, id="an RSA public key"),
        pytest.param(bytes.fromhex("308187020100301306072a8648ce3d"), True, id="PKCS #8"),
        pytest.param(bytes.fromhex("30820a6302010330820a1f06092a"), True, id="PKCS #12"),
        pytest.param(bytes.fromhex("30770201010420c0ffee"), True, id="SEC 1"),
        pytest.param(b"AGE-SECRET-KEY-1QQQQ", True, id="age"),
        pytest.param(b"-----BEGIN OPENSSH PRIVATE KEY-----", True, id="OpenSSH"),
        pytest.param(b"-----BEGIN PGP PRIVATE KEY BLOCK-----", True, id="PGP"),
        pytest.param(b'{"mediaType": "application/vnd.dev.sigstore.trustedroot+json"}', False, id="a root"),
        pytest.param(b"0", False, id="one byte"),
        pytest.param(b"0\xff", False, id="two bytes"),
    ],
)
def test_a_private_key_is_known_by_its_first_bytes(data: bytes, private: bool) -> None:
    assert is_private(data) is private
