"""What can be freed, why, and how much of it there is: values, and nothing that reads or frees."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from bucketry.frozen import frozen

if TYPE_CHECKING:
    from datetime import datetime


class GarbageReason(StrEnum):
    """Why something may go. The words are part of the `--json` document."""

    DELETED_VERSION = "deleted-version"
    ORPHAN = "orphan"
    UNFINISHED_UPLOAD = "unfinished-upload"
    STAGED_FILE = "staged-file"
    PROBE_SCRATCH = "probe-scratch"
    SERVED_COPY = "served-copy"
    FINISHED_WORK = "finished-work"
    ABANDONED_WORK = "abandoned-work"


@frozen
class Garbage:
    """One thing that nobody needs. `model` is empty for what is no model's, `upload` for all but an upload."""

    key: str
    size_bytes: int
    reason: GarbageReason
    modified_at: datetime
    model: str = ""
    version: int | None = None
    upload: str = ""


@dataclass(slots=True)
class Total:
    """How many objects, and their bytes."""

    objects: int = 0
    size_bytes: int = 0

    def add(self, size_bytes: int) -> None:
        """Count one more."""
        self.objects += 1
        self.size_bytes += size_bytes

    def include(self, other: Total) -> None:
        """Count what another one counted."""
        self.objects += other.objects
        self.size_bytes += other.size_bytes
