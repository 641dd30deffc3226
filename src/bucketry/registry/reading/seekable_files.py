"""Reads a version's file, or a part of any file, as a seekable file: for libraries that want one, without a copy.

Every byte of a version's file is verified before it is used.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from typing import IO, TYPE_CHECKING

from bucketry.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import WriteableBuffer

    from bucketry.registry.core.artifacts import ArtifactReader

CHUNKS_KEPT = 2
"""Enough for a reader that goes back and forth between an archive's directory at the end and its members."""
LARGEST_CHUNK_BYTES = 1024 * 1024 * 1024
BUFFER_BYTES = 64 * 1024


class SeekableView(io.RawIOBase, ABC):
    """So many bytes that can be read from any position, as a file."""

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._position = 0

    @abstractmethod
    def _read_at(self, position: int, most_bytes: int) -> bytes:
        """Return some bytes from a position before the end, at least one and at most so many."""

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Return the position from the start."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position, at most behind the end as in any file."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}[whence]
        if start + offset < 0:
            raise OSError("a position before the start of the file")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read at most as much as the buffer holds."""
        view = memoryview(buffer).cast("B")
        most_bytes = min(len(view), self._size_bytes - self._position)
        if most_bytes <= 0:
            return 0
        piece = self._read_at(self._position, most_bytes)
        view[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def buffered(self) -> io.BufferedReader:
        """Return the file for a reader of single bytes and lines."""
        return io.BufferedReader(self, BUFFER_BYTES)


class VerifiedFile(SeekableView):
    """An artifact as a seekable binary file. Whole chunks are read, each verified by its SHA-256 before it is used.

    `on_read` is told the size of each chunk before it is fetched, and may raise.
    """

    def __init__(self, reader: ArtifactReader, on_read: Callable[[int], None] = lambda _: None) -> None:
        super().__init__(reader.size_bytes)
        self._reader = reader
        self._on_read = on_read
        self._chunks: dict[int, bytes] = {}
        if min(reader.artifact.chunks.size_bytes, reader.size_bytes) > LARGEST_CHUNK_BYTES:
            raise UnsupportedError(f"the chunks of {reader.artifact.path!a} are too large to be verified in memory")

    def _read_at(self, position: int, most_bytes: int) -> bytes:
        """Return bytes to the end of the chunk at the position."""
        size_bytes = self._reader.artifact.chunks.size_bytes
        index, offset = divmod(position, size_bytes)
        chunk = self._chunks.pop(index, None)
        if chunk is None:
            first, last = index * size_bytes, min((index + 1) * size_bytes, self._reader.size_bytes)
            self._on_read(last - first)
            chunk = self._reader.read_range(first, last)
        self._chunks[index] = chunk  # again the newest
        while len(self._chunks) > CHUNKS_KEPT:
            del self._chunks[next(iter(self._chunks))]
        return chunk[offset : offset + most_bytes]


class FileWindow(SeekableView):
    """Some bytes of a seekable file. Whoever else reads the file moves its position: each read goes back first."""

    def __init__(self, stream: IO[bytes], start: int, stop: int) -> None:
        super().__init__(stop - start)
        self._stream, self._start = stream, start

    def _read_at(self, position: int, most_bytes: int) -> bytes:
        self._stream.seek(self._start + position)
        return self._stream.read(most_bytes)
