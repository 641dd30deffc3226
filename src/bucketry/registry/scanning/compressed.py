"""Unpacks a compressed file so that no byte of it stays unseen.

Loaders read streams that break off as far as they go, and libraries pass over what follows a stream. Here the first is
an error, and the second is told.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import IO, TYPE_CHECKING, Any

from bucketry.registry.scanning.windows import PIECE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST_STREAMS = 10_000
LARGEST_DICTIONARY_BYTES = 256 * 1024 * 1024
HEAD_BYTES = 64 * 1024
_ERRORS = (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError)


class DamagedError(Exception):
    """What is packed cannot be unpacked to its end."""


def unpacker_of(head: bytes) -> Callable[[], Any] | None:
    """Return what unpacks a file that begins so, None where it is not compressed.

    Some magics are so short that numbers and texts begin so too: compressed is what gives at least one byte.
    """
    make = _maker(head)
    if make is None:
        return None
    try:
        gives = make().decompress(head, 1)
    except _ERRORS:
        return None
    return make if gives or not is_doubtful(head) else None


def is_doubtful(head: bytes) -> bool:
    """Return whether a file that begins so, and cannot be unpacked, need not be a damaged one: zlib has no magic."""
    return head.startswith(b"\x78")


def _maker(head: bytes) -> Callable[[], Any] | None:
    if head.startswith(b"\x1f\x8b\x08"):
        return lambda: zlib.decompressobj(wbits=31)
    if len(head) > 1 and head[0] == 0x78 and int.from_bytes(head[:2]) % 31 == 0:
        return zlib.decompressobj
    if head.startswith(b"BZh") and head[4:10] in {b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90"}:
        return bz2.BZ2Decompressor
    if head.startswith((b"\xfd7zXZ\x00", b"\x5d\x00\x00")):
        return lambda: lzma.LZMADecompressor(memlimit=LARGEST_DICTIONARY_BYTES)
    return None


class Unpacking:
    """A compressed file as it is unpacked. `stop` is, at the end, where its last stream ends."""

    def __init__(self, stream: IO[bytes], make: Callable[[], Any]) -> None:
        self._stream, self._make = stream, make
        self.stop = 0

    def pieces(self) -> Iterator[bytes]:
        """Yield what the streams hold, one after the other; raise `DamagedError`."""
        for _ in range(MOST_STREAMS):
            self._stream.seek(self.stop)
            unpacking = self._make()
            yield from unpack_stream(self._stream, unpacking)
            self.stop = self._stream.tell() - len(unpacking.unused_data)
            self._stream.seek(self.stop)
            if unpacker_of(self._stream.read(HEAD_BYTES)) is None:
                return
        raise DamagedError(f"it has more than {MOST_STREAMS:,} streams")


def unpack_stream(stream: IO[bytes], unpacking: Any) -> Iterator[bytes]:  # noqa: ANN401 - they have no common type
    """Yield what a decompressor makes of a file until its stream ends; raise `DamagedError` where it does not."""
    try:
        while not unpacking.eof:  # bounded: each round takes some of the file, or gives a piece
            pending = getattr(unpacking, "unconsumed_tail", b"")
            if not pending and getattr(unpacking, "needs_input", True):
                pending = stream.read(PIECE_BYTES)
            before = unpacking.copy() if hasattr(unpacking, "copy") else None
            try:
                piece = unpacking.decompress(pending, PIECE_BYTES)
            except zlib.error:
                if before is not None:
                    yield from _up_to_the_damage(before, pending)
                raise
            if piece:
                yield piece
            elif not pending and not unpacking.eof:
                raise DamagedError("the compressed stream ends early")
    except _ERRORS as error:
        raise DamagedError("the compressed stream is damaged") from error


def _up_to_the_damage(unpacking: Any, pending: bytes) -> Iterator[bytes]:  # noqa: ANN401 - as above
    """Yield what a reader of single bytes gets before the error: a pickle may end there."""
    for _ in range(PIECE_BYTES):
        try:
            byte = unpacking.decompress(pending, 1)
        except zlib.error:
            return
        if not byte:
            return
        yield byte
        pending = unpacking.unconsumed_tail
