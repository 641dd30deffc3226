"""Gives one folder another's name, with no moment in between.

Linux renames without replacing, and exchanges two names, in one step (`renameat2`). Where the kernel or the
file system cannot, these functions raise `CannotRenameInOneStepError`, and the caller decides what to do
instead.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2
_CANNOT = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})

_LIBRARY = ctypes.CDLL(None, use_errno=True)


class CannotRenameInOneStepError(OSError):
    """This platform or file system has no such rename."""


def rename_without_replacing(source: Path, target: Path) -> None:
    """Rename; raise `FileExistsError` if anything is at the target, `OSError` for any other failure."""
    _renameat2(source, target, _RENAME_NOREPLACE)


def exchange(first: Path, second: Path) -> None:
    """Let two existing paths swap their contents at once. Raises `OSError`."""
    _renameat2(first, second, _RENAME_EXCHANGE)


def sync_file_system(descriptor: int) -> bool:
    """Bring the whole file system of a descriptor to the disk; return False if that failed."""
    syncfs = getattr(_LIBRARY, "syncfs", None)
    return syncfs is not None and syncfs(descriptor) == 0


def _renameat2(source: Path, target: Path, flags: int) -> None:
    function = getattr(_LIBRARY, "renameat2", None)
    if function is None:
        raise CannotRenameInOneStepError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    arguments = (_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), ctypes.c_uint(flags))
    if function(*arguments) != 0:
        code = ctypes.get_errno()
        if code in _CANNOT:
            raise CannotRenameInOneStepError(code, os.strerror(code), str(target))
        raise OSError(code, os.strerror(code), str(target))
