"""Gives a part of a file, or what was unpacked from it, as a file of its own."""

from __future__ import annotations

import io
import tempfile
from typing import IO, TYPE_CHECKING, cast

from bucketry.registry.reading.seekable_files import FileWindow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MEMORY_BYTES = 64 * 1024 * 1024
"""Of what is unpacked; the rest goes to a temporary file."""
PIECE_BYTES = 1024 * 1024


def window(stream: IO[bytes], start: int, stop: int) -> IO[bytes]:
    """Return the bytes from `start` to before `stop` of a seekable file as a file."""
    return FileWindow(stream, start, stop).buffered()


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
