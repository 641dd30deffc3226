"""Records which chunks of a folder were verified, so that whoever continues, or works beside, need not fetch them.

A line for each: the number of the file in the plan, and the number of the chunk. Lines are appended after their chunk
was written and found right, with no care for what reaches the disk in which order, since nobody believes them: a
chunk that a journal names is hashed again before it counts. A line that was torn is thus at worst a wrong hint.
"""

from __future__ import annotations

import os
import re
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from bucketry.errors import RejectedError
from bucketry.transfer.disk.local_files import disk_errors, open_regular, write_all_at_end

if TYPE_CHECKING:
    from pathlib import Path

PREFIX = "journal"
MAX_JOURNALS = 512
MAX_HELD_LINES = 32  # of small files, which are fetched again sooner than their lines are written one by one
MAX_READ_BYTES = 16 * 1024 * 1024  # of one journal at once; 20,000 chunks and 20,000 files need 0.5 MB
_LINE = re.compile(rb"([0-9]{1,6}) ([0-9]{1,6})")

Chunk = tuple[int, int]
"""The number of a file in the plan, and of a chunk in the file, both from 0."""


class Journal:
    """The journal of one process, to which all its threads append."""

    def __init__(self, folder: Path, *, part: int = 0) -> None:
        self.folder = folder
        self._path = folder / f"{PREFIX}.{part}"
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._held: list[bytes] = []

    def add(self, chunk: Chunk, *, is_small: bool = False) -> None:
        """Record a chunk that is in its place and was found right; small ones may wait for others, or for `close`."""
        with self._lock:
            self._held.append(b"%d %d\n" % chunk)
            if not is_small or len(self._held) >= MAX_HELD_LINES:
                self._write()

    def close(self) -> None:
        """Write what is held and close the file; the next line opens it again."""
        with self._lock:
            try:
                if self._held:
                    self._write()
            finally:
                if self._descriptor is not None:
                    os.close(self._descriptor)
                    self._descriptor = None

    def _write(self) -> None:
        lines, self._held = b"".join(self._held), []
        with disk_errors(str(self._path)):
            if self._descriptor is None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
                self._descriptor = os.open(self._path, flags, 0o600)
                # An earlier process may have died within its last line.
                lines = b"\n" + lines
            write_all_at_end(self._descriptor, lines)


class JournalReader:
    """Reads what the journals of one folder say, and then what they say more."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read_bytes: dict[str, int] = {}
        self.chunks: set[Chunk] = set()

    def refresh(self) -> None:
        """Read what was appended since. A folder or file that is gone, or is not to be read, says no more."""
        names: list[str] = []
        with suppress(OSError), os.scandir(self._folder) as entries:
            names = [entry.name for entry in entries if entry.name.startswith(PREFIX)]
        for name in sorted(names)[:MAX_JOURNALS]:
            with suppress(OSError, RejectedError):
                position = self._read_bytes.get(name, 0)
                descriptor = open_regular(self._folder / name)
                try:
                    text = os.pread(descriptor, MAX_READ_BYTES, position)
                finally:
                    os.close(descriptor)
                # The last line may still be in the making.
                whole, newline, _ = text.rpartition(b"\n")
                self._read_bytes[name] = position + len(whole) + len(newline)
                for line in whole.split(b"\n"):
                    found = _LINE.fullmatch(line)
                    if found:
                        self.chunks.add((int(found[1]), int(found[2])))


def read_journals(folder: Path) -> set[Chunk]:
    """Return every chunk that the journals of a folder name: hints, to be verified."""
    reader = JournalReader(folder)
    reader.refresh()
    return reader.chunks
