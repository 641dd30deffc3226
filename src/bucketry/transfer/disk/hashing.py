"""Takes a local file's digests, and makes sure that it stayed the same meanwhile.

Every byte is read once, and both digests are taken of that one reading, so they cannot disagree about a file
that is being written. The two SHA-256 of a file of several chunks (of the whole, and of each chunk) are the
cost; they are taken by two threads from the same buffers, so one large file keeps two cores busy.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

import xxhash

from bucketry.errors import RejectedError, UnavailableError
from bucketry.frozen import frozen
from bucketry.transfer.disk.local_files import disk_errors, open_regular, read_full

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Self

    from bucketry.transfer.pace.workers import Halt

SMALLEST_CHUNK_BYTES = 16 * 1024 * 1024
MAX_CHUNKS_OF_A_VERSION = 20_000  # exclusive, as is the next
MAX_CHUNKS_OF_A_FILE = 10_000
MAX_DOUBLINGS = 40
READ_BYTES = 2 * 1024 * 1024
BUFFERS = 4  # one is read while others wait for the slower of the two digests
EMPTY_SHA256 = hashlib.sha256().hexdigest()


@frozen
class ChunkDigests:
    """The digests of a file's chunks in order; all chunks but the last are `size_bytes` long."""

    size_bytes: int
    sha256: tuple[str, ...]
    xxh3_128: tuple[str, ...]


@frozen
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


class Digester:
    """Takes the digests of files, one after the other, always into the same few buffers."""

    def __init__(self, chunk_size_bytes: int, halt: Halt) -> None:
        self._chunk_size_bytes = chunk_size_bytes
        self._halt = halt
        self._buffers = [_read_buffer() for _ in range(BUFFERS)]

    def digest(self, path: Path, advance: Callable[[int], None]) -> FileDigest:
        """Return the digests of one file, telling `advance` how many more bytes were read.

        Raises `RejectedError` if it is not a regular file, or if it changed while it was read.
        """
        with disk_errors(str(path)):
            descriptor = open_regular(path)
            try:
                before = os.fstat(descriptor)
                digest = self._digest(descriptor, before.st_size, advance)
                after = path.stat(follow_symlinks=False)
            finally:
                os.close(descriptor)
        if digest is None or _fingerprint(before) != _fingerprint(after):
            raise changed_while_published(path)
        return digest

    def _digest(self, descriptor: int, size_bytes: int, advance: Callable[[int], None]) -> FileDigest | None:
        """Return the digests, or None if the file is not `size_bytes` long any more."""
        step = self._chunk_size_bytes
        if size_bytes <= step:
            # Its only chunk's digest is its own.
            only = self._read_chunks(descriptor, size_bytes, None, advance)
            if only is None:
                return None
            return FileDigest(size_bytes, only.sha256[0] if only.sha256 else EMPTY_SHA256, only)
        with _WholeHash(self._buffers) as whole:
            chunks = self._read_chunks(descriptor, size_bytes, whole, advance)
        return None if chunks is None else FileDigest(size_bytes, whole.hexdigest(), chunks)

    def _read_chunks(
        self, descriptor: int, size_bytes: int, whole: _WholeHash | None, advance: Callable[[int], None]
    ) -> ChunkDigests | None:
        step = self._chunk_size_bytes
        sha256: list[str] = []
        xxh3_128: list[str] = []
        for start in range(0, size_bytes, step):
            stop = min(start + step, size_bytes)
            chunk, checksum = hashlib.sha256(), xxhash.xxh3_128()
            for offset in range(start, stop, READ_BYTES):
                self._halt.check()
                buffer = whole.take_buffer() if whole else self._buffers[0]
                piece = buffer[: min(READ_BYTES, stop - offset)]
                if read_full(descriptor, piece, offset) < len(piece):
                    return None
                if whole:
                    whole.update(buffer, len(piece))
                chunk.update(piece)
                checksum.update(piece)
                advance(len(piece))
            sha256.append(chunk.hexdigest())
            xxh3_128.append(checksum.hexdigest())
        return ChunkDigests(step, tuple(sha256), tuple(xxh3_128))


class _WholeHash:
    """The SHA-256 of a whole file, taken by a thread of its own while the reader takes those of its chunks.

    A buffer comes back as soon as the whole has hashed it; the only reader asks for the next one when it has
    itself finished with the last.
    """

    def __init__(self, buffers: Sequence[memoryview]) -> None:
        self._free: SimpleQueue[memoryview | None] = SimpleQueue()
        self._filled: SimpleQueue[tuple[memoryview, int] | None] = SimpleQueue()
        for buffer in buffers:
            self._free.put(buffer)
        self._sha256 = hashlib.sha256()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._hash_all, name="transfer-hash", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._filled.put(None)
        self._thread.join()

    def take_buffer(self) -> memoryview:
        """Return a buffer to read into; raise what ended the hashing thread, if something did."""
        buffer = self._free.get()
        if buffer is None:
            raise UnavailableError("hashing ended too early", advice="publish again") from self._failure
        return buffer

    def update(self, buffer: memoryview, size_bytes: int) -> None:
        """Hash the front of a buffer, in order."""
        self._filled.put((buffer, size_bytes))

    def hexdigest(self) -> str:
        """Return the digest, after the end of the block; raise what ended the hashing thread, if something did."""
        if self._failure is not None:
            raise UnavailableError("hashing ended too early", advice="publish again") from self._failure
        return self._sha256.hexdigest()

    def _hash_all(self) -> None:
        try:
            while (item := self._filled.get()) is not None:  # bounded by the file's end
                buffer, size_bytes = item
                self._sha256.update(buffer[:size_bytes])
                self._free.put(buffer)
        except BaseException as error:  # noqa: BLE001 - the reader raises it; without a word it would wait for ever
            self._failure = error
            self._free.put(None)


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


def _fingerprint(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _read_buffer() -> memoryview:
    # A mapping of no file takes memory only as far as it is filled, which small files do not do.
    return memoryview(mmap.mmap(-1, READ_BYTES))
