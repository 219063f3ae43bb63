"""What may be served without a verdict of its own since it is evidence of something that has one.

Whoever may push to an upstream can name a signed image as the `subject` of anything, and can point its
digest tags at anything. So what counts is what the content is: layers of the types of evidence alone, and
where a client could take it for an image all the same, text in every one of them, which no layer of an
image is.
"""

from regsync.content.concurrently import for_each
from regsync.content.digest_tags import DigestTag, is_fallback_tag
from regsync.content.protocol import Source
from regsync.content.verified import verified
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import SHA256, Digest
from regsync.oci.manifest import MIB, Manifest
from regsync.oci.media_type import OCI_EMPTY
from regsync.oci.reference import Tag

MAX_TEXT = 32 * MIB  # bytes of all layers that are read
_AT_ONCE = 8  # layers

_EVIDENCE = (  # how the types of signatures, attestations, SBOMs and reports begin
    OCI_EMPTY,
    "application/vnd.dev.sigstore.",
    "application/vnd.dev.cosign.",
    "application/vnd.cncf.notary.",
    "application/vnd.dsse.envelope.",
    "application/vnd.in-toto",
    "application/jose+json",
    "application/cose",
    "application/spdx",
    "text/spdx",
    "application/vnd.cyclonedx",
    "application/vnd.syft",
    "application/vnd.openvex",
    "application/sarif",
)


def has_types_of_evidence(manifest: Manifest) -> bool:
    """Whether every layer says that it is evidence, and there is one."""
    return bool(manifest.layers) and all(one.media_type.startswith(_EVIDENCE) for one in manifest.layers)


async def is_no_image(manifest: Manifest, source: Source) -> bool:
    """Whether no client can run it: by its config's type, else since all its layers are text.

    cosign's old signatures have the config of an image, and some clients unpack layers of any type. Raises
    what reading a blob raises.
    """
    if manifest.config.media_type.startswith(_EVIDENCE):
        return True
    layers = {one.digest: one for one in manifest.layers}
    if sum(one.size for one in layers.values()) > MAX_TEXT:
        return False

    async def is_text(layer: Descriptor) -> bool:
        async with source.fetch(layer) as chunks:
            data = b"".join([chunk async for chunk in verified(chunks, layer, where=source.name)])
        try:
            return "\0" not in data.decode()
        except UnicodeDecodeError:
            return False

    return all(await for_each(is_text, list(layers.values()), at_once=_AT_ONCE))


def subject_of(tag: Tag) -> Digest | None:
    """Whose evidence a tag leads to by its form: `sha256-<hex>.sig`, or the fallback tag of a sha256."""
    found = DigestTag.parse(tag)
    if found is not None:
        return found.subject
    if is_fallback_tag(tag) and tag.startswith(SHA256):
        return Digest.parse(tag.replace("-", ":", 1))
    return None


def may_be_evidence(tag: Tag | None) -> bool:
    """Whether what is pulled by a tag, or by its digest, may be: a tag for images does not move to it."""
    return tag is None or subject_of(tag) is not None
