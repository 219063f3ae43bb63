"""Archives that were made to do harm are refused, in little time and memory, with a reason."""

import io
import tarfile
import tracemalloc
from collections.abc import Callable

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from regsync.content import tar_reading
from regsync.content.tar_reading import BLOCK, InvalidArchiveError, Member, TarReader

Fill = Callable[[tarfile.TarFile], None]


def archive(fill: Fill, **options: object) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", **options) as tar:  # type: ignore[call-overload]
        fill(tar)
    return file.getvalue()


def add(tar: tarfile.TarFile, name: str, data: bytes = b"", **fields: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(data))


def members(raw: bytes, *, seekable: bool = True) -> list[tuple[Member, bytes]]:
    reader = TarReader(io.BytesIO(raw), "a.tar", seekable=seekable)
    found = []
    while (member := reader.next()) is not None:
        found.append((member, reader.read_all(member, 1 << 30)))
    return found


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("seekable", [True, False])
def test_files_come_with_their_bytes_in_whatever_format(kind: int, seekable: bool) -> None:
    long = "blobs/" + "d" * 90 + "/" + "f" * 90

    def fill(tar: tarfile.TarFile) -> None:
        add(tar, "./blobs", type=tarfile.DIRTYPE)
        add(tar, "./empty")
        add(tar, long, b"x" * 1000)
        add(tar, "last", b"y" * BLOCK)

    found = members(archive(fill, format=kind), seekable=seekable)
    assert [(one.name, data) for one, data in found] == [
        ("empty", b""),
        (long, b"x" * 1000),
        ("last", b"y" * BLOCK),
    ]


def test_what_is_not_read_is_passed_over() -> None:
    raw = archive(lambda tar: [add(tar, str(number), b"z" * 3000) for number in range(3)] and None)
    for seekable in (True, False):
        reader = TarReader(io.BytesIO(raw), "a.tar", seekable=seekable)
        names = []
        while (member := reader.next()) is not None:
            names.append(member.name)
            assert raw[member.offset : member.offset + member.size] == b"z" * 3000
        assert names == ["0", "1", "2"]


def twice(tar: tarfile.TarFile) -> None:
    add(tar, "a")
    add(tar, "./a")


HOSTILE: list[tuple[str, Fill, str]] = [
    ("a name that leads out", lambda tar: add(tar, "blobs/../../etc/passwd", b"x"), "leads out"),
    ("an absolute name", lambda tar: add(tar, "/etc/passwd", b"x"), "leads out"),
    (
        "a symbolic link",
        lambda tar: add(tar, "blobs", type=tarfile.SYMTYPE, linkname="/"),
        "symbolic link",
    ),
    ("a hard link", lambda tar: add(tar, "a", type=tarfile.LNKTYPE, linkname="/etc/passwd"), "hard link"),
    ("a device", lambda tar: add(tar, "a", type=tarfile.CHRTYPE), "device"),
    ("a pipe", lambda tar: add(tar, "a", type=tarfile.FIFOTYPE), "pipe"),
    ("a sparse file", lambda tar: add(tar, "a", type=tarfile.GNUTYPE_SPARSE), "kind"),
    ("two members of one name", twice, "two members"),
    (
        "a huge pax header",
        lambda tar: add(tar, "a", pax_headers={"comment": "x" * 100_000}),
        "header of",
    ),
    (
        "a size that pax makes immense",
        lambda tar: add(tar, "a", pax_headers={"size": "9" * 18}),
        "claims to have",
    ),
    ("a name that is too long", lambda tar: add(tar, "ä" * 2049), "name of more than 4096"),
    ("a size that is no number", lambda tar: add(tar, "a", pax_headers={"size": "-1"}), "no number"),
]


@pytest.mark.parametrize(("fill", "told"), [pytest.param(*one[1:], id=one[0]) for one in HOSTILE])
def test_what_is_no_plain_file_is_refused(fill: Fill, told: str) -> None:
    with pytest.raises(InvalidArchiveError, match=told):
        members(archive(fill))


def with_checksum(header: bytearray) -> bytes:
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def header_of(size: bytes, kind: bytes = b"0") -> bytes:
    header = bytearray(tarfile.TarInfo("a").tobuf(tarfile.USTAR_FORMAT))
    header[124:136], header[156:157] = size, kind
    return with_checksum(header)


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        pytest.param(b"x" * BLOCK, "checksum|number", id="no tar at all"),
        pytest.param(header_of(b"00000001000\0") + b"short", "ends in the middle", id="cut in a member"),
        pytest.param(header_of(b"0" * 12)[:100], "middle of a header", id="cut in a header"),
        pytest.param(header_of(b"\xff" * 12), "claims", id="a negative size"),
        pytest.param(header_of(b"\x80" + b"\0" * 3 + b"\xff" * 8), "claims", id="a size of exabytes"),
        pytest.param(header_of(b"9" * 12), "number", id="a size in no octal"),
        pytest.param(header_of(b"00077777777\0", b"L"), "a header of", id="a long name of megabytes"),
        pytest.param(
            (header_of(b"00000000003\0", b"x") + b"3 =".ljust(BLOCK, b"\0")),
            "pax",
            id="a pax record too short",
        ),
        pytest.param(
            (header_of(b"00000000001\0", b"L") + b"n".ljust(BLOCK, b"\0")) * 9,
            "too many",
            id="endless headers",
        ),
    ],
)
@pytest.mark.parametrize("seekable", [True, False])
def test_headers_that_lie_are_refused(raw: bytes, told: str, seekable: bool) -> None:
    with pytest.raises(InvalidArchiveError, match=told):
        members(raw, seekable=seekable)


def test_more_members_than_there_can_be_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_reading, "MAX_MEMBERS", 10)
    raw = archive(lambda tar: [add(tar, str(number)) for number in range(11)] and None)
    with pytest.raises(InvalidArchiveError, match="more than 10"):
        members(raw)


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.DIRTYPE])
def test_many_long_names_are_not_kept_and_their_headers_are_counted(
    monkeypatch: pytest.MonkeyPatch, kind: bytes
) -> None:
    def fill(tar: tarfile.TarFile) -> None:
        for number in range(500):
            add(tar, "d" * 4000 + str(number), type=kind)

    raw = archive(fill)
    reader = TarReader(io.BytesIO(raw), "a.tar", seekable=False)
    tracemalloc.start()
    while reader.next() is not None:
        pass
    assert tracemalloc.get_traced_memory()[1] < 500_000
    tracemalloc.stop()
    monkeypatch.setattr(tar_reading, "MAX_HEADERS", 500 * 4000)
    with pytest.raises(InvalidArchiveError, match="bytes of headers"):
        members(raw)


def test_a_member_larger_than_what_is_read_at_once_costs_no_memory() -> None:
    class Endless:
        """A header that announces a terabyte, and zeros."""

        def __init__(self) -> None:
            self._header = header_of(b"\x80" + (1 << 40).to_bytes(11, "big"))

        def read(self, size: int, /) -> bytes:
            data, self._header = self._header[:size], self._header[size:]
            return data or bytes(size)

    reader = TarReader(Endless(), "a.tar", seekable=False)
    tracemalloc.start()
    member = reader.next()
    assert member is not None
    with pytest.raises(InvalidArchiveError, match="at most"):
        reader.read_all(member, 1000)
    for _ in range(64):
        assert len(reader.read(1 << 20)) == 1 << 20
    assert tracemalloc.get_traced_memory()[1] < 8_000_000
    tracemalloc.stop()


WHOLE = archive(
    lambda tar: [add(tar, "d" * 120 + str(number), b"x" * 700) for number in range(3)] and None,
    format=tarfile.GNU_FORMAT,
)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_whatever_the_bytes_are_it_is_read_or_refused(data: st.DataObject) -> None:
    raw = bytearray(WHOLE[: data.draw(st.integers(0, len(WHOLE)))])
    for _ in range(data.draw(st.integers(0, 5)) if raw else 0):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] = data.draw(st.integers(0, 255))
        header = at - at % BLOCK
        if data.draw(st.booleans()) and header + BLOCK <= len(raw):
            raw[header : header + BLOCK] = with_checksum(raw[header : header + BLOCK])
    outcomes = []
    for seekable in (True, False):
        try:
            outcomes.append([(one.name, data) for one, data in members(bytes(raw), seekable=seekable)])
        except InvalidArchiveError:
            outcomes.append([])
    assert outcomes[0] == outcomes[1]
