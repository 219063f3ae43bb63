"""In-toto statements: what a signed payload says, and of which digests.

Sources: in-toto attestation framework, `spec/v1/statement.md` and `spec/v0.1.0/statement.md`; cosign's
`sign/v1` predicate and its `--type` aliases (SIGNING.md, sections 1.1 and 1.2).
"""

import re
from collections.abc import Mapping

from regsync.oci.digest import HEX_LENGTH, Digest, InvalidDigestError
from regsync.oci.strict_json import InvalidJSONError, loads
from regsync.trust.envelopes import Kind, Message
from regsync.trust.errors import EvidenceRejectedError

IN_TOTO_PAYLOAD = "application/vnd.in-toto+json"
STATEMENT_TYPES = ("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1")
COSIGN_SIGN = "https://sigstore.dev/cosign/sign/v1"  # the one predicate that makes a statement a signature

_MAX_PREDICATE_TYPE = 512  # characters
_VERSION = re.compile(r"/v?[0-9]+(?:\.[0-9]+){0,3}")
_CHECK = "statement"


def predicate_matches(wanted: str, found: str) -> bool:
    """Whether `found` is the type `wanted`, or a version of it: `https://spdx.dev/Document/v2.3`."""
    return found == wanted or (
        found.startswith(wanted) and _VERSION.fullmatch(found, len(wanted)) is not None
    )


def parse_statement(payload: bytes) -> Message:
    """What an in-toto statement says. Raises EvidenceRejectedError.

    A `predicate` may be missing: cosign 3.0.0 to 3.0.4 left the empty one out (sigstore/cosign#4634).
    Subjects whose digest is of no algorithm that names content, such as a git commit, are passed over.
    """
    try:
        document = loads(payload)
    except InvalidJSONError as cause:
        raise EvidenceRejectedError(_CHECK, str(cause)) from cause
    if not isinstance(document, dict):
        raise EvidenceRejectedError(_CHECK, "it is not a JSON object")
    if (kind := document.get("_type")) not in STATEMENT_TYPES:
        raise EvidenceRejectedError(_CHECK, f"_type is {kind!r:.120}, not an in-toto statement's")
    predicate_type = document.get("predicateType")
    if not isinstance(predicate_type, str) or not 0 < len(predicate_type) <= _MAX_PREDICATE_TYPE:
        raise EvidenceRejectedError(_CHECK, f"predicateType is {predicate_type!r:.120}")
    if not isinstance(document.get("predicate"), dict | None):
        raise EvidenceRejectedError(_CHECK, "predicate is not an object")
    subjects = _subjects(document.get("subject"))
    digests = frozenset(digest for subject in subjects for digest in _digests(subject))
    if predicate_type == COSIGN_SIGN:
        return Message(Kind.SIGNATURE, digests, _annotations(subjects), predicate_type)
    return Message(Kind.ATTESTATION, digests, {}, predicate_type, document)


def _subjects(value: object) -> list[Mapping[str, object]]:
    if not isinstance(value, list) or not value:
        raise EvidenceRejectedError(_CHECK, "subject is not a list with something in it")
    if not all(isinstance(one, dict) for one in value):
        raise EvidenceRejectedError(_CHECK, "a subject is not an object")
    return value


def _digests(subject: Mapping[str, object]) -> list[Digest]:
    digests = subject.get("digest")
    if not isinstance(digests, dict):
        raise EvidenceRejectedError(_CHECK, "a subject has no digest")
    try:
        return [
            Digest.parse(f"{algorithm}:{encoded}")
            for algorithm, encoded in digests.items()
            if algorithm in HEX_LENGTH
        ]
    except InvalidDigestError as cause:
        raise EvidenceRejectedError(_CHECK, f"a subject has an {cause}") from cause


def _annotations(subjects: list[Mapping[str, object]]) -> dict[str, str]:
    """What all subjects are annotated with alike: cosign writes one, and a requirement asks of one image."""
    common: dict[str, str] | None = None
    for subject in subjects:
        notes = subject.get("annotations") or {}
        if not isinstance(notes, dict):
            raise EvidenceRejectedError(_CHECK, "a subject's annotations are not an object")
        texts = {key: text for key, text in notes.items() if isinstance(text, str)}
        common = texts if common is None else dict(common.items() & texts.items())
    return common or {}
