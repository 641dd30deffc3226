"""Takes chunks that other processes have verified, which work on the same plan for the same target right now.

They are found by the names of their staging folders beside ours, and by their journals. Nobody locks and nobody
promises: a chunk that a sibling has is copied and hashed like any other local copy, and one that it only began is
fetched by both. So that they seldom begin the same, whoever comes later starts at the other end of the queue.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError, RejectedError
from bucketry.transfer.disk.leftovers import find_workplaces, is_nobodys
from bucketry.transfer.disk.local_files import open_in
from bucketry.transfer.disk.receipt import Ours, inspect_target
from bucketry.transfer.down.journal import JournalReader
from bucketry.transfer.down.reuse import LocalChunk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bucketry.transfer.disk.leftovers import Workplace
    from bucketry.transfer.disk.staging import Staging
    from bucketry.transfer.down.remote import Plan, RemoteFile

REFRESH_SECONDS = 0.5
MAX_SIBLINGS = 32


class Siblings:
    """The other staging folders of one plan, and the target itself once one of them has appeared there."""

    def __init__(self, staging: Staging, plan: Plan, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._staging = staging
        self._plan = plan
        self._number_by_path = {file.path: number for number, file in enumerate(plan.files)}
        self._clock = clock
        self._lock = threading.Lock()
        self._readers: dict[Path, JournalReader] = {}
        self._has_appeared = False
        self._refreshed_at: float | None = None

    def has_any_alive(self) -> bool:
        """Tell whether another process is at work on the same plan now."""
        return not all(is_nobodys(found) for found in self._find_others())

    def find(self, file: RemoteFile, index: int) -> LocalChunk | None:
        """Return where a chunk lies that a sibling has verified, or None: a `Source`."""
        with self._lock:
            self._refresh_if_due()
            folders = [
                folder / "tree"
                for folder, reader in self._readers.items()
                if (self._number_by_path[file.path], index) in reader.chunks
            ]
            if self._has_appeared:
                folders.append(self._staging.destination)
        for folder in folders:
            with suppress(OSError, RejectedError):
                return LocalChunk(open_in(folder, file.path), file.bounds(index)[0])
        return None

    def _refresh_if_due(self) -> None:
        now = self._clock()
        if self._refreshed_at is not None and now - self._refreshed_at < REFRESH_SECONDS:
            return
        self._refreshed_at = now
        here = [found.path for found in self._find_others()][:MAX_SIBLINGS]
        # Only where a sibling has gone can its version have appeared.
        if not self._readers.keys() <= set(here):
            self._has_appeared = self._is_at_target()
        self._readers = {path: self._readers.get(path) or JournalReader(path) for path in here}
        for reader in self._readers.values():
            reader.refresh()

    def _find_others(self) -> list[Workplace]:
        with suppress(OSError):
            return [
                found
                for found in find_workplaces(self._staging.outer.parent, self._staging.destination.name)
                if found.plan == self._plan.name and found.path != self._staging.outer
            ]
        return []

    def _is_at_target(self) -> bool:
        try:
            there = inspect_target(self._staging.destination)
        except BucketryError:
            return False
        recorded = {file.path: file.sha256 for file in self._plan.files}
        return isinstance(there, Ours) and not there.changed and there.receipt.digests == recorded
