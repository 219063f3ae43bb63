"""Why a registry did not take what was put, in words that say what to do next."""

import json
from collections.abc import Iterator

from regsync.content.errors import ContentNotFoundError
from regsync.errors import RefusedError
from regsync.oci.digest import Digest, InvalidDigestError
from regsync.remote.answers import Complaint
from regsync.remote.errors import RegistryError
from regsync.remote.request import Response

_MISSING_CODES = frozenset({"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN"})
_IMMUTABLE_WORDS = ("immutable", "immutability", "already exists", "cannot be overwritten")
_MAX_DETAILS = 100  # of one answer's `errors`


class RepositoryMissingError(ContentNotFoundError):
    """The target repository is not there, and this registry does not make it on a push."""

    def __init__(self, *, where: str) -> None:
        super().__init__("repository", where=where)
        self.args = (
            f"{where}: the repository does not exist, and the registry does not create it on a push",
        )

    @property
    def hint(self) -> str:
        """What to do next."""
        return "create the repository (or project) at the registry, or check its name and the credentials"


class TagImmutableError(RegistryError, RefusedError):
    """The registry holds this tag fixed, at something else."""

    def __init__(self, tag: str, text: str, *, where: str) -> None:
        super().__init__(
            f"{where}: tag {tag} is immutable at the registry and points to something else: {text}",
            hint="list it under `immutable` or `excludeTags` of the mirror, or lift the registry's rule",
        )


class ManifestTypeMissingError(RegistryError):
    """The manifest does not say its own type, and this registry insists on it (24)."""

    def __init__(self, digest: Digest, text: str, *, where: str) -> None:
        super().__init__(
            f"{where}: manifest {digest} is refused ({text}); it has no top-level `mediaType`, "
            "which this registry needs and which cannot be added without changing the digest",
            hint="ask whoever builds the image for a manifest with `mediaType`, or leave its tag out",
        )


def missing_references(response: Response) -> tuple[Digest, ...] | None:
    """The digests that a refused manifest lacks, perhaps none of them named; None: it is refused otherwise.

    Source: distribution-spec 1.1, "Error Codes" (44).
    """
    found: dict[Digest, None] = {}
    lacks = False
    for code, detail in _errors(response.body):
        if code in _MISSING_CODES:
            lacks = True
            found.update(dict.fromkeys(_digests(detail)))
    return tuple(found) if lacks else None


def says_immutable(complaint: Complaint) -> bool:
    """Whether the registry's words are about a tag that must not move: ECR, GAR, Harbor and Quay differ."""
    words = complaint.text.lower()
    return any(word in words for word in _IMMUTABLE_WORDS) or "TAG_INVALID" in complaint.codes


def _errors(body: bytes) -> Iterator[tuple[str, object]]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return
    errors = document.get("errors") if isinstance(document, dict) else None
    for error in errors[:_MAX_DETAILS] if isinstance(errors, list) else ():
        if isinstance(error, dict) and isinstance(error.get("code"), str):
            yield error["code"], error.get("detail")


def _digests(detail: object) -> Iterator[Digest]:
    """`{"digest": …}`, `{"Digest": …}`, a bare digest, or a list of these, as servers write it."""
    if isinstance(detail, list):
        for one in detail[:_MAX_DETAILS]:
            if not isinstance(one, list):
                yield from _digests(one)
        return
    if isinstance(detail, dict):
        detail = detail.get("digest") or detail.get("Digest")
    if isinstance(detail, str):
        try:
            yield Digest.parse(detail)
        except InvalidDigestError:
            return
