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

from tests.support.tools import Tool

_PLAIN_HTTP = ("--allow-http-registry", "--allow-insecure-registry")


class Form(Enum):
    """How cosign stores what it signs."""

    LEGACY = "legacy"  # digest tags, as until version 3
    BUNDLE = "bundle"  # referrers, with Sigstore bundles


@dataclass(frozen=True)
class KeyFiles:
    """A pair that cosign generated, without a password."""

    private: Path
    public: Path


class Cosign:
    """cosign with a directory and a trusted root of its own: without one it asks the network for another."""

    def __init__(self, tool: Tool, directory: Path, trusted_root: bytes) -> None:
        self._tool, self._directory = tool, directory
        self._root = ("--trusted-root", directory / "trusted-root.json")
        self._root[1].write_bytes(trusted_root)
        self._environment = {"COSIGN_PASSWORD": "", "TUF_ROOT": str(directory / "tuf")}
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
    ) -> None:
        """Sign what `reference` names, by digest."""
        notes = [part for name, value in (annotations or {}).items() for part in ("-a", f"{name}={value}")]
        self._run("sign", "-y", "--key", key, *self._form(form), *notes, *_PLAIN_HTTP, reference)

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

    def _form(self, form: Form) -> tuple[str | Path, ...]:
        if form is Form.BUNDLE:
            return ("--signing-config", self._signing_config, *self._root)
        return ("--tlog-upload=false", "--new-bundle-format=false", "--use-signing-config=false")

    def _run(self, *arguments: str | Path) -> str:
        return self._tool(*arguments, env=self._environment)
