"""Finds code in the files of a version that would run when they are loaded.

Pickles are followed, never loaded. Every file counts, and is what its bytes are, whatever its name says: a pickle, an
archive of some, a compressed one, an array of objects, a model's layers. Every range of an archive is looked at:
members, and what lies before, between and behind them. What cannot be looked at to its end, for whatever reason, counts
as unsafe.
"""

from __future__ import annotations

import ast
import math
import re
import struct
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from bucketry.errors import BucketryError
from bucketry.frozen import frozen
from bucketry.registry.core.artifacts import open_artifact
from bucketry.registry.reading.seekable_files import VerifiedFile
from bucketry.registry.scanning.compressed import HEAD_BYTES, DamagedError, Unpacking, is_doubtful, unpacker_of
from bucketry.registry.scanning.keras_code import HDF5, LARGEST_JSON_BYTES, code_in_json, faults_in_hdf5
from bucketry.registry.scanning.pickle_imports import Safety, is_known_package, safety_of
from bucketry.registry.scanning.pickle_walk import EndsHereError, Import, UnclearError, Walk
from bucketry.registry.scanning.tar_members import is_tar, read_tar_layout
from bucketry.registry.scanning.windows import pieces, size_of, spooled, window
from bucketry.registry.scanning.zip_members import is_zip, read_layout
from bucketry.schema.judging.gate_checks import ScannedFile, ScanReport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bucketry.registry.core.resolved import ResolvedVersion
    from bucketry.registry.core.session import Session
    from bucketry.registry.scanning.zip_members import Member

MOST_SECONDS = 600.0
MOST_READ_BYTES = 64 * 1024 * 1024 * 1024
"""Of one version, from the store; a file of PyTorch's present format is read in part."""
MOST_UNPACKED_BYTES = 4 * 1024 * 1024 * 1024
LONGEST_IMPORT = 120
MOST_IMPORTS_KEPT = 100
DEEPEST = 3
"""An archive in a compressed file in an archive."""
MOST_PICKLES = 100_000
TORCH_MAGIC = 0x1950A86A20F9469CFC6C
TORCH_PICKLES = 5
"""PyTorch's old format: magic number, protocol, system, object, keys; then raw storages, which no pickle follows."""
LARGEST_ARRAY_HEADER_BYTES = 64 * 1024

_ARRAY = b"\x93NUMPY"
_CLOSED = {
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "RAR",
    b"\x04\x22\x4d\x18": "LZ4",
    b"\x02\x21\x4c\x18": "LZ4",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"ZF0x": "zfile",
    b"LZIP\x01": "lzip",
    b"\x1f\x9d": "compress",
    b"MSCF\0\0\0\0": "cabinet",
    b"\x89LZO\x00\r\n": "lzop",
    b"\xff\x06\x00\x00sNaPpY": "Snappy",
    b"xar!\x00\x1c": "xar",
    b"!<arch>\n": "ar",
    b"070701": "cpio",
    b"-----BEGIN PGP MESSAGE-----": "PGP",
    b"age-encryption.org/": "age",
    b"Salted__": "OpenSSL",
}
"""What packs or hides files, and is not looked into."""
_TORCH_STORAGE = re.compile(r"(?:.*/)?data/[0-9]+", re.DOTALL)
_SIGNATURES = re.compile(rb"PK(?:\x01\x02|\x03\x04|\x05\x06)")


class ScanStoppedError(Exception):
    """The scan would take more than it may; nothing is cleared."""


@dataclass(slots=True)
class CodeFindings:
    """What was found in one file, its members included. `scanned` counts its pickles and archives."""

    dangerous: set[str] = field(default_factory=set)
    suspicious: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    scanned: int = 0


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
        self.check()

    def spend_unpacked(self, size_bytes: int) -> None:
        """Count bytes that were unpacked; raise `ScanStoppedError` when that is too much."""
        self.unpacked_bytes -= size_bytes
        self.check()

    def check(self) -> None:
        """Raise `ScanStoppedError` when something is used up."""
        if min(self.read_bytes, self.unpacked_bytes) < 0:
            raise ScanStoppedError("it is too large to be scanned")
        if self.monotonic_seconds() > self.deadline_seconds:
            raise ScanStoppedError("the scan took too long")


@frozen
class FileScan:
    """The scan of one file, within a budget, into findings."""

    budget: Budget
    findings: CodeFindings

    def scan(self, stream: IO[bytes], name: str, *, depth: int = 0) -> None:
        """Add what is in a seekable stream to the findings; raise `ScanStoppedError` when it takes too much."""
        self.budget.check()
        stream.seek(0)
        head = stream.read(HEAD_BYTES)
        closed = next((kind for magic, kind in _CLOSED.items() if head.startswith(magic)), None)
        if closed is not None:
            self._add_fault(name, f"what {closed} packed is not looked into")
            return
        self._scan_pickles(stream, 0, name)  # whatever else it is: the same bytes may be both
        try:
            self._scan_inside(stream, head, name, depth)
        except DamagedError as error:
            self._add_fault(name, str(error))

    def _scan_inside(self, stream: IO[bytes], head: bytes, name: str, depth: int) -> None:
        unpack = unpacker_of(head)
        holds_zip, holds_tar = is_zip(stream, head), is_tar(head)
        if (holds_zip or holds_tar or unpack) and depth >= DEEPEST:
            self._add_fault(name, f"it is packed more than {DEEPEST} times")
            return
        if holds_zip:
            self._scan_zip(stream, name, depth)
        if holds_tar:
            self._scan_tar(stream, name, depth)
        if unpack is not None:
            self._scan_compressed(stream, Unpacking(stream, unpack), is_doubtful(head), name, depth)
        elif head.startswith(_ARRAY):
            self._scan_array(stream, name, depth)
        elif head.startswith(HDF5):
            stream.seek(0)
            found, fault = faults_in_hdf5(pieces(stream))
            self._add(found)
            if fault:
                self._add_fault(name, fault)
        elif head.lstrip(b" \t\r\n\xef\xbb\xbf")[:1] in {b"{", b"["} and size_of(stream) <= LARGEST_JSON_BYTES:
            stream.seek(0)
            self._add(code_in_json(stream.read(LARGEST_JSON_BYTES).removeprefix(b"\xef\xbb\xbf")))

    def _scan_compressed(self, stream: IO[bytes], unpacking: Unpacking, doubtful: bool, name: str, depth: int) -> None:  # noqa: FBT001
        damage: list[DamagedError] = []

        def until_damaged() -> Iterator[bytes]:
            try:
                yield from unpacking.pieces()
            except DamagedError as error:
                damage.append(error)

        before = self.findings.scanned
        with spooled(until_damaged(), self.budget.spend_unpacked) as inner:
            self.scan(inner, name, depth=depth + 1)  # also what comes before the damage: it would be loaded
        if damage:
            if not doubtful or self.findings.scanned > before:
                raise damage[0]
            return
        self.findings.scanned += 1
        self._scan_gap(stream, unpacking.stop, size_of(stream), name, depth)

    def _scan_zip(self, stream: IO[bytes], name: str, depth: int) -> None:
        self.findings.scanned += 1
        layout = read_layout(stream)
        for member in layout.members:
            self.budget.check()
            self._scan_member(stream, member, f"{name}: {member.name[:200]}", depth)
        for start, stop in layout.gaps:
            for piece in pieces(window(stream, start, stop)):
                if _SIGNATURES.search(piece):
                    self._add_fault(name, "it has members that its directory does not list")
                    break
            self._scan_gap(stream, start, stop, name, depth)

    def _scan_member(self, stream: IO[bytes], member: Member, name: str, depth: int) -> None:
        if member.start == member.stop:
            return
        stored = member.open_stored(stream)
        if stored is not None:
            if _TORCH_STORAGE.fullmatch(member.name) and self._is_plain(stored):
                return  # numbers, and many: looked at where a reader begins, but not to the end
            self.scan(stored, name, depth=depth + 1)
            return
        with spooled(member.unpacked(stream), self.budget.spend_unpacked) as inner:
            self.scan(inner, name, depth=depth + 1)

    def _is_plain(self, stored: IO[bytes]) -> bool:
        """Return whether a file is nothing that any reader takes for more than numbers, by its beginning."""
        head = stored.read(HEAD_BYTES)
        if any(head.startswith(magic) for magic in (*_CLOSED, b"PK", _ARRAY, HDF5)) or is_tar(head):
            return False
        return unpacker_of(head) is None and not _look_at(stored, 0, self.budget.check).holds_pickles

    def _scan_tar(self, stream: IO[bytes], name: str, depth: int) -> None:
        self.findings.scanned += 1
        layout = read_tar_layout(stream)
        for member in layout.members:
            self.budget.check()
            self.scan(window(stream, member.start, member.stop), f"{name}: {member.name[:200]}", depth=depth + 1)
        for start, stop in layout.gaps:
            self._scan_gap(stream, start, stop, name, depth)

    def _scan_gap(self, stream: IO[bytes], start: int, stop: int, name: str, depth: int) -> None:
        """Look at what lies between two parts of an archive: as a rule nothing, or zeros."""
        position = start
        for piece in pieces(window(stream, start, stop)):
            if piece.strip(b"\0"):
                position += len(piece) - len(piece.lstrip(b"\0"))
                self.scan(window(stream, position, stop), f"{name}: bytes {position}-{stop}", depth=depth + 1)
                return
            position += len(piece)

    def _scan_array(self, stream: IO[bytes], name: str, depth: int) -> None:
        stream.seek(0)
        content_bytes = read_array_header(stream)
        start = stream.tell()
        if content_bytes is None:
            self._scan_pickles(stream, start, name)
            return
        size_bytes = size_of(stream)
        self._scan_gap(stream, min(size_bytes, start + content_bytes), size_bytes, name, depth)

    def _scan_pickles(self, stream: IO[bytes], start: int, name: str) -> None:
        looked = _look_at(stream, start, self.budget.check)
        if not looked.holds_pickles:
            return
        self.findings.scanned += 1
        self._add({f"{one.module}.{one.name}": safety_of(one.module, one.name) for one in looked.imports})
        if looked.fault:
            self._add_fault(name, looked.fault)

    def _add(self, found: Mapping[str, Safety]) -> None:
        self.findings.dangerous |= {name for name, safety in found.items() if safety is Safety.DANGEROUS}
        self.findings.suspicious |= {name for name, safety in found.items() if safety is Safety.UNKNOWN}

    def _add_fault(self, name: str, fault: str) -> None:
        self.findings.faults.append(f"{name}: {fault}")


def scan_pickles(session: Session, resolved: ResolvedVersion) -> ScanReport:
    """Return what is in every file of a version. Raises only what reading the files raises."""
    deadline_seconds = session.clock.monotonic_seconds() + MOST_SECONDS
    budget = Budget(session.clock.monotonic_seconds, deadline_seconds, MOST_READ_BYTES, MOST_UNPACKED_BYTES)
    files = []
    for artifact in resolved.manifest.artifacts:
        findings = CodeFindings()
        try:
            with open_artifact(session, resolved, artifact.path) as reader:
                file = VerifiedFile(reader, budget.spend_read).buffered()
                FileScan(budget, findings).scan(file, artifact.path)
        except ScanStoppedError as stopped:
            findings.faults.append(str(stopped))
        except BucketryError:
            raise
        except Exception as error:  # noqa: BLE001 - a scan that fails, however it does, has cleared nothing
            findings.faults.append(f"the scan failed with {type(error).__name__}")
        dangerous, suspicious = (
            tuple(name[:LONGEST_IMPORT] for name in sorted(found)[:MOST_IMPORTS_KEPT])
            for found in (findings.dangerous, findings.suspicious)
        )
        fault = "; ".join(findings.faults[:3])
        files.append(ScannedFile(artifact.path, dangerous, suspicious, fault, holds_code=findings.scanned > 0))
    return ScanReport(tuple(files))


def holds_pickles(stream: IO[bytes]) -> bool:
    """Return whether an unpickler would make anything of a seekable file."""
    return _look_at(stream, 0, lambda: None).holds_pickles


@frozen
class _PickleStream:
    """What a stream is as pickles: whether it is any, what they import, and why they are not cleared, if so."""

    holds_pickles: bool
    imports: frozenset[Import] = frozenset()
    fault: str = ""


def _look_at(stream: IO[bytes], start: int, check: Callable[[], None]) -> _PickleStream:
    """Follow the pickles of a stream from a place to its end."""
    size_bytes = size_of(stream)
    stream.seek(start)
    walk = Walk(stream, size_bytes, check)
    is_old_torch = False
    for number in range(MOST_PICKLES):
        if stream.tell() == size_bytes:
            return _PickleStream(number > 0, frozenset(walk.imports))
        try:
            value = walk.take_one()
        except EndsHereError:
            return _ended(walk, after=number)
        except UnclearError as error:
            return _PickleStream(holds_pickles=True, imports=frozenset(walk.imports), fault=str(error))
        is_old_torch = is_old_torch or (number == 0 and value == TORCH_MAGIC)
        if is_old_torch and number + 1 == TORCH_PICKLES:
            return _PickleStream(holds_pickles=True, imports=frozenset(walk.imports))
    return _PickleStream(True, frozenset(walk.imports), f"it has more than {MOST_PICKLES:,} pickles")


def _ended(walk: Walk, *, after: int) -> _PickleStream:
    """Tell a broken pickle from what is none, such as numbers, or a text whose first letters are instructions too."""
    # The instruction that imports from the extension registry is a common byte.
    told = [one for one in walk.imports if not (one.module == "copyreg" and one.name.startswith("extension "))]
    could_run = walk.has_calls or any(is_known_package(one.module) for one in told)
    if not walk.imports and not (after and walk.has_protocol):
        return _PickleStream(holds_pickles=False)
    if after == 0 and not could_run and not walk.has_protocol:
        return _PickleStream(holds_pickles=False)
    fault = "bytes follow its pickles that are none" if after else "it cannot be read as a pickle to its end"
    return _PickleStream(holds_pickles=True, imports=frozenset(walk.imports), fault=fault)


def read_array_header(stream: IO[bytes]) -> int | None:
    """Return how many bytes of numbers follow the header of an array in NumPy's format; None where objects follow."""
    preamble = stream.read(8)
    if len(preamble) != 8 or not preamble.startswith(_ARRAY):
        raise DamagedError("not an array")
    length_format = "<H" if preamble[6] == 1 else "<I"
    try:
        (length_bytes,) = struct.unpack(length_format, stream.read(struct.calcsize(length_format)))
        if length_bytes > LARGEST_ARRAY_HEADER_BYTES:
            raise DamagedError("an array's header is too long")
        header = ast.literal_eval(stream.read(length_bytes).decode("latin-1").strip())
        descr, shape = header["descr"], header["shape"]
        if "O" in str(descr) or "object" in str(descr):
            return None
        matched = re.fullmatch(r"[<>|=]?([a-zA-Z])([0-9]*)(\[.*\])?", descr) if isinstance(descr, str) else None
        if matched is None:  # of several fields: all that follows is numbers
            return 1 << 62
        return int(matched[2] or 1) * (4 if matched[1] == "U" else 1) * int(math.prod(shape))
    except (ValueError, TypeError, KeyError, SyntaxError, struct.error, RecursionError, MemoryError) as error:
        raise DamagedError("an array's header cannot be read") from error
