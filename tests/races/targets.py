"""What is at a target, and what lies beside it?"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from bucketry.transfer.disk.receipt import RECEIPT_PATH

MOST_LOOKS = 100


def leftovers(destination: Path) -> list[Path]:
    """Return everything that lies beside a target."""
    if not destination.parent.exists():
        return []
    return [path for path in destination.parent.iterdir() if path != destination]


def check_leftovers(destination: Path, *, most: int) -> None:
    """Each run takes over or sweeps what dead ones left before it makes its own, so leftovers never add up."""
    assert len(leftovers(destination)) <= most


def version_at(destination: Path, versions: dict[int, dict[str, str]]) -> int | None:
    """Return which version is whole at the target, or None where nothing is; fail for anything in between.

    The target may be replaced while it is read: what was read counts only if the same folder is still there.
    """
    for _ in range(MOST_LOOKS):
        try:
            folder = os.open(destination, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return None
        try:
            found, recorded = read_folder(folder)
            is_still_there = destination.stat().st_ino == os.fstat(folder).st_ino
        except FileNotFoundError:
            if destination.exists() and destination.stat().st_ino == os.fstat(folder).st_ino:
                raise
            continue
        finally:
            os.close(folder)
        if is_still_there:
            assert found == versions[recorded]
            return recorded
    pytest.fail(f"{destination} never stayed the same while it was read")


def read_folder(folder: int) -> tuple[dict[str, str], int]:
    """Return the SHA-256 of each file in an open folder, and the version that its receipt names."""
    inside = Path(f"/proc/self/fd/{folder}")
    recorded = json.loads((inside / RECEIPT_PATH).read_bytes())["version"]
    names = [name for name in os.listdir(folder) if name != Path(RECEIPT_PATH).parts[0]]
    return {name: sha256_of(inside / name) for name in names}, recorded


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
