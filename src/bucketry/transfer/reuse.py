"""Which of the wanted files are on this machine already, and are they really the ones?

A local copy is only a hint. It is copied into the staging folder, by the kernel and without moving bytes
where the file system can share blocks, and then the copy itself is hashed: the bytes that were verified are
those that are used, and nobody can change them in between.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bucketry.errors import RejectedError
from bucketry.transfer.hashing import sha256_of_open_file
from bucketry.transfer.localfiles import (
    copy_contents,
    create_below,
    disk_errors,
    open_below,
    open_directory,
    remove_below,
)
from bucketry.transfer.progress import ProgressListener, ProgressMeter
from bucketry.transfer.workers import Halt, run_parallel

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bucketry.transfer.download import RemoteFile

# Returns a descriptor, open for reading, of a file that is said to have this SHA-256, or None.
Source = Callable[[str], int | None]


@dataclass(frozen=True, slots=True)
class Reused:
    """Which files were taken from this machine, and which are still to be fetched."""

    files: tuple[RemoteFile, ...]
    missing: tuple[RemoteFile, ...]
    reused_bytes: int


def version_in(directory: Path, recorded: Mapping[str, str]) -> Source:
    """Return a source that reads an older version, given what its receipt records ({path: SHA-256})."""
    path_by_digest = {digest: path for path, digest in recorded.items()}

    def find(sha256: str) -> int | None:
        path = path_by_digest.get(sha256)
        if path is None:
            return None
        try:
            directory_fd = open_directory(directory)
            try:
                return open_below(directory_fd, path)
            finally:
                os.close(directory_fd)
        except (OSError, RejectedError):
            return None  # moved, removed or replaced since: then it is fetched

    return find


def reuse(
    sources: Sequence[Source],
    files: Sequence[RemoteFile],
    directory: Path,
    *,
    connections: int = 4,
    progress: ProgressListener | None = None,
    stop: threading.Event | None = None,
) -> Reused:
    """Copy what the sources have into a staging directory; keep what has the right SHA-256."""
    halt = Halt(stop)
    meter = ProgressMeter(total_bytes=sum(file.size_bytes for file in files), total_files=len(files), listener=progress)
    taken: set[str] = set()
    with disk_errors(str(directory)):
        directory_fd = open_directory(directory)

    def reuse_one(_: None, file: RemoteFile) -> None:
        meter.begin_file(file.path, file.size_bytes)
        if any(_take(source, file, directory_fd, halt) for source in sources):
            taken.add(file.path)
            meter.advance(file.path, file.size_bytes)
        meter.finish_file(file.path)

    try:
        run_parallel(files, reuse_one, make_context=lambda: None, connections=connections, halt=halt)
    finally:
        os.close(directory_fd)
        meter.close()
    kept = tuple(file for file in files if file.path in taken)
    return Reused(
        files=kept,
        missing=tuple(file for file in files if file.path not in taken),
        reused_bytes=sum(file.size_bytes for file in kept),
    )


def _take(source: Source, file: RemoteFile, directory_fd: int, halt: Halt) -> bool:
    source_fd = source(file.sha256)
    if source_fd is None:
        return False
    try:
        if os.fstat(source_fd).st_size != file.size_bytes:
            return False
        with disk_errors(file.path):
            target_fd = create_below(directory_fd, file.path)
            try:
                copied_bytes = copy_contents(source_fd, target_fd, file.size_bytes, halt)
                is_right = copied_bytes == file.size_bytes and sha256_of_open_file(target_fd, halt) == file.sha256
            finally:
                os.close(target_fd)
            if not is_right:
                remove_below(directory_fd, file.path)
            return is_right
    finally:
        os.close(source_fd)
