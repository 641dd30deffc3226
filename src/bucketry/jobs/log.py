"""The log of detached transfers, for whoever wonders later what was done.

Never the text of an error that nobody foresaw: it may hold anything, a credential included.
"""

from __future__ import annotations

import os
import threading
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING

from bucketry.schema.text import displayable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LARGEST_LOG_BYTES = 1024 * 1024


class Log:
    """A file to which lines are appended; it begins anew when it has grown large. Safe for threads."""

    def __init__(self, path: Path, timestamp: Callable[[], str]) -> None:
        self._timestamp = timestamp
        self._lock = threading.Lock()
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def write(self, text: str) -> None:
        """Append a line. A full disk costs the line and nothing else."""
        line = f"{self._timestamp()} {os.getpid()} {displayable(text)}\n"
        with self._lock, suppress(OSError):
            if os.fstat(self._descriptor).st_size > LARGEST_LOG_BYTES:
                os.truncate(self._descriptor, 0)
            os.write(self._descriptor, line.encode())

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def write_trace(self, error: BaseException) -> None:
        """Append where an unforeseen error came from, without what it says."""
        self.write(f"unforeseen {type(error).__name__}")
        for frame in traceback.extract_tb(error.__traceback__):
            self.write(f"  {frame.filename}:{frame.lineno} in {frame.name}")
