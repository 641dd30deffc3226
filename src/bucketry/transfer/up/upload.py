"""Makes objects of many local files at once, from the first whose digest is known on.

Every object is created or left alone, never replaced: its key names its content. Some threads hash files, the small
ones first; the pieces of each file whose digest is known join one queue, from which other threads send as many at
once as the link is found to bear. Memory is bounded, whatever the files' number and size.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace
from os import cpu_count
from typing import TYPE_CHECKING, Literal

from bucketry.errors import DeniedError, RejectedError, UnavailableError, UsageError
from bucketry.frozen import frozen
from bucketry.transfer.disk.hashing import Digester, FileDigest
from bucketry.transfer.pace.concurrency import Concurrency
from bucketry.transfer.pace.progress import Progress, ProgressMeter, with_hashing
from bucketry.transfer.pace.ratelimit import RateLimit
from bucketry.transfer.pace.workers import MAX_CONNECTIONS, POLL_SECONDS, Gate, Halt, check_connections, run_parallel
from bucketry.transfer.plan import TransferOptions
from bucketry.transfer.up.outgoing import Buffers, ChunkPlace, LocalFile, SourceFile, UploadOutcome
from bucketry.transfer.up.sending import Sender, Sending, UploadPiece

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bucketry.store.contract import Store
    from bucketry.transfer.pace.progress import ProgressListener
    from bucketry.transfer.up.outgoing import OutgoingFile

__all__ = [
    "ChunkPlace",
    "HashedFile",
    "LocalFile",
    "SourceFile",
    "UploadOutcome",
    "hash_and_upload",
    "upload",
]

MOST_HASHING_THREADS = 4
LINGER_SECONDS = 0.2  # a request that is cut off leaves nothing that the next publish cannot go on with

_Role = Literal["hash", "send"]


@frozen
class HashedFile:
    """The digest of a file, and what became of it where it was given a key."""

    digest: FileDigest
    uploaded: UploadOutcome | None


def upload(
    store: Store,
    files: Sequence[OutgoingFile],
    options: TransferOptions | None = None,
    *,
    copies: Mapping[str, ChunkPlace] | None = None,
) -> tuple[UploadOutcome, ...]:
    """Make every file an object, if absent, and return what happened to each, in their order.

    `copies` says where the store has chunks already, by their SHA-256: it is asked to copy these, and they are sent
    only where it cannot.

    Raises `RejectedError` for a file that changed since it was hashed, `CorruptError` if another object is at
    its key, `Interrupted`, or what the store raised. Objects that are complete stay, and so do the parts of others,
    for whoever uploads the same bytes again; only those of a file that changed are given up.
    """
    options = options or TransferOptions()
    check_connections(options.connections)
    sizes_bytes = {file.key: file.digest.size_bytes for file in files}
    run = _Run(store, options, copies or {}, sum(sizes_bytes.values()), len(sizes_bytes))
    for file in files:
        run.add(file)
    run.work(["send"] * min(options.most_threads, run.queue.length), run.meter.snapshot)
    return tuple(run.outcome(file) for file in files)


def hash_and_upload(
    store: Store,
    files: Sequence[SourceFile],
    chunk_size_bytes: int,
    place: Callable[[FileDigest], str | None],
    options: TransferOptions | None = None,
    *,
    copies: Mapping[str, ChunkPlace] | None = None,
) -> tuple[HashedFile, ...]:
    """Hash files and upload each as soon as its digest is known; return what was found and done, in their order.

    `place` says which key the bytes with a digest belong at, or None for those that need not be stored; it is called
    by many threads. Raises as `upload` does, and as `Digester.digest`.
    """
    options = options or TransferOptions()
    check_connections(options.connections)
    run = _Run(store, options, copies or {}, sum(file.size_bytes for file in files), len(files))
    hashing = _Hashing(run, files, chunk_size_bytes, place, options.on_hash)
    hashers = min(len(files), cpu_count() or 1, MOST_HASHING_THREADS)
    senders = min(options.most_threads, MAX_CONNECTIONS - hashers)
    run.queue.expect(len(files))
    roles: list[_Role] = ["hash"] * hashers
    roles += ["send"] * senders
    run.work(roles, lambda: with_hashing(run.meter.snapshot(), hashing.meter.snapshot()), hashing.hash_files)
    hashing.meter.close()
    return tuple(hashing.result(index) for index in range(len(files)))


class _Queue:
    """The pieces to send; there may be more as long as files are being hashed or pieces are being sent."""

    def __init__(self, halt: Halt) -> None:
        self._pieces: deque[UploadPiece] = deque()
        self._changed = threading.Condition()
        self._expected_files = 0
        self._busy = 0
        self._halt = halt

    @property
    def length(self) -> int:
        """How many pieces wait."""
        return len(self._pieces)

    def expect(self, files: int) -> None:
        """Keep senders waiting until so many files more are known."""
        with self._changed:
            self._expected_files += files

    def file_is_known(self) -> None:
        """Tell that the pieces of one of the expected files are in the queue, if they must be sent."""
        with self._changed:
            self._expected_files -= 1
            self._changed.notify_all()

    def add(self, pieces: Sequence[UploadPiece]) -> None:
        """Put pieces at the end."""
        with self._changed:
            self._pieces.extend(pieces)
            self._changed.notify_all()

    def take(self) -> UploadPiece | None:
        """Wait for the next piece, to be followed by `finished`; None when there will be no more."""
        with self._changed:
            while not self._pieces:  # bounded: files become known and pieces are finished, or the halt comes
                if not self._expected_files and not self._busy:
                    return None
                self._halt.check()
                self._changed.wait(POLL_SECONDS)
            self._busy += 1
            return self._pieces.popleft()

    def finished(self) -> None:
        """Tell that a piece that was taken is done, or was put back in parts."""
        with self._changed:
            self._busy -= 1
            if not self._busy:
                self._changed.notify_all()


class _Run:
    """What all threads of one upload share."""

    def __init__(
        self,
        store: Store,
        options: TransferOptions,
        copies: Mapping[str, ChunkPlace],
        total_bytes: int,
        total_files: int,
    ) -> None:
        self.halt = Halt(options.stop)
        options = replace(options, clock=self.halt.interrupting(options.clock))
        self._controls = options.new_controls()
        self.gate = Gate(Concurrency(self._controls.connections, clock=options.clock.monotonic_seconds))
        self._limit = RateLimit(self._controls.limit_bytes_per_second, options.clock)
        self.meter = ProgressMeter(
            total_bytes=total_bytes,
            total_files=total_files,
            listener=options.on_transfer,
            connections=lambda: self.gate.level,
        )
        self.queue = _Queue(self.halt)
        self._sender = Sender(
            # Retries are this layer's own: they end when the upload does.
            store=store.unretried,
            options=options,
            halt=self.halt,
            meter=self.meter,
            gate=self.gate,
            limit=self._limit,
            buffers=Buffers(),
            copies=copies,
            enqueue=self.queue.add,
        )
        self._sending: dict[str, Sending] = {}
        self._lock = threading.Lock()

    def add(self, file: OutgoingFile) -> bool:
        """Queue a file; return False if another one with its key was queued before. Equal files are one object."""
        with self._lock:
            known = self._sending.get(file.key)
            if known is None:
                self._sending[file.key] = sending = Sending(file)
        if known is None:
            self.queue.add(sending.pieces())
        elif known.file.digest.sha256 != file.digest.sha256:
            raise UsageError(f"{file.label} and {known.file.label} differ, yet share the key {file.key}")
        return known is None

    def work(
        self, roles: Sequence[_Role], look: Callable[[], Progress], hash_files: Callable[[], None] | None = None
    ) -> None:
        """Let one thread play each role, until everything is sent; `look` tells how far it is."""

        def play(_: None, role: _Role) -> None:
            try:
                if role == "hash" and hash_files is not None:
                    hash_files()
                else:
                    while (piece := self.queue.take()) is not None:  # bounded by the queue's end
                        try:
                            self.gate.enter(self.halt)
                            try:
                                self._sender.send(piece)
                            finally:
                                self.gate.leave()
                        finally:
                            self.queue.finished()
            except BaseException:
                # Whatever it was, another transfer's interrupt included: nobody must wait for what this thread owed.
                self.halt.end()
                raise

        try:
            with self._controls.obeyed_by(self.gate, self._limit, look):
                run_parallel(
                    roles,
                    play,
                    make_context=lambda: None,
                    connections=max(1, len(roles)),
                    halt=self.halt,
                    linger_seconds=LINGER_SECONDS,
                )
        except RejectedError:
            self._sender.clean_up()
            raise
        except (UnavailableError, DeniedError) as error:
            # A later attempt goes on from the parts that were sent.
            error.advice = f"{error.advice}; what was sent is kept" if error.advice else "what was sent is kept"
            raise
        self.meter.close()

    def outcome(self, file: OutgoingFile) -> UploadOutcome:
        """Return what became of a file that was added."""
        sending = self._sending[file.key]
        already_there = sending.already_there or sending.file is not file
        return UploadOutcome(
            label=file.label,
            key=file.key,
            size_bytes=file.digest.size_bytes,
            uploaded_bytes=0 if already_there else sending.sent_bytes,
            already_there=already_there,
            copied_bytes=0 if already_there else sending.copied_bytes,
        )


class _Hashing:
    """The files that are hashed while others are sent."""

    def __init__(
        self,
        run: _Run,
        files: Sequence[SourceFile],
        chunk_size_bytes: int,
        place: Callable[[FileDigest], str | None],
        listener: ProgressListener | None,
    ) -> None:
        self.meter = ProgressMeter(
            total_bytes=sum(file.size_bytes for file in files), total_files=len(files), listener=listener
        )
        self._run = run
        self._files = files
        self._chunk_size_bytes = chunk_size_bytes
        self._place = place
        # Where sending is slower than hashing, this order lets it begin soonest and end soonest.
        self._order = deque(sorted(range(len(files)), key=lambda index: files[index].size_bytes))
        self._digests: dict[int, FileDigest] = {}
        self._local: dict[int, LocalFile] = {}

    def hash_files(self) -> None:
        """Hash the next file, until there are none."""
        digester = Digester(self._chunk_size_bytes, self._run.halt)
        for _ in range(len(self._files)):
            try:
                index = self._order.popleft()
            except IndexError:
                return
            self._run.halt.check()
            self._hash(digester, index)
            self._run.queue.file_is_known()

    def result(self, index: int) -> HashedFile:
        """Return what was found out about a file."""
        file = self._local.get(index)
        return HashedFile(self._digests[index], None if file is None else self._run.outcome(file))

    def _hash(self, digester: Digester, index: int) -> None:
        file = self._files[index]
        self.meter.begin_file(file.label, file.size_bytes)
        digest = digester.digest(file.path, lambda count: self.meter.advance(file.label, count))
        self.meter.finish_file(file.label)
        self._digests[index] = digest
        if len(self._digests) == len(self._files):
            self.meter.close()  # sending may go on for hours, and what was told last may be long past
        key = self._place(digest)
        is_new = False
        if key is not None:
            self._local[index] = local = LocalFile(file.path, key, digest, file.label)
            is_new = self._run.add(local)
        if not is_new:
            self._run.meter.begin_file(file.label, file.size_bytes)
            self._run.meter.advance(file.label, file.size_bytes)
            for _ in digest.chunks.sha256:
                self._run.meter.count_verified_chunk(file.label)
            self._run.meter.finish_file(file.label)
