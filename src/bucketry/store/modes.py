"""Says who may write what we make: its owner, and a group where the folder above is shared, never everybody.

Nobody but the owner writes what was verified, and nobody in the world what a registry or a cache consists of. A umask
may take more away; one of 000 gives nothing. A group shares a registry's folder or a cache if its umask lets it (002),
and a target as far as it may write the folder that the target lies in.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

FILE_MODE = 0o644
FOLDER_MODE = 0o755
SHARED_FILE_MODE = 0o664
SHARED_FOLDER_MODE = 0o775
PRIVATE_FOLDER_MODE = 0o700


def make_folders(path: str | os.PathLike[str], mode: int | None = SHARED_FOLDER_MODE) -> None:
    """Make a folder with those above it, each with this mode at most; None: as a target's. Raises `OSError`.

    The standard library gives the mode to the last of them alone, and to those above it all that the umask allows.
    """
    missing: list[str] = []
    folder = os.path.abspath(path)  # noqa: PTH100 - paths are text here
    while not os.path.lexists(folder):  # bounded: each round takes a segment away, and "/" is there
        missing.append(folder)
        folder = os.path.dirname(folder)  # noqa: PTH120 - as above
    if not missing and not os.path.isdir(folder):  # noqa: PTH112 - as above
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), folder)
    if mode is None:
        mode = folder_mode_below(os.stat(folder).st_mode)  # noqa: PTH116 - as above
    for one in reversed(missing):
        try:
            os.mkdir(one, mode)  # noqa: PTH102 - as above
        except FileExistsError:
            if not os.path.isdir(one):  # noqa: PTH112 - as above
                raise


def folder_mode_below(parent_mode: int) -> int:
    """Return the mode of a folder of a target: its group may write where it may write the folder above."""
    return FOLDER_MODE | (stat.S_IMODE(parent_mode) & stat.S_IWGRP)


def make_folder_within(path: str | os.PathLike[str]) -> None:
    """Make one folder of a target, unless it is there. Raises `OSError`."""
    place = Path(path)
    with suppress(FileExistsError):
        place.mkdir(folder_mode_below(place.parent.stat().st_mode))
