"""Files with keys, certificates and roots that policies name: read with the spec, bounded, never shown.

What is in them is understood in `trust/`.
"""

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from regsync.regular_file import read_regular
from regsync.spec.nodes import Spot
from regsync.spec.private_keys import IS_PRIVATE, is_private
from regsync.spec.problems import Problems
from regsync.spec.reading import Document
from regsync.spec.registries import absolute
from regsync.spec.verification import Material

MAX_MATERIAL_SIZE = 1024 * 1024  # bytes; the largest trusted root known has 40 KiB
MAX_STORE_FILES = 1000  # in a trust store
MAX_STORE_SIZE = 16 * 1024 * 1024  # bytes of them all
STORE_TYPES = ("ca", "signingAuthority", "tsa")
_CERTIFICATE_SUFFIXES = (".crt", ".cer", ".pem")
_STORE_PLACES = ("truststore/x509", "x509", ".")  # below a trust store, the most particular first

_NO_PATH = re.compile(r"-----BEGIN|\n|\A[A-Za-z0-9+/=_-]{100,}\Z")


def read_material(document: Document, text: str, spot: Spot, problems: Problems) -> Material | None:
    """The bytes of the file that `text` names, relative to its document; None with a problem."""
    if _is_content(text, spot, problems):
        return None
    return _read(absolute(document, text), text, spot, problems)


def written_material(text: str, spot: Spot, problems: Problems) -> Material | None:
    """The bytes of a value that stands in the spec itself; None with a problem."""
    return _checked(Material("data", text.encode("utf-8"), spot.position), spot, problems)


def read_trust_store(
    document: Document, text: str, spot: Spot, problems: Problems
) -> dict[str, tuple[Material, ...]]:
    """The certificates of a trust store as notation lays it out, by `TYPE:NAME`.

    Source: Notary Project, specs/trust-store-trust-policy.md, "Trust store".
    """
    if _is_content(text, spot, problems):
        return {}
    base = absolute(document, text)
    try:
        files = dict(_store_files(base))
    except OSError as cause:
        problems.add(spot.position, spot.path, f"{text[:200]}: {cause.strerror or 'cannot be read'}")
        return {}
    if not any(files.values()):
        message = (
            f"{text[:200]}: there are no certificates in truststore/x509/TYPE/NAME/*.pem or TYPE/NAME/*.pem"
        )
        problems.add(spot.position, spot.path, message)
    if sum(map(len, files.values())) > MAX_STORE_FILES:
        problems.add(spot.position, spot.path, f"{text[:200]}: more than {MAX_STORE_FILES} certificates")
        return {}
    stores: dict[str, tuple[Material, ...]] = {name: () for name in files}
    size = 0
    for name, path in ((name, path) for name, paths in files.items() for path in paths):
        material = _read(path, str(Path(text) / path.relative_to(base)), spot, problems)
        if material is None:
            continue
        stores[name] += (material,)
        size += len(material.data)
        if size > MAX_STORE_SIZE:
            message = f"{text[:200]}: more than {MAX_STORE_SIZE // 1024 // 1024} MiB of certificates"
            problems.add(spot.position, spot.path, message)
            return {}
    return stores


def _is_content(text: str, spot: Spot, problems: Problems) -> bool:
    """Whether a path is none, but what should be in a file; which is then not shown."""
    if _NO_PATH.search(text) is None:
        return False
    problems.add(spot.position, spot.path, "expected a path, found what may be the content of a file")
    return True


def _store_files(base: Path) -> Iterator[tuple[str, list[Path]]]:
    """Every store below the first place that has any, and its files; raises OSError."""
    if not base.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "there is no such directory", str(base))
    for place in (base / one for one in _STORE_PLACES):
        kinds = [kind for kind in STORE_TYPES if (place / kind).is_dir()]
        for kind in kinds:
            for directory in sorted(_shown(place / kind)):
                if directory.is_dir():
                    yield f"{kind}:{directory.name}", sorted(_certificates(directory))
        if kinds:
            return


def _certificates(directory: Path) -> Iterator[Path]:
    return (one for one in _shown(directory) if one.suffix in _CERTIFICATE_SUFFIXES)


def _shown(directory: Path) -> Iterator[Path]:
    """What is in a directory, less hidden files such as the `..data` of a mounted ConfigMap."""
    return (directory / name for name in os.listdir(directory) if not name.startswith("."))


def _read(path: Path, name: str, spot: Spot, problems: Problems) -> Material | None:
    try:
        data = read_regular(path, MAX_MATERIAL_SIZE + 1)
    except OSError as cause:
        problems.add(spot.position, spot.path, f"{name[:200]}: {cause.strerror or 'cannot be read'}")
        return None
    return _checked(Material(name, data, spot.position), spot, problems)


def _checked(material: Material, spot: Spot, problems: Problems) -> Material | None:
    cause = _objection(material.data)
    if cause is None:
        return material
    problems.add(spot.position, spot.path, f"{material.name[:200]}: {cause}")
    return None


def _objection(data: bytes) -> str | None:
    if len(data) > MAX_MATERIAL_SIZE:
        return f"larger than {MAX_MATERIAL_SIZE // 1024} KiB"
    if not data.strip():
        return "it is empty"
    return IS_PRIVATE if is_private(data) else None
