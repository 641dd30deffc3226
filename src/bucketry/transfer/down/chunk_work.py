"""Brings one chunk from its turn in the queue to the line in the journal, from the store or from nearby."""

from __future__ import annotations

import mmap
from dataclasses import field
from threading import Lock
from typing import TYPE_CHECKING

from bucketry.frozen import frozen
from bucketry.transfer.disk.local_files import disk_errors
from bucketry.transfer.down.reuse import is_in_place, take_chunk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.errors import UnavailableError
    from bucketry.transfer.disk.staged_files import PlannedChunk, StagedFile
    from bucketry.transfer.down.journal import Journal
    from bucketry.transfer.down.receive import Receiver
    from bucketry.transfer.down.reuse import Source

BUFFER_BYTES = 1024 * 1024


class Tally:
    """What was fetched, and what was here already, counted by all threads."""

    def __init__(self) -> None:
        self.fetched_bytes = 0
        self.reused_bytes = 0
        self._lock = Lock()

    def count(self, size_bytes: int, *, fetched: bool) -> None:
        """Count the bytes of one chunk."""
        with self._lock:
            if fetched:
                self.fetched_bytes += size_bytes
            else:
                self.reused_bytes += size_bytes


@frozen
class ChunkWork:
    """Brings chunks to their places; used by all threads of one fetch.

    `siblings` are asked before each fetch, as they gain chunks meanwhile; `local_store` is where the store itself is a
    folder of this machine.
    """

    receiver: Receiver
    journal: Journal | None = None
    siblings: Source | None = None
    local_store: Source | None = None
    tally: Tally = field(default_factory=Tally)

    def take_near(
        self, piece: PlannedChunk, buffer: memoryview, sources: Sequence[Source], *, is_journaled: bool
    ) -> bool:
        """Bring a chunk to its place from this machine alone, and tell whether that was possible."""
        if not (is_journaled and self._is_in_place(piece, buffer)) and not self._take(sources, piece, buffer):
            return False
        self.begin(piece.staged)
        self.receiver.meter.advance(piece.staged.file.path, piece.size_bytes)
        self.finish(piece, fetched=False)
        return True

    def bring(self, buffer: memoryview, piece: PlannedChunk) -> None:
        """Bring a chunk to its place: from a sibling if one has it by now, else from the store."""
        meter, file = self.receiver.meter, piece.staged.file
        self.begin(piece.staged)
        if piece.size_bytes == 0:
            with piece.staged.opened():
                self.finish(piece, fetched=False)
            return
        if self.take_from_sibling(piece, buffer):
            return
        if self.local_store is not None and self._take([self.local_store], piece, buffer):
            self.receiver.limit.take(piece.size_bytes)
            self.receiver.gate.count(piece.size_bytes)
            meter.advance(file.path, piece.size_bytes)
        else:
            with piece.staged.opened() as descriptor:
                self.receiver.receive(piece, descriptor, buffer)
        self.finish(piece, fetched=True)

    def take_from_sibling(self, piece: PlannedChunk, buffer: memoryview) -> bool:
        """Bring a chunk to its place from a process that works beside us, and tell whether one has it by now."""
        if self.siblings is None or not self._take([self.siblings], piece, buffer):
            return False
        self.receiver.meter.advance(piece.staged.file.path, piece.size_bytes)
        self.finish(piece, fetched=False)
        return True

    def bring_after_failure(self, piece: PlannedChunk, buffer: memoryview, error: UnavailableError | None) -> None:
        """Bring a file of one chunk to its place, of which one read failed or brought wrong bytes."""
        if error is not None:
            self.receiver.pause(piece, error)
        with piece.staged.opened() as descriptor:
            self.receiver.receive(piece, descriptor, buffer, was_read=True)
        self.finish(piece, fetched=True)

    def begin(self, staged: StagedFile) -> None:
        """Show a file as active, once."""
        with staged.lock:
            is_first, staged.is_begun = not staged.is_begun, True
        if is_first:
            self.receiver.meter.begin_file(staged.file.path, staged.file.size_bytes)

    def finish(self, piece: PlannedChunk, *, fetched: bool, is_small: bool = False) -> None:
        """Record a chunk that is in its place and right; a small one may wait for others to be recorded with."""
        file, meter = piece.staged.file, self.receiver.meter
        if piece.size_bytes > 0:
            if self.journal is not None:
                self.journal.add((piece.staged.number, piece.index), is_small=is_small)
            meter.count_verified_chunk(file.path)
            self.tally.count(piece.size_bytes, fetched=fetched)
        if piece.staged.finish_chunk():
            meter.finish_file(file.path)

    def _is_in_place(self, piece: PlannedChunk, buffer: memoryview) -> bool:
        with piece.staged.opened() as descriptor, disk_errors(piece.staged.file.path):
            return is_in_place(piece, descriptor, buffer, self.receiver.options.verify, self.receiver.halt)

    def _take(self, sources: Sequence[Source], piece: PlannedChunk, buffer: memoryview) -> bool:
        return take_chunk(sources, piece, buffer, self.receiver.options.verify, self.receiver.halt)


def make_buffer() -> memoryview:
    """Return the buffer of one thread: small enough for its bytes to be hashed and written while they are in cache."""
    # A mapping of no file takes memory only as far as it is filled: who brings small files fills little of it.
    return memoryview(mmap.mmap(-1, BUFFER_BYTES))
