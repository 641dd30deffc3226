"""Which half-filled folders did dead processes leave behind, and may go?

A process that fills a folder says in it who it is. The folder may go when that process is known to be dead,
which only the same machine, boot and process namespace can tell, or when nothing in it changed for a day.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterator

OWNER_NAME = "owner.json"
OLD_AFTER_SECONDS = 24 * 3600
MAX_ENTRIES_LOOKED_AT = 50_000
_MAX_OWNER_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Owner:
    """A process: `pid` means something in `place`; `started` tells it from a later one."""

    place: str
    pid: int
    started: str


def write_owner(directory: Path) -> None:
    """Record in a folder that this process fills it. Raises `OSError`."""
    owner = Owner(_this_place(), os.getpid(), _start_of(os.getpid()))
    (directory / OWNER_NAME).write_text(json.dumps(asdict(owner)), encoding="utf-8")


def sweep_leftovers(
    parent: Path, name_pattern: re.Pattern[str], *, clock: Callable[[], float] = time.time
) -> tuple[Path, ...]:
    """Remove the folders below `parent` whose whole name matches and whose owner is gone; return them.

    Best effort: what cannot be read or removed stays.
    """
    removed: list[Path] = []
    try:
        with os.scandir(parent) as entries:
            candidates = [
                Path(entry.path)
                for entry in entries
                if name_pattern.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
            ]
        for candidate in candidates:
            if _is_abandoned(candidate, clock()):
                shutil.rmtree(candidate, ignore_errors=True)
                removed.append(candidate)
    except OSError:
        return tuple(removed)
    return tuple(removed)


def _is_abandoned(directory: Path, now_seconds: float) -> bool:
    owner = _find_owner(directory)
    if owner is not None and owner.place == _this_place():
        return not _is_alive(owner)
    # Another machine or container, or killed before it could say who it is: only time can tell.
    return now_seconds - _newest_change_seconds(directory) > OLD_AFTER_SECONDS


def _find_owner(directory: Path) -> Owner | None:
    try:
        with (directory / OWNER_NAME).open("rb") as file:
            fields = json.loads(file.read(_MAX_OWNER_BYTES))
        return Owner(str(fields["place"]), int(fields["pid"]), str(fields["started"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_alive(owner: Owner) -> bool:
    if owner.pid <= 0:
        return False
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass  # somebody else's process, which is alive
    return _start_of(owner.pid) == owner.started


def _newest_change_seconds(directory: Path) -> float:
    newest = directory.stat().st_mtime
    for path in islice(_walk(directory), MAX_ENTRIES_LOOKED_AT):
        try:
            newest = max(newest, path.lstat().st_mtime)
        except FileNotFoundError:
            continue  # its owner moves on: not abandoned, as the newest change will show
    return newest


def _walk(directory: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(directory):
        for name in (*folders, *files):
            yield Path(folder, name)


def _this_place() -> str:
    """Return a text that two processes share only if they see each other under the same process ids."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        boot = namespace = ""
    return f"{socket.gethostname()}/{boot}/{namespace}"


def _start_of(pid: int) -> str:
    """Return when a process started, in the kernel's own ticks, or nothing where the kernel does not say."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # The second field, the name in brackets, may itself hold spaces and brackets.
    fields = status.rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 else ""
