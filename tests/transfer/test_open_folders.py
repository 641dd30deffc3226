"""Are files made and looked at below folders that stay open as safely as by walking to each?"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import RejectedError
from bucketry.transfer.disk.local_files import MAX_OPEN_FOLDERS, OpenFolders, open_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[OpenFolders]:
    directory_fd = open_directory(tmp_path)
    found = OpenFolders(directory_fd)
    yield found
    found.close()
    os.close(directory_fd)


def make(folders: OpenFolders, path: str, content: bytes) -> None:
    descriptor = folders.create(path)
    os.write(descriptor, content)
    os.close(descriptor)


def count_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the listing counts itself either way


def test_files_of_more_folders_than_stay_open_are_made_and_seen(tmp_path: Path, folders: OpenFolders) -> None:
    paths = ["top"] + [f"f{n % (2 * MAX_OPEN_FOLDERS)}/deep/{n}" for n in range(5 * MAX_OPEN_FOLDERS)]
    before = count_descriptors()
    for path in paths:
        make(folders, path, path.encode())
    assert before < count_descriptors() <= before + MAX_OPEN_FOLDERS
    assert {path: (tmp_path / path).read_bytes() for path in paths} == {path: path.encode() for path in paths}
    assert [folders.stat(path).st_size for path in paths] == [len(path) for path in paths]
    folders.close()
    assert count_descriptors() == before


def test_a_file_that_is_there_is_not_made_again(folders: OpenFolders) -> None:
    make(folders, "a/b", b"1")
    with pytest.raises(FileExistsError):
        folders.create("a/b")


@pytest.mark.parametrize("path", ["link/x", "a/link/x"])
def test_no_link_leads_elsewhere(tmp_path: Path, folders: OpenFolders, path: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "x").write_bytes(b"")
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to(elsewhere)
    (tmp_path / "a/link").symlink_to(elsewhere)
    with pytest.raises(NotADirectoryError):
        folders.create(path.replace("x", "y"))
    with pytest.raises(NotADirectoryError):
        folders.stat(path)
    assert os.listdir(elsewhere) == ["x"]  # noqa: PTH208 - names are enough


def test_only_regular_files_are_looked_at(tmp_path: Path, folders: OpenFolders) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "link", "pipe"):
        with pytest.raises(RejectedError):
            folders.stat(name)
    with pytest.raises(FileNotFoundError):
        folders.stat("none")


@pytest.mark.parametrize("path", ["", "/x", "a//x", "../x", "a/../x", "./x", "a\0b"])
def test_a_path_that_could_lead_out_is_refused(folders: OpenFolders, path: str) -> None:
    with pytest.raises(RejectedError):
        folders.create(path)
