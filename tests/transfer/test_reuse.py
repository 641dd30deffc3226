from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import UnavailableError
from bucketry.store.memory import MemoryStore
from bucketry.transfer.reuse import reuse, version_in
from bucketry.transfer.workers import Interrupted
from transfer.helpers import CONTENTS, read_tree, stock, write_tree

if TYPE_CHECKING:
    from pathlib import Path

    from bucketry.transfer.download import RemoteFile
    from bucketry.transfer.progress import Progress


@pytest.fixture
def files(tmp_path: Path) -> list[RemoteFile]:
    return stock(MemoryStore(), tmp_path / "out", CONTENTS)


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    folder = tmp_path / "staging"
    folder.mkdir()
    return folder


@pytest.fixture(params=["kernel", "by hand"])
def any_copy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "by hand":

        def cannot(*_: object) -> int:
            raise OSError(errno.EXDEV, "another file system")

        monkeypatch.setattr(os, "copy_file_range", cannot)
    return str(request.param)


def recorded(files: list[RemoteFile]) -> dict[str, str]:
    return {file.path: file.sha256 for file in files}


@pytest.mark.usefixtures("any_copy")
def test_an_older_version_gives_what_is_the_same_also_under_another_name(
    tmp_path: Path, staging: Path, files: list[RemoteFile]
) -> None:
    old = {"renamed.bin": CONTENTS["weights/three.bin"], "one.bin": CONTENTS["one.bin"], "gone": b"gone"}
    old_files = stock(MemoryStore(), tmp_path / "old", old)
    reports: list[Progress] = []
    reused = reuse([version_in(tmp_path / "old", recorded(old_files))], files, staging, progress=reports.append)
    expected = {"weights/three.bin", "one.bin"}
    assert {file.path for file in reused.files} == expected
    assert {file.path for file in reused.missing} == CONTENTS.keys() - expected
    assert read_tree(staging) == {path: CONTENTS[path] for path in expected}
    assert reused.reused_bytes == reports[-1].done_bytes == 3001


@pytest.mark.usefixtures("any_copy")
@pytest.mark.parametrize("damage", ["changed", "shortened", "removed", "linked"])
def test_a_copy_that_is_not_what_its_receipt_says_is_not_used(
    tmp_path: Path, staging: Path, files: list[RemoteFile], damage: str
) -> None:
    path = tmp_path / "out" / "exact.bin"
    body = CONTENTS["exact.bin"]
    path.unlink()
    if damage == "changed":
        path.write_bytes(body[:-1] + b"!")
    elif damage == "shortened":
        path.write_bytes(body[:-1])
    elif damage == "linked":
        path.symlink_to(tmp_path / "staging")
    reused = reuse([version_in(tmp_path / "out", recorded(files))], files, staging)
    assert [file.path for file in reused.missing] == ["exact.bin"]
    assert read_tree(staging) == {path: body for path, body in CONTENTS.items() if path != "exact.bin"}


def test_a_receipt_that_points_outside_gives_nothing(tmp_path: Path, staging: Path, files: list[RemoteFile]) -> None:
    write_tree(tmp_path, {"outside": CONTENTS["one.bin"]})
    (tmp_path / "old").mkdir()
    one = [file for file in files if file.path == "one.bin"]
    reused = reuse([version_in(tmp_path / "old", {"../outside": one[0].sha256})], one, staging)
    assert reused.files == ()


def test_the_next_source_is_asked_when_the_first_is_wrong(
    tmp_path: Path, staging: Path, files: list[RemoteFile]
) -> None:
    one = [file for file in files if file.path == "one.bin"]
    write_tree(tmp_path / "bad", {"one.bin": b"y"})
    sources = [version_in(tmp_path / folder, recorded(one)) for folder in ("bad", "out")]
    assert reuse(sources, one, staging).files == tuple(one)


def test_a_full_disk_is_not_taken_for_a_wrong_copy(
    tmp_path: Path, staging: Path, files: list[RemoteFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "copy_file_range", full)
    with pytest.raises(UnavailableError, match="disk is full"):
        reuse([version_in(tmp_path / "out", recorded(files))], files, staging)


def test_reuse_stops_when_it_is_told_to(tmp_path: Path, staging: Path, files: list[RemoteFile]) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Interrupted):
        reuse([version_in(tmp_path / "out", recorded(files))], files, staging, stop=stop)
