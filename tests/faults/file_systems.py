"""How do tests get a file system that is small, cannot be written, or lies elsewhere?"""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path


def mounted(folder: Path, options: str) -> AbstractContextManager[Path]:
    """Put a file system in memory at a folder, which is made; skip the test where only root may."""
    return _mounted(folder, "-t", "tmpfs", "-o", options, "none")


def bound(folder: Path, other: Path) -> AbstractContextManager[Path]:
    """Put another folder at a folder, which is made; skip the test where only root may."""
    return _mounted(folder, "--bind", str(other))


@contextmanager
def _mounted(folder: Path, *what: str) -> Iterator[Path]:
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("only root may mount a file system")
    folder.mkdir(exist_ok=True)
    if subprocess.run([mount, *what, folder], check=False, capture_output=True).returncode != 0:
        pytest.skip("file systems cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)
