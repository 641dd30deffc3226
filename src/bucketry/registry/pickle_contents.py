"""Where in a file are its pickles: is it one, an archive of some, a compressed one, an array of objects?"""

from __future__ import annotations

import ast
import bz2
import gzip
import lzma
import struct
import tempfile
import zipfile
import zlib
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from bucketry.registry.pickle_opcodes import Kind, examine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST_MEMBERS = 100_000
DEEPEST = 3
"""An archive in a compressed file in an archive."""
PIECE_BYTES = 1024 * 1024
MEMORY_BYTES = 64 * 1024 * 1024
"""Of what is unpacked; the rest goes to a temporary file."""
LARGEST_PICKLE_BYTES = 1024 * 1024 * 1024
HEAD_BYTES = 512
LARGEST_ARRAY_HEADER_BYTES = 1024 * 1024

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_ARRAY = b"\x93NUMPY"
_CLOSED = {
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!": "RAR",
    b"\x04\x22\x4d\x18": "LZ4",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"ZF": "zfile",
}
"""What loaders of pickles unpack, and this does not."""


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


def scan_file(
    stream: IO[bytes],
    name: str,
    scanner: Any,  # noqa: ANN401 - picklescan has no types
    budget: Budget,
    findings: Findings,
    *,
    depth: int = 0,
) -> None:
    """Add what is in a seekable stream to the findings; raise `ScanStoppedError` when it takes too much."""
    head = _head(stream)
    if not head:
        return
    closed = next((kind for magic, kind in _CLOSED.items() if head.startswith(magic)), None)
    packed = _unpacker(head)
    if closed or head[257:262] == b"ustar":
        findings.faults.append(f"{name} is a {closed or 'tar'} archive, which is not looked into")
        return
    is_zip = head.startswith(_ZIP) or zipfile.is_zipfile(stream)
    if (is_zip or packed) and depth >= DEEPEST:
        findings.faults.append(f"{name} is packed more than {DEEPEST} times")
        return
    if is_zip:
        _scan_zip(stream, name, scanner, budget, findings, depth)
    if packed:
        with _spooled(packed(stream), budget) as inner:
            scan_file(inner, name, scanner, budget, findings, depth=depth + 1)
    elif head.startswith(_ARRAY):
        _scan_array(stream, name, scanner, budget, findings)
    elif not head.startswith(_ZIP):
        _scan_raw(stream, name, scanner, findings)


def _scan_zip(
    stream: IO[bytes], name: str, scanner: Any, budget: Budget, findings: Findings, depth: int  # noqa: ANN401
) -> None:
    stream.seek(0)
    # PyTorch reads members that Python's own class refuses, for their checksums or flags.
    with scanner.RelaxedZipFile(stream, "r") as archive:
        members = archive.infolist()
        if len(members) > MOST_MEMBERS:
            raise ScanStoppedError(f"it has more than {MOST_MEMBERS:,} members")
        folders = {info.filename.removesuffix("data.pkl") for info in members if info.filename.endswith("data.pkl")}
        for info in members:
            if info.is_dir() or _is_torch_storage(info.filename, folders):
                continue
            inside = f"{name}: {info.filename[:200]}"
            with archive.open(info, "r") as member:
                head = member.read(HEAD_BYTES)
            if head.startswith(_ARRAY) and b"O" not in head[10:].split(b"}")[0].split(b"'fortran_order'")[0][9:]:
                pass
            with archive.open(info, "r") as member, _spooled(member, budget) as inner:
                scan_file(inner, inside, scanner, budget, findings, depth=depth + 1)
