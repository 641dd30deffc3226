"""Reads what is sent from another store, and makes sure that its bytes are those that its manifest says.

The bytes of a piece pass through here slice by slice, on their way from one store to the other, and are hashed as they
go: a piece with another SHA-256 never becomes part of an object. A source that breaks off is asked again for what is
missing, while the store that is written to waits. Where both stores are one server, it may copy by itself.
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

from bucketry.clock import Backoff, Clock
from bucketry.errors import BucketryError, CorruptError, UnavailableError
from bucketry.frozen import frozen
from bucketry.transfer.up.outgoing import ChunkPlace, LocalReadError, iter_paced

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from bucketry.store.contract import ByteStream, Store
    from bucketry.transfer.disk.hashing import FileDigest
    from bucketry.transfer.pace.ratelimit import RateLimit
    from bucketry.transfer.up.outgoing import Buffers, PieceOfFile, SentBytes

LONGEST_BREAK_SECONDS = 20.0
"""How long the source may not answer while a request waits for its bytes: servers give up one that sends nothing."""


@frozen
class StoredFile:
    """An object of another store, to be made one of this; `by_store`: the store may copy it by itself, unverified."""

    source: Store
    source_key: str
    key: str
    digest: FileDigest
    label: str
    by_store: bool = True

    def body(
        self, piece: PieceOfFile[Any], buffers: Buffers, limit: RateLimit | None = None, sent: SentBytes | None = None
    ) -> StoredPiece:
        """Return the bytes of a piece, read from the source."""
        return StoredPiece(piece, buffers, limit, sent)

    def place(self, piece: PieceOfFile[Any]) -> ChunkPlace | None:
        """Return where the source has a piece, if the store may copy it."""
        return ChunkPlace(self.source_key, piece.start, piece.stop, self.source) if self.by_store else None


@frozen
class StoredPiece:
    """The bytes of a piece of an object of another store, as a store takes them: hashed before the last is given."""

    piece: PieceOfFile[StoredFile]
    buffers: Buffers
    limit: RateLimit | None = None
    sent: SentBytes | None = None

    def __len__(self) -> int:
        """Return the size of the piece."""
        return self.piece.size_bytes

    def slices(self) -> Generator[memoryview, None, None]:
        """Yield the bytes; raise `LocalReadError` before the last slice if they are not those that are meant.

        So it does if they cannot be read: no failure of the source is one of the store that is written to.
        """
        try:
            yield from self._read()
        except BucketryError as error:
            raise LocalReadError(error) from error

    def _read(self) -> Iterator[memoryview]:
        piece, digest = self.piece, hashlib.sha256()
        if self.sent is not None:
            self.sent.take_back()
        with closing(_StoredReading(piece)) as reading:

            def fill(one: memoryview, start: int) -> None:
                reading.fill(one)
                digest.update(one)
                if start + len(one) >= piece.stop and digest.hexdigest() != piece.sha256:
                    raise self._wrong()

            yield from iter_paced(piece, fill, self.buffers, self.limit, self.sent)

    def _wrong(self) -> CorruptError:
        return CorruptError(
            f"the bytes {self.piece.start:,} to {self.piece.stop:,} of {self.piece.file.source_key} in "
            f"{self.piece.file.source.name} are not those of the version's manifest",
            advice="run `bucketry fsck --deep` there; none of them was copied",
        )


class _StoredReading:
    """The bytes of a piece from front to back, however often the source breaks off."""

    def __init__(self, piece: PieceOfFile[StoredFile]) -> None:
        self._file = piece.file
        self._position = piece.start
        self._stop = piece.stop
        self._backoff = Backoff(Clock(), deadline_seconds=LONGEST_BREAK_SECONDS)
        self._reply = ExitStack()
        self._stream: ByteStream | None = None

    def fill(self, buffer: memoryview) -> None:
        """Fill the whole buffer with what comes next; raise what the source raised when it is enough."""
        done = 0
        while done < len(buffer):  # bounded: each round reads a byte at least, or the backoff ends
            try:
                count = self._read(buffer[done:])
            except UnavailableError as error:
                self.close()
                self._backoff.pause_or_raise(error)
                continue
            self._backoff.progressed()
            self._position += count
            done += count

    def close(self) -> None:
        """Give up the reply that is being read."""
        self._stream = None
        self._reply.close()

    def _read(self, buffer: memoryview) -> int:
        if self._stream is None:
            opened = self._file.source.open_range(self._file.source_key, self._position, self._stop, etag=None)
            self._stream = self._reply.enter_context(opened)
        count = self._stream.readinto(buffer)
        if count == 0:
            raise UnavailableError(f"{self._file.source_key} ended before its size", advice="try again")
        return count
