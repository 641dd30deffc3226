"""What are a local file's digests, and did it stay the same while they were taken?"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import xxhash

from bucketry.errors import RejectedError
from bucketry.transfer.localfiles import disk_errors, open_regular, read_full
from bucketry.transfer.progress import ProgressListener, ProgressMeter
from bucketry.transfer.workers import Halt, run_parallel

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence
    from pathlib import Path

SMALLEST_CHUNK_BYTES = 16 * 1024 * 1024
MAX_CHUNKS_OF_A_VERSION = 20_000  # exclusive, as is the next
MAX_CHUNKS_OF_A_FILE = 10_000
MAX_DOUBLINGS = 40
READ_BYTES = 1024 * 1024
EMPTY_SHA256 = hashlib.sha256().hexdigest()


@dataclass(frozen=True, slots=True)
class ChunkDigests:
    """The digests of a file's chunks in order; all chunks but the last are `size_bytes` long."""

    size_bytes: int
    sha256: tuple[str, ...]
    xxh3_128: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FileDigest:
    """What a file's bytes are: size, SHA-256 of the whole, and its chunks (none if empty)."""

    size_bytes: int
    sha256: str
    chunks: ChunkDigests


def choose_chunk_size(sizes_bytes: Sequence[int]) -> int:
    """Return the chunk size for a version whose files have these sizes.

    It is the smallest power of two of at least 16 MiB with under 20,000 chunks in all and under 10,000 in
    each file. Where so many files make that impossible, it is the smallest at which each file is a single
    chunk.
    """
    size = SMALLEST_CHUNK_BYTES
    for _ in range(MAX_DOUBLINGS):
        counts = [-(-size_bytes // size) for size_bytes in sizes_bytes]
        largest = max(counts, default=0)
        if largest <= 1 or (sum(counts) < MAX_CHUNKS_OF_A_VERSION and largest < MAX_CHUNKS_OF_A_FILE):
            return size
        size *= 2
    raise RejectedError("these files are too large for any chunk size", advice="publish smaller files")


def digest_files(
    paths: Sequence[Path],
    chunk_size_bytes: int,
    *,
    threads: int = 4,
    progress: ProgressListener | None = None,
    stop: threading.Event | None = None,
) -> tuple[FileDigest, ...]:
    """Return the digests of many files, in their order, read in parallel; raise as `digest_file` does."""
    sizes = [_size_of(path) for path in paths]
    meter = ProgressMeter(total_bytes=sum(sizes), total_files=len(paths), listener=progress)
    halt = Halt(stop)
    digests: dict[int, FileDigest] = {}

    def digest_one(buffer: memoryview, index: int) -> None:
        label = str(paths[index])
        meter.begin_file(label, sizes[index])
        digests[index] = _digest(
            paths[index], chunk_size_bytes, buffer, halt, lambda count: meter.advance(label, count)
        )
        meter.finish_file(label)

    run_parallel(range(len(paths)), digest_one, make_context=_read_buffer, connections=threads, halt=halt)
    meter.close()
    return tuple(digests[index] for index in range(len(paths)))


def digest_file(path: Path, chunk_size_bytes: int, *, stop: threading.Event | None = None) -> FileDigest:
    """Return the digests of one file, read once from front to back.

    Raises `RejectedError` if it is not a regular file, or if it changed while it was read.
    """
    return _digest(path, chunk_size_bytes, _read_buffer(), Halt(stop), lambda _: None)


def sha256_of_open_file(descriptor: int, halt: Halt) -> str:
    """Return the SHA-256 of all bytes of an open file. Raises `OSError`."""
    whole = hashlib.sha256()
    buffer = _read_buffer()
    offset = 0
    while True:  # bounded by the file's end
        halt.check()
        count = read_full(descriptor, buffer, offset)
        whole.update(buffer[:count])
        offset += count
        if count < len(buffer):
            return whole.hexdigest()


def changed_while_published(what: object) -> RejectedError:
    """Return the error for a file whose bytes are not the ones that were hashed."""
    return RejectedError(
        f"{what} changed while it was published", advice="wait until nothing writes to it, then publish again"
    )


def _digest(
    path: Path, chunk_size_bytes: int, buffer: memoryview, halt: Halt, advance: Callable[[int], None]
) -> FileDigest:
    with disk_errors(str(path)):
        descriptor = open_regular(path)
        try:
            before = os.fstat(descriptor)
            digest = _digest_open_file(descriptor, before.st_size, chunk_size_bytes, buffer, halt, advance)
            after = path.stat(follow_symlinks=False)
        finally:
            os.close(descriptor)
    if digest is None or _fingerprint(before) != _fingerprint(after):
        raise changed_while_published(path)
    return digest


def _digest_open_file(
    descriptor: int,
    size_bytes: int,
    chunk_size_bytes: int,
    buffer: memoryview,
    halt: Halt,
    advance: Callable[[int], None],
) -> FileDigest | None:
    """Return the digests, or None if the file is not `size_bytes` long any more."""
    whole = hashlib.sha256()
    sha256: list[str] = []
    xxh3_128: list[str] = []
    for start in range(0, size_bytes, chunk_size_bytes):
        stop = min(start + chunk_size_bytes, size_bytes)
        # A file of one chunk is hashed once: its chunk's digest is its own.
        chunk = whole if size_bytes <= chunk_size_bytes else hashlib.sha256()
        checksum = xxhash.xxh3_128()
        for offset in range(start, stop, len(buffer)):
            halt.check()
            piece = buffer[: min(len(buffer), stop - offset)]
            if read_full(descriptor, piece, offset) < len(piece):
                return None
            chunk.update(piece)
            checksum.update(piece)
            if chunk is not whole:
                whole.update(piece)
            advance(len(piece))
        sha256.append(chunk.hexdigest())
        xxh3_128.append(checksum.hexdigest())
    chunks = ChunkDigests(chunk_size_bytes, tuple(sha256), tuple(xxh3_128))
    return FileDigest(size_bytes, whole.hexdigest(), chunks)


def _fingerprint(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _size_of(path: Path) -> int:
    with disk_errors(str(path)):
        return path.stat(follow_symlinks=False).st_size


def _read_buffer() -> memoryview:
    return memoryview(bytearray(READ_BYTES))
