"""What is sent, where may the store have parts of it already, and are a piece's bytes still those that were hashed?

A piece is read whole into a borrowed buffer and compared with its XXH3-128 before it is sent: so a file that changed
since its digests were taken is refused, at a twentieth of the cost of taking its SHA-256 again. The SHA-256 that is
known goes with the bytes, and a store that verifies finds any other damage. Files are not mapped into memory: one
that another process truncates would end this one with a signal.
"""

from __future__ import annotations

import mmap
import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import xxhash

from bucketry.transfer.hashing import EMPTY_SHA256, changed_while_published
from bucketry.transfer.localfiles import disk_errors, open_regular, read_full
from bucketry.transfer.workers import POLL_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bucketry.transfer.hashing import FileDigest
    from bucketry.transfer.workers import Halt

MOST_BYTES_IN_MEMORY = 192 * 1024 * 1024
SMALL_BYTES = 256 * 1024  # a buffer of this size is not worth keeping, nor counting


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to hash, and to upload unless its bytes are somewhere already; `label` is how messages call it."""

    path: Path
    label: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file to upload: `key` names its content, `label` is how messages and progress call it."""

    path: Path
    key: str
    digest: FileDigest
    label: str


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What became of one file: `uploaded_bytes` were sent, none where the object was there already.

    Bytes that the store copied, or had from an upload that was interrupted, were not sent.
    """

    label: str
    key: str
    size_bytes: int
    uploaded_bytes: int
    already_there: bool


@dataclass(frozen=True, slots=True)
class ChunkPlace:
    """A range of an object that the store has, and never changes."""

    key: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class PieceOfFile:
    """One chunk of a file, or all of a file that has no more than one."""

    file: LocalFile
    index: int

    @property
    def start(self) -> int:
        """Where it begins in the file."""
        return self.index * self.file.digest.chunks.size_bytes

    @property
    def stop(self) -> int:
        """Where it ends in the file."""
        return min(self.file.digest.size_bytes, self.start + self.file.digest.chunks.size_bytes)

    @property
    def size_bytes(self) -> int:
        """How long it is."""
        return self.stop - self.start

    @property
    def sha256(self) -> str:
        """The SHA-256 that was taken of it."""
        digests = self.file.digest.chunks.sha256
        return digests[self.index] if digests else EMPTY_SHA256


class Buffers:
    """Memory for pieces, for all threads of one upload: 192 MiB in all, or one piece if that is more."""

    def __init__(self, largest_piece_bytes: int, halt: Halt) -> None:
        self._size_bytes = max(largest_piece_bytes, SMALL_BYTES + 1)
        self._left = threading.Semaphore(max(1, MOST_BYTES_IN_MEMORY // self._size_bytes))
        self._free: list[memoryview] = []
        self._halt = halt

    @contextmanager
    def filled(self, piece: PieceOfFile) -> Iterator[memoryview]:
        """Lend the bytes of a piece; raise `RejectedError` if they are not those that were hashed."""
        if piece.size_bytes <= SMALL_BYTES:
            yield _read(piece, memoryview(bytearray(piece.size_bytes)))
            return
        while not self._left.acquire(timeout=POLL_SECONDS):  # bounded: others give back, or the halt
            self._halt.check()
        try:
            # A mapping of no file is made of pages that cost nothing until they are first filled.
            buffer = self._free.pop() if self._free else memoryview(mmap.mmap(-1, self._size_bytes))
            try:
                yield _read(piece, buffer[: piece.size_bytes])
            finally:
                self._free.append(buffer)
        finally:
            self._left.release()


def _read(piece: PieceOfFile, body: memoryview) -> memoryview:
    file = piece.file
    with disk_errors(file.label):
        descriptor = open_regular(file.path)
        try:
            size_now_bytes = os.fstat(descriptor).st_size
            filled = read_full(descriptor, body, piece.start)
        finally:
            os.close(descriptor)
    if size_now_bytes != file.digest.size_bytes or filled != len(body):
        raise changed_while_published(file.label)
    if file.digest.chunks.xxh3_128:
        checksum = xxhash.xxh3_128()
        checksum.update(body)
        if checksum.hexdigest() != file.digest.chunks.xxh3_128[piece.index]:
            raise changed_while_published(file.label)
    return body
