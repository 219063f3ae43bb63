"""Policies and the files that they name, in a directory of spec files."""

from textwrap import dedent, indent

from regsync.spec.verification import VerificationPolicy
from tests.spec.spec_files import HUB, STORE, Specs, document, join, mirror

PUBLIC_KEY = """\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE4Fx2mS0m0LgH8Rr1v7WvYd4cZzJY
5mB3n4w1cY1e2hM2l1u7m7C0d0bVQy9kq9B0g3n9Qy0mJt3mS4bJmJwQxQ==
-----END PUBLIC KEY-----
"""
CERTIFICATE = PUBLIC_KEY.replace("PUBLIC KEY", "CERTIFICATE")
PRIVATE_KEY = PUBLIC_KEY.replace("PUBLIC", "ENCRYPTED SIGSTORE PRIVATE")

OPS = "ops: {key: {file: ops.pub}}"
CI = "ci: {keyless: {issuer: 'https://issuer.example', subject: ci@acme.example}}"
BY_OPS = "{signature: {authority: ops}}"


def policy(
    require: str = BY_OPS, more: str = "", authorities: str = OPS, name: str = "prod", end: str = ""
) -> str:
    """A policy; `more` is further keys of its spec, one a line."""
    lines = [dedent(more).strip("\n"), "authorities:", indent(dedent(authorities).strip("\n"), "  ")]
    return document("VerificationPolicy", name, "\n".join([*filter(None, lines), f"require: {require}{end}"]))


def root(spec: str, name: str = "acme") -> str:
    return document("TrustRoot", name, spec)


VERIFIED = mirror("source: hub/acme/app\ntargets: [local/app]\ntags: [latest]\nverify: [prod]")
HERE = join(HUB, STORE, VERIFIED)


def with_files(specs: Specs) -> Specs:
    for name in ("ops.pub", "other.pub"):
        (specs.directory / name).write_text(PUBLIC_KEY.replace("4Fx2", name[:4].replace(".", "A")))
    (specs.directory / "root.crt").write_text(CERTIFICATE)
    (specs.directory / "root.json").write_text("{}")
    return specs


def read(specs: Specs, *documents: str) -> VerificationPolicy:
    """The policy `prod`, beside a mirror that names it."""
    return with_files(specs).load(HERE, *documents).policies["prod"]


def mistakes(specs: Specs, *documents: str) -> list[str]:
    """What is wrong, without positions, beside a mirror that names `prod`."""
    return [one.partition(": ")[2] for one in with_files(specs).problems(HERE, *documents)]
