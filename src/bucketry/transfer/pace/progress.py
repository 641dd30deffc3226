"""Counts how far a transfer is, for whoever watches it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from bucketry.frozen import frozen

REPORT_INTERVAL_SECONDS = 0.1
RATE_WINDOW_REPORTS = 50  # five seconds: steady enough to read, quick enough to show a stall


@frozen
class ActiveFile:
    """One file whose bytes are moving now; its rate is the average since its first byte."""

    label: str
    done_bytes: int
    size_bytes: int
    verified_chunks: int = 0
    retries: int = 0
    bytes_per_second: float = 0.0
    eta_seconds: float | None = None
    is_hashing: bool = False
    """Whether its bytes are only read, to be sent when all are known."""


@frozen
class Progress:
    """The state of a transfer at one moment.

    `done_bytes` may go back when a chunk turns out wrong and is fetched again. `eta_seconds` is None while
    unknown. `connections` is how many requests may run at once now, 0 where none are sent. `hashed_bytes` are those of
    an upload whose digests are known, sent or not; None where it is not told.
    """

    total_bytes: int
    done_bytes: int
    total_files: int
    done_files: int
    active: tuple[ActiveFile, ...]
    verified_chunks: int
    retries: int
    bytes_per_second: float
    eta_seconds: float | None
    connections: int = 0
    hashed_bytes: int | None = None


ProgressListener = Callable[[Progress], None]


def with_hashing(sent: Progress, hashed: Progress) -> Progress:
    """Return in one how far the sending of files is and how far their hashing, which runs ahead of it."""
    sending = {file.label for file in sent.active}
    hashing = tuple(replace(file, is_hashing=True) for file in hashed.active if file.label not in sending)
    return replace(sent, active=sent.active + hashing, hashed_bytes=hashed.done_bytes)


class ProgressMeter:
    """Counts for all threads of one transfer; tells the listener at most ten times a second."""

    def __init__(
        self,
        *,
        total_bytes: int,
        total_files: int,
        listener: ProgressListener | None,
        connections: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connections = connections
        self._total_bytes = total_bytes
        self._total_files = total_files
        self._listener = listener
        self._clock = clock
        self._lock = threading.Lock()
        self._reporting = threading.Lock()
        self._reported_at: float | None = None
        self._samples = deque([(clock(), 0)], maxlen=RATE_WINDOW_REPORTS)
        self._active: dict[str, _Moving] = {}
        self._done_bytes = 0
        self._done_files = 0
        self._verified_chunks = 0
        self._retries = 0

    def begin_file(self, label: str, size_bytes: int) -> None:
        """Show a file as active."""
        with self._lock:
            self._active[label] = _Moving(size_bytes, self._clock())
        self._report()

    def advance(self, label: str, size_bytes: int) -> None:
        """Count bytes of a file as done; a negative number takes them back."""
        with self._lock:
            self._done_bytes += size_bytes
            known = self._active.get(label)
            if known is not None:
                known.done_bytes += size_bytes
        self._report()

    def count_verified_chunk(self, label: str | None = None) -> None:
        """Count a chunk whose digest was right, of the file if one is named."""
        with self._lock:
            self._verified_chunks += 1
            if label in self._active:
                self._active[label].verified_chunks += 1

    def count_retry(self, label: str | None = None) -> None:
        """Count a request that is sent again, for the file if one is named."""
        with self._lock:
            self._retries += 1
            if label in self._active:
                self._active[label].retries += 1
        self._report()

    def finish_file(self, label: str) -> None:
        """Count a file as done."""
        with self._lock:
            self._active.pop(label, None)
            self._done_files += 1
        self._report()

    def close(self) -> None:
        """Tell the listener the last state, whatever was told before."""
        if self._listener is not None:
            with self._reporting:
                self._listener(self.snapshot())

    def snapshot(self) -> Progress:
        """Return the state now."""
        with self._lock:
            now = self._clock()
            first_at, first_bytes = self._samples[0]
            elapsed = now - first_at
            rate = max(0.0, (self._done_bytes - first_bytes) / elapsed) if elapsed > 0 else 0.0
            if now - self._samples[-1][0] >= REPORT_INTERVAL_SECONDS:  # however often somebody looks
                self._samples.append((now, self._done_bytes))
            return Progress(
                total_bytes=self._total_bytes,
                done_bytes=self._done_bytes,
                total_files=self._total_files,
                done_files=self._done_files,
                active=tuple(moving.snapshot(label, now) for label, moving in self._active.items()),
                verified_chunks=self._verified_chunks,
                retries=self._retries,
                bytes_per_second=rate,
                eta_seconds=(self._total_bytes - self._done_bytes) / rate if rate > 0 else None,
                connections=self._connections(),
            )

    def _report(self) -> None:
        if self._listener is None or not self._is_due():
            return
        if self._reporting.acquire(blocking=False):
            try:
                if self._is_due():
                    self._reported_at = self._clock()
                    self._listener(self.snapshot())
            finally:
                self._reporting.release()

    def _is_due(self) -> bool:
        return self._reported_at is None or self._clock() - self._reported_at >= REPORT_INTERVAL_SECONDS


@dataclass(slots=True)
class _Moving:
    size_bytes: int
    begun_at: float
    done_bytes: int = 0
    verified_chunks: int = 0
    retries: int = 0

    def snapshot(self, label: str, now: float) -> ActiveFile:
        elapsed = now - self.begun_at
        rate = max(0.0, self.done_bytes / elapsed) if elapsed > 0 else 0.0
        return ActiveFile(
            label=label,
            done_bytes=self.done_bytes,
            size_bytes=self.size_bytes,
            verified_chunks=self.verified_chunks,
            retries=self.retries,
            bytes_per_second=rate,
            eta_seconds=(self.size_bytes - self.done_bytes) / rate if rate > 0 else None,
        )
