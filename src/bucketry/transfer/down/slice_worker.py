"""Is the child process of a pull: it fetches its slice of the queue, and tells the parent through a pipe."""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from bucketry.clock import Clock
from bucketry.transfer.disk.staged_files import PlannedChunk, StagedFile
from bucketry.transfer.down.chunk_work import ChunkWork, make_buffer
from bucketry.transfer.down.journal import Journal
from bucketry.transfer.down.processes import SliceJob, SliceOutcome, SliceProgress
from bucketry.transfer.down.receive import Receiver
from bucketry.transfer.pace.concurrency import Concurrency
from bucketry.transfer.pace.progress import ProgressMeter
from bucketry.transfer.pace.ratelimit import RateLimit
from bucketry.transfer.pace.workers import Gate, Halt, run_parallel
from bucketry.transfer.plan import TransferOptions

if TYPE_CHECKING:
    from bucketry.transfer.down.journal import Chunk

TELL_SECONDS = 0.1
_PR_SET_PDEATHSIG = 1


class TellingMeter(ProgressMeter):
    """Counts like any other, and tells the parent at most ten times a second."""

    def __init__(self, mouth: Connection, number_by_path: dict[str, int], gate: Gate) -> None:
        super().__init__(total_bytes=0, total_files=0, listener=None)
        self._mouth = mouth
        self._gate = gate
        self._number_by_path = number_by_path
        self._telling = threading.Lock()
        self._bytes: Counter[int] = Counter()
        self._retries_by_file: Counter[int] = Counter()
        self._done: list[Chunk] = []
        self._told_at = time.monotonic()

    def advance(self, label: str, size_bytes: int) -> None:
        """Count bytes of a file as done; a negative number takes them back."""
        with self._telling:
            self._bytes[self._number_by_path[label]] += size_bytes
            self._tell_if_due()

    def count_retry(self, label: str | None = None) -> None:
        """Count a request that is sent again."""
        if label is not None:
            with self._telling:
                self._retries_by_file[self._number_by_path[label]] += 1
                self._tell_if_due()

    def count_done(self, chunk: Chunk) -> None:
        """Count a chunk that is in its place and in the journal."""
        with self._telling:
            self._done.append(chunk)
            self._tell_if_due()

    def close(self) -> None:
        """Tell what was not told yet."""
        with self._telling:
            self._told_at = 0.0
            self._tell_if_due()

    def _tell_if_due(self) -> None:
        now = time.monotonic()
        if now - self._told_at < TELL_SECONDS:
            return
        self._told_at = now
        self._mouth.send(
            SliceProgress(dict(self._bytes), dict(self._retries_by_file), tuple(self._done), self._gate.level)
        )
        self._bytes.clear()
        self._retries_by_file.clear()
        self._done.clear()


def main() -> None:
    """Read a job from stdin, do it, and tell of it through the pipe whose number is the argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    job = pickle.load(sys.stdin.buffer)  # noqa: S301 - our parent's own
    # Where it can, the kernel ends us with our parent: a child that outlived it would still write.
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != job.parent:
        sys.exit(1)
    mouth = Connection(int(sys.argv[1]), readable=False)
    failure: BaseException | None = None
    try:
        run_slice(job, mouth)
    except BaseException as error:  # noqa: BLE001 - carried to the parent, which raises it
        failure = error
    with suppress(OSError):
        mouth.send(SliceOutcome(failure))


def run_slice(job: SliceJob, mouth: Connection) -> None:
    """Fetch the chunks of a job."""
    store = job.open_store()
    halt = Halt()
    options = TransferOptions(
        verify=job.verify, clock=halt.interrupting(Clock()), deadline_seconds=job.deadline_seconds
    )
    gate = Gate(Concurrency(job.connections))
    meter = TellingMeter(mouth, {file.path: number for number, file in job.files}, gate)
    receiver = Receiver(
        store=store,
        options=options,
        limit=RateLimit(job.limit_bytes_per_second, options.clock),
        halt=halt,
        gate=gate,
        meter=meter,
    )
    journal = Journal(job.journal_folder, part=job.part) if job.journal_folder else None
    work = ChunkWork(receiver, journal)
    staged = {number: StagedFile(number, file, job.directory, may_exist=True) for number, file in job.files}
    pieces = [PlannedChunk(staged[number], index, *staged[number].file.bounds(index)) for number, index in job.chunks]

    def bring(buffer: memoryview, piece: PlannedChunk) -> None:
        work.bring(buffer, piece)
        meter.count_done((piece.staged.number, piece.index))

    try:
        run_parallel(pieces, bring, make_context=make_buffer, connections=job.connections, halt=halt, gate=gate)
    finally:
        if journal is not None:
            journal.close()
        meter.close()
        store.close()


if __name__ == "__main__":
    main()
