"""Reading lock files: bounded, every key known, every problem at its place.

People and bots edit these files, so any YAML that says the same is taken, and comments are kept that
stand on lines of their own, or behind the first line of an entry.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from regsync.oci.digest import Digest, InvalidDigestError
from regsync.oci.reference import InvalidReferenceError, RepositoryName, Tag, is_host, plain_host
from regsync.regular_file import STDIN, read_named
from regsync.spec.lock import KIND, LOCK_FILE, MAX_LOCK_SIZE, NO_LOCK, Lock, LockEntry, LockFile
from regsync.spec.lock_comments import with_comments
from regsync.spec.model import Mirror, Position
from regsync.spec.nodes import Entries, Items, Node, Scalar
from regsync.spec.problems import Problems, nearest
from regsync.spec.yaml_source import read_documents

API_VERSION = "regsync.dev/v1"
MAX_TEXT = 2_000  # characters of one value
MAX_SIGNERS = 100  # of one entry
MAX_SIZE = 1 << 60  # bytes
_TOP = ("apiVersion", "kind", "images")
_ENTRY = ("image", "mirror", "rule", "size", "signer", "index", "target", "hold")
_IMAGE = re.compile(r"(?P<repository>[^\s@]+?)(?::(?P<tag>[^\s@:/]+))?@(?P<digest>[^\s@]+)")
_REGISTRY = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?")
_CONFLICT = re.compile(rb"^(?:<{7}|={7}|>{7})(?: |$)", re.MULTILINE)


def read_locks(mirrors: Sequence[Mirror], named: Path | None, problems: Problems) -> Lock:
    """The lock files beside the mirrors, or the one that is `named`; what is wrong goes to `problems`."""
    paths = {mirror.name: named if named is not None else lock_path(mirror) for mirror in mirrors}
    if not paths:
        return NO_LOCK
    found = (read_lock_file(path, problems) for path in sorted(set(paths.values())) if path.exists())
    return Lock({file.path: file for file in found if file is not None}, paths)


def lock_path(mirror: Mirror) -> Path:
    """Where the entries of a mirror stand: beside its file; of a spec on stdin in the current directory."""
    file = Path(mirror.position.file) if mirror.position is not None else STDIN
    return Path(LOCK_FILE) if file == STDIN else file.parent / LOCK_FILE


def read_lock_file(path: Path, problems: Problems) -> LockFile | None:
    """One file, or None with what is wrong in `problems`."""
    start, before = Position(str(path), 1, 1), len(problems.found)
    try:
        raw = read_named(path, MAX_LOCK_SIZE + 1)
    except OSError as cause:
        problems.add(start, "", cause.strerror or "cannot be read")
        return None
    if (conflict := _CONFLICT.search(raw)) is not None:
        line = raw.count(b"\n", 0, conflict.start()) + 1
        message = "a conflict of a merge: take either side, and `regsync lock` does the rest"
        problems.add(Position(str(path), line, 1), "", message)
        return None
    roots = read_documents(raw, str(path), problems, max_size=MAX_LOCK_SIZE)
    if len(problems.found) > before:
        return None
    if len(roots) != 1 or not isinstance(roots[0], Entries):
        where = roots[1].position if len(roots) > 1 else start
        problems.add(where, "", "expected one document, with apiVersion, kind: Lock and images")
        return None
    images = _top(roots[0], problems)
    lines = raw.decode("utf-8-sig").splitlines()
    entries = [entry for node in images if (entry := _entry(node, lines, problems)) is not None]
    _refuse_twins(entries, problems)
    if len(problems.found) > before:
        return None
    return with_comments(path, entries, lines)


def _top(root: Entries, problems: Problems) -> Sequence[Node]:
    _refuse_unknown(root, _TOP, "", problems)
    for key, expected in (("apiVersion", API_VERSION), ("kind", KIND)):
        if root.text(key) != expected:
            where = root.entries[key].position if key in root.entries else root.position
            problems.add(where, key, f"expected {expected}")
    images = root.entries.get("images")
    if isinstance(images, Items):
        return images.items
    if images is not None and not (isinstance(images, Scalar) and images.value() is None):
        problems.add(images.position, "images", "expected a list")
    return ()


def _entry(node: Node, lines: Sequence[str], problems: Problems) -> LockEntry | None:
    if not isinstance(node, Entries):
        problems.add(node.position, "images", "expected an entry that begins with `image:`")
        return None
    before = len(problems.found)
    _refuse_unknown(node, _ENTRY, "images.", problems)
    image = _image(node, problems)
    read = _Values(node, problems)
    hold, size = read.text("hold"), read.text("size")
    if hold not in (None, "true", "false"):
        read.refuse("hold", "expected true or false")
    if size is not None and not (
        size.isascii() and size.isdigit() and len(size) < 20 and int(size) <= MAX_SIZE
    ):
        read.refuse("size", "expected a number of bytes")
    index, target = read.digest("index"), read.digest("target")
    mirror, rule, signers = read.text("mirror"), read.text("rule"), read.texts("signer")
    if image is None or len(problems.found) > before:
        return None
    repository, tag, digest = image
    if hold == "true" and tag is None:
        read.refuse("hold", "content without a tag does not move: there is nothing to hold")
    return LockEntry(
        repository, tag, digest, mirror, rule, int(size) if size else None, signers, index, target,
        hold == "true", position=node.position,
    )  # fmt: skip


def _image(node: Entries, problems: Problems) -> tuple[str, Tag | None, Digest] | None:
    value = node.entries.get("image")
    text = value.text if isinstance(value, Scalar) else ""
    where = value.position if value is not None else node.position
    found = _IMAGE.fullmatch(text) if len(text) <= MAX_TEXT else None
    if found is None:
        message = "expected a full reference with its digest, such as docker.io/library/nginx:1.27.1@sha256:…"
        problems.add(where, "images.image", message)
        return None
    try:
        tag = Tag.parse(found["tag"]) if found["tag"] else None
        return _repository(found["repository"]), tag, Digest.parse(found["digest"])
    except (InvalidReferenceError, InvalidDigestError) as cause:
        problems.add(where, "images.image", str(cause))
        return None


@lru_cache(maxsize=4096)  # a lock file names each many times
def _repository(text: str) -> str:
    """Check `host/path`, `http://host/path` or `<registry>/path`; raises InvalidReferenceError."""
    scheme = "http://" if text.startswith("http://") else ""
    first, slash, path = text.removeprefix(scheme).partition("/")
    if not slash:
        raise InvalidReferenceError("image", text, "expected a host, or the name of a Registry, and a path")
    if is_host(first) or scheme:
        first = plain_host(first)
    elif _REGISTRY.fullmatch(first) is None:
        raise InvalidReferenceError("image", text, "expected a host, or the name of a Registry, at its start")
    return f"{scheme}{first}/{RepositoryName.parse(path)}"


class _Values:
    """The values of one entry."""

    def __init__(self, node: Entries, problems: Problems) -> None:
        self._node, self._problems = node, problems

    def refuse(self, key: str, message: str) -> None:
        """Note what is wrong with a value."""
        self._problems.add(self._node.entries[key].position, f"images.{key}", message)

    def text(self, key: str) -> str | None:
        """A short text, or None."""
        node = self._node.entries.get(key)
        if node is None:
            return None
        return self._checked(key, node)

    def _checked(self, key: str, node: Node) -> str | None:
        if not isinstance(node, Scalar) or not node.text:
            self.refuse(key, "expected a text")
        elif len(node.text) > MAX_TEXT or not node.text.isprintable():
            self.refuse(key, f"expected one line of at most {MAX_TEXT} characters")
        else:
            return node.text
        return None

    def texts(self, key: str) -> tuple[str, ...]:
        """A text, or a list of them."""
        node = self._node.entries.get(key)
        if not isinstance(node, Items):
            one = self.text(key)
            return (one,) if one is not None else ()
        if len(node.items) > MAX_SIGNERS:
            self.refuse(key, f"more than {MAX_SIGNERS}")
            return ()
        return tuple(text for item in node.items if (text := self._checked(key, item)) is not None)

    def digest(self, key: str) -> Digest | None:
        """A digest, or None."""
        text = self.text(key)
        if text is None:
            return None
        try:
            return Digest.parse(text)
        except InvalidDigestError as cause:
            self.refuse(key, str(cause))
            return None


def _refuse_unknown(node: Entries, known: Sequence[str], path: str, problems: Problems) -> None:
    for key in node.entries.keys() - set(known):
        message = f"unknown key; known are {', '.join(known)}"
        problems.add(node.keys[key], f"{path}{key[:80]}", message, nearest(key, known))


def _refuse_twins(entries: Iterable[LockEntry], problems: Problems) -> None:
    first: dict[tuple[str, str], LockEntry] = {}
    for entry in entries:
        other = first.setdefault(entry.key, entry)
        if other is not entry and entry.position is not None and other.position is not None:
            message = f"{entry.name[:200]} stands twice; first at line {other.position.line}"
            problems.add(entry.position, "images.image", message)
