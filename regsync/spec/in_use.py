"""References to images that run somewhere: lists of them, and what they mean among a spec's places.

A reference that nobody can read makes its whole list useless, since whatever it names might be deleted.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from regsync.errors import RegsyncError
from regsync.oci.digest import Digest, InvalidDigestError
from regsync.oci.reference import DEFAULT_TAG, InvalidReferenceError, Reference, Tag, is_host
from regsync.regular_file import read_regular
from regsync.spec.images import image_lines
from regsync.spec.model import Location, Registry, RemotePlace

MAX_LIST = 64 * 1024 * 1024  # bytes; some 600,000 references
_PREFIXES = ("docker-pullable://", "docker://", "https://", "http://")


class InUseError(RegsyncError):
    """What is in use could not be read: then nothing that it could name is deleted."""

    usual_hint = "correct it, or take it out of `inUse`; until then the policy deletes nothing"

    def __init__(self, source: object, cause: str) -> None:
        super().__init__(f"inUse {source}: {cause}")


@dataclass(frozen=True, slots=True)
class RunningImage:
    """One image that runs somewhere."""

    names: frozenset[str]  # of its repository, as `names_of` gives them; none where only a digest is known
    tag: Tag | None
    digest: Digest | None
    where: str  # that it runs, for people

    @classmethod
    def parse(cls, text: str, where: str) -> "RunningImage":
        """Read a reference as runtimes and people write them; `latest` is meant where there is no tag.

        Without a host it is Docker Hub's, or a repository of the Registry that its first part names.
        Raises InvalidReferenceError, InvalidDigestError.
        """
        bare = text.strip()
        for prefix in _PREFIXES:
            bare = bare.removeprefix(prefix)
        if bare.startswith(("sha256:", "sha512:")):
            return cls(frozenset(), None, Digest.parse(bare), where)
        reference = Reference.parse(bare)
        first, slash, rest = bare.partition("/")
        names = {reference.name}
        if slash and not is_host(first):
            names.add(f"{first}/{Reference.parse(f'registry.invalid/{rest}').repository}")
        tag = reference.tag
        if tag is None and reference.digest is None:
            tag = Tag(DEFAULT_TAG)
        return cls(frozenset(names), tag, reference.digest, where)


def names_of(location: Location, registry: Registry) -> frozenset[str]:
    """What references call a repository of a spec: a place's default port is written or not."""
    names = {str(location)}
    if isinstance(registry.place, RemotePlace):
        port = ":80" if registry.place.scheme == "http" else ":443"
        names |= {f"{registry.place.host}{one}/{location.repository}" for one in ("", port)}
    return frozenset(names)


def read_list(path: Path) -> tuple[RunningImage, ...]:
    """A file with one reference a line, `#` begins a comment; blocking. Raises InUseError."""
    source = f"file:{path}"
    try:
        raw = read_regular(path, MAX_LIST + 1)
        text = raw.decode("utf-8-sig")
    except OSError as cause:
        raise InUseError(source, cause.strerror or "cannot be read") from cause
    except UnicodeDecodeError as cause:
        raise InUseError(source, f"not UTF-8 at byte {cause.start}") from cause
    if len(raw) > MAX_LIST:
        raise InUseError(source, f"longer than {MAX_LIST // 1024 // 1024} MiB")
    return tuple(_images(image_lines(text), path.name, source))


def _images(lines: Iterable[tuple[int, str]], name: str, source: str) -> Iterator[RunningImage]:
    for number, line in lines:
        try:
            yield RunningImage.parse(line, f"file:{name}:{number}")
        except (InvalidReferenceError, InvalidDigestError) as cause:
            raise InUseError(source, f"line {number}: {cause}") from cause
