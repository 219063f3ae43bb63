"""Predicate types of attestations: cosign's short names for them, and the URIs that they stand for."""

PREDICATE_ALIASES = {  # as `cosign attest --type` has them
    "custom": "https://cosign.sigstore.dev/attestation/v1",
    "slsaprovenance": "https://slsa.dev/provenance/v0.2",
    "slsaprovenance02": "https://slsa.dev/provenance/v0.2",
    "slsaprovenance1": "https://slsa.dev/provenance/v1",
    "spdx": "https://spdx.dev/Document",
    "spdxjson": "https://spdx.dev/Document",
    "cyclonedx": "https://cyclonedx.org/bom",
    "link": "https://in-toto.io/Link/v1",
    "vuln": "https://cosign.sigstore.dev/attestation/vuln/v1",
    "openvex": "https://openvex.dev/ns",
}

SLSA_PROVENANCE = "https://slsa.dev/provenance/"  # what every version's type begins with
NO_SCANS = frozenset(PREDICATE_ALIASES[alias] for alias in ("spdx", "cyclonedx", "link", "openvex"))
