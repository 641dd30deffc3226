"""Takes the bytes of a wanted chunk from where they lie on this machine already, if they are really the ones.

A local copy is only a hint. It is copied into the staging folder, by the kernel and without moving bytes where the
file system can share blocks, and then the copy itself is hashed: the bytes that were verified are those that are
used, and nobody can change them in between.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import xxhash

from bucketry.errors import RejectedError
from bucketry.frozen import frozen
from bucketry.transfer.disk.local_files import (
    copy_range,
    disk_errors,
    open_in,
    open_regular,
    read_full,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bucketry.transfer.disk.cache import Cache
    from bucketry.transfer.disk.staged_files import PlannedChunk
    from bucketry.transfer.down.remote import RemoteFile
    from bucketry.transfer.pace.workers import Halt
    from bucketry.transfer.plan import Verify


@frozen
class LocalChunk:
    """A file, open for reading, and where in it a chunk is said to begin. Whoever asked for it closes it."""

    descriptor: int
    offset: int


Source = Callable[["RemoteFile", int], LocalChunk | None]
"""Returns where the chunk of this number, of this file, is said to lie, or None."""


@frozen
class OlderFile:
    """What is known of a file of an older version: its SHA-256, and those of its chunks if they are known."""

    sha256: str
    chunk_size_bytes: int = 0
    chunk_sha256: tuple[str, ...] = ()


class Hash(Protocol):
    """What hashlib and xxhash have in common."""

    def update(self, body: memoryview, /) -> None:
        """Take more bytes in."""

    def hexdigest(self) -> str:
        """Return the digest of all bytes so far."""


def new_hash(verify: Verify) -> Hash:
    """Return the hash by which chunks are verified."""
    return hashlib.sha256() if verify == "sha256" else xxhash.xxh3_128()


def blobs_of(cache: Cache) -> Source:
    """Return a source that reads the node's cache, file by file."""

    def find(file: RemoteFile, index: int) -> LocalChunk | None:
        descriptor = cache.open_blob(file.sha256)
        return None if descriptor is None else LocalChunk(descriptor, file.bounds(index)[0])

    return find


def version_in(directory: Path, files: Mapping[str, OlderFile]) -> Source:
    """Return a source that reads an older version in a folder, by whole files and by chunks, wherever they lie."""
    path_by_file = {older.sha256: path for path, older in files.items()}
    place_by_chunk = {
        sha256: (path, index * older.chunk_size_bytes)
        for path, older in files.items()
        for index, sha256 in enumerate(older.chunk_sha256)
    }

    def find(file: RemoteFile, index: int) -> LocalChunk | None:
        path, offset = path_by_file.get(file.sha256), file.bounds(index)[0]
        if path is None:
            path, offset = place_by_chunk.get(file.chunk_sha256[index], (None, 0))
        if path is None:
            return None
        try:
            return LocalChunk(open_in(directory, path), offset)
        except (OSError, RejectedError):
            return None  # moved, removed or replaced since: then it is fetched

    return find


def local_objects(find_path: Callable[[str], Path | None]) -> Source:
    """Return a source that reads the files of a store that is a folder of this machine."""

    def find(file: RemoteFile, index: int) -> LocalChunk | None:
        path = find_path(file.key)
        if path is None:
            return None
        try:
            return LocalChunk(open_regular(path), file.bounds(index)[0])
        except (OSError, RejectedError):
            return None  # the store itself knows better how to say what is wrong

    return find


def take_chunk(sources: Sequence[Source], piece: PlannedChunk, buffer: memoryview, verify: Verify, halt: Halt) -> bool:
    """Copy a chunk from the first source whose bytes turn out right, and tell whether there was one."""
    for source in sources:
        found = source(piece.staged.file, piece.index)
        if found is None:
            continue
        try:
            with piece.staged.opened() as target_fd, disk_errors(piece.staged.file.path):
                # Shorter than it should be, it would leave a hole, which the digest finds like anything else.
                copy_range(found.descriptor, found.offset, target_fd, piece.start, piece.size_bytes, halt)
                if is_in_place(piece, target_fd, buffer, verify, halt):
                    return True
        finally:
            os.close(found.descriptor)
    return False


def is_in_place(piece: PlannedChunk, descriptor: int, buffer: memoryview, verify: Verify, halt: Halt) -> bool:
    """Tell whether a chunk's place holds the right bytes, by reading and hashing them. Raises `OSError`."""
    digest = new_hash(verify)
    for offset in range(piece.start, piece.stop, len(buffer)):
        halt.check()
        step = buffer[: min(len(buffer), piece.stop - offset)]
        if read_full(descriptor, step, offset) < len(step):
            return False
        digest.update(step)
    return digest.hexdigest() == piece.staged.file.chunk_digest(piece.index, verify)
