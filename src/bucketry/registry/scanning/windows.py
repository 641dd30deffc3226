"""Gives a part of a file, or what was unpacked from it, as a file of its own."""

from __future__ import annotations

import io
import tempfile
from typing import IO, TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from _typeshed import WriteableBuffer

MEMORY_BYTES = 64 * 1024 * 1024
"""Of what is unpacked; the rest goes to a temporary file."""
PIECE_BYTES = 1024 * 1024


class _Window(io.RawIOBase):
    """Some bytes of a seekable file. Whoever else reads the file moves its position: each read goes back first."""

    def __init__(self, stream: IO[bytes], start: int, stop: int) -> None:
        self._stream, self._start, self._size = stream, start, stop - start
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        position = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence] + offset
        if position < 0:
            raise OSError("a position before the start of the file")
        self._position = position
        return position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        self._stream.seek(self._start + self._position)
        piece = self._stream.read(max(0, min(len(view), self._size - self._position)))
        view[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)


def window(stream: IO[bytes], start: int, stop: int) -> IO[bytes]:
    """Return the bytes from `start` to before `stop` of a seekable file as a file."""
    return io.BufferedReader(_Window(stream, start, stop))


def size_of(stream: IO[bytes]) -> int:
    """Return how long a seekable file is; its position is then at its end."""
    return stream.seek(0, io.SEEK_END)


def pieces(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the rest of a file."""
    return iter(lambda: stream.read(PIECE_BYTES), b"")


def spooled(unpacked: Iterator[bytes], spend: Callable[[int], None]) -> IO[bytes]:
    """Return what was unpacked as a file of its own, in memory while it is small; `spend` may raise."""
    spool = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES)  # noqa: SIM115 - the caller closes it
    try:
        for piece in unpacked:
            spend(len(piece))
            spool.write(piece)
        spool.seek(0)
    except BaseException:
        spool.close()
        raise
    return cast("IO[bytes]", spool)
