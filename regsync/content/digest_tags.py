"""Tags that name the manifest that they are evidence of: cosign's `sha256-<hex>.sig`, and fallback tags.

Sources: cosign's tag scheme; distribution-spec 1.1, "Referrers Tag Schema".
"""

import re
from dataclasses import dataclass

from regsync.content.referrers import fallback_tag
from regsync.oci.digest import HEX_LENGTH, SHA256, Digest
from regsync.oci.reference import Tag

DIGEST_TAG_TYPES = {  # what a digest tag holds, by its suffix, as an artifact type
    "sig": "application/vnd.dev.cosign.artifact.sig.v1+json",
    "att": "application/vnd.dev.cosign.artifact.att.v1+json",
    "sbom": "application/vnd.dev.cosign.artifact.sbom.v1+json",
}

_DIGEST_TAG = re.compile(rf"(sha256)-([a-f0-9]{{{HEX_LENGTH[SHA256]}}})\.([a-z0-9]{{1,32}})")
_FALLBACK_TAG = re.compile(r"(sha256|sha512)-[a-f0-9]{64}")


@dataclass(frozen=True, slots=True)
class DigestTag:
    """A tag that names its subject, such as `sha256-<hex>.sig`."""

    tag: Tag
    subject: Digest
    suffix: str

    @classmethod
    def parse(cls, tag: Tag) -> "DigestTag | None":
        """Read a tag; None when it is of another form."""
        if not tag.startswith("sha"):
            return None
        match = _DIGEST_TAG.fullmatch(tag)
        return None if match is None else cls(tag, Digest(match[1], match[2]), match[3])

    @property
    def artifact_type(self) -> str | None:
        """The artifact type that cosign gives to the same thing as a referrer."""
        return DIGEST_TAG_TYPES.get(self.suffix)


def cosign_tags(subject: Digest) -> tuple[DigestTag, ...]:
    """The tags under which cosign keeps evidence of `subject`: none but of a sha256."""
    if subject.algorithm != SHA256:
        return ()
    prefix = fallback_tag(subject)
    return tuple(DigestTag(Tag(f"{prefix}.{suffix}"), subject, suffix) for suffix in DIGEST_TAG_TYPES)


def is_fallback_tag(tag: Tag) -> bool:
    """Whether it has the form of one. Source: distribution-spec 1.1, "Referrers Tag Schema"."""
    return tag.startswith("sha") and _FALLBACK_TAG.fullmatch(tag) is not None


def fallback_subject(tag: Tag) -> Digest | None:
    """Whose referrers a fallback tag lists; None for another tag, and where it names a digest in part."""
    if not is_fallback_tag(tag):
        return None
    algorithm, _, encoded = tag.partition("-")
    return Digest(algorithm, encoded) if HEX_LENGTH[algorithm] == len(encoded) else None
