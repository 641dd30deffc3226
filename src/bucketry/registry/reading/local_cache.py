"""Lists what this user's cache holds, verifies it, and makes it smaller."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.registry.reading.pull import open_cache
from bucketry.transfer.disk.cache import CacheEntry
from bucketry.transfer.disk.upkeep import PruneOutcome, prune_cache, verify_cache

if TYPE_CHECKING:
    from pathlib import Path

CachedItem = CacheEntry
"""A blob or a version: its kind, path, size in bytes, and when it was last used (seconds since the epoch)."""


def cache_root() -> Path:
    """Return the folder of this user's cache, which need not exist."""
    return open_cache().root


def list_cached() -> tuple[CachedItem, ...]:
    """Return everything in the cache: blobs, then versions, which share their bytes."""
    return open_cache().entries()


def verify_cached() -> tuple[CachedItem, ...]:
    """Hash everything in the cache, remove what is wrong, and return what was removed."""
    return verify_cache(open_cache())


def prune_cached(most_bytes: int) -> PruneOutcome:
    """Remove what was not used for longest until the rest takes at most so many bytes of disk."""
    return prune_cache(open_cache(), most_bytes)
