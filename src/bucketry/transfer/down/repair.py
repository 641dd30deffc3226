"""Finds the files of a folder that have the right bytes, and keeps them when the folder is put together anew.

What is right is linked from the old folder into the new one, so that mending one file of a large version neither
copies nor fetches the others. A file is hashed and linked by one descriptor: nobody can put another in between.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from bucketry.errors import RejectedError
from bucketry.transfer.disk.cache import HASHING_THREADS
from bucketry.transfer.disk.hashing import sha256_of_open_file
from bucketry.transfer.disk.local_files import (
    disk_errors,
    link_open_file_below,
    open_below,
    opened_directory,
    remove_below,
)
from bucketry.transfer.pace.workers import Halt, run_parallel

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bucketry.transfer.down.remote import RemoteFile

_NOT_THERE = frozenset({errno.ENOENT, errno.ELOOP, errno.ENOTDIR})
_CANNOT_LINK = _NOT_THERE | {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS}


def find_wrong(
    directory: Path, files: Sequence[RemoteFile], *, stop: threading.Event | None = None
) -> tuple[RemoteFile, ...]:
    """Hash files in a folder and return those that are missing or have other bytes than their SHA-256 says."""
    return _all_but(directory, files, lambda descriptor, file: True, stop)  # noqa: ARG005 - right is enough


def keep_right(
    directory: Path, files: Sequence[RemoteFile], staged_directory: Path, *, stop: threading.Event | None = None
) -> tuple[RemoteFile, ...]:
    """Link the files of a folder that hash right into a staged version, and return those that it still needs."""
    with disk_errors(str(staged_directory)), opened_directory(staged_directory) as staged_fd:
        return _all_but(directory, files, lambda descriptor, file: _link(descriptor, staged_fd, file), stop)


def _all_but(
    directory: Path,
    files: Sequence[RemoteFile],
    keep: Callable[[int, RemoteFile], bool],
    stop: threading.Event | None,
) -> tuple[RemoteFile, ...]:
    """Return all files but those that hash right in the folder and can then be kept."""
    halt = Halt(stop)
    kept: set[str] = set()

    def look(_: None, file: RemoteFile) -> None:
        with disk_errors(str(directory / file.path)):
            descriptor = _open(directory_fd, file.path)
            if descriptor is None:
                return
            try:
                if sha256_of_open_file(descriptor, halt) == file.sha256 and keep(descriptor, file):
                    kept.add(file.path)
            finally:
                os.close(descriptor)

    with disk_errors(str(directory)), opened_directory(directory) as directory_fd:
        run_parallel(files, look, make_context=lambda: None, connections=HASHING_THREADS, halt=halt)
    return tuple(file for file in files if file.path not in kept)


def _open(directory_fd: int, path: str) -> int | None:
    try:
        return open_below(directory_fd, path)
    except RejectedError:
        return None
    except OSError as error:
        if error.errno not in _NOT_THERE:
            raise
        return None


def _link(descriptor: int, staged_fd: int, file: RemoteFile) -> bool:
    status = os.fstat(descriptor)
    # Another user could go on writing into a file of his, and so could whoever has a second name for it: those are
    # copied, and the copy is hashed.
    if status.st_uid != os.geteuid() or status.st_nlink != 1:
        return False
    try:
        try:
            link_open_file_below(descriptor, staged_fd, file.path)
        except FileExistsError:
            remove_below(staged_fd, file.path)  # what earlier work on this folder left
            link_open_file_below(descriptor, staged_fd, file.path)
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
        return False
    return True
