"""An index reduced to some platforms, as bytes that are the same for good.

The trimmed document is the original less the dropped descriptors: keys in their order, no
whitespace, UTF-8. Its digest is part of what users pin, so the form never changes (a golden test).
"""

import json
from collections.abc import Iterable, Sequence

from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import Index, parse_manifest
from regsync.oci.platform import Platform
from regsync.oci.strict_json import loads

ATTESTATION_SUBJECT = "vnd.docker.reference.digest"  # BuildKit's annotation: the child it speaks of


def keep_platforms(entries: Sequence[Descriptor], wanted: Iterable[Platform]) -> tuple[Descriptor, ...]:
    """The entries for `wanted` platforms, and BuildKit's attestations of those, in their order.

    An entry that is itself an index without a platform is kept: what is in it decides.
    """
    platforms = tuple(wanted)
    kept = {
        entry.digest
        for entry in entries
        if ATTESTATION_SUBJECT not in entry.annotations
        and (
            (entry.platform is None and entry.is_index)
            or (entry.platform is not None and any(entry.platform.matches(one) for one in platforms))
        )
    }
    subjects = {str(digest) for digest in kept}
    return tuple(
        entry
        for entry in entries
        if entry.digest in kept or entry.annotations.get(ATTESTATION_SUBJECT) in subjects
    )


def trimmed(index: Index, kept: Iterable[Descriptor]) -> Index:
    """`index` less every entry that is not in `kept`; the original itself when nothing goes."""
    digests = {entry.digest for entry in kept}
    if all(entry.digest in digests for entry in index.entries):
        return index
    document = loads(index.raw)
    assert isinstance(document, dict)  # noqa: S101 - an Index was parsed from an object
    document["manifests"] = [
        entry for entry in document["manifests"] if Digest.parse(entry["digest"]) in digests
    ]
    raw = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    result = parse_manifest(raw, index.descriptor.media_type)
    assert isinstance(result, Index)  # noqa: S101 - the same fields as before
    return result
