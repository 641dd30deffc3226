"""Makes a version appear in a folder that no other folder can replace, such as a mount point.

It is put together and verified in the folder's own `.bucketry/`. Then the receipt goes, file by file takes its name by
a rename (nothing is written into an older file: a program that has it open or mapped keeps what it has), what the old
version had besides goes, and the receipt comes last. Meanwhile `.bucketry/changing.json` says which files are ours. So
here not the folder's appearance but the receipt is the promise: it is absent, or all that it names is there.
"""

from __future__ import annotations

import os
import stat
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bucketry.errors import ContendedError
from bucketry.store.modes import FILE_MODE
from bucketry.transfer.disk.durable import sync_directory, sync_folders
from bucketry.transfer.disk.local_files import (
    OpenFolders,
    copy_range,
    create_below,
    disk_errors,
    open_below,
    opened_directory,
)
from bucketry.transfer.disk.receipt import (
    CHANGING_PATH,
    LOST_AND_FOUND,
    OWN_FOLDER,
    RECEIPT_PATH,
    Absent,
    Empty,
    Foreign,
    Incomplete,
    Ours,
    inspect_target,
    is_right_already,
    write_changing,
    write_receipt,
)
from bucketry.transfer.pace.turns import alone_in
from bucketry.transfer.pace.workers import Halt

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Mapping

    from bucketry.transfer.disk.receipt import Receipt, TargetState
    from bucketry.transfer.disk.staging import Staging
    from bucketry.transfer.pace.turns import Turn

MOUNTS = Path("/proc/self/mountinfo")
FILES_BETWEEN_RENEWALS = 256
_NOT_A_FILE_THERE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


def must_work_within(destination: Path, there: TargetState) -> bool:
    """Tell whether a folder is known to be one that no rename can replace. Raises `OSError`."""
    if isinstance(there, Absent | Foreign):
        return False
    status, parent = destination.lstat(), destination.parent.stat()
    user = os.geteuid()
    if (destination / LOST_AND_FOUND).exists() or is_mount_point(destination):
        return True
    if not os.access(destination.parent, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        return True
    if user == 0:
        return False
    is_kept_by_others = bool(parent.st_mode & stat.S_ISVTX) and user not in {status.st_uid, parent.st_uid}
    # Another user's empty folder has its owner and mode for a reason, and a folder of ours would have others.
    return is_kept_by_others or (isinstance(there, Empty) and status.st_uid != user)


def is_mount_point(folder: Path) -> bool:
    """Tell whether something is mounted at a folder, be it another folder of the same file system."""
    path = os.path.realpath(folder)
    if os.path.ismount(path):
        return True
    with suppress(OSError):
        lines = MOUNTS.read_bytes().splitlines()
        return any(_mount_of(line) == os.fsencode(path) for line in lines)
    return False


def _mount_of(line: bytes) -> bytes:
    """Return the path in a line of the kernel's list, which writes blanks and backslashes as octal numbers."""
    fields = line.split(b" ")
    place = fields[4] if len(fields) > 4 else b""
    for code in (b"\\040", b"\\011", b"\\012", b"\\134"):
        place = place.replace(code, bytes([int(code[1:], 8)]))
    return place


def publish_within(
    staging: Staging, staged: Ours, distrusted: Ours | None, stop: threading.Event | None = None
) -> Literal["appeared", "replaced", "already_there"]:
    """Let the staged version appear file by file in the folder that it was staged in. Raises as `publish_target`."""
    destination = staging.destination
    with alone_in(destination / OWN_FOLDER, str(destination), Halt(stop)) as turn:
        there = inspect_target(destination)
        if isinstance(there, Foreign):
            raise there.rejection()
        if is_right_already(there, staged, distrusted):
            (destination / CHANGING_PATH).unlink(missing_ok=True)  # of one that died right after its receipt
            return "already_there"
        _change(staging, _files_at(there), staged.receipt, turn)
        now = inspect_target(destination)
    if isinstance(now, Foreign):
        raise now.rejection()
    if not isinstance(now, Ours) or now.changed:
        raise ContendedError(f"others kept changing {destination}", advice="pull again")
    return "replaced" if isinstance(there, Ours) else "appeared"


def move_within(staging: Staging, within: Staging, receipt: Receipt) -> None:
    """Copy a staged version into the staging folder of another. Its bytes were verified, and are ours alone."""
    halt = Halt()
    with opened_directory(staging.directory) as source_fd, opened_directory(within.directory) as target_fd:
        for path, recorded in receipt.files.items():
            old, new = open_below(source_fd, path), create_below(target_fd, path)
            try:
                copy_range(old, 0, new, 0, recorded.size_bytes, halt)
            finally:
                os.close(old)
                os.close(new)
    names = {"registry": receipt.registry, "model": receipt.model, "manifest": receipt.manifest}
    write_receipt(within.directory, receipt.digests, {**receipt.about, **names})


def _files_at(there: TargetState) -> Mapping[str, str]:
    if isinstance(there, Ours):
        return there.receipt.digests
    return there.files if isinstance(there, Incomplete) else {}


def _change(staging: Staging, old: Mapping[str, str], new: Receipt, turn: Turn) -> None:
    destination, own = staging.destination, staging.destination / OWN_FOLDER
    _announce(staging, {**old, **new.digests})
    (destination / RECEIPT_PATH).unlink(missing_ok=True)
    sync_directory(own)
    obsolete = sorted(old.keys() - new.files.keys())
    folders = _folders_of(new.files)
    # What stands where a folder must be, or in a folder where a file must be, goes first.
    blocking = [path for path in obsolete if path in folders or not new.files.keys().isdisjoint(_folders_of([path]))]
    _remove(destination, blocking, folders)
    _take_names(staging, new.files, turn)
    _remove(destination, [path for path in obsolete if path not in blocking], folders)
    sync_folders(destination, [destination, *(destination / folder for folder in sorted(folders, reverse=True))])
    (staging.directory / RECEIPT_PATH).rename(destination / RECEIPT_PATH)
    sync_directory(own)
    (destination / CHANGING_PATH).unlink(missing_ok=True)


def _announce(staging: Staging, files: Mapping[str, str]) -> None:
    """Say which files may lie here, before the first of them changes."""
    aside = staging.outer / "changing"
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    try:
        write_changing(descriptor, files)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    aside.replace(staging.destination / CHANGING_PATH)
    sync_directory(staging.destination / OWN_FOLDER)


def _take_names(staging: Staging, paths: Iterable[str], turn: Turn) -> None:
    with (
        opened_directory(staging.directory) as source_fd,
        opened_directory(staging.destination) as target_fd,
        closing(OpenFolders(source_fd)) as source,
        closing(OpenFolders(target_fd)) as target,
    ):
        for number, path in enumerate(paths):
            if number % FILES_BETWEEN_RENEWALS == 0:
                turn.renew()
            with disk_errors(str(staging.destination / path)):
                source.move(path, target)


def _remove(destination: Path, paths: Iterable[str], folders_kept: set[str]) -> None:
    """Remove files of ours, and the folders that are empty then."""
    with opened_directory(destination) as directory_fd, closing(OpenFolders(directory_fd)) as open_folders:
        for path in paths:
            with suppress(*_NOT_A_FILE_THERE):
                open_folders.remove(path)
    emptied = _folders_of(paths) - folders_kept
    for folder in sorted(emptied, key=lambda folder: -folder.count("/")):
        with suppress(OSError):  # it holds what stays, or is none
            (destination / folder).rmdir()


def _folders_of(paths: Iterable[str]) -> set[str]:
    """Return every folder above one of these files."""
    folders: set[str] = set()
    for path in paths:
        segments = path.split("/")
        folders.update("/".join(segments[:depth]) for depth in range(1, len(segments)))
    return folders
