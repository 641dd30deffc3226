"""Brings thousands of small files by one thread, without waiting for one after the other.

It keeps several requests under way and takes the replies as they come. More threads would do the same work slower: of a
small file nearly all the time is spent in the interpreter, which runs one thread at a time, and every hand-over costs.
A file is read whole, verified in memory and only then written; whatever goes wrong goes the way of large files from
there on, with its pauses and retries.
"""

from __future__ import annotations

import os
import select
from collections import deque
from contextlib import closing
from threading import Lock
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError, UnavailableError, UsageError
from bucketry.store.contract import PreconditionFailedError, SlowDownError
from bucketry.transfer.disk.local_files import OpenFolders, disk_errors, open_directory
from bucketry.transfer.down.receive import Pace
from bucketry.transfer.down.reuse import new_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bucketry.store.contract import AskedRange, AsksAhead
    from bucketry.transfer.disk.staged_files import PlannedChunk
    from bucketry.transfer.down.chunk_work import ChunkWork

_Asked = tuple["PlannedChunk", "AskedRange", float]

LARGEST_SMALL_BYTES = 256 * 1024
FEWEST_IN_A_BUNDLE = 4  # of less, asking ahead would save nothing
MOST_IN_A_BUNDLE = 1024  # the end of each has nothing left to ask ahead for, and waits
POLL_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0  # while others are answered; then it is asked for again, on another connection
REPLIES_BEFORE_ONE_MORE = 64  # after the store asked for less


def bundle(pieces: Sequence[PlannedChunk]) -> list[Sequence[PlannedChunk]]:
    """Return the queue with small files put together, each bundle where its first one was, and all else alone."""
    bundles: list[Sequence[PlannedChunk]] = []
    small: list[PlannedChunk] = []
    for piece in pieces:
        if len(piece.staged.file.chunk_sha256) != 1 or piece.size_bytes > LARGEST_SMALL_BYTES:
            bundles.append([piece])
            continue
        if len(small) % MOST_IN_A_BUNDLE == 0:
            small = []
            bundles.append(small)
        small.append(piece)
    if len(small) >= FEWEST_IN_A_BUNDLE:
        return bundles
    return [one for one in bundles if one is not small] + [[piece] for piece in small]


class SmallFiles:
    """The small files of one fetch. At any time one thread works on them; others give theirs to it and go on.

    `most` is how many requests may be under way at once, `on_end` what is done when as many bundles as were told have
    been brought.
    """

    def __init__(
        self, work: ChunkWork, store: AsksAhead, directory: Path, most: int, bundles: int, on_end: Callable[[], None]
    ) -> None:
        self._bundles_left = bundles
        self._on_end = on_end
        self._work = work
        self._store = store
        self._directory = directory
        self._clock = work.receiver.options.clock.monotonic_seconds
        self._most = most
        self._window = most
        self._replies = 0
        self._lock = Lock()
        self._waiting: deque[PlannedChunk] = deque()
        self._is_at_work = False

    def bring(self, pieces: Sequence[PlannedChunk], buffer: memoryview) -> None:
        """Bring files to their places, and those that other threads leave here meanwhile."""
        with self._lock:
            self._bundles_left -= 1
            self._waiting.extend(pieces)
            if self._is_at_work:
                return
            self._is_at_work = True
        # The descriptor is this thread's own: one that hangs in a read must not find another file behind its number.
        with disk_errors(str(self._directory)):
            directory_fd = open_directory(self._directory)
        folders = OpenFolders(directory_fd)
        try:
            self._bring_all(folders, buffer)
        finally:
            folders.close()
            os.close(directory_fd)

    def _bring_all(self, folders: OpenFolders, buffer: memoryview) -> None:
        halt, poll = self._work.receiver.halt, select.poll()
        asked: dict[int, _Asked] = {}
        try:
            while True:  # bounded: each round takes a piece, a reply, or the end
                halt.check()
                piece = None
                if len(asked) < self._window:
                    with self._lock:
                        piece = self._waiting.popleft() if self._waiting else None
                if piece is not None:
                    self._ask(piece, asked, poll, buffer)
                elif not asked:
                    if self._is_over():
                        return
                else:
                    for number in self._ready(asked, poll):
                        poll.unregister(number)
                        self._take(*asked.pop(number)[:2], folders, buffer)
        finally:
            for _, one, _ in asked.values():
                one.close()

    def _is_over(self) -> bool:
        with self._lock:
            self._is_at_work = goes_on = bool(self._waiting)
            is_end = not goes_on and self._bundles_left == 0
        if is_end:
            self._on_end()
        return not goes_on

    def _ask(self, piece: PlannedChunk, asked: dict[int, _Asked], poll: select.poll, buffer: memoryview) -> None:
        work = self._work
        work.begin(piece.staged)
        if work.take_from_sibling(piece, buffer):
            return
        try:
            found = self._store.begin_range(piece.staged.file.key, 0, piece.size_bytes)
        except UnavailableError as error:
            self._again(piece, buffer, error)
            return
        if found is None:
            work.bring(buffer, piece)
            return
        asked[found.fileno()] = (piece, found, self._clock())
        poll.register(found.fileno(), select.POLLIN)

    def _ready(self, asked: dict[int, _Asked], poll: select.poll) -> list[int]:
        """Return whose reply can be read, and who has waited too long; the longest waiting if nothing comes."""
        ready = [number for number, _ in poll.poll(POLL_SECONDS * 1000)]
        oldest = next(iter(asked))
        if not ready:
            return [oldest]
        _, one, asked_at = asked[oldest]
        if oldest not in ready and self._clock() - asked_at > LONGEST_WAIT_SECONDS:
            one.close()
            ready.append(oldest)
        return ready

    def _take(self, piece: PlannedChunk, asked: AskedRange, folders: OpenFolders, buffer: memoryview) -> None:
        work = self._work
        try:
            with closing(asked):
                body = self._read(piece, asked, buffer)
        except UnavailableError as error:
            self._again(piece, buffer, error)
            return
        except (PreconditionFailedError, UsageError, CorruptError):
            self._again(piece, buffer, None)  # not of this size, or not without its ETag: asking for both will tell
            return
        work.receiver.halt.check()  # this thread may have hung in the read while everybody else went home
        digest = new_hash(work.receiver.options.verify)
        digest.update(body)
        if digest.hexdigest() != piece.staged.file.chunk_digest(0, work.receiver.options.verify):
            work.receiver.meter.count_retry(piece.staged.file.path)
            self._again(piece, buffer, None)
            return
        work.receiver.limit.take(piece.size_bytes)  # there was none when this began, but there may be one now
        piece.staged.write_whole(body, folders)
        work.receiver.meter.advance(piece.staged.file.path, piece.size_bytes)
        work.finish(piece, fetched=True, is_small=True)
        self._replies += 1
        if self._window < self._most and self._replies >= REPLIES_BEFORE_ONE_MORE:
            self._window, self._replies = self._window + 1, 0

    def _read(self, piece: PlannedChunk, asked: AskedRange, buffer: memoryview) -> memoryview:
        filled, pace = 0, Pace(self._work.receiver.options.clock.monotonic_seconds, piece.staged.file.path)
        with asked.opened() as stream:
            while filled < piece.size_bytes:  # bounded: each round reads at least one byte or raises
                filled += pace.read(stream, buffer[filled : piece.size_bytes])
                self._work.receiver.halt.check()
                pace.check()
        return buffer[:filled]

    def _again(self, piece: PlannedChunk, buffer: memoryview, error: UnavailableError | None) -> None:
        """Bring a file whose first request failed as large files are brought."""
        if isinstance(error, SlowDownError):
            self._window, self._replies = max(1, self._window // 2), 0
        self._work.bring_after_failure(piece, buffer, error)
