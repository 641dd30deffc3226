"""Finds what in the cache is wrong, and what goes first when it grows too large."""

from __future__ import annotations

import heapq
import shutil
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bucketry.errors import RejectedError
from bucketry.frozen import frozen
from bucketry.transfer.disk.cache import CacheEntry, files_of, is_right, mark_used
from bucketry.transfer.disk.leftovers import OLD_AFTER_SECONDS, sweep_workplaces
from bucketry.transfer.disk.receipt import Ours, inspect_target
from bucketry.transfer.pace.workers import Halt

if TYPE_CHECKING:
    import threading

    from bucketry.transfer.disk.cache import Cache

_Inode = tuple[int, int]


@frozen
class PruneOutcome:
    """What pruning removed, least recently used first, and how much disk the rest uses."""

    removed: tuple[CacheEntry, ...]
    freed_bytes: int
    kept_bytes: int


def verify_cache(cache: Cache, *, stop: threading.Event | None = None) -> tuple[CacheEntry, ...]:
    """Hash everything again, remove what is wrong, and return what was removed.

    A version is wrong if a file that its receipt names is missing or has other bytes.
    """
    halt = Halt(stop)
    right_inodes: dict[_Inode, str] = {}
    removed: list[CacheEntry] = []
    entries = cache.entries()
    for entry in entries:
        if entry.kind == "blob" and _is_right_blob(entry, halt):
            right_inodes.update(dict.fromkeys(_inodes(entry), entry.path.name))
        elif entry.kind == "blob" or not _is_right_version(entry, right_inodes, halt):
            removed.append(entry)
    for entry in removed:
        cache.remove(entry)
    _sweep(cache)
    return tuple(removed)


def prune_cache(cache: Cache, max_size_bytes: int) -> PruneOutcome:
    """Remove what was not used for longest until the rest uses at most `max_size_bytes` of disk.

    Bytes that blobs and versions share count once; a blob goes only when no version holds its bytes, for
    before that it would free nothing. Staging folders and temporary files of dead processes go too.
    """
    _sweep(cache)
    shares = [_Share(entry, _inodes(entry)) for entry in cache.entries()]
    size_by_inode = {inode: size for share in shares for inode, size in share.size_by_inode.items()}
    holders = Counter(inode for share in shares for inode in share.size_by_inode)
    blob_by_inode = {inode: share for share in shares if share.entry.kind == "blob" for inode in share.size_by_inode}
    kept_bytes = sum(size_by_inode.values())
    whole_bytes = kept_bytes
    queue = [
        _Candidate.of(share)
        for share in shares
        if share.entry.kind == "version" or all(holders[inode] == 1 for inode in share.size_by_inode)
    ]
    heapq.heapify(queue)
    removed: list[CacheEntry] = []
    while kept_bytes > max_size_bytes and queue:  # bounded: every entry enters the queue at most once
        share = heapq.heappop(queue).share
        cache.remove(share.entry)
        removed.append(share.entry)
        for inode, size_bytes in share.size_by_inode.items():
            holders[inode] -= 1
            if holders[inode] == 0:
                kept_bytes -= size_bytes
            elif holders[inode] == 1 and share.entry.kind == "version" and inode in blob_by_inode:
                heapq.heappush(queue, _Candidate.of(blob_by_inode[inode]))
    return PruneOutcome(tuple(removed), whole_bytes - kept_bytes, kept_bytes)


@frozen
class _Share:
    entry: CacheEntry
    size_by_inode: dict[_Inode, int]


@dataclass(frozen=True, slots=True, order=True)
class _Candidate:
    used_at: float
    path: str
    share: _Share = field(compare=False)

    @classmethod
    def of(cls, share: _Share) -> _Candidate:
        return cls(share.entry.used_at, str(share.entry.path), share)


def _inodes(entry: CacheEntry) -> dict[_Inode, int]:
    if entry.kind == "version":
        return {(status.st_dev, status.st_ino): status.st_size for _, status in files_of(entry.path)}
    try:
        status = entry.path.lstat()
    except FileNotFoundError:
        return {}
    return {(status.st_dev, status.st_ino): status.st_size}


def _is_right_blob(entry: CacheEntry, halt: Halt) -> bool:
    try:
        right = is_right(entry.path, entry.path.name, halt)
        mark_used(entry.path, entry.used_at)  # looking is not using
    except (OSError, RejectedError):
        return False
    return right


def _is_right_version(entry: CacheEntry, right_inodes: dict[_Inode, str], halt: Halt) -> bool:
    there = inspect_target(entry.path)
    if not isinstance(there, Ours):
        return False
    recorded = there.receipt.digests
    found = {path.relative_to(entry.path).as_posix(): (path, status) for path, status in files_of(entry.path)}
    if found.keys() != recorded.keys() or there.receipt.manifest != entry.path.name:
        return False
    for relative_path, (path, status) in found.items():
        expected = recorded[relative_path]
        if right_inodes.get((status.st_dev, status.st_ino)) == expected:
            continue
        try:
            if not is_right(path, expected, halt):
                return False
        except (OSError, RejectedError):
            return False
    return True


def _sweep(cache: Cache) -> None:
    """Remove what dead processes left: staging folders by their owner, temporary files by their age."""
    for model in (cache.root / "versions").glob("*/*/*"):
        sweep_workplaces(model)
    oldest_kept = time.time() - OLD_AFTER_SECONDS
    for path in (cache.root / "tmp").glob("*"):
        with suppress(OSError):
            if path.lstat().st_mtime >= oldest_kept:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
