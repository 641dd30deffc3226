"""Gives a library that wants a file one of a version's, without a copy and with every byte verified."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from bucketry.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import WriteableBuffer

    from bucketry.registry.core.artifacts import ArtifactReader

CHUNKS_KEPT = 2
"""Enough for a reader that goes back and forth between an archive's directory at the end and its members."""
LARGEST_CHUNK_BYTES = 1024 * 1024 * 1024
BUFFER_BYTES = 64 * 1024


class VerifiedFile(io.RawIOBase):
    """An artifact as a seekable binary file. Whole chunks are read, each verified by its SHA-256 before it is used.

    `on_read` is told the size of each chunk before it is fetched, and may raise.
    """

    def __init__(self, reader: ArtifactReader, on_read: Callable[[int], None] = lambda _: None) -> None:
        self._reader = reader
        self._on_read = on_read
        self._position = 0
        self._chunks: dict[int, bytes] = {}
        if min(reader.artifact.chunks.size_bytes, reader.size_bytes) > LARGEST_CHUNK_BYTES:
            raise UnsupportedError(f"the chunks of {reader.artifact.path!a} are too large to be verified in memory")

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
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._reader.size_bytes}[whence]
        if start + offset < 0:
            raise OSError("a position before the start of the file")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read to the end of the present chunk, at most as much as the buffer holds."""
        view = memoryview(buffer).cast("B")
        if self._position >= self._reader.size_bytes or not len(view):
            return 0
        index, offset = divmod(self._position, self._reader.artifact.chunks.size_bytes)
        piece = self._chunk(index)[offset : offset + len(view)]
        view[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def buffered(self) -> io.BufferedReader:
        """Return the file for a reader of single bytes and lines."""
        return io.BufferedReader(self, BUFFER_BYTES)

    def _chunk(self, index: int) -> bytes:
        chunk = self._chunks.pop(index, None)
        if chunk is None:
            size_bytes = self._reader.artifact.chunks.size_bytes
            first, last = index * size_bytes, min((index + 1) * size_bytes, self._reader.size_bytes)
            self._on_read(last - first)
            chunk = self._reader.read_range(first, last)
        self._chunks[index] = chunk  # again the newest
        while len(self._chunks) > CHUNKS_KEPT:
            del self._chunks[next(iter(self._chunks))]
        return chunk
