"""Where does the cache of this user lie?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def default_cache_root(environment: Mapping[str, str], home: Path) -> Path:
    """Return where the cache lies: $BUCKETRY_CACHE, $XDG_CACHE_HOME/bucketry, or ~/.cache/bucketry."""
    if environment.get("BUCKETRY_CACHE"):
        return Path(environment["BUCKETRY_CACHE"])
    if environment.get("XDG_CACHE_HOME"):
        return Path(environment["XDG_CACHE_HOME"], "bucketry")
    return home / ".cache" / "bucketry"
