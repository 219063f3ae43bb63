"""`images`: full references, listed in the spec or in a file as release lists are published."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from regsync.oci.digest import Digest, InvalidDigestError
from regsync.oci.reference import InvalidReferenceError, Reference, Tag, is_host, may_hold_a_password
from regsync.regular_file import read_regular
from regsync.spec.locations import hub_objection
from regsync.spec.mirror_keys import ImageKeys
from regsync.spec.model import Location, Pin, Position
from regsync.spec.nodes import Spot
from regsync.spec.problems import Problems
from regsync.spec.registries import NO_CREDENTIALS, Registries, UnknownPlaceError, absolute, is_docker_hub

if TYPE_CHECKING:
    from regsync.spec.mirrors import Merged

MAX_FILE_SIZE = 4 * 1024 * 1024  # bytes
MAX_IMAGES = 100_000


def read_images(
    keys: ImageKeys | None, merged: "Merged", registries: Registries, problems: Problems
) -> tuple[tuple[Location, Pin], ...]:
    """Every image, each once, in the order of the list; what is wrong goes to `problems`."""
    if keys is None:
        return ()
    found: dict[tuple[Location, Pin], None] = {}
    digests: dict[tuple[Location, Tag], Digest] = {}
    for spot, text in _lines(keys, merged, problems):
        try:
            image = _image(text, registries)
            found[image] = None
            _refuse_two_digests(*image, digests)
        except _NoImageError as cause:
            if keys.file is None:
                problems.add(spot.position, spot.path, cause.quoted, cause.guess)
            else:
                problems.add(spot.position, spot.path, str(cause))
        if len(found) > MAX_IMAGES:
            problems.add(spot.position, spot.path, f"more than {MAX_IMAGES} images")
            break
    if not found and keys.file is not None and not problems.found:
        spot = merged.at("images", "file")
        problems.add(spot.position, spot.path, f"there is no image in {keys.file}")
    return tuple(found)


class _NoImageError(ValueError):
    """An entry is no image. Its text says why without a word of the entry, `quoted` with it.

    A list's file is named by whoever writes the spec and read where secrets may lie, so what stands
    in it is never shown.
    """

    def __init__(self, cause: str, quoted: str | None = None, guess: str | None = None) -> None:
        super().__init__(cause)
        self.quoted = cause if quoted is None else quoted
        self.guess = guess


def _refuse_two_digests(location: Location, pin: Pin, digests: dict[tuple[Location, Tag], Digest]) -> None:
    if pin.tag is None or pin.digest is None:
        return
    if digests.setdefault((location, pin.tag), pin.digest) != pin.digest:
        shown = "stands in the list with another digest"
        raise _NoImageError(f"this tag {shown}", f"{location}:{pin.tag} {shown}")


def image_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a list that hold an image, with their numbers; `#` begins a comment."""
    for number, line in enumerate(text.splitlines(), start=1):
        image = line.partition("#")[0].strip()
        if image:
            yield number, image


def _lines(keys: ImageKeys, merged: "Merged", problems: Problems) -> Iterator[tuple[Spot, str]]:
    if keys.list_ is not None:
        for number, text in enumerate(keys.list_):
            yield merged.at("images", "list", number), text
        return
    written = keys.file or ""
    document = merged.origins["images"]
    spot = merged.at("images", "file")
    try:
        text = _read(absolute(document, written))
    except (OSError, ValueError) as cause:
        reason = cause.strerror if isinstance(cause, OSError) else str(cause)
        problems.add(spot.position, spot.path, f"cannot read {written}: {reason}")
        return
    shown = str(document.directory / written)
    for number, line in image_lines(text):
        yield Spot(Position(shown, number, 1), ""), line


def _read(path: Path) -> str:
    raw = read_regular(path, MAX_FILE_SIZE + 1)
    if len(raw) > MAX_FILE_SIZE:
        raise ValueError(f"larger than {MAX_FILE_SIZE // 1024 // 1024} MiB")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        raise ValueError(f"not UTF-8 at byte {cause.start}") from cause


def _image(text: str, registries: Registries) -> tuple[Location, Pin]:
    bare = text.removeprefix("docker://")
    scheme, separator, rest = bare.rpartition("://")
    first, slash, _ = rest.partition("/")
    if may_hold_a_password(bare):
        raise _NoImageError(NO_CREDENTIALS)
    if not slash:
        expected = "expected a full reference with a host"
        raise _NoImageError(expected, f"{expected}, found {text[:80]!r}")
    try:
        registry = registries.one(f"{scheme}{separator}{first}")
        # The host only makes the parser read what follows as a path; short names do not occur here.
        host = first if is_host(first) else "registry.invalid"
        reference = Reference.parse(f"{host}/{rest.partition('/')[2]}")
    except UnknownPlaceError as cause:
        known = "expected a host, or the name of one Registry, before the first slash"
        raise _NoImageError(known, str(cause), cause.guess) from None
    except InvalidDigestError as cause:
        raise _NoImageError("invalid digest", str(cause)) from None
    except InvalidReferenceError as cause:
        raise _NoImageError("invalid repository or tag", str(cause)) from None
    if "/" not in reference.repository and is_docker_hub(registries.declared.get(registry)):
        raise _NoImageError(hub_objection(None), hub_objection(reference.repository))
    if reference.tag is None and reference.digest is None:
        missing = "has neither tag nor digest; regsync does not guess :latest"
        raise _NoImageError(f"this image {missing}", f"{text[:80]} {missing}")
    return Location(registry, reference.repository), Pin(reference.tag, reference.digest)
