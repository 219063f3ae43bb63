"""`regsync trust verify-bundle`: one Sigstore bundle, as the Sigstore conformance suite asks for it.

Source: sigstore-conformance, `docs/cli_protocol.md`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from regsync.cli.options import output_option
from regsync.errors import UsageError

if TYPE_CHECKING:
    from regsync.oci.digest import Digest
    from regsync.spec.verification import LogUse
    from regsync.trust.envelopes import Message, Proven
    from regsync.trust.keyless import Keyless
    from regsync.trust.keys import ManagedKey
    from regsync.trust.witnesses import SigstoreTrust

MAX_ARTIFACT = 512 * 1024 * 1024  # bytes; of what is larger the digest can be given


class SignerUnclearError(UsageError):
    """The command line does not say by whom the bundle has to be signed."""

    def __init__(self) -> None:
        super().__init__(
            "give either --key, or --certificate-identity and --certificate-oidc-issuer: whose signature it "
            "has to be; --tlog goes with --key alone"
        )


@click.command("verify-bundle")
@click.option("--bundle", type=click.Path(path_type=Path), required=True, metavar="FILE", help="The bundle.")
@click.option("--certificate-identity", "identity", metavar="TEXT", help="Who has to have signed, exactly.")
@click.option(
    "--certificate-oidc-issuer", "issuer", metavar="URL", help="Who has to vouch for that, exactly."
)
@click.option(
    "--key", type=click.Path(path_type=Path), metavar="PEM", help="The public key that has to have signed."
)
@click.option(
    "--tlog",
    type=click.Choice(("required", "optional", "ignore")),
    help="With --key: whether a transparency log has to have the signature (required where the "
    "trusted root has one).",
)
@click.option(
    "--trusted-root",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The Sigstore instance to believe; default the public-good one, as it came with regsync.",
)
@click.option("--staging", is_flag=True, help="Believe Sigstore's staging instance, without --trusted-root.")
@click.argument("artifact", metavar="FILE|sha256:HEX")
@output_option(("text", "json"))
def command(  # noqa: PLR0913 - click gives each option so
    bundle: Path,
    identity: str | None,
    issuer: str | None,
    key: Path | None,
    tlog: str | None,
    trusted_root: Path | None,
    staging: bool,  # noqa: FBT001
    artifact: str,
    output: str,
) -> int:
    """Verify that a bundle signs a file, or is an attestation of it: exit code 0, or 1 with the reason.

    No network is asked. How many logs and timestamps it takes follows from the trusted root: where it has
    no transparency log, a timestamp; where it has no certificate log, none.
    """
    from regsync.cli import streams
    from regsync.cli.input_files import read_input
    from regsync.clock import SystemClock
    from regsync.plan.document import API_VERSION, encode
    from regsync.spec.verification import LogUse
    from regsync.trust.bundles import MAX_SIZE, read_bundle
    from regsync.trust.envelopes import Image, Question
    from regsync.trust.errors import EvidenceRejectedError

    is_unclear = (key is None) == (identity is None) or (identity is None) != (issuer is None)
    if is_unclear or (key is None and tlog is not None):
        raise SignerUnclearError
    trust = _trust(trusted_root, is_staging=staging)
    digest, content = _artifact(artifact)
    use = LogUse(tlog or ("required" if trust.root.tlogs else "optional"))
    authority = _keyless(identity, issuer, trust) if key is None else _managed(key, use, trust)
    envelope = read_bundle(read_input(bundle, MAX_SIZE), manifest_digest=digest, content=content)
    if digest not in envelope.message.subjects:
        raise EvidenceRejectedError("subject", f"the bundle is not of {digest}")
    question = Question(Image("", str(artifact), None, digest), SystemClock().now())
    proven = authority.verify(envelope, question)
    if output == "json":
        head = {"apiVersion": API_VERSION, "kind": "VerifiedBundle", "digest": str(digest)}
        streams.answer(encode({**head, **_document(proven, envelope.message)}))
    else:
        streams.answer(_text(proven, envelope.message, digest))
    return 0


def _trust(path: Path | None, *, is_staging: bool) -> "SigstoreTrust":
    from regsync.cli.input_files import read_input
    from regsync.trust.trusted_root import MAX_SIZE, TrustedRoot, public_good, staging
    from regsync.trust.witnesses import SigstoreTrust

    shipped = staging if is_staging else public_good
    document = shipped() if path is None else read_input(path, MAX_SIZE)
    root = TrustedRoot.parse(document)
    return SigstoreTrust(
        root,
        document,
        tlog_threshold=1 if root.tlogs else 0,
        timestamp_threshold=0 if root.tlogs else 1,
        ctlog_threshold=1 if root.ctlogs else 0,
    )


def _artifact(text: str) -> "tuple[Digest, bytes | None]":
    """The digest of what was signed, and the bytes where they are at hand."""
    from regsync.cli.input_files import read_input
    from regsync.oci.digest import Digest, InvalidDigestError

    if text.startswith("sha256:") and not Path(text).exists():
        try:
            return Digest.parse(text), None
        except InvalidDigestError:
            pass  # then it names a file
    content = read_input(Path(text), MAX_ARTIFACT)
    return Digest.of(content), content


def _keyless(identity: str | None, issuer: str | None, trust: "SigstoreTrust") -> "Keyless":
    from regsync.spec.verification import TextMatch
    from regsync.trust.keyless import Keyless

    return Keyless("certificate", trust, TextMatch(issuer), TextMatch(identity))


def _managed(path: Path, tlog: "LogUse", trust: "SigstoreTrust") -> "ManagedKey":
    from regsync.cli.input_files import read_input
    from regsync.trust.keys import MAX_SIZE, ManagedKey

    return ManagedKey.parse("key", read_input(path, MAX_SIZE), tlog=tlog, root=trust)


def _document(proven: "Proven", message: "Message") -> dict[str, object]:
    from regsync.plan.document import timestamp

    signer = proven.signer
    return {
        "evidence": message.kind.value,
        "predicateType": message.predicate_type,
        "signer": {
            "identity": signer.identity,
            "issuer": signer.issuer,
            "subject": signer.subject,
            "extensions": dict(signer.extensions),
        },
        "signedAt": timestamp(proven.signed_at) if proven.signed_at is not None else None,
        "checks": list(proven.checks),
        "relaxed": list(proven.relaxed),
    }


def _text(proven: "Proven", said: "Message", digest: "Digest") -> Iterator[str]:
    from regsync.plan.document import timestamp
    from regsync.report.escape import message, visible

    signer = proven.signer
    yield f"verified: {digest}\n"
    kind = "" if said.predicate_type is None else f" of type {visible(said.predicate_type)}"
    yield f"  by {said.kind.value}{kind}\n"
    yield f"  signed by {visible(signer.subject or signer.identity)}\n"
    if signer.issuer is not None:
        yield f"  vouched for by {visible(signer.issuer)}\n"
    if proven.signed_at is not None:
        yield f"  signed at {timestamp(proven.signed_at)}\n"
    for check in proven.checks:
        yield f"  checked: {message(check)}\n"
    for relaxed in proven.relaxed:
        yield f"  not counted: {message(relaxed)}\n"
