"""Says which room is full when the system reports that there is none, and what makes some.

A full disk, a disk whose space is free and whose files are all counted, a quota and a file that may grow no further are
four things, and only the first is mended by deleting large files. None of them is mended by waiting.
"""

from __future__ import annotations

import errno
import os

from bucketry.frozen import frozen

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
MOST_PARENTS = 64


@frozen
class NoRoom:
    """What there is none of, and what to do about it: the end of a sentence, and a command."""

    what: str
    advice: str


def explain_no_room(error: OSError, path: str) -> NoRoom | None:
    """Return which room a failure at a path is for want of; None where it is another failure."""
    if error.errno == errno.EDQUOT:
        return NoRoom("the disk is full for this user: a quota is used up", "free some space, or ask for more quota")
    if error.errno == errno.EFBIG:
        return NoRoom(
            "a file would be larger than this file system, or the limit of this process, allows",
            "look at `ulimit -f`, or choose a file system that takes larger files",
        )
    if error.errno != errno.ENOSPC:
        return None
    found = _find_statvfs(path)
    if found is not None and found.f_files > 0 and found.f_favail == 0 and found.f_bavail > 0:
        free_bytes = found.f_bavail * found.f_frsize
        return NoRoom(
            f"the file system takes no more files: all its inodes are used, though {free_bytes:,} bytes are free",
            "remove files that are not needed, however small",
        )
    return NoRoom("the disk is full", "free some space")


def _find_statvfs(path: str) -> os.statvfs_result | None:
    """Return what the file system says of the nearest part of the path that is there."""
    for _ in range(MOST_PARENTS):
        try:
            return os.statvfs(path or ".")
        except OSError:
            parent = os.path.dirname(path)  # noqa: PTH120 - paths are text here
            if parent == path:
                return None
            path = parent
    return None
