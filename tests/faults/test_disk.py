"""Does a disk that is full, read-only or not ours end a pull in one clear line, wherever in it that happens?"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.errors import DeniedError
from faults.file_systems import mounted, remount
from faults.scene import CHUNK_BYTES, CONTENTS, SIZE_BYTES, check_contents

if TYPE_CHECKING:
    from collections.abc import Iterator

    from faults.scene import Scene

NOBODY = 65_534
SMALL_BYTES = len(CONTENTS["config.json"])


class FullDisk:
    """A disk on which so many bytes can still be written."""

    def __init__(self, left_bytes: int) -> None:
        self.left_bytes = left_bytes
        self._pwrite, self._write = os.pwrite, os.write

    def pwrite(self, descriptor: int, body: Any, offset: int) -> int:
        return self._take(self._pwrite(descriptor, self._fitting(body), offset))

    def write(self, descriptor: int, body: Any) -> int:
        return self._take(self._write(descriptor, self._fitting(body)))

    def _fitting(self, body: Any) -> Any:
        if self.left_bytes <= 0 < len(body):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return body[: self.left_bytes]

    def _take(self, written: int) -> int:
        self.left_bytes -= written
        return written


@pytest.mark.parametrize(
    "left_bytes",
    [
        0,
        1,
        SMALL_BYTES,
        CHUNK_BYTES - 1,
        CHUNK_BYTES + SMALL_BYTES,
        CHUNK_BYTES + SMALL_BYTES + 3,
        SIZE_BYTES // 2,
        SIZE_BYTES - 1,
        SIZE_BYTES,
        SIZE_BYTES + 200,
    ],
)
def test_a_disk_that_is_full_at_any_byte_is_told(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, left_bytes: int
) -> None:
    with monkeypatch.context() as patch:
        disk = FullDisk(left_bytes)
        patch.setattr(os, "pwrite", disk.pwrite)
        patch.setattr(os, "write", disk.write)
        error = scene.fails(6)
        assert "the disk is full" in error.message
        assert error.advice == "free some space, then run it again"
    scene.converges()


def test_no_space_to_reserve_is_told_before_anything_is_fetched(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        real = os.statvfs(scene.destination.parent)

        def nearly_full(_: Any) -> os.statvfs_result:
            fields = list(real)
            fields[4] = 1  # f_bavail: one block for us
            return os.statvfs_result(fields)

        patch.setattr(os, "statvfs", nearly_full)
        assert "full" in scene.fails(6).message
        assert not any("/blobs/" in asked.path and asked.method == "GET" for asked in scene.proxy.asked)
    scene.converges()


def test_a_file_system_that_is_too_small_is_told_and_one_that_has_grown_takes_it(scene: Scene) -> None:
    with mounted(scene.destination.parent, "size=300k"):
        assert "full" in scene.fails(6).message
        remount(scene.destination.parent, "size=4m")
        scene.converges()


def test_a_file_system_that_is_read_only_is_told(scene: Scene) -> None:
    with mounted(scene.destination.parent, "size=4m"):
        remount(scene.destination.parent, "ro")
        assert "Read-only file system" in scene.fails(7).message
        remount(scene.destination.parent, "rw")
        scene.converges()


@pytest.fixture
def users_scene(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """Return the scene with a target of a user who is not root."""
    folder = Path(tempfile.mkdtemp())
    monkeypatch.setenv("BUCKETRY_CACHE", str(folder / "cache"))
    (folder / "served").mkdir()
    is_root = os.geteuid() == 0
    if is_root:
        for path in (folder, folder / "served"):
            os.chown(path, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        yield replace(scene, destination=folder / "served" / "model")
    finally:
        if is_root:
            os.seteuid(0)
        for path in (folder, folder / "served", folder / "cache"):
            if path.exists():
                path.chmod(0o700)
        shutil.rmtree(folder)


def test_a_folder_that_may_not_be_written_is_denied(users_scene: Scene) -> None:
    users_scene.destination.parent.chmod(0o555)
    error = users_scene.fails(7)
    assert "Permission denied" in error.message
    users_scene.destination.parent.chmod(0o755)
    users_scene.converges()


def test_a_folder_that_may_not_be_made_is_denied(users_scene: Scene) -> None:
    users_scene.destination.parent.parent.chmod(0o555)
    below = replace(users_scene, destination=users_scene.destination.parent.parent / "new" / "model")
    assert "Permission denied" in below.fails(7).message
    users_scene.destination.parent.parent.chmod(0o755)
    below.converges()


def test_a_target_that_may_not_be_read_is_denied_and_left_alone(users_scene: Scene) -> None:
    users_scene.succeeds()
    users_scene.destination.chmod(0)
    with pytest.raises(DeniedError, match="Permission denied"):
        users_scene.pull()
    users_scene.destination.chmod(0o755)
    check_contents(users_scene.destination)
    users_scene.converges()


def test_a_cache_that_may_not_be_read_hinders_no_pull_to_a_target(users_scene: Scene) -> None:
    cache = users_scene.destination.parent.parent / "cache"
    cache.mkdir(mode=0)
    users_scene.succeeds()
