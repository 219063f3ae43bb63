"""Reading tar archives that somebody may have made to do us harm: member by member, nothing unpacked.

Plain files and directories alone are taken; links, devices and sparse files are refused, as are names that
lead anywhere else, two members of one name, and headers or numbers beyond reason. Nothing is ever created
under a name that an archive gives. Source: POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar's manual,
"Basic Tar Format". Blocking.
"""

import hashlib
from dataclasses import dataclass
from typing import Protocol

from regsync.content.errors import ContentError

BLOCK = 512  # bytes
MAX_MEMBERS = 2_000_000
MAX_EXTENSION = 64 * 1024  # bytes of a pax header or a long name
MAX_NAME = 4096  # bytes, as of a path on Linux
MAX_EXTENSIONS = 8  # before one member
MAX_HEADERS = 1 << 30  # bytes of long headers and of directories, which no file needs
MAX_SIZE = 1 << 50  # bytes of one member
_SKIP = 1024 * 1024  # bytes read at once of what is passed over

_FILE, _DIRECTORY, _PAX, _PAX_GLOBAL, _LONG_NAME = (b"0", b"\0", b"7"), b"5", b"x", b"g", b"L"
_KINDS = {b"1": "a hard link", b"2": "a symbolic link", b"3": "a device", b"4": "a device", b"6": "a pipe"}


class InvalidArchiveError(ContentError):
    """The file is no archive that can be read safely, or is damaged."""

    usual_hint = "make the archive again; `tar -tvf` shows what is in it"

    def __init__(self, cause: str, *, where: str) -> None:
        super().__init__(f"{where}: not a usable archive: {cause}")


class Bytes(Protocol):
    """What an archive is read from."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, empty at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive."""

    name: str  # without a leading ./
    size: int  # bytes
    start: int  # where its header begins, in bytes of the tar
    offset: int  # where its bytes begin


class TarReader:
    """The members of an archive, in order. `seek` moves on in `stream` without reading, where that can."""

    def __init__(self, stream: Bytes, where: str, *, seekable: bool) -> None:
        self._stream, self._where, self._seekable = stream, where, seekable
        self._at = 0  # bytes of the tar read
        self._left = 0  # of the member in hand
        self._end = 0  # where the next header begins
        self._names: set[bytes] = set()  # hashed, since there may be many
        self._headers = 0  # bytes of those that MAX_HEADERS is for

    def next(self) -> Member | None:
        """The next file; None at the end. Raises InvalidArchiveError."""
        while (found := self._next()) is not None:
            member, kind = found
            name = hashlib.blake2b(_encoded(member.name), digest_size=16).digest()
            if name in self._names:
                raise self._invalid(f"two members are named {member.name[:200]!r}")
            self._names.add(name)
            self._headers += member.offset - member.start - (BLOCK if kind != _DIRECTORY else 0)
            if self._headers > MAX_HEADERS:
                raise self._invalid(f"it has more than {MAX_HEADERS} bytes of headers")
            if len(self._names) > MAX_MEMBERS:
                raise self._invalid(f"it has more than {MAX_MEMBERS} members")
            if kind != _DIRECTORY:
                return member
        return None

    def read(self, size: int) -> bytes:
        """Bytes of the member that `next` gave, at most `size`; empty when there are no more."""
        wanted = min(size, self._left)
        chunk = self._stream.read(wanted) if wanted else b""
        if wanted and not chunk:
            raise self._invalid("it ends in the middle of a member")
        self._at += len(chunk)
        self._left -= len(chunk)
        return chunk

    def read_all(self, member: Member, limit: int) -> bytes:
        """All of the member in hand; raises InvalidArchiveError when that is more than `limit`."""
        if member.size > limit:
            raise self._invalid(f"{member.name[:200]} has {member.size} bytes, at most {limit} are read")
        pieces = []
        while chunk := self.read(member.size):
            pieces.append(chunk)
        return b"".join(pieces)

    def _next(self) -> tuple[Member, bytes] | None:
        self._pass_over(self._end - self._at)
        start, name, size = self._at, None, None
        for _ in range(MAX_EXTENSIONS):
            header = self._block()
            if header is None or not header.strip(b"\0"):
                return None
            fields = self._fields(header)
            if fields.kind in (_PAX, _LONG_NAME, _PAX_GLOBAL):
                told = self._extension(fields)
                if fields.kind == _LONG_NAME:
                    name = told.rstrip(b"\0").decode("utf-8", "surrogateescape")
                elif fields.kind == _PAX:
                    path, length = self._pax(told)
                    name, size = path if path is not None else name, length if length is not None else size
                continue
            length = fields.size if size is None else size
            return self._member(name or fields.name, length, start, fields.kind), fields.kind
        raise self._invalid("a member has too many headers")

    def _member(self, name: str, size: int, start: int, kind: bytes) -> Member:
        if kind not in (*_FILE, _DIRECTORY):
            raise self._invalid(f"{name[:200]!r} is {_KINDS.get(kind, f'of the kind {kind!r}')}")
        if kind == _DIRECTORY:
            size = 0
        if not 0 <= size <= MAX_SIZE:
            raise self._invalid(f"{name[:200]!r} claims to have {size} bytes")
        if len(_encoded(name)) > MAX_NAME:
            raise self._invalid(f"{name[:200]!r}… is a name of more than {MAX_NAME} bytes")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or ".." in parts or "\0" in name or "\\" in name:
            raise self._invalid(f"{name[:200]!r} leads out of it")
        self._left = size
        self._end = self._at + -(-size // BLOCK) * BLOCK
        return Member("/".join(parts), size, start, self._at)

    def _extension(self, fields: "_Fields") -> bytes:
        if not 0 <= fields.size <= MAX_EXTENSION:
            raise self._invalid(f"a header of {fields.size} bytes, at most {MAX_EXTENSION} are read")
        self._left = fields.size
        pieces = []
        while chunk := self.read(fields.size):
            pieces.append(chunk)
        self._pass_over(-fields.size % BLOCK)
        return b"".join(pieces)

    def _pax(self, raw: bytes) -> tuple[str | None, int | None]:
        r"""`path` and `size` of a pax header, whose records are `LENGTH KEY=VALUE\n`."""
        path: str | None = None
        size: int | None = None
        rest = raw
        while rest:
            length, space, _ = rest.partition(b" ")
            if not space or not length.isdigit() or len(length) > 9 or int(length) < len(length) + 3:
                raise self._invalid("a pax header cannot be read")
            record, rest = rest[len(length) + 1 : int(length)], rest[int(length) :]
            key, _, value = record.rstrip(b"\n").partition(b"=")
            if key == b"path":
                path = value.decode("utf-8", "surrogateescape")
            elif key == b"size":
                if not value.isdigit() or len(value) > 19:
                    raise self._invalid("a pax header has a size that is no number")
                size = int(value)
            elif key.startswith(b"GNU.sparse"):
                raise self._invalid("it has a sparse file")
        return path, size

    def _fields(self, header: bytes) -> "_Fields":
        stored = self._number(header[148:156])
        if stored != sum(header[:148]) + 8 * 32 + sum(header[156:]):
            raise self._invalid("a header's checksum is wrong")
        name = header[:100].rstrip(b"\0")
        prefix = header[345:500].split(b"\0")[0] if header[257:263] == b"ustar\0" else b""
        whole = prefix + b"/" + name if prefix else name
        text = whole.split(b"\0")[0].decode("utf-8", "surrogateescape")
        return _Fields(text, self._number(header[124:136]), header[156:157])

    def _number(self, raw: bytes) -> int:
        if raw[0] & 0x80:  # GNU's numbers of more than eight gigabytes
            return int.from_bytes(bytes([raw[0] & 0x7F]) + raw[1:], "big")
        text = raw.strip(b" \0")
        try:
            return int(text, 8) if text else 0
        except ValueError:
            raise self._invalid("a header has a number that is none") from None

    def _block(self) -> bytes | None:
        pieces = b""
        while len(pieces) < BLOCK:
            chunk = self._stream.read(BLOCK - len(pieces))
            if not chunk:
                break
            pieces += chunk
        if not pieces:
            return None
        if len(pieces) < BLOCK:
            raise self._invalid("it ends in the middle of a header")
        self._at += BLOCK
        return pieces

    def _pass_over(self, count: int) -> None:
        self._left = 0
        if count > 0 and self._seekable:
            # One byte less, so that an archive which ends too early is found out.
            self._stream.seek(count - 1, 1)  # type: ignore[attr-defined]
            self._at += count - 1
            count = 1
        while count > 0:
            chunk = self._stream.read(min(count, _SKIP))
            if not chunk:
                raise self._invalid("it ends in the middle of a member")
            self._at += len(chunk)
            count -= len(chunk)

    def _invalid(self, cause: str) -> InvalidArchiveError:
        return InvalidArchiveError(cause, where=self._where)


def _encoded(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class _Fields:
    name: str
    size: int
    kind: bytes
