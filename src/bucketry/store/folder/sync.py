"""Brings the names in a folder to the disk, also where a file system cannot be told to."""

from __future__ import annotations

import errno
import os

_CANNOT_SYNC_FOLDERS = frozenset({errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.ENOSYS})
"""What CIFS and several FUSE file systems say: they do it by themselves, or not at all."""


def sync_folder(descriptor: int) -> None:
    """Bring the names in an open folder to the disk, as far as its file system can. Raises `OSError`."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC_FOLDERS:
            raise
