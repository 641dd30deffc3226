"""How do objects become local files, where no chunk counts before its digest was found right?

Each chunk is read in ranges of exactly one object (its ETag is asked once and required ever after), hashed in
flight and written to its place in a file of full size. Nothing here makes a file or a folder appear under its
final name: the caller gives a fresh staging folder, and `target` makes it appear when all of it is right.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Literal, Protocol

import xxhash

from bucketry.errors import CorruptError, UnavailableError
from bucketry.store.interface import PreconditionFailedError
from bucketry.transfer.hashing import EMPTY_SHA256
from bucketry.transfer.localfiles import create_below, disk_errors, open_directory, preallocate, write_all
from bucketry.transfer.patience import MAX_ATTEMPTS, Attempts, Patience
from bucketry.transfer.progress import ProgressListener, ProgressMeter
from bucketry.transfer.ratelimit import RateLimit
from bucketry.transfer.workers import Halt, run_parallel

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence
    from pathlib import Path

    from bucketry.store.interface import ETag, Store

Verify = Literal["sha256", "fast"]

BUFFER_BYTES = 4 * 1024 * 1024
MAX_READS_OF_A_CHUNK = 2  # a wrong digest is read once more: a bad network is likelier than a bad object


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file to fetch: a relative POSIX path, and digests in lower-case hex, chunks in order."""

    path: str
    key: str
    size_bytes: int
    sha256: str
    chunk_size_bytes: int
    chunk_sha256: tuple[str, ...]
    chunk_xxh3_128: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch moved. `retries` counts requests sent again; `fetched_bytes` counts every byte once."""

    files: int
    chunks: int
    fetched_bytes: int
    retries: int
    seconds: float


def fetch(  # noqa: PLR0913 - each is one independent choice of the caller
    store: Store,
    files: Sequence[RemoteFile],
    directory: Path,
    *,
    verify: Verify = "sha256",
    connections: int = 8,
    limit_bytes_per_second: int | None = None,
    progress: ProgressListener | None = None,
    stop: threading.Event | None = None,
    patience: Patience | None = None,
) -> Fetched:
    """Fetch files into a fresh staging directory that exists and holds none of them yet.

    `verify="fast"` compares XXH3-128 instead of SHA-256, for networks where nobody hostile writes. Raises
    `CorruptError` for wrong bytes, `PreconditionFailedError` for an object replaced while it was read,
    `UnavailableError` when patience or the disk's space is over, `DeniedError`, `RejectedError` for a file
    that is there already, `Interrupted`. Whatever was fetched until then stays for the caller to discard.
    """
    patience = patience or Patience()
    for file in files:
        _check_consistent(file)
    meter = ProgressMeter(total_bytes=sum(file.size_bytes for file in files), total_files=len(files), listener=progress)
    halt = Halt(stop)
    limit = RateLimit(limit_bytes_per_second, patience, halt)
    started_at = patience.clock()
    with disk_errors(str(directory)):
        directory_fd = open_directory(directory)
    receiving = [_Receiving(file) for file in files]
    pieces = [piece for one in receiving for piece in one.pieces()]
    receiver = _Receiver(
        store=store,
        directory_fd=directory_fd,
        verify=verify,
        patience=patience,
        limit=limit,
        halt=halt,
        meter=meter,
    )
    largest_bytes = max((piece.stop - piece.start for piece in pieces), default=0)

    def make_buffer() -> memoryview:
        return memoryview(bytearray(min(BUFFER_BYTES, max(1, largest_bytes))))

    try:
        run_parallel(pieces, receiver.receive, make_context=make_buffer, connections=connections, halt=halt)
    finally:
        for one in receiving:
            one.close()
        os.close(directory_fd)
        meter.close()
    return Fetched(
        files=len(files),
        chunks=sum(len(file.chunk_sha256) for file in files),
        fetched_bytes=sum(file.size_bytes for file in files),
        retries=meter.snapshot().retries,
        seconds=patience.clock() - started_at,
    )


class _Receiving:
    """One file on its way, shared by the threads that fetch its pieces."""

    def __init__(self, file: RemoteFile) -> None:
        self.file = file
        self.lock = Lock()
        self.etag: ETag | None = None
        self.descriptor: int | None = None
        self.remaining = max(1, len(file.chunk_sha256))

    def pieces(self) -> list[_Piece]:
        step = self.file.chunk_size_bytes
        return [
            _Piece(self, index, index * step, min(self.file.size_bytes, (index + 1) * step))
            for index in range(self.remaining)
        ]

    def close(self) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


@dataclass(frozen=True, slots=True)
class _Piece:
    receiving: _Receiving
    index: int
    start: int
    stop: int


class _Hash(Protocol):
    def update(self, body: memoryview, /) -> None: ...
    def hexdigest(self) -> str: ...


@dataclass(frozen=True, slots=True)
class _Receiver:
    """Fetches pieces; used by all threads of one fetch."""

    store: Store
    directory_fd: int
    verify: Verify
    patience: Patience
    limit: RateLimit
    halt: Halt
    meter: ProgressMeter

    def receive(self, buffer: memoryview, piece: _Piece) -> None:
        receiving = piece.receiving
        with receiving.lock:
            if receiving.descriptor is None:
                self._begin(receiving)
        if piece.stop > piece.start:
            self._fetch_chunk(piece, buffer)
        with receiving.lock:
            receiving.remaining -= 1
            if receiving.remaining == 0:
                with disk_errors(receiving.file.path):
                    receiving.close()
                self.meter.finish_file(receiving.file.path)

    def _begin(self, receiving: _Receiving) -> None:
        file = receiving.file
        self.meter.begin_file(file.path, file.size_bytes)
        if file.size_bytes > 0:
            entry = self._attempts().insist(lambda: self.store.stat(file.key))
            if entry.size_bytes != file.size_bytes:
                raise CorruptError(
                    f"{file.path} has {entry.size_bytes} bytes in the store, where its version says {file.size_bytes}",
                    advice="run fsck on the registry",
                )
            receiving.etag = entry.etag
        with disk_errors(file.path):
            receiving.descriptor = create_below(self.directory_fd, file.path)
            preallocate(receiving.descriptor, file.size_bytes)

    def _fetch_chunk(self, piece: _Piece, buffer: memoryview) -> None:
        file = piece.receiving.file
        expected = (file.chunk_sha256 if self.verify == "sha256" else file.chunk_xxh3_128)[piece.index]
        for read_number in range(1, MAX_READS_OF_A_CHUNK + 1):
            if self._read_chunk(piece, buffer) == expected:
                self.meter.count_verified_chunk()
                return
            if read_number < MAX_READS_OF_A_CHUNK:
                self.meter.advance(file.path, piece.start - piece.stop)
                self.meter.count_retry()
        raise CorruptError(
            f"chunk {piece.index + 1} of {len(file.chunk_sha256)} of {file.path} (bytes {piece.start} to"
            f" {piece.stop - 1}) does not have the digest that its version names",
            advice="run fsck --deep on the registry, and pull from a replica if there is one",
        )

    def _read_chunk(self, piece: _Piece, buffer: memoryview) -> str:
        """Read one chunk to its place and return its digest; a broken connection goes on where it broke."""
        file = piece.receiving.file
        reading = _Reading(piece.start, hashlib.sha256() if self.verify == "sha256" else xxhash.xxh3_128())
        attempts = self._attempts()
        # Around the loop, not in it: a full disk must not be mistaken for a store that will serve again.
        with disk_errors(file.path):
            for _ in range(MAX_ATTEMPTS):
                before = reading.position
                try:
                    self._read_on(piece, reading, buffer)
                except PreconditionFailedError as error:
                    raise _replaced(file) from error
                except UnavailableError as error:
                    if reading.position > before:
                        attempts.progressed()
                    attempts.pause(error)
                else:
                    return reading.hash.hexdigest()
        raise UnavailableError(f"the connection broke {MAX_ATTEMPTS} times while {file.path} was read")

    def _read_on(self, piece: _Piece, reading: _Reading, buffer: memoryview) -> None:
        receiving = piece.receiving
        if receiving.descriptor is None or receiving.etag is None:
            raise AssertionError(receiving.file.path)
        with self.store.open_range(receiving.file.key, reading.position, piece.stop, etag=receiving.etag) as stream:
            while reading.position < piece.stop:  # bounded: each round reads at least one byte or raises
                self.halt.check()
                wanted = self.limit.read_size_bytes(min(len(buffer), piece.stop - reading.position))
                count = stream.readinto(buffer[:wanted])
                if count == 0:
                    raise UnavailableError(f"the store ended early while {receiving.file.path} was read")
                self.limit.take(count)
                reading.hash.update(buffer[:count])
                write_all(receiving.descriptor, buffer[:count], reading.position)
                reading.position += count
                self.meter.advance(receiving.file.path, count)

    def _attempts(self) -> Attempts:
        return Attempts(self.patience, self.halt, self.meter.count_retry)


@dataclass(slots=True)
class _Reading:
    """How far one chunk was read, and the hash of what was read."""

    position: int
    hash: _Hash


def _check_consistent(file: RemoteFile) -> None:
    """Raise `CorruptError` if the sizes and digests of a file contradict each other."""
    chunks = -(-file.size_bytes // file.chunk_size_bytes) if file.chunk_size_bytes > 0 else -1
    whole = {0: (EMPTY_SHA256,), 1: file.chunk_sha256}.get(chunks)
    if (
        file.size_bytes < 0
        or len(file.chunk_sha256) != chunks
        or len(file.chunk_xxh3_128) != chunks
        or (whole is not None and whole != (file.sha256,))
    ):
        raise CorruptError(
            f"the sizes and digests recorded for {file.path} contradict each other",
            advice="do not use this version; run fsck on the registry",
        )


def _replaced(file: RemoteFile) -> PreconditionFailedError:
    return PreconditionFailedError(
        f"{file.path} was replaced in the store while it was read",
        advice="pull again: nothing of the two was mixed",
    )
