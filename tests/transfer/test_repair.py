"""Is a changed version mended without moving what is right?"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from bucketry.store.memory import MemoryStore
from bucketry.transfer.disk.hashing import sha256_of_open_file
from bucketry.transfer.down import repair
from bucketry.transfer.down.repair import find_wrong, keep_right
from transfer.helpers import CONTENTS, read_tree, stock

if TYPE_CHECKING:
    from pathlib import Path

    from bucketry.transfer.down.remote import RemoteFile


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return tmp_path / "old"


@pytest.fixture
def files(old: Path) -> list[RemoteFile]:
    return stock(MemoryStore(), old, CONTENTS)


@pytest.fixture
def new(tmp_path: Path) -> Path:
    (tmp_path / "new").mkdir()
    return tmp_path / "new"


def damage(old: Path) -> set[str]:
    (old / "one.bin").write_bytes(b"y")
    (old / "exact.bin").unlink()
    (old / "under.bin").rename(old.parent / "under.bin")
    (old / "under.bin").symlink_to(old.parent / "under.bin")
    return {"one.bin", "exact.bin", "under.bin"}


def test_what_has_other_bytes_is_found(old: Path, files: list[RemoteFile]) -> None:
    assert find_wrong(old, files) == ()
    assert {file.path for file in find_wrong(old, files)} == set()
    wrong = damage(old)
    assert {file.path for file in find_wrong(old, files)} == wrong


def test_what_is_right_is_kept_without_a_copy(old: Path, new: Path, files: list[RemoteFile]) -> None:
    wrong = damage(old)
    assert {file.path for file in keep_right(old, files, new)} == wrong
    assert read_tree(new) == {path: body for path, body in CONTENTS.items() if path not in wrong}
    assert all((new / path).samefile(old / path) for path in read_tree(new))


def test_what_earlier_work_left_in_its_place_gives_way(old: Path, new: Path, files: list[RemoteFile]) -> None:
    (new / "weights").mkdir()
    (new / "weights/three.bin").write_bytes(b"half")
    assert keep_right(old, files, new) == ()
    assert read_tree(new) == CONTENTS


@pytest.mark.parametrize("reason", ["second name", "another user's", "no links"])
def test_what_others_could_still_change_is_not_linked(
    old: Path, new: Path, files: list[RemoteFile], monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    if reason == "second name":
        os.link(old / "one.bin", old.parent / "second")
    elif reason == "another user's":
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    else:

        def cannot(*_: object, **__: object) -> None:
            raise OSError(errno.EOPNOTSUPP, "no hard links here")

        monkeypatch.setattr(os, "link", cannot)
    missing = {file.path for file in keep_right(old, files, new)}
    assert missing == ({"one.bin"} if reason == "second name" else set(CONTENTS))
    assert set(read_tree(new)) == set(CONTENTS) - missing


def test_the_file_that_was_hashed_is_the_one_that_is_linked(
    old: Path, new: Path, files: list[RemoteFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    def hash_then_replace(*arguments: object) -> str:
        digest = sha256_of_open_file(*arguments)  # type: ignore[arg-type]
        (old / "exact.bin").rename(old / "moved")
        (old / "exact.bin").write_bytes(b"evil")
        return digest

    monkeypatch.setattr(repair, "sha256_of_open_file", hash_then_replace)
    keep_right(old, [file for file in files if file.path == "exact.bin"], new)
    assert read_tree(new) == {"exact.bin": CONTENTS["exact.bin"]}
