"""Says what an error of the file system means for a write in a folder: it was refused, or its outcome is open.

A full disk is a refusal as long as the file has no name. From then on every error leaves the outcome open: the object
is there, and only whether it lasts is not known.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bucketry.errors import (
    BucketryError,
    CorruptError,
    DeniedError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
    UsageError,
)
from bucketry.store.contract import StoreFullError
from bucketry.store.no_room import NO_ROOM, explain_no_room

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def after_naming(path: str) -> Iterator[None]:
    """Turn the system's errors into an open outcome: nothing that fails from here on takes the name back."""
    try:
        yield
    except OSError as error:
        open_outcome = UnavailableError(
            f"{path} has its name, but may not outlast a power failure: {error.strerror or error}",
            advice="check the disk, or the network that it is on, and look whether the change is there",
        )
        open_outcome.may_pass = error.errno not in NO_ROOM
        raise open_outcome from error


def explain(error: OSError, action: str, root: str) -> BucketryError:  # noqa: PLR0911 - one case, one return
    """Return our error for one of the system below `root`. `action` completes "could not"."""
    said = f"could not {action} in {root}: {error.strerror or error}"
    if error.errno in (errno.ENOENT, errno.ENOTDIR) and not os.path.isdir(root):  # noqa: PTH112 - paths are text here
        return NotFoundError(
            f"there is no registry folder {root}",
            advice="check the path, or create the registry with `bucketry init`",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return DeniedError(
            said,
            advice="the user needs to read and write the files there, and hard links must work",
        )
    if error.errno == errno.EROFS:
        return DeniedError(said, advice="the folder is mounted read-only; mount it so that it can be written")
    room = explain_no_room(error, root)
    if room is not None:
        return StoreFullError(f"{said}: {room.what}", advice=f"{room.advice}, and try again")
    if error.errno == errno.ENAMETOOLONG:
        return UsageError(said, advice="shorten the name")
    if error.errno == errno.ENOTDIR:
        return file_and_folder(str(error.filename2 or error.filename))
    if error.errno in (errno.ENOTSUP, errno.ENOSYS):
        return UnsupportedError(said, advice="use a file system that has hard links")
    return UnavailableError(said, advice="check the disk, or the network that it is on, and try again")


def foreign(path: str) -> CorruptError:
    """Return the error for what a registry folder never holds."""
    return CorruptError(
        f"{path} is a symbolic link or a special file, which a registry folder never holds",
        advice="find out who put it there, and remove it",
    )


def file_and_folder(path: str) -> UnsupportedError:
    """Return the error for a name that is taken by the other kind."""
    return UnsupportedError(
        f"{path} would have to be a file and a folder at once, which a registry folder cannot hold",
        advice="choose another name",
    )
