"""Brings one chunk from the store to its place, whatever breaks on the way.

A file of one chunk is read by a single request, with no question before: its digest says whether it was the right
object. Only when that goes wrong, and for every file of several chunks, the object's ETag is asked once and required
ever after, so that two objects never mix; a broken connection then goes on where it broke.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bucketry.clock import MOST_TRIES, Backoff
from bucketry.errors import CorruptError, UnavailableError, UsageError
from bucketry.frozen import frozen
from bucketry.store.contract import PreconditionFailedError, SlowDownError
from bucketry.transfer.disk.local_files import disk_errors, reserve, write_all
from bucketry.transfer.down.reuse import new_hash

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.store.contract import ByteStream, ETag, Store
    from bucketry.transfer.disk.staged_files import PlannedChunk, StagedFile
    from bucketry.transfer.down.reuse import Hash
    from bucketry.transfer.pace.progress import ProgressMeter
    from bucketry.transfer.pace.ratelimit import RateLimit
    from bucketry.transfer.pace.workers import Gate, Halt
    from bucketry.transfer.plan import TransferOptions

MAX_READS_OF_A_CHUNK = 2  # a wrong digest is read once more: a bad network is likelier than a bad object
SLOWEST_BYTES_PER_SECOND = 1024
SLOW_FOR_SECONDS = 30.0  # then the same bytes are asked for over another connection, from where this one is
SMALLEST_RESERVED_BYTES = 1024 * 1024  # below, one write comes at once with what a reservation would ask for


@frozen
class Receiver:
    """Reads chunks from a store; used by all threads of one fetch."""

    store: Store
    options: TransferOptions
    limit: RateLimit
    halt: Halt
    gate: Gate
    meter: ProgressMeter

    def receive(self, piece: PlannedChunk, descriptor: int, buffer: memoryview, *, was_read: bool = False) -> None:
        """Bring a chunk to its place, verified; raise `CorruptError` where the store has other bytes.

        `was_read` says that a first read was made already, and brought nothing of use.
        """
        file = piece.staged.file
        expected = file.chunk_digest(piece.index, self.options.verify)
        # Around all of it: a full disk must not be mistaken for a store that will serve again.
        with disk_errors(file.path):
            if piece.size_bytes >= SMALLEST_RESERVED_BYTES:
                reserve(descriptor, piece.start, piece.stop)
            for read_number in range(2 if was_read else 1, MAX_READS_OF_A_CHUNK + 1):
                reading = _Reading(descriptor, piece.start, new_hash(self.options.verify))
                if read_number == 1 and len(file.chunk_sha256) == 1:
                    is_whole = self._read_at_once(piece, reading, buffer)
                else:
                    is_whole = self._read_chunk(piece, reading, buffer)
                if is_whole and reading.hash.hexdigest() == expected:
                    return
                if is_whole and read_number < MAX_READS_OF_A_CHUNK:
                    self.meter.count_retry(file.path)
                self.meter.advance(file.path, piece.start - reading.position)
        raise CorruptError(
            f"chunk {piece.index + 1} of {len(file.chunk_sha256)} of {file.path} (bytes {piece.start} to"
            f" {piece.stop - 1}) does not have the digest that its version names",
            advice="run fsck --deep on the registry, and pull from a replica if there is one",
        )

    def pause(self, piece: PlannedChunk, error: UnavailableError) -> None:
        """Wait as after the first failure of a request."""
        self._pause(self._new_backoff(piece.staged), error)

    def _read_at_once(self, piece: PlannedChunk, reading: _Reading, buffer: memoryview) -> bool:
        """Read a whole object by one request, and tell whether it came to its end."""
        try:
            self._read_on(piece, reading, buffer, None)
        except UnavailableError as error:
            self.pause(piece, error)
            return False
        except (PreconditionFailedError, UsageError, CorruptError):
            return False  # not of this size, or not without its ETag: asking for both will tell
        return True

    def _read_chunk(self, piece: PlannedChunk, reading: _Reading, buffer: memoryview) -> bool:
        """Read one chunk of exactly one object; a broken connection goes on where it broke."""
        file = piece.staged.file
        etag = self._etag_of(piece.staged)
        backoff = self._new_backoff(piece.staged)
        for _ in range(MOST_TRIES):
            before = reading.position
            try:
                self._read_on(piece, reading, buffer, etag)
            except PreconditionFailedError as error:
                raise PreconditionFailedError(
                    f"{file.path} was replaced in the store while it was read",
                    advice="pull again: nothing of the two was mixed",
                ) from error
            except UnavailableError as error:
                if reading.position > before:
                    backoff.progressed()
                self._pause(backoff, error)
            else:
                return True
        raise UnavailableError(f"the connection broke {MOST_TRIES} times while {file.path} was read")

    def _read_on(self, piece: PlannedChunk, reading: _Reading, buffer: memoryview, etag: ETag | None) -> None:
        file = piece.staged.file
        pace = Pace(self.options.clock.monotonic_seconds, file.path)
        with self.store.open_range(file.key, reading.position, piece.stop, etag=etag) as stream:
            while reading.position < piece.stop:  # bounded: each round reads at least one byte or raises
                self.halt.check()
                wanted = self.limit.read_size_bytes(min(len(buffer), piece.stop - reading.position))
                count = pace.read(stream, buffer[:wanted])
                # Again: this thread may have hung in the read while everybody else went home.
                self.halt.check()
                self.limit.take(count)
                reading.hash.update(buffer[:count])
                write_all(reading.descriptor, buffer[:count], reading.position)
                reading.position += count
                self.gate.count(count)
                self.meter.advance(file.path, count)
                pace.check()

    def _etag_of(self, staged: StagedFile) -> ETag:
        with staged.lock:
            if staged.etag is None:
                entry = self._new_backoff(staged).insist(lambda: self.store.stat(staged.file.key))
                if entry.size_bytes != staged.file.size_bytes:
                    raise CorruptError(
                        f"{staged.file.path} has {entry.size_bytes} bytes in the store, where its version says"
                        f" {staged.file.size_bytes}",
                        advice="run fsck on the registry",
                    )
                staged.etag = entry.etag
            return staged.etag

    def _pause(self, backoff: Backoff, error: UnavailableError) -> None:
        if isinstance(error, SlowDownError):
            self.gate.slow_down()
        backoff.pause_or_raise(error)

    def _new_backoff(self, staged: StagedFile) -> Backoff:
        return self.options.new_backoff(lambda: self.meter.count_retry(staged.file.path))


class Pace:
    """How fast one connection brings the bytes of a file: time that is spent elsewhere does not count against it."""

    def __init__(self, clock: Callable[[], float], path: str) -> None:
        self._clock = clock
        self._path = path
        self._seconds = 0.0
        self._bytes = 0

    def read(self, stream: ByteStream, buffer: memoryview) -> int:
        """Fill the front of the buffer and return how many bytes came; raise `UnavailableError` if none did."""
        began_at = self._clock()
        count = stream.readinto(buffer)
        if count == 0:
            raise UnavailableError(f"the store ended early while {self._path} was read")
        self._seconds += self._clock() - began_at
        self._bytes += count
        return count

    def check(self) -> None:
        """Raise `UnavailableError` if a connection has been as good as silent for too long."""
        if self._seconds < SLOW_FOR_SECONDS:
            return
        if self._bytes < SLOWEST_BYTES_PER_SECOND * self._seconds:
            raise UnavailableError(
                f"{self._path} came at less than {SLOWEST_BYTES_PER_SECOND:,} bytes a second",
                advice="run it again: it goes on",
            )
        self._seconds, self._bytes = 0.0, 0


@dataclass(slots=True)
class _Reading:
    """How far one chunk was read, and the hash of what was read."""

    descriptor: int
    position: int
    hash: Hash
