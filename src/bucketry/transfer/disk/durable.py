"""Makes what was written outlast a power cut, before anything says that it is there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bucketry.store.folder.sync import sync_folder
from bucketry.transfer.disk.local_files import opened_directory
from bucketry.transfer.disk.rename import sync_file_system

if TYPE_CHECKING:
    from collections.abc import Iterable

FILES_SYNCED_ONE_BY_ONE = 256


def sync_tree(directory: Path) -> None:
    """Bring a tree to the disk, so that after a power cut its name never stands for less than all of it."""
    found = [(folder, names) for folder, _, names in os.walk(directory)]
    files = [Path(folder, name) for folder, names in found for name in names]
    _sync(directory, files, [Path(folder) for folder, _ in reversed(found)])


def sync_folders(directory: Path, folders: Iterable[Path]) -> None:
    """Bring the names in some folders below one to the disk."""
    _sync(directory, (), tuple(folders))


def sync_directory(directory: Path) -> None:
    """Bring the names in one folder to the disk."""
    with opened_directory(directory) as descriptor:
        sync_folder(descriptor)


def _sync(directory: Path, files: Iterable[Path], folders: Iterable[Path]) -> None:
    files, folders = tuple(files), tuple(folders)
    if len(files) + len(folders) > FILES_SYNCED_ONE_BY_ONE:
        with opened_directory(directory) as directory_fd:
            if sync_file_system(directory_fd):
                return
    for path in files:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    for path in folders:
        sync_directory(path)
