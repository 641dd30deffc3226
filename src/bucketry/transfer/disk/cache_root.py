"""Says where the cache of this user lies."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bucketry.errors import UsageError
from bucketry.user_folders import find_home, need_home

if TYPE_CHECKING:
    from collections.abc import Mapping


def default_cache_root(environment: Mapping[str, str], home: Path | None = None) -> Path:
    """Return where the cache lies: $BUCKETRY_CACHE, $XDG_CACHE_HOME/bucketry, or ~/.cache/bucketry.

    Raises `UsageError` for a place that holds other things than a cache: what is pruned there is removed. And where it
    needs the user's home folder, which is `home` if that is given, and there is none.
    """
    if environment.get("BUCKETRY_CACHE"):
        return _checked(Path(environment["BUCKETRY_CACHE"]), home or find_home() or Path("/"))
    if environment.get("XDG_CACHE_HOME"):
        return Path(environment["XDG_CACHE_HOME"], "bucketry")
    home = home or need_home("the local cache", "set BUCKETRY_CACHE to a folder")
    return home / ".cache" / "bucketry"


def _checked(root: Path, home: Path) -> Path:
    """Return the folder that was named, unless it is the root of the file system, the home, or above the home."""
    place, own = Path(os.path.realpath(root)), Path(os.path.realpath(home))
    if place == Path(place.anchor) or place == own or place in own.parents:
        raise UsageError(
            f"the cache cannot be {place}, where other things lie too",
            advice=f"set BUCKETRY_CACHE to a folder of its own, such as {own / '.cache' / 'bucketry'}",
        )
    return root
