"""Reading an observation: a file that anyone may have edited, so bounded, and every key of it known.

Content counts only under the digest that its bytes have. What remains a matter of trust is what a tag
pointed to: the plan that is made of it is carried out by nobody but `apply`, which asks the places.
"""

from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import TypeVar

from regsync.content.errors import ContentNotFoundError, RepositoryNotFoundError
from regsync.content.image_config import Config
from regsync.errors import RegsyncError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.reference import InvalidReferenceError, RepositoryName, Tag
from regsync.oci.strict_json import InvalidJSONError, loads
from regsync.plan.absence import Absence
from regsync.plan.document import API_VERSION
from regsync.plan.fields import Fields, InvalidFieldError
from regsync.reconcile.recording import Facts, Key, Name, Recording, SeenRepository
from regsync.reconcile.recording_json import KIND, KINDS

MAX_SIZE = 256 * 1024 * 1024  # bytes of a file
MAX_REPOSITORIES = 100_000
MAX_ENTRIES = 1_000_000  # of one list
MAX_CONTENT = 64 * 1024 * 1024  # characters of one piece
K = TypeVar("K")
V = TypeVar("V")


class InvalidObservationError(RegsyncError):
    """The file is no observation that this version of regsync can read."""

    usual_hint = "make a new one with `regsync plan --record FILE`"

    def __init__(self, where: object, cause: str) -> None:
        super().__init__(f"observation {where}: {cause}")


def recording_from_json(raw: bytes, where: object) -> Recording:
    """Read what `encode(recording_document(recording))` wrote; raises InvalidObservationError."""
    if len(raw) > MAX_SIZE:
        raise InvalidObservationError(where, f"{len(raw)} bytes, at most {MAX_SIZE} are read")
    try:
        return _recording(Fields.of(loads(raw), ""))
    except (InvalidJSONError, InvalidFieldError) as cause:
        raise InvalidObservationError(where, str(cause)) from cause


def _recording(fields: Fields) -> Recording:
    fields.literal("apiVersion", API_VERSION)
    fields.literal("kind", KIND)
    recording = Recording(fields.moment("taken"), has_history=fields.flag("hasHistory"))
    for child in fields.children("catalogues", MAX_REPOSITORIES):
        place = child.text("place")
        recording.catalogues[place] = _either(child, _names_of_repositories)
        child.done()
    for child in fields.children("contents", MAX_ENTRIES):
        digest, data = child.digest("digest"), _content(child)
        if Digest.of(data, digest.algorithm) != digest:
            raise InvalidFieldError(child.path, f"its data is not what {digest} names")
        recording.contents[digest] = data
        child.done()
    for child in fields.children("repositories", MAX_REPOSITORIES):
        key = _key(child)
        if key in recording.repositories:
            raise InvalidFieldError(child.path, "the repository is there twice")
        recording.repositories[key], recording.facts[key] = _seen(child), _facts(child)
        child.done()
    fields.done()
    _check_contents(recording)
    return recording


def _check_contents(recording: Recording) -> None:
    for (place, repository), seen in recording.repositories.items():
        for digest, size in seen.blobs.items():
            if isinstance(size, int) and len(recording.contents.get(digest, b"")) != size:
                raise InvalidFieldError(f"{place}/{repository}", f"blob {digest} is not among the contents")


def _content(fields: Fields) -> bytes:
    data = fields.take("data")
    if not isinstance(data, str) or len(data) > MAX_CONTENT:
        raise InvalidFieldError(f"{fields.path}.data", f"expected base64, at most {MAX_CONTENT} characters")
    try:
        return b64decode(data, validate=True)
    except ValueError as cause:
        raise InvalidFieldError(f"{fields.path}.data", "expected base64") from cause


def _key(fields: Fields) -> Key:
    return fields.text("place"), str(_repository(fields.text("repository"), fields.path))


def _repository(text: str, path: str) -> RepositoryName:
    try:
        return RepositoryName.parse(text)
    except InvalidReferenceError as cause:
        raise InvalidFieldError(f"{path}.repository", str(cause)) from cause


def _names_of_repositories(fields: Fields) -> tuple[RepositoryName, ...]:
    return tuple(_repository(one, fields.path) for one in fields.texts("repositories"))


def _seen(fields: Fields) -> SeenRepository:
    tags, push = fields.optional_child("tags"), fields.optional_child("push")
    return SeenRepository(
        name=fields.optional_text("name"),
        tags=_whole(tags, lambda child: _either(child, _listing)) if tags is not None else None,
        has_referrers_api=_flag_or_null(fields, "referrersApi"),
        checks_references=fields.flag("checksReferences"),
        deletes=fields.flag("deletes"),
        names=_all(fields, "names", _name, lambda child: _descriptor(child.child("descriptor"))),
        there=_all(fields, "there", _digest, lambda child: child.flag("there")),
        referrers=_all(fields, "referrers", _digest, _referrers),
        blobs=_all(fields, "blobs", _digest, lambda child: child.count("size")),
        configs=_all(fields, "configs", _digest, lambda child: _config(child.child("config"))),
        push=_pushing(push) if push is not None else False,
    )


def _all(
    fields: Fields, key: str, name: Callable[[Fields], K], read: Callable[[Fields], V]
) -> dict[K, V | RegsyncError]:
    found: dict[K, V | RegsyncError] = {}
    for child in fields.children(key, MAX_ENTRIES):
        found[name(child)] = _either(child, read)
        child.done()
    return found


def _whole(fields: Fields, read: Callable[[Fields], V]) -> V:
    found = read(fields)
    fields.done()
    return found


def _either(fields: Fields, read: Callable[[Fields], V]) -> V | RegsyncError:
    error = fields.optional_child("error")
    return read(fields) if error is None else _whole(error, _error)


def _pushing(fields: Fields) -> bool | RegsyncError:
    kind = fields.optional_text("kind")
    if kind is None:
        fields.done()
        return True
    return _whole(fields, lambda child: _error_of(kind, child))


def _error(fields: Fields) -> RegsyncError:
    return _error_of(fields.text("kind"), fields)


def _error_of(kind: str, fields: Fields) -> RegsyncError:
    """An error of the kind that was met, with the words that it had."""
    message, hint = fields.text("message"), fields.optional_text("hint")
    base = dict(KINDS).get(kind)
    if base is None:
        raise InvalidFieldError(f"{fields.path}.kind", f"expected one of {', '.join(dict(KINDS))}")
    if base is RepositoryNotFoundError:
        error: RegsyncError = RepositoryNotFoundError(where="")
    elif base is ContentNotFoundError:
        error = ContentNotFoundError("", where="")
    else:
        error = base()
    error.args = (message,)
    error.__dict__["usual_hint"] = hint
    return error


def _listing(fields: Fields) -> Mapping[Tag, Descriptor | None]:
    found: dict[Tag, Descriptor | None] = {}
    for child in fields.children("listed", MAX_ENTRIES):
        desc = child.optional_child("descriptor")
        found[child.tag("tag")] = _descriptor(desc) if desc is not None else None
        child.done()
    return found


def _referrers(fields: Fields) -> tuple[Descriptor, ...]:
    return tuple(_descriptor(child) for child in fields.children("listed", MAX_ENTRIES))


def _descriptor(fields: Fields) -> Descriptor:
    desc = Descriptor(
        fields.text("mediaType"),
        fields.digest("digest"),
        fields.count("size"),
        artifact_type=fields.optional_text("artifactType"),
        annotations=fields.mapping("annotations"),
    )
    fields.done()
    return desc


def _config(fields: Fields) -> Config:
    names = ("created", "os", "architecture", "variant", "os.version")
    texts = {name: found for name in names if (found := fields.optional_text(name)) is not None}
    labels = fields.mapping("labels")
    fields.done()
    return {**texts, **({"config": {"Labels": labels}} if labels else {})}


def _facts(fields: Fields) -> Facts:
    first_seen = {}
    for child in fields.children("firstSeen", MAX_ENTRIES):
        first_seen[child.digest("digest")] = child.moment("at")
        child.done()
    ours, origins = {}, {}
    for child in fields.children("ours", MAX_ENTRIES):
        tag, origin = child.tag("tag"), child.optional_child("origin")
        ours[tag] = child.digest("digest")
        if origin is not None:
            origins[tag] = _whole(origin, _key)
        child.done()
    absences = {}
    for child in fields.children("absences", MAX_ENTRIES):
        absence = Absence(child.moment("since"), child.moment("last"), child.count("runs"))
        absences[child.tag("tag")] = absence
        child.done()
    return Facts(first_seen, ours, origins, absences)


def _name(fields: Fields) -> Name:
    tag = fields.optional_tag("tag")
    return tag if tag is not None else fields.digest("digest")


def _digest(fields: Fields) -> Digest:
    return fields.digest("digest")


def _flag_or_null(fields: Fields, key: str) -> bool | None:
    value = fields.take(key)
    if value is None or isinstance(value, bool):
        return value
    raise InvalidFieldError(f"{fields.path}.{key}", "expected true, false or null")
