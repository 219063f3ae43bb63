"""The real cosign against a registry, offline: keys, signatures and attestations in both formats.

cosign = Cosign(tool("cosign"), tmp_path)
key = cosign.generate_key()
cosign.sign(f"{registry.host}/acme/app@{digest}", key, annotations={"team": "core"})
cosign.attest(reference, key, "vuln", {"scanner": {}}, form=Form.LEGACY)
cosign.verify(reference, "--key", key.public, "--insecure-ignore-tlog=true")   # raises ToolError
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from tests.support.signing_keys import certificate_pem, public_pem
from tests.support.sigstore_pki import SigstorePki
from tests.support.tools import Tool

_PLAIN_HTTP = ("--allow-http-registry", "--allow-insecure-registry")


class Form(Enum):
    """How cosign stores what it signs."""

    LEGACY = "legacy"  # digest tags, as until version 3
    BUNDLE = "bundle"  # referrers, with Sigstore bundles
    LAYER_REFERRER = "layer-referrer"  # referrers, with layers like those of digest tags; signatures alone


@dataclass(frozen=True)
class KeyFiles:
    """A pair that cosign generated, without a password."""

    private: Path
    public: Path


class Cosign:
    """cosign with a directory and a trusted root of its own: without one it asks the network for another."""

    def __init__(self, tool: Tool, directory: Path, trusted_root: bytes) -> None:
        self._tool, self._directory = tool, directory
        self._root = ("--trusted-root", self._file("trusted-root.json", trusted_root))
        self._environment = {
            "COSIGN_PASSWORD": "",
            "COSIGN_EXPERIMENTAL": "1",  # Form.LAYER_REFERRER takes it
            "TUF_ROOT": str(directory / "tuf"),
        }
        self._signing_config = directory / "signing-config.json"
        self._tool("signing-config", "create", "--out", self._signing_config, env=self._environment)

    def generate_key(self, name: str = "cosign") -> KeyFiles:
        """A P-256 key."""
        prefix = self._directory / name
        self._tool("generate-key-pair", "--output-key-prefix", prefix, env=self._environment)
        return KeyFiles(prefix.with_suffix(".key"), prefix.with_suffix(".pub"))

    def import_key(self, pem: bytes, name: str) -> Path:
        """A private key made elsewhere, in PKCS#8 PEM, as cosign keeps its own."""
        source, prefix = self._directory / f"{name}.pem", self._directory / name
        source.write_bytes(pem)
        self._tool(
            *("import-key-pair", "--key", source, "--output-key-prefix", prefix), env=self._environment
        )
        return prefix.with_suffix(".key")

    def sign(
        self,
        reference: str,
        key: Path,
        *,
        form: Form = Form.BUNDLE,
        annotations: Mapping[str, str] | None = None,
        kept_in: str | None = None,
    ) -> None:
        """Sign what `reference` names, by digest; `kept_in` is another repository for the signature."""
        notes = [part for name, value in (annotations or {}).items() for part in ("-a", f"{name}={value}")]
        environment = self._environment | ({"COSIGN_REPOSITORY": kept_in} if kept_in else {})
        said = ("--key", key, *self._form(form), *notes, *_PLAIN_HTTP, reference)
        self._tool("sign", "-y", *said, env=environment)

    def attest(
        self,
        reference: str,
        key: Path,
        predicate_type: str,
        predicate: Mapping[str, Any],
        *,
        form: Form = Form.BUNDLE,
    ) -> None:
        """Attach a signed attestation; `predicate_type` is one of cosign's aliases or a URI."""
        path = self._directory / "predicate.json"
        path.write_text(json.dumps(predicate))
        said = ("--type", predicate_type, "--predicate", path)
        self._run("attest", "-y", "--key", key, *self._form(form), *said, *_PLAIN_HTTP, reference)

    def sign_blob(self, blob: Path, key: Path, bundle: Path) -> None:
        """Sign a file, and write the bundle with the signature beside it."""
        where = ("--signing-config", self._signing_config, *self._root)
        self._run("sign-blob", "-y", "--key", key, *where, "--bundle", bundle, blob)

    def verify(self, reference: str, *options: str | Path) -> list[dict[str, Any]]:
        """What `cosign verify` prints of a signature that it accepts; raises ToolError otherwise."""
        said = self._run("verify", "--output", "json", *self._root, *options, *_PLAIN_HTTP, reference)
        verified: list[dict[str, Any]] = json.loads(said)
        return verified

    def verify_attestation(self, reference: str, predicate_type: str, *options: str | Path) -> str:
        """What `cosign verify-attestation` prints; raises ToolError when it accepts none."""
        said = ("--type", predicate_type, *self._root, *options)
        return self._run("verify-attestation", *said, *_PLAIN_HTTP, reference)

    def verify_attestation_layers(
        self, reference: str, predicate_type: str, pki: SigstorePki, *options: str | Path
    ) -> str:
        """The same of attestations in layers, for which cosign takes no trusted root but the keys in it."""
        environment = {
            "SIGSTORE_REKOR_PUBLIC_KEY": str(self._file("rekor.pub", public_pem(pki.log.key))),
            "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE": str(self._file("ctlog.pub", public_pem(pki.ct_key))),
        }
        authorities = (
            *("--ca-roots", self._file("root.pem", _pem(pki.root.der))),
            *("--ca-intermediates", self._file("intermediate.pem", _pem(pki.intermediate.der))),
            *("--timestamp-certificate-chain", self._file("tsa.pem", _pem(*pki.tsa.chain))),
        )
        said = ("--type", predicate_type, "--new-bundle-format=false", "--offline=true", *authorities)
        return self._tool(
            *("verify-attestation", *said, *options, *_PLAIN_HTTP, reference),
            env=self._environment | environment,
        )

    def _file(self, name: str, data: bytes) -> Path:
        path = self._directory / name
        path.write_bytes(data)
        return path

    def _form(self, form: Form) -> tuple[str | Path, ...]:
        if form is Form.BUNDLE:
            return ("--signing-config", self._signing_config, *self._root)
        layers = ("--tlog-upload=false", "--new-bundle-format=false", "--use-signing-config=false")
        return layers if form is Form.LEGACY else (*layers, "--registry-referrers-mode=oci-1-1")

    def _run(self, *arguments: str | Path) -> str:
        return self._tool(*arguments, env=self._environment)


def _pem(*certificates: bytes) -> bytes:
    return "".join(map(certificate_pem, certificates)).encode()
