"""Makes what was written outlast a power cut, before anything says that it is there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bucketry.store.folder.sync import sync_folder
from bucketry.transfer.disk.local_files import open_directory
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
    _sync_folder_at(directory)


def _sync(directory: Path, files: Iterable[Path], folders: Iterable[Path]) -> None:
    files, folders = tuple(files), tuple(folders)
    if len(files) + len(folders) > FILES_SYNCED_ONE_BY_ONE:
        directory_fd = open_directory(directory)
        try:
            if sync_file_system(directory_fd):
                return
        finally:
            os.close(directory_fd)
    for path in files:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    for path in folders:
        _sync_folder_at(path)


def _sync_folder_at(path: Path) -> None:
    descriptor = open_directory(path)
    try:
        sync_folder(descriptor)
    finally:
        os.close(descriptor)
