"""Lets many threads, and processes one after the other, fill the files of a staging folder.

A file is made in its full size at once, and opened again by each thread that needs it and finds it closed, so that a
version of 20,000 files does not need 20,000 descriptors, and a thread that hangs in a read never shares a descriptor
with whoever gets its number next.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from threading import Lock
from typing import TYPE_CHECKING

from bucketry.frozen import frozen
from bucketry.transfer.disk.local_files import (
    create_below,
    disk_errors,
    open_directory,
    open_existing_below,
    remove_below,
    write_all,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bucketry.store.contract import ETag
    from bucketry.transfer.disk.local_files import OpenFolders
    from bucketry.transfer.down.remote import RemoteFile


class StagedFile:
    """One file on its way. `number` is its place in the plan; `may_exist` whether earlier work of ours may be here."""

    def __init__(self, number: int, file: RemoteFile, directory: Path, *, may_exist: bool) -> None:
        self.number = number
        self.file = file
        self.lock = Lock()
        self.etag: ETag | None = None
        self.is_begun = False
        self._directory = directory
        self._may_exist = may_exist
        self._descriptor = -1
        self._users = 0
        self._left = max(1, len(file.chunk_sha256))

    @contextmanager
    def opened(self) -> Iterator[int]:
        """Give a descriptor for reading and writing; the file is made if need be."""
        with self.lock:
            if self._users == 0:
                with disk_errors(self.file.path):
                    self._descriptor = self._open()
            self._users += 1
            descriptor = self._descriptor
        try:
            yield descriptor
        finally:
            with self.lock:
                self._users -= 1
                if self._users == 0:
                    with disk_errors(self.file.path):
                        os.close(self._descriptor)

    def write_whole(self, body: memoryview, folders: OpenFolders) -> None:
        """Write a file of one chunk, which nobody else has open, below the staging folder that the caller has open."""
        with disk_errors(self.file.path):
            found = self._open_existing(folders.directory_fd) if self._may_exist else None
            descriptor = folders.create(self.file.path) if found is None else found
            self._may_exist = True
            try:
                write_all(descriptor, body, 0)
            finally:
                os.close(descriptor)

    def finish_chunk(self) -> bool:
        """Count a chunk as done, and tell whether it was the last of the file."""
        with self.lock:
            self._left -= 1
            return self._left == 0

    def pieces(self) -> list[PlannedChunk]:
        """Return the chunks; one without bytes stands for an empty file."""
        return [PlannedChunk(self, index, *self.file.bounds(index)) for index in range(self._left)]

    def _open(self) -> int:
        directory_fd = open_directory(self._directory)
        try:
            if self._may_exist:
                found = self._open_existing(directory_fd)
                if found is not None:
                    return found
            descriptor = create_below(directory_fd, self.file.path)
            self._may_exist = True  # from now on, it is ours
            if len(self.file.chunk_sha256) > 1:
                os.ftruncate(descriptor, self.file.size_bytes)
            return descriptor
        finally:
            os.close(directory_fd)

    def _open_existing(self, directory_fd: int) -> int | None:
        """Open a file that earlier work left, or remove whatever else is there."""
        descriptor = -1
        try:
            descriptor = open_existing_below(directory_fd, self.file.path)
            if os.fstat(descriptor).st_size == self.file.size_bytes:
                return descriptor
            os.close(descriptor)
        except FileNotFoundError:
            return None
        except OSError:
            pass  # a link, a second name, no right to write: not what a pull leaves half-done
        with suppress(FileNotFoundError):
            remove_below(directory_fd, self.file.path)
        return None


@frozen
class PlannedChunk:
    """One chunk of a file, to be brought to its place."""

    staged: StagedFile
    index: int
    start: int
    stop: int

    @property
    def size_bytes(self) -> int:
        """The length of the chunk."""
        return self.stop - self.start


def order_pieces(staged: Sequence[StagedFile]) -> list[PlannedChunk]:
    """Return all chunks in the order in which they are to be fetched.

    Files of many chunks come by size, so that none of them is begun last; files of one chunk are strewn among them, so
    that the time that each costs in latency is filled with the bytes of others.
    """
    large = sorted((one for one in staged if len(one.file.chunk_sha256) > 1), key=lambda one: -one.file.size_bytes)
    small = sorted((one for one in staged if len(one.file.chunk_sha256) <= 1), key=lambda one: -one.file.size_bytes)
    chunks = [piece for one in large for piece in one.pieces()]
    files = [piece for one in small for piece in one.pieces()]
    strewn: list[tuple[float, PlannedChunk]] = []
    for pieces in (chunks, files):
        strewn += [((number + 0.5) / len(pieces), piece) for number, piece in enumerate(pieces)]
    return [piece for _, piece in sorted(strewn, key=lambda placed: placed[0])]
