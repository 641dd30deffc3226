"""Reads what is sent, piece by piece, and makes sure that its bytes are still those that were hashed.

A piece is read slice by slice while it is sent, and compared with its XXH3-128 before the last slice goes: so a file
that changed since its digests were taken never becomes an object, at a twentieth of the cost of taking its SHA-256
again, and sixteen pieces on their way take 16 MiB of memory. The SHA-256 that is known goes with the bytes, and a store
that verifies finds any other damage. Files are not mapped into memory: one that another process truncates would end
this one with a signal.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

import xxhash

from bucketry.errors import BucketryError, RejectedError
from bucketry.frozen import frozen
from bucketry.transfer.disk.hashing import EMPTY_SHA256, changed_while_published
from bucketry.transfer.disk.local_files import disk_errors, open_regular, read_full

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from bucketry.store.contract import Store, Streamed
    from bucketry.transfer.disk.hashing import FileDigest
    from bucketry.transfer.pace.ratelimit import RateLimit

SLICE_BYTES = 1024 * 1024


@frozen
class SourceFile:
    """A file to hash, and to upload unless its bytes are somewhere already; `label` is how messages call it."""

    path: Path
    label: str
    size_bytes: int


class OutgoingFile(Protocol):
    """What is to become an object: `key` names its content, `label` is how messages and progress call it."""

    @property
    def key(self) -> str:
        """Where the object belongs."""

    @property
    def digest(self) -> FileDigest:
        """What its bytes are."""

    @property
    def label(self) -> str:
        """How messages call it."""

    def body(
        self, piece: PieceOfFile[Any], buffers: Buffers, limit: RateLimit | None = None, sent: SentBytes | None = None
    ) -> Streamed:
        """Return the bytes of one of its pieces, which are compared with what they are meant to be as they go."""

    def place(self, piece: PieceOfFile[Any]) -> ChunkPlace | None:
        """Return where the bytes of a piece lie for the store to copy; None where they must be sent."""


@frozen
class LocalFile:
    """A file of this machine to upload."""

    path: Path
    key: str
    digest: FileDigest
    label: str

    def body(
        self, piece: PieceOfFile[Any], buffers: Buffers, limit: RateLimit | None = None, sent: SentBytes | None = None
    ) -> PieceBody:
        """Return the bytes of a piece, read from the disk."""
        return PieceBody(piece, buffers, limit, sent)

    def place(self, piece: PieceOfFile[Any]) -> None:
        """No store has bytes of this machine."""


@frozen
class UploadOutcome:
    """What became of one file: `uploaded_bytes` were sent, none where the object was there already.

    Bytes that the store copied, which are `copied_bytes`, or had from an upload that was interrupted, were not sent.
    """

    label: str
    key: str
    size_bytes: int
    uploaded_bytes: int
    already_there: bool
    copied_bytes: int = 0


@frozen
class ChunkPlace:
    """A range of an object that never changes, in the store that is written to or in `store`."""

    key: str
    start: int
    stop: int
    store: Store | None = None


F = TypeVar("F", bound=OutgoingFile)


@frozen
class PieceOfFile(Generic[F]):
    """One chunk of a file, or all of a file that has no more than one."""

    file: F
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
    """Memory that pieces pass through on their way, for all threads of one upload: a slice for each that sends."""

    def __init__(self) -> None:
        self._free: list[memoryview] = []

    @contextmanager
    def lent(self) -> Iterator[memoryview]:
        """Lend the memory of one slice."""
        try:
            buffer = self._free.pop()
        except IndexError:
            buffer = memoryview(bytearray(SLICE_BYTES))
        try:
            yield buffer
        finally:
            self._free.append(buffer)


class SentBytes:
    """How much of one piece was handed over, told as it goes; what comes to nothing is taken back."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self._advance = advance
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self.take_back()

    def add(self, size_bytes: int) -> None:
        """Count bytes that a store has taken."""
        self.count += size_bytes
        self._advance(size_bytes)

    def take_back(self) -> None:
        """Count nothing of it: it is sent anew, or not at all."""
        if self.count:
            self.add(-self.count)


class LocalReadError(Exception):
    """A local file cannot be read, for the reason that `failure` is, while a store sends it.

    Not a `BucketryError`: nobody on the way may take it for a failure of the store, and try again.
    """

    def __init__(self, failure: BucketryError) -> None:
        super().__init__(str(failure))
        self.failure = failure


def iter_paced(
    piece: PieceOfFile[Any],
    fill: Callable[[memoryview, int], None],
    buffers: Buffers,
    limit: RateLimit | None,
    sent: SentBytes | None,
) -> Iterator[memoryview]:
    """Yield a piece slice by slice in a lent buffer, no faster than a limit lets pass; `sent` counts what was taken.

    `fill` fills a slice with what lies from a place of the file on, and raises before the last if the bytes are wrong.
    """
    with buffers.lent() as buffer:
        start = piece.start
        while start < piece.stop:  # bounded: each round takes some of it
            size_bytes = SLICE_BYTES if limit is None else limit.read_size_bytes(SLICE_BYTES)
            one = buffer[: min(size_bytes, piece.stop - start)]
            fill(one, start)
            start += len(one)
            if limit is not None:
                limit.take(len(one))
            yield one
            if sent is not None:
                sent.add(len(one))


@frozen
class PieceBody:
    """The bytes of a piece, as a store takes them: read while they are sent, and compared before the last are.

    With a limit no more of them are given in a second than it lets pass; `sent` counts them.
    """

    piece: PieceOfFile[LocalFile]
    buffers: Buffers
    limit: RateLimit | None = None
    sent: SentBytes | None = None

    def __len__(self) -> int:
        """Return the size of the piece."""
        return self.piece.size_bytes

    def slices(self) -> Generator[memoryview, None, None]:
        """Yield the bytes; raise `RejectedError` before the last slice if they are not those that were hashed.

        Raises `LocalReadError` if they cannot be read.
        """
        try:
            yield from self._read()
        except RejectedError:
            raise
        except BucketryError as error:
            raise LocalReadError(error) from error

    def _read(self) -> Iterator[memoryview]:
        piece, checksum = self.piece, xxhash.xxh3_128()
        known = piece.file.digest.chunks.xxh3_128
        if self.sent is not None:
            self.sent.take_back()
        with self._opened() as descriptor:

            def fill(one: memoryview, start: int) -> None:
                with disk_errors(piece.file.label):
                    count = read_full(descriptor, one, start)
                checksum.update(one)
                is_wrong = start + len(one) >= piece.stop and known and checksum.hexdigest() != known[piece.index]
                if count < len(one) or is_wrong:
                    raise changed_while_published(piece.file.label)

            yield from iter_paced(piece, fill, self.buffers, self.limit, self.sent)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        file = self.piece.file
        with disk_errors(file.label):
            descriptor = open_regular(file.path)
        try:
            with disk_errors(file.label):
                size_now_bytes = os.fstat(descriptor).st_size
            if size_now_bytes != file.digest.size_bytes:
                raise changed_while_published(file.label)
            yield descriptor
        finally:
            os.close(descriptor)
