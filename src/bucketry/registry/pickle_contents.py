"""Where in a file are its pickles: is it one, an archive of some, a compressed one, an array of objects?"""

from __future__ import annotations

import ast
import gzip
import io
import lzma
import re
import struct
import tempfile
import zipfile
import zlib
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, cast

from bucketry.frozen import frozen
from bucketry.registry.pickle_opcodes import Kind, examine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST_MEMBERS = 100_000
DEEPEST = 3
"""An archive in a compressed file in an archive."""
PIECE_BYTES = 1024 * 1024
MEMORY_BYTES = 64 * 1024 * 1024
"""Of what is unpacked; the rest goes to a temporary file."""
LARGEST_PICKLE_BYTES = 512 * 1024 * 1024
"""A scanner keeps what it disassembles in memory. An archive's list of members has the same limit."""
HEAD_BYTES = 512
LARGEST_ARRAY_HEADER_BYTES = 64 * 1024

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_ARRAY = b"\x93NUMPY"
_CLOSED = {
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!": "RAR",
    b"BZh": "bzip2",
    b"\x5d\x00\x00": "LZMA",
    b"\x04\x22\x4d\x18": "LZ4",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"ZF": "zfile",
}
"""What loaders of pickles unpack, and this does not."""
_TORCH_STORAGE = re.compile(r"((?:.*/)?)data/[0-9]+", re.DOTALL)


class ScanStoppedError(Exception):
    """The scan would take more than it may; nothing is cleared."""


@dataclass(slots=True)
class Findings:
    """What was found in one file, its members included."""

    dangerous: set[str] = field(default_factory=set)
    suspicious: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Budget:
    """How much a scan of a version may still take: until a moment, bytes from the store, bytes unpacked."""

    monotonic_seconds: Callable[[], float]
    deadline_seconds: float
    read_bytes: int
    unpacked_bytes: int

    def spend_read(self, size_bytes: int) -> None:
        """Count bytes before they are read; raise `ScanStoppedError` when that is too much."""
        self.read_bytes -= size_bytes
        self._check(self.read_bytes)

    def spend_unpacked(self, size_bytes: int) -> None:
        """Count bytes that were unpacked; raise `ScanStoppedError` when that is too much."""
        self.unpacked_bytes -= size_bytes
        self._check(self.unpacked_bytes)

    def _check(self, left_bytes: int) -> None:
        if left_bytes < 0:
            raise ScanStoppedError("it is too large to be scanned")
        if self.monotonic_seconds() > self.deadline_seconds:
            raise ScanStoppedError("the scan took too long")


@frozen
class FileScan:
    """The scan of one file: by picklescan's module `scanner`, within a budget, into findings."""

    scanner: Any
    budget: Budget
    findings: Findings

    def scan(self, stream: IO[bytes], name: str, *, depth: int = 0) -> None:
        """Add what is in a seekable stream to the findings; raise `ScanStoppedError` when it takes too much."""
        stream.seek(0)
        head = stream.read(HEAD_BYTES)
        closed = next((kind for magic, kind in _CLOSED.items() if head.startswith(magic)), None)
        if closed or head[257:262] == b"ustar":
            self._add_fault(name, f"what {closed or 'tar'} packed is not looked into")
            return
        unpack = _unpacker(head)
        is_zip = head.startswith(_ZIP) or zipfile.is_zipfile(stream)
        if (is_zip or unpack) and depth >= DEEPEST:
            self._add_fault(name, f"it is packed more than {DEEPEST} times")
            return
        if is_zip:
            self._scan_zip(stream, name, depth)
        if unpack:
            with _spooled(unpack(stream), self.budget) as inner:
                self.scan(inner, name, depth=depth + 1)
        elif head.startswith(_ARRAY):
            stream.seek(0)
            if array_holds_objects(stream):
                self._scan_pickles(stream, name)
        elif head and not head.startswith(_ZIP):  # a zip may also follow something else, which is looked at
            stream.seek(0)
            self._scan_pickles(stream, name)

    def _scan_zip(self, stream: IO[bytes], name: str, depth: int) -> None:
        # PyTorch reads members that Python's own class refuses for their checksums or flags.
        with self.scanner.RelaxedZipFile(_LimitedReads(stream, of_all=False), "r") as archive:
            members = archive.infolist()
            if len(members) > MOST_MEMBERS:
                raise ScanStoppedError(f"it has more than {MOST_MEMBERS:,} members")
            torch_folders = {
                info.filename.removesuffix("data.pkl")
                for info in members
                if info.filename.rpartition("/")[2] == "data.pkl"
            }
            for info in members:
                storage = _TORCH_STORAGE.fullmatch(info.filename)
                if info.is_dir() or (storage and storage[1] in torch_folders):
                    continue  # PyTorch reads storages as they are
                with archive.open(info, "r") as member:
                    if member.read(len(_ARRAY)) == _ARRAY:
                        with archive.open(info, "r") as array:
                            if not array_holds_objects(array):
                                continue  # large, as a rule, and numbers only
                with archive.open(info, "r") as member, _spooled(_pieces(member), self.budget) as inner:
                    self.scan(inner, f"{name}: {info.filename[:200]}", depth=depth + 1)

    def _scan_pickles(self, stream: IO[bytes], name: str) -> None:
        start = stream.tell()
        examined = examine(cast("IO[bytes]", _LimitedReads(stream, of_all=True)))
        if examined.kind is Kind.NO_PICKLE:
            return
        if examined.fault:
            self._add_fault(name, examined.fault)
            return
        stream.seek(start)
        if examined.kind is Kind.OLD_TORCH and start == 0:
            result = self.scanner.scan_pytorch(stream, name)
        else:
            result = self.scanner.scan_pickle_bytes(stream, name)
        if result.scan_err:
            self._add_fault(name, "the scanner could not read it")
        level = self.scanner.SafetyLevel
        for each in result.globals:
            if each.safety is not level.Innocuous:
                found = self.findings.suspicious if each.safety is level.Suspicious else self.findings.dangerous
                found.add(f"{each.module}.{each.name}")

    def _add_fault(self, name: str, fault: str) -> None:
        self.findings.faults.append(f"{name}: {fault}")


def array_holds_objects(stream: IO[bytes]) -> bool:
    """Return whether an array in NumPy's format holds objects, which then follow as a pickle; read its header."""
    preamble = stream.read(8)
    if len(preamble) != 8 or not preamble.startswith(_ARRAY):
        raise ValueError("not an array")
    length_format = "<H" if preamble[6] == 1 else "<I"
    (length_bytes,) = struct.unpack(length_format, stream.read(struct.calcsize(length_format)))
    if length_bytes > LARGEST_ARRAY_HEADER_BYTES:
        raise ScanStoppedError("an array's header is too long")
    header = ast.literal_eval(stream.read(length_bytes).decode("utf-8").strip())
    return "O" in str(header["descr"])


class _LimitedReads:
    """A stream that gives no more than a scanner can keep, in each read or in all.

    Every length in a file is its author's, and may be a lie.
    """

    def __init__(self, stream: IO[bytes], *, of_all: bool) -> None:
        self._stream = stream
        self._of_all = of_all
        self._left_bytes = LARGEST_PICKLE_BYTES
        self.seek, self.tell, self.seekable = stream.seek, stream.tell, stream.seekable

    def read(self, size: int = -1, /) -> bytes:
        """Return bytes as any stream does; raise `ScanStoppedError` beyond the limit."""
        return self._checked(self._stream.read(self._limited(size)))

    def readline(self, limit: int = -1, /) -> bytes:
        """Return a line as any stream does; raise `ScanStoppedError` beyond the limit."""
        return self._checked(self._stream.readline(self._limited(limit)))

    def _limited(self, size: int) -> int:
        return min(size, self._left_bytes + 1) if size >= 0 else self._left_bytes + 1

    def _checked(self, read: bytes) -> bytes:
        if len(read) > self._left_bytes:
            raise ScanStoppedError("it has more pickled bytes than can be scanned")
        if self._of_all:
            self._left_bytes -= len(read)
        return read


def _unpacker(head: bytes) -> Callable[[IO[bytes]], Iterator[bytes]] | None:
    """Return how a compressed file is unpacked. None of these beginnings is one of a pickle."""
    if head.startswith(b"\x1f\x8b"):
        return _from_gzip
    if head.startswith(b"\xfd7zXZ\x00"):
        return _from_xz
    if len(head) > 1 and head[0] == 0x78 and int.from_bytes(head[:2]) % 31 == 0:
        return _from_zlib
    return None


def _from_gzip(stream: IO[bytes]) -> Iterator[bytes]:
    stream.seek(0)
    with gzip.GzipFile(fileobj=stream, mode="rb") as unpacked:
        yield from _pieces(cast("IO[bytes]", unpacked))


def _from_xz(stream: IO[bytes]) -> Iterator[bytes]:
    stream.seek(0)
    with lzma.LZMAFile(stream, "rb") as unpacked:
        yield from _pieces(cast("IO[bytes]", unpacked))


def _from_zlib(stream: IO[bytes]) -> Iterator[bytes]:
    stream.seek(0)
    unpacking = zlib.decompressobj()
    for piece in _pieces(stream):
        pending = piece
        while pending:  # bounded: each round takes some of a piece, or gives a whole one
            yield unpacking.decompress(pending, PIECE_BYTES)
            pending = unpacking.unconsumed_tail
    yield unpacking.flush()
    if not unpacking.eof:
        raise EOFError("the compressed stream ends early")


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    return iter(lambda: stream.read(PIECE_BYTES), b"")


def _spooled(pieces: Iterator[bytes], budget: Budget) -> IO[bytes]:
    """Return what was unpacked as a file of its own, in memory while it is small."""
    spool = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES)  # noqa: SIM115 - the caller closes it
    try:
        for piece in pieces:
            budget.spend_unpacked(len(piece))
            spool.write(piece)
        spool.seek(0, io.SEEK_SET)
    except BaseException:
        spool.close()
        raise
    return cast("IO[bytes]", spool)
