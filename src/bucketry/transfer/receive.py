"""How does one chunk come from the store to its place, whatever breaks on the way?

A file of one chunk is read by a single request, with no question before: its digest says whether it was the right
object. Only when that goes wrong, and for every file of several chunks, the object's ETag is asked once and required
ever after, so that two objects never mix; a broken connection then goes on where it broke.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError, UnavailableError, UsageError
from bucketry.store.interface import PreconditionFailedError, SlowDownError
from bucketry.transfer.localfiles import disk_errors, reserve, write_all
from bucketry.transfer.patience import MAX_ATTEMPTS, Attempts, Patience
from bucketry.transfer.reuse import new_hash

if TYPE_CHECKING:
    from bucketry.store.interface import ETag, Store
    from bucketry.transfer.progress import ProgressMeter
    from bucketry.transfer.ratelimit import RateLimit
    from bucketry.transfer.remote import RemoteFile, Verify
    from bucketry.transfer.reuse import Hash
    from bucketry.transfer.staged_files import Piece, StagedFile
    from bucketry.transfer.workers import Gate, Halt

MAX_READS_OF_A_CHUNK = 2  # a wrong digest is read once more: a bad network is likelier than a bad object
SMALLEST_RESERVED_BYTES = 1024 * 1024  # below, one write comes at once with what a reservation would ask for


@dataclass(frozen=True, slots=True)
class Receiver:
    """Reads chunks from a store; used by all threads of one fetch."""

    store: Store
    verify: Verify
    patience: Patience
    limit: RateLimit
    halt: Halt
    gate: Gate
    meter: ProgressMeter

    def receive(self, piece: Piece, descriptor: int, buffer: memoryview) -> None:
        """Bring a chunk to its place, verified; raise `CorruptError` where the store has other bytes."""
        file = piece.staged.file
        expected = file.chunk_digest(piece.index, self.verify)
        # Around all of it: a full disk must not be mistaken for a store that will serve again.
        with disk_errors(file.path):
            if piece.size_bytes >= SMALLEST_RESERVED_BYTES:
                reserve(descriptor, piece.start, piece.stop)
            for read_number in range(1, MAX_READS_OF_A_CHUNK + 1):
                reading = _Reading(descriptor, piece.start, new_hash(self.verify))
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

    def _read_at_once(self, piece: Piece, reading: _Reading, buffer: memoryview) -> bool:
        """Read a whole object by one request, and tell whether it came to its end."""
        try:
            self._read_on(piece, reading, buffer, None)
        except UnavailableError as error:
            self._pause(self._attempts(piece.staged), error)
            return False
        except (PreconditionFailedError, UsageError, CorruptError):
            return False  # not of this size, or not without its ETag: asking for both will tell
        return True

    def _read_chunk(self, piece: Piece, reading: _Reading, buffer: memoryview) -> bool:
        """Read one chunk of exactly one object; a broken connection goes on where it broke."""
        file = piece.staged.file
        etag = self._etag_of(piece.staged)
        attempts = self._attempts(piece.staged)
        for _ in range(MAX_ATTEMPTS):
            before = reading.position
            try:
                self._read_on(piece, reading, buffer, etag)
            except PreconditionFailedError as error:
                raise _replaced(file) from error
            except UnavailableError as error:
                if reading.position > before:
                    attempts.progressed()
                self._pause(attempts, error)
            else:
                return True
        raise UnavailableError(f"the connection broke {MAX_ATTEMPTS} times while {file.path} was read")

    def _read_on(self, piece: Piece, reading: _Reading, buffer: memoryview, etag: ETag | None) -> None:
        file = piece.staged.file
        with self.store.open_range(file.key, reading.position, piece.stop, etag=etag) as stream:
            while reading.position < piece.stop:  # bounded: each round reads at least one byte or raises
                self.halt.check()
                wanted = self.limit.read_size_bytes(min(len(buffer), piece.stop - reading.position))
                count = stream.readinto(buffer[:wanted])
                if count == 0:
                    raise UnavailableError(f"the store ended early while {file.path} was read")
                # Again: this thread may have hung in the read while everybody else went home.
                self.halt.check()
                self.limit.take(count)
                reading.hash.update(buffer[:count])
                write_all(reading.descriptor, buffer[:count], reading.position)
                reading.position += count
                self.gate.count(count)
                self.meter.advance(file.path, count)

    def _etag_of(self, staged: StagedFile) -> ETag:
        with staged.lock:
            if staged.etag is None:
                entry = self._attempts(staged).insist(lambda: self.store.stat(staged.file.key))
                if entry.size_bytes != staged.file.size_bytes:
                    raise CorruptError(
                        f"{staged.file.path} has {entry.size_bytes} bytes in the store, where its version says"
                        f" {staged.file.size_bytes}",
                        advice="run fsck on the registry",
                    )
                staged.etag = entry.etag
            return staged.etag

    def _pause(self, attempts: Attempts, error: UnavailableError) -> None:
        if isinstance(error, SlowDownError):
            self.gate.slow_down()
        attempts.pause(error)

    def _attempts(self, staged: StagedFile) -> Attempts:
        return Attempts(self.patience, self.halt, lambda: self.meter.count_retry(staged.file.path))


@dataclass(slots=True)
class _Reading:
    """How far one chunk was read, and the hash of what was read."""

    descriptor: int
    position: int
    hash: Hash


def _replaced(file: RemoteFile) -> PreconditionFailedError:
    return PreconditionFailedError(
        f"{file.path} was replaced in the store while it was read",
        advice="pull again: nothing of the two was mixed",
    )
