"""Says where the cache of this user lies, and whether others could change what lies in it, after it was found right.

Oneself, root, and a group that shares it may. What everybody may write is no cache: whoever is handed a folder of it
could be handed other bytes a moment later. What another user made is not handed out, nor linked: its owner may change
it at any time. It is copied, hashed and replaced.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from bucketry.errors import DeniedError, UsageError
from bucketry.user_folders import check_can_be_folder, find_home, need_home

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def default_cache_root(environment: Mapping[str, str], home: Path | None = None) -> Path:
    """Return where the cache lies: $BUCKETRY_CACHE, $XDG_CACHE_HOME/bucketry, or ~/.cache/bucketry.

    Raises `UsageError` for a place that holds other things than a cache: what is pruned there is removed. And where it
    needs the user's home folder, which is `home` if that is given, and there is none.
    """
    if environment.get("BUCKETRY_CACHE"):
        root = Path(environment["BUCKETRY_CACHE"])
        place, own = Path(os.path.realpath(root)), Path(os.path.realpath(home or find_home() or Path("/")))
        if place == Path(place.anchor) or place == own or place in own.parents:
            raise UsageError(
                f"the cache cannot be {place}, where other things lie too",
                advice=f"set BUCKETRY_CACHE to a folder of its own, such as {own / '.cache' / 'bucketry'}",
            )
        return root
    if environment.get("XDG_CACHE_HOME"):
        return Path(environment["XDG_CACHE_HOME"], "bucketry")
    home = home or need_home("the local cache", "set BUCKETRY_CACHE to a folder")
    return home / ".cache" / "bucketry"


def check_place(root: Path, folder: Path) -> None:
    """Raise `DeniedError` if everybody may write the cache, or a folder of it on the way to this one.

    Raises `UnavailableError` where it cannot be a folder.
    """
    check_can_be_folder(root, "the local cache", "set BUCKETRY_CACHE to a folder")
    way = [root, *(root / part for part in reversed(folder.relative_to(root).parents) if part.parts), folder]
    for each in way:
        status = _find_status(each)
        if status is not None and status.st_mode & stat.S_IWOTH:
            raise DeniedError(
                f"everybody may write {each}, so what is verified in that cache can be changed before it is used",
                advice=f"run `chmod o-w {each}`, or set BUCKETRY_CACHE to a folder of your own, perhaps within it",
            )


def is_ours(version: Path, files: Iterable[str]) -> bool:
    """Return whether a version's folder, and these files in it, are oneself's or root's, and not for all to write."""
    folders = {file.rpartition("/")[0] for file in files}
    parts = {"/".join(folder.split("/")[:depth]) for folder in folders for depth in range(folder.count("/") + 2)}
    places = (version, *(version / part for part in sorted({*parts, *files})))
    return all((status := _find_status(place)) is not None and is_our_file(status) for place in places)


def is_our_file(status: os.stat_result) -> bool:
    """Return whether a file, or a folder, belongs to oneself or root, and cannot be written by everybody."""
    return status.st_uid in {0, os.geteuid()} and not status.st_mode & stat.S_IWOTH


def _find_status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except OSError:
        return None
