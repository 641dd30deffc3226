"""Has several processes fetch one version together, where the TLS of one interpreter is the limit.

The parent prepares the files and hands each child a slice of the queue. A child writes its chunks to their places in
the same files, verifies them and keeps a journal of its own; what it tells the parent is for show and for the count,
and its exit says whether its slice is done. A child is as killable as any pull: it dies with its parent.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Pipe
from typing import TYPE_CHECKING

from bucketry.errors import UnavailableError, UsageError
from bucketry.frozen import frozen
from bucketry.transfer.pace.workers import run_parallel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection
    from pathlib import Path

    from bucketry.store.contract import Store
    from bucketry.transfer.disk.staged_files import PlannedChunk
    from bucketry.transfer.down.chunk_work import ChunkWork
    from bucketry.transfer.down.journal import Chunk
    from bucketry.transfer.down.remote import RemoteFile
    from bucketry.transfer.plan import Verify

OpenStore = Callable[[], "Store"]

MAX_PROCESSES = 64
POLL_SECONDS = 0.05
STOP_SECONDS = 1.0


@frozen
class SliceJob:
    """What one child of process `parent` is to do: its chunks in the order of fetching; `part` names its journal."""

    open_store: OpenStore
    files: tuple[tuple[int, RemoteFile], ...]
    chunks: tuple[Chunk, ...]
    directory: Path
    journal_folder: Path | None
    part: int
    verify: Verify
    connections: int
    limit_bytes_per_second: int | None
    deadline_seconds: float
    parent: int


@frozen
class SliceProgress:
    """What a child tells: bytes and retries by file since it last told, chunks that are done, and its level now."""

    bytes_by_file: dict[int, int]
    retries_by_file: dict[int, int]
    done: tuple[Chunk, ...]
    connections: int


@frozen
class SliceOutcome:
    """The last thing that a child tells: nothing, or why it could not do its slice."""

    failure: BaseException | None


def fetch_by_processes(
    work: ChunkWork, pieces: Sequence[PlannedChunk], open_store: OpenStore, directory: Path, connections: int
) -> None:
    """Bring the chunks to their places by several processes; raise what the first of them that failed raises."""
    processes = work.receiver.options.processes
    if not 1 < processes <= MAX_PROCESSES:
        raise UsageError(f"{processes} processes are not possible", advice=f"choose between 1 and {MAX_PROCESSES}")
    for piece in pieces:
        with piece.staged.opened():  # so that no two children make the same file
            work.begin(piece.staged)
            if piece.size_bytes == 0:
                work.finish(piece, fetched=False)
    todo = [piece for piece in pieces if piece.size_bytes > 0]
    count = min(processes, connections, len(todo))
    children = []
    for part in range(count):
        own = todo[part::count]
        job = _job(work, own, open_store, directory, part + 1, connections // count)
        children.append(_Child(work, own, job))
    try:
        run_parallel(
            children,
            lambda _, child: child.attend(),
            make_context=lambda: None,
            connections=max(1, count),
            halt=work.receiver.halt,
        )
    finally:
        for child in children:
            child.end()


def _job(
    work: ChunkWork, pieces: Sequence[PlannedChunk], open_store: OpenStore, directory: Path, part: int, connections: int
) -> SliceJob:
    receiver = work.receiver
    limit = receiver.limit.bytes_per_second
    files = {piece.staged.number: piece.staged.file for piece in pieces}
    return SliceJob(
        open_store=open_store,
        files=tuple(files.items()),
        chunks=tuple((piece.staged.number, piece.index) for piece in pieces),
        directory=directory,
        journal_folder=work.journal.folder if work.journal else None,
        part=part,
        verify=receiver.options.verify,
        connections=max(1, connections),
        limit_bytes_per_second=None if limit is None else max(1, limit // receiver.options.processes),
        deadline_seconds=receiver.options.deadline_seconds,
        parent=os.getpid(),
    )


class _Child:
    """One process with its slice, attended by one thread of the parent."""

    def __init__(self, work: ChunkWork, pieces: Sequence[PlannedChunk], job: SliceJob) -> None:
        self._work = work
        self._job = job
        self._pieces = {(piece.staged.number, piece.index): piece for piece in pieces}
        self._left = len(pieces)
        self._process: subprocess.Popen[bytes] | None = None

    def attend(self) -> None:
        """Start the process and listen to it until it has ended; raise what it raised."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
        ears, mouth = Pipe(duplex=False)
        with ears:
            with mouth:
                command = [sys.executable, "-m", "bucketry.transfer.down.slice_worker", str(mouth.fileno())]
                self._process = subprocess.Popen(  # noqa: S603 - this interpreter, a module of ours
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[mouth.fileno()],
                    env=environment,
                )
            self._listen(self._process, ears)

    def _listen(self, process: subprocess.Popen[bytes], ears: Connection) -> None:
        if process.stdin is None:
            raise AssertionError("no pipe")
        try:
            with process.stdin as pipe:
                pickle.dump(self._job, pipe)
            while True:  # bounded: the child ends, or we do
                self._work.receiver.halt.check()
                if ears.poll(POLL_SECONDS) and self._hear(ears.recv()):
                    return
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            raise UnavailableError(
                "a process that fetched a part of the files ended early", advice="run it again: it goes on"
            ) from error
        finally:
            self.end()

    def end(self) -> None:
        """End the process; whatever it did is in its journal."""
        if self._process is not None:
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
            if self._process.stdin is not None:
                with suppress(OSError):
                    self._process.stdin.close()

    def _hear(self, told: object) -> bool:
        """Count what the child told, and return whether it has done its slice."""
        if isinstance(told, SliceOutcome):
            if told.failure is not None:
                raise told.failure
            if self._left > 0:
                raise EOFError
            return True
        if not isinstance(told, SliceProgress):
            raise EOFError  # noqa: TRY004 - the same as no answer
        self._work.receiver.gate.count_elsewhere(self._job.part, told.connections)
        meter = self._work.receiver.meter
        path_by_number = {number: file.path for number, file in self._job.files}
        for number, size_bytes in told.bytes_by_file.items():
            meter.advance(path_by_number[number], size_bytes)
        for number, retries in told.retries_by_file.items():
            for _ in range(retries):
                meter.count_retry(path_by_number[number])
        for chunk in told.done:
            self._left -= 1
            self._work.finish(self._pieces[chunk], fetched=True)
        return False
