"""Finds what lies where in a zip archive: every byte of it is a member, its headers, or something that is told.

Readers of zip archives disagree: some believe the directory at the end, others the headers before each member; some
look at flags and checksums, others do not. Whatever two of them could read differently is refused.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, Any, cast

from bucketry.frozen import frozen
from bucketry.registry.scanning.compressed import DamagedError, unpack_stream
from bucketry.registry.scanning.windows import size_of, window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST_MEMBERS = 100_000
LARGEST_DIRECTORY_BYTES = 256 * 1024 * 1024
DIRECTORY_END_BYTES = 22 + 65_535
_LOCAL = b"PK\x03\x04"
_IN_DIRECTORY = b"PK\x01\x02"
_END = b"PK\x05\x06"
_END_64 = b"PK\x06\x06"
_LOCATOR_64 = b"PK\x06\x07"
_DESCRIPTOR_BYTES = {12, 16, 20, 24}
"""Checksum and two sizes behind a member, of 4 or 8 bytes, with or without a signature."""
_SIZES_FOLLOW = 0x8
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_IS_UTF8 = 0x800
_UNPACK: dict[int, Callable[[], Any]] = {
    zipfile.ZIP_DEFLATED: lambda: zlib.decompressobj(wbits=-15),
    zipfile.ZIP_BZIP2: bz2.BZ2Decompressor,
}


@frozen
class Member:
    """One member: its packed bytes are `start:stop` of the archive."""

    name: str
    start: int
    stop: int
    method: int
    size_bytes: int

    def open_stored(self, archive: IO[bytes]) -> IO[bytes] | None:
        """Return a member that is not packed as a file; None for one that is."""
        return window(archive, self.start, self.stop) if self.method == zipfile.ZIP_STORED else None

    def unpacked(self, archive: IO[bytes]) -> Iterator[bytes]:
        """Yield what is in a packed member; raise `DamagedError` unless all of its bytes are used."""
        packed = window(archive, self.start, self.stop)
        unpacking = _lzma(packed) if self.method == zipfile.ZIP_LZMA else _UNPACK[self.method]()
        given = 0
        try:
            for piece in unpack_stream(packed, unpacking):
                given += len(piece)
                yield piece
        except DamagedError as error:
            raise DamagedError(f"the member {self.name[:100]!a}: {error}") from error
        if unpacking.unused_data or packed.read(1):
            raise DamagedError(f"bytes follow what is packed in the member {self.name[:100]!a}")
        if given != self.size_bytes:
            raise DamagedError(f"the member {self.name[:100]} is not as long as the directory says")


@frozen
class Layout:
    """An archive's members in the order of their bytes, and the ranges that are none's."""

    members: tuple[Member, ...]
    gaps: tuple[tuple[int, int], ...]


def is_zip(stream: IO[bytes], head: bytes) -> bool:
    """Return whether any reader would take a file for a zip archive."""
    return head.startswith((_LOCAL, _END)) or zipfile.is_zipfile(stream)


def read_layout(stream: IO[bytes]) -> Layout:
    """Return what lies where; raise `DamagedError` for what readers could read differently, or not at all."""
    size_bytes = size_of(stream)
    try:
        with zipfile.ZipFile(cast("IO[bytes]", _Bounded(stream)), "r") as archive:
            infos, directory = archive.infolist(), archive.start_dir
    except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError, OverflowError, OSError) as error:
        raise DamagedError(f"its directory cannot be read: {error}"[:120]) from error
    if len(infos) > MOST_MEMBERS:
        raise DamagedError(f"it has more than {MOST_MEMBERS:,} members")
    members = []
    taken = [*_directory_ranges(stream, directory, len(infos), size_bytes)]
    for info in infos:
        member, header = _member(stream, info)
        members.append(member)
        taken.append((header, member.stop, bool(info.flag_bits & _SIZES_FOLLOW)))
    members.sort(key=lambda member: member.start)
    gaps, position, has_descriptor = [], 0, False
    for start, stop, follows in [*sorted(taken), (size_bytes, size_bytes, False)]:
        if start < position:
            raise DamagedError("its members overlap")
        if start > position and not (has_descriptor and start - position in _DESCRIPTOR_BYTES):
            gaps.append((position, start))
        position, has_descriptor = stop, follows
    return Layout(tuple(members), tuple(gaps))


def _member(stream: IO[bytes], info: zipfile.ZipInfo) -> tuple[Member, int]:
    """Return a member, and where its header begins; raise `DamagedError` where header and directory differ."""
    name = info.orig_filename
    stream.seek(info.header_offset)
    fixed = stream.read(30)
    if len(fixed) != 30 or not fixed.startswith(_LOCAL):
        raise DamagedError(f"the member {name[:100]!a} has no header")
    _, flags, method, _, _, _, packed, full, name_bytes, extra_bytes = struct.unpack("<5H3I2H", fixed[4:])
    local_name = stream.read(name_bytes).decode("utf-8" if flags & _IS_UTF8 else "cp437", "replace")
    start = info.header_offset + 30 + name_bytes + extra_bytes
    if (flags | info.flag_bits) & _ENCRYPTED:
        raise DamagedError(f"the member {name[:100]!a} is encrypted, and is not looked into")
    if method not in {zipfile.ZIP_STORED, zipfile.ZIP_LZMA, *_UNPACK}:
        raise DamagedError(f"the member {name[:100]!a} is packed in a way that is not looked into")
    sizes = info.compress_size, info.file_size
    sizes_agree = flags & _SIZES_FOLLOW or 0xFFFFFFFF in {packed, full} or (packed, full) == sizes
    if local_name != name or method != info.compress_type or not sizes_agree:
        raise DamagedError(f"the directory and the header of the member {name[:100]!a} differ")
    if method == zipfile.ZIP_STORED and info.compress_size != info.file_size:
        raise DamagedError(f"the member {name[:100]!a} has two sizes")
    return Member(name, start, start + info.compress_size, method, info.file_size), info.header_offset


def _directory_ranges(stream: IO[bytes], start: int, entries: int, size_bytes: int) -> Iterator[tuple[int, int, bool]]:
    """Yield where the directory lies, and its end record; what is between and behind them is no part of the archive."""
    stop = start
    stream.seek(start)
    for _ in range(entries):
        fixed = stream.read(46)
        if len(fixed) != 46 or not fixed.startswith(_IN_DIRECTORY):
            raise DamagedError("its directory cannot be read")
        rest = sum(struct.unpack("<3H", fixed[28:34]))
        stream.seek(rest, 1)
        stop += 46 + rest
    yield start, stop, False
    stream.seek(stop)
    tail = stream.read(DIRECTORY_END_BYTES + 1024 * 1024)
    if stop + len(tail) != size_bytes:
        raise DamagedError("too much follows its directory")
    position = tail.find(_END)
    if position < 0:
        raise DamagedError("its directory has no end")
    between = tail[:position]
    if between.startswith(_END_64) and len(between) >= 76:
        record = 12 + int.from_bytes(between[4:12], "little")
        if between[record : record + 4] == _LOCATOR_64 and len(between) == record + 20 and record == 56:
            yield stop, stop + position, False
    yield stop + position, stop + position + 22, False


def _lzma(packed: IO[bytes]) -> Any:  # noqa: ANN401 - a decompressor, of which there is no common type
    """Return what unpacks an LZMA member: its own header says how, as the format has it."""
    fixed = packed.read(4)
    if len(fixed) != 4:
        raise DamagedError("an LZMA member without its header")
    properties = packed.read(int.from_bytes(fixed[2:], "little"))
    try:
        decoded = lzma._decode_filter_properties(lzma.FILTER_LZMA1, properties)  # type: ignore[attr-defined] # noqa: SLF001 - as zipfile does
        if decoded["dict_size"] > LARGEST_DIRECTORY_BYTES:
            raise DamagedError("an LZMA member needs too much memory")
        return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[decoded])
    except (lzma.LZMAError, KeyError) as error:
        raise DamagedError("an LZMA member without its header") from error


class _Bounded:
    """A stream whose single reads have a limit: the length of a directory is its author's, and may be a lie."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.seek, self.tell, self.seekable = stream.seek, stream.tell, stream.seekable

    def read(self, size: int = -1, /) -> bytes:
        """Return bytes as any stream does; raise `DamagedError` beyond the limit."""
        read = self._stream.read(min(size, LARGEST_DIRECTORY_BYTES) if size >= 0 else LARGEST_DIRECTORY_BYTES)
        if len(read) == LARGEST_DIRECTORY_BYTES:
            raise DamagedError("its directory is too long")
        return read
