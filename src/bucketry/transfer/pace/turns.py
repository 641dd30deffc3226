"""Gives turns where only one process at a time may work on something.

The kernel's `flock` knows when a holder dies, also in another container of this machine. Where a file system has none,
two answers are possible. Who only saves work goes on without. Who must be alone says so by a file with his name in it,
and then looks whether anybody else has said so: of two who look, at least one sees the other, and both step back. A
holder whose process is dead, or whose file is not renewed, counts no more.
"""

from __future__ import annotations

import errno
import fcntl
import os
import random
import secrets
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from bucketry.errors import ContendedError
from bucketry.store.modes import SHARED_FILE_MODE, make_folders
from bucketry.transfer.disk.leftovers import Owner, is_alive, this_owner, this_place
from bucketry.transfer.disk.receipt import LOCK_NAME, TURN_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bucketry.transfer.pace.workers import Halt

PATIENCE_SECONDS = 120.0
POLL_SECONDS = 0.1
LOOK_SECONDS = 1.0
STANDSTILL_SECONDS = 30.0
"""Who only saves work waits no longer than this for somebody whose work does not move."""
STALE_AFTER_SECONDS = 60.0
"""A holder of which the kernel tells us nothing renews its file much more often than this."""
_TAKEN = frozenset({errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES})
_FLAGS = os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class NoLocksError(OSError):
    """This file system, or this user's rights on it, allow no lock."""


class Turn:
    """A turn that was taken; `renew` is called now and then by whoever holds it for long."""

    def __init__(self, release: Callable[[], None], renew: Callable[[], None] = lambda: None) -> None:
        self.release = release
        self.renew = renew


def try_lock(path: Path) -> Turn | None:
    """Take a turn by a lock on a file, made if need be; None if somebody has it. Raises `NoLocksError`, `OSError`."""
    descriptor = _open_lock(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in _TAKEN:
            return None
        raise NoLocksError(error.errno, os.strerror(error.errno or 0)) from error
    # Whoever cleans up may have removed the file between our two steps: a lock on it keeps nobody out.
    with suppress(OSError):
        here, held = path.lstat(), os.fstat(descriptor)
        if (here.st_dev, here.st_ino) == (held.st_dev, held.st_ino):
            with suppress(OSError):
                os.utime(descriptor)
            return Turn(lambda: os.close(descriptor))
    os.close(descriptor)
    return None


def _open_lock(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | _FLAGS, SHARED_FILE_MODE)
    except PermissionError:
        pass  # another user's: to lock it, reading is enough on most file systems
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise NoLocksError(error.errno, os.strerror(error.errno or 0)) from error


@contextmanager
def alone_in(folder: Path, what: str, halt: Halt) -> Iterator[Turn]:
    """Work while no other process does so in this folder of ours; raise `ContendedError` after some minutes of waiting.

    Raises `OSError` where the folder cannot be written.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:  # bounded by the deadline
        try:
            turn = try_lock(folder / LOCK_NAME)
        except NoLocksError:
            turn = try_by_name(folder)
        if turn is not None:
            break
        if time.monotonic() > deadline:
            raise ContendedError(f"another process is changing {what}", advice="run it again when that has ended")
        halt.wait(POLL_SECONDS * (0.5 + random.random()))  # noqa: S311 - spreads the tries, no secret
    try:
        yield turn
    finally:
        turn.release()


@contextmanager
def after_others(
    lock: Path, halt: Halt, look: Callable[[], object], on_wait: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Work after whoever does the same work, where that can be known; nothing here ever keeps anybody from working.

    `look` returns something that changes while the other's work moves; one whose work stands still is not waited for.
    """
    turn = _wait_for_turn(lock, halt, look, on_wait)
    try:
        yield
    finally:
        if turn is not None:
            turn.release()


def _wait_for_turn(lock: Path, halt: Halt, look: Callable[[], object], on_wait: Callable[[], None]) -> Turn | None:
    seen, moved_at, looked_at, has_told = None, time.monotonic(), -LOOK_SECONDS, False
    while True:  # bounded: by the end of the other's work, or by its standstill
        try:
            make_folders(lock.parent)
            turn = try_lock(lock)
        except OSError:
            return None  # a cache that cannot be locked, or not be written, is read all the same
        if turn is not None:
            return turn
        now = time.monotonic()
        if now - looked_at >= LOOK_SECONDS:
            looked_at, found = now, look()
            if found != seen:
                seen, moved_at = found, now
        if now - moved_at > STANDSTILL_SECONDS:
            return None
        if not has_told:
            has_told = True
            on_wait()
        halt.wait(POLL_SECONDS)


def try_by_name(folder: Path) -> Turn | None:
    """Take a turn where there are no locks; None if somebody has it. Raises `OSError`."""
    owner = this_owner()
    mine = folder / f"{TURN_PREFIX}{owner.place}-{owner.pid}-{owner.started}-{secrets.token_hex(4)}"
    os.close(os.open(mine, os.O_WRONLY | os.O_EXCL | _FLAGS, 0o600))
    now_seconds = mine.stat().st_mtime  # by the clock of the file system, which need not be ours
    others = [path for path in folder.iterdir() if path.name.startswith(TURN_PREFIX) and path != mine]
    if not any(_counts(other, now_seconds) for other in others):
        return Turn(lambda: mine.unlink(missing_ok=True), lambda: os.utime(mine))
    mine.unlink(missing_ok=True)
    return None


def _counts(path: Path, now_seconds: float) -> bool:
    """Tell whether another's file keeps us out; one that does not is removed."""
    try:
        place, pid, started, _ = path.name.removeprefix(TURN_PREFIX).split("-")
        is_dead = place == this_place() and not is_alive(Owner(place, int(pid), int(started)))
        if not is_dead and now_seconds - path.stat().st_mtime < STALE_AFTER_SECONDS:
            return True
    except FileNotFoundError:
        return False
    except ValueError:
        pass  # nobody's: no process of ours names a file so
    path.unlink(missing_ok=True)
    return False
