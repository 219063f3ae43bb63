"""Where an archive is written to, member after member: as it is, or as zstd.

The same content gives the same bytes: no time, owner or order of the machine gets into an archive. Of
zstd each member has frames of its own, and a last frame, which other programs skip, says where each begins,
so that the next export can take over what it needs without compressing it again.
Source: RFC 8878, "Zstandard Compression", sections 3.1.1 and 3.1.2.
"""

import json
import os
import struct
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from regsync.content.archive import ArchiveFile
from regsync.content.durable import storage_errors
from regsync.content.tar_reading import BLOCK

MIB = 1024 * 1024
FRAME_SIZE = 64 * MIB  # bytes of one member in one frame
LEVEL = 3  # layers are compressed already; this costs little more than finding that out
MAX_TABLE = 256 * MIB
_SKIPPABLE = 0x184D2A50
_FOOTER = struct.Struct("<Q8s")
_MAGIC = b"regsync1"

Write = Callable[[bytes], None]


class Output(Protocol):
    """An archive being written. Blocking; raises StorageError."""

    def begin(self, name: str, size: int) -> None:
        """Begin a member of `size` bytes."""
        ...

    def write(self, data: bytes) -> None:
        """More of its bytes."""
        ...

    def end(self) -> None:
        """It is whole."""
        ...

    def reuse(self, name: str, size: int) -> bool:
        """Take over all of a member from the archive that was there before; False if it has it not."""
        ...

    def finish(self) -> None:
        """No more members."""
        ...


def header(name: str, size: int) -> bytes:
    """The header of a file that says nothing but these."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.PAX_FORMAT)


def padding(size: int) -> bytes:
    """What fills a member's last block."""
    return bytes(-size % BLOCK)


class PlainOutput:
    """A tar as it is; `copy` brings bytes of the earlier archive's file to where `write` writes."""

    def __init__(
        self,
        write: Write,
        old: ArchiveFile | None = None,
        copy: Callable[[ArchiveFile, int, int], None] | None = None,
    ) -> None:
        self._write, self._old, self._copy = write, old, copy
        self._size = 0

    def begin(self, name: str, size: int) -> None:
        """Begin a member."""
        self._size = size
        self._write(header(name, size))

    def write(self, data: bytes) -> None:
        """More of its bytes."""
        self._write(data)

    def end(self) -> None:
        """It is whole."""
        self._write(padding(self._size))

    def reuse(self, name: str, size: int) -> bool:
        """Take over a member of the earlier archive, without looking at its bytes."""
        member = self._old.members.get(name) if self._old is not None else None
        if self._old is None or self._copy is None or member is None or member.size != size:
            return False
        self.begin(name, size)
        self._copy(self._old, member.offset, size)
        self.end()
        return True

    def finish(self) -> None:
        """Two empty blocks."""
        self._write(bytes(2 * BLOCK))


@dataclass(frozen=True, slots=True)
class Span:
    """Where the frames of one member are."""

    start: int  # bytes of the file
    end: int
    size: int  # of the member


class ZstdOutput:
    """A tar as frames of zstd; `copy` brings a part of the earlier archive's file."""

    def __init__(
        self,
        write: Write,
        old: Mapping[str, Span] | None = None,
        copy: Callable[[int, int], None] | None = None,
    ) -> None:
        import zstandard  # only who asks for zstd needs it

        self._raw, self._old, self._copy = write, old or {}, copy
        self._compressor = zstandard.ZstdCompressor(level=LEVEL)
        self._frame: zstandard.ZstdCompressionObj | None = None
        self._in_frame = 0
        self._at = 0
        self._spans: dict[str, Span] = {}
        self._name, self._size, self._start = "", 0, 0

    def begin(self, name: str, size: int) -> None:
        """Begin a member."""
        self._name, self._size, self._start = name, size, self._at
        self.write(header(name, size))

    def write(self, data: bytes) -> None:
        """More of its bytes."""
        if self._frame is None:
            self._frame, self._in_frame = self._compressor.compressobj(), 0
        self._out(self._frame.compress(data))
        self._in_frame += len(data)
        if self._in_frame >= FRAME_SIZE:
            self._end_frame()

    def end(self) -> None:
        """It is whole."""
        self.write(padding(self._size))
        self._end_frame()
        self._spans[self._name] = Span(self._start, self._at, self._size)

    def reuse(self, name: str, size: int) -> bool:
        """Take over the frames of a member, compressed as they are."""
        span = self._old.get(name)
        if span is None or self._copy is None or span.size != size:
            return False
        start = self._at
        self._copy(span.start, span.end - span.start)
        self._at += span.end - span.start
        self._spans[name] = Span(start, self._at, size)
        return True

    def finish(self) -> None:
        """Two empty blocks, and the table."""
        self.write(bytes(2 * BLOCK))
        self._end_frame()
        table = {name: [one.start, one.end, one.size] for name, one in self._spans.items()}
        raw = json.dumps(table, separators=(",", ":")).encode()
        body = raw + _FOOTER.pack(len(raw), _MAGIC)
        self._out(struct.pack("<II", _SKIPPABLE, len(body)) + body)

    def _end_frame(self) -> None:
        if self._frame is not None:
            self._out(self._frame.flush())
            self._frame = None

    def _out(self, data: bytes) -> None:
        self._at += len(data)
        self._raw(data)


def read_spans(path: Path) -> Mapping[str, Span]:
    """The table of an archive that ZstdOutput wrote; empty for another one. Blocking. Raises StorageError."""
    with storage_errors(path), path.open("rb") as file:
        length = os.fstat(file.fileno()).st_size
        if length < _FOOTER.size:
            return {}
        file.seek(length - _FOOTER.size)
        size, magic = _FOOTER.unpack(file.read(_FOOTER.size))
        if magic != _MAGIC or not 0 < size <= min(MAX_TABLE, length - _FOOTER.size):
            return {}
        file.seek(length - _FOOTER.size - size)
        raw = file.read(size)
    try:
        found = {str(name): Span(*map(int, numbers)) for name, numbers in json.loads(raw).items()}
    except (ValueError, TypeError, AttributeError):
        return {}
    return {name: one for name, one in found.items() if 0 <= one.start < one.end <= length}
