"""Is everything seen that is no longer as a pull left it, without reading a file?"""

from __future__ import annotations

import errno
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.errors import DeniedError, RejectedError, UsageError
from bucketry.transfer.disk import receipt
from bucketry.transfer.disk.local_files import open_below
from bucketry.transfer.disk.receipt import RECEIPT_PATH, Foreign, Ours, inspect_target
from bucketry.transfer.disk.target import publish_target
from transfer.helpers import read_tree
from transfer.pulls import staged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONTENTS = {"a": b"aa", "folder/b": b"bb", "folder/deep/c": b"cc"}


@pytest.fixture
def chat(tmp_path: Path) -> Path:
    publish_target(staged(tmp_path / "chat", CONTENTS, "m1"))
    return tmp_path / "chat"


def state_of(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in sorted(folder.rglob("*"))}


def edit_in_place(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"?")


def set_time_back(path: Path) -> None:
    os.utime(path, ns=(0, 0))


@pytest.mark.parametrize(
    ("harm", "changed"),
    [
        (read_tree, set()),
        (lambda chat: (chat / "a").chmod(0o444), set()),
        (lambda chat: (chat / "a").unlink(), {"a"}),
        (lambda chat: os.truncate(chat / "folder/b", 0), {"folder/b"}),
        (lambda chat: edit_in_place(chat / "folder/b"), {"folder/b"}),
        (lambda chat: set_time_back(chat / "a"), {"a"}),
        (lambda chat: shutil.rmtree(chat / "folder"), {"folder/b", "folder/deep/c"}),
    ],
    ids=["read", "made read-only", "removed", "cut", "edited in place", "touched", "folder removed"],
)
def test_what_became_of_each_file_is_seen(chat: Path, harm: Callable[[Path], Any], changed: set[str]) -> None:
    harm(chat)
    there = inspect_target(chat)
    assert isinstance(there, Ours)
    assert there.changed == changed


def replace_by_link(path: Path) -> None:
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_bytes(b"mine")


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        (lambda chat: (chat / "mine").write_bytes(b"mine"), "chat/mine is a file"),
        (lambda chat: (chat / "folder/deep/mine").write_bytes(b""), "chat/folder/deep/mine is a file"),
        (lambda chat: (chat / ".bucketry/mine").write_bytes(b""), "chat/.bucketry/mine is a file"),
        (lambda chat: (chat / "mine").mkdir(), "chat/mine is a folder"),
        (lambda chat: (chat / "mine").symlink_to("a"), "chat/mine is a symbolic link"),
        (lambda chat: os.mkfifo(chat / "mine"), "chat/mine is a special file"),
        (lambda chat: replace_by_link(chat / "a"), "chat/a is a symbolic link"),
        (lambda chat: replace_by_link(chat / "folder"), "chat/folder is a symbolic link"),
        (lambda chat: replace_by_folder(chat / "a"), "chat/a is a folder"),
        (lambda chat: replace_by_file(chat / "folder"), "chat/folder is a file"),
        (lambda chat: replace_by_link(chat / ".bucketry"), "receipt.json that no pull made"),
    ],
    ids=[
        "file",
        "deep file",
        "beside the receipt",
        "folder",
        "link",
        "pipe",
        "file is a link",
        "folder is a link",
        "file is a folder",
        "folder is a file",
        "receipt behind a link",
    ],
)
def test_what_a_receipt_does_not_list_is_somebodys_and_stays(
    chat: Path, harm: Callable[[Path], Any], named: str
) -> None:
    harm(chat)
    before = state_of(chat)
    there = inspect_target(chat)
    assert isinstance(there, Foreign)
    assert named in there.reason
    for manifest in ("m1", "m2"):
        staging = staged(chat, {"a": b"2"}, manifest)
        with pytest.raises(RejectedError, match="left untouched"), staging:
            publish_target(staging)
    assert state_of(chat) == before


FILE = {"sha256": "a" * 64, "size_bytes": 2, "changed_at_ns": 1}
WHOLE: dict[str, Any] = {"format": 1, "registry": "r", "model": "m", "manifest": "b" * 64, "files": {"a": FILE}}


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"registry": None},
        {"model": 3},
        {"manifest": "x"},
        {"files": None},
        {"files": {}},
        {"files": ["a"]},
        {"files": {"a": "a" * 64}},
        {"files": {"a": FILE, "../b": FILE}},
        {"files": {"a": FILE, "/etc/passwd": FILE}},
        {"files": {"a": FILE, ".bucketry/receipt.json": FILE}},
        {"files": {"a": FILE | {"sha256": "A" * 64}}},
        {"files": {"a": FILE | {"size_bytes": -1}}},
        {"files": {"a": FILE | {"size_bytes": True}}},
        {"files": {"a": FILE | {"changed_at_ns": 1.5}}},
    ],
    ids=str,
)
def test_a_receipt_that_no_pull_writes_makes_nothing_ours(tmp_path: Path, changes: dict[str, Any]) -> None:
    (tmp_path / "chat/.bucketry").mkdir(parents=True)
    (tmp_path / "chat/a").write_bytes(b"aa")
    path = tmp_path / "chat" / RECEIPT_PATH
    path.write_text(json.dumps(WHOLE))
    assert isinstance(inspect_target(tmp_path / "chat"), Ours)
    path.write_text(json.dumps(WHOLE | changes))
    there = inspect_target(tmp_path / "chat")
    assert isinstance(there, Foreign)
    assert "not one of a pull" in there.reason


def test_a_receipt_of_a_manifest_alone_makes_nothing_ours(tmp_path: Path) -> None:
    (tmp_path / ".bucketry").mkdir()
    (tmp_path / RECEIPT_PATH).write_text('{"manifest":"x"}')
    assert isinstance(inspect_target(tmp_path), Foreign)


def test_a_folder_that_was_replaced_while_it_was_looked_at_is_looked_at_again(
    chat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_target(staged(tmp_path / "next", {"new": b"new"}, "m2"))
    honest = open_below
    opened: list[str] = []

    def replace_then_open(directory_fd: int, path: str) -> int:
        if not opened:
            chat.rename(tmp_path / "old")
            (tmp_path / "next").rename(chat)
            shutil.rmtree(tmp_path / "old")
        opened.append(path)
        return honest(directory_fd, path)

    monkeypatch.setattr(receipt, "open_below", replace_then_open)
    there = inspect_target(chat)
    assert isinstance(there, Ours)
    assert (set(there.receipt.files), there.changed) == ({"new"}, frozenset())


def test_a_folder_that_vanishes_while_it_is_looked_at_counts_as_missing(
    chat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = os.open

    def remove_then_open(path: Any, *rest: Any, **named: Any) -> int:
        if path == "deep":
            shutil.rmtree(chat / "folder/deep")
        return honest(path, *rest, **named)

    monkeypatch.setattr(os, "open", remove_then_open)
    there = inspect_target(chat)
    assert isinstance(there, Ours)
    assert there.changed == {"folder/deep/c"}


def test_a_target_that_may_not_be_read_is_denied(chat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DeniedError, match="chat"):
        inspect_target(chat)


@pytest.mark.parametrize("name", ["x" * 256, "é" * 128, "x/" * 3000, "x\0y"])
def test_a_name_that_no_folder_can_have_is_a_usage_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        inspect_target(tmp_path / name)


def test_a_receipt_is_one_document_with_sorted_names_and_a_line_for_each_file(tmp_path: Path) -> None:
    names = ["z", "a", 'quoted"\\', "é/ü", "folder/b"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    about = {"registry": "r", "model": "é", "manifest": "b" * 64, "zone": None, "alias": ["x", {"b": 1, "a": 2}]}
    receipt.write_receipt(tmp_path, dict.fromkeys(names, "a" * 64), about)
    text = (tmp_path / RECEIPT_PATH).read_text("utf-8")
    document = json.loads(text)
    status = {name: (tmp_path / name).stat() for name in names}
    files = {
        name: {"sha256": "a" * 64, "size_bytes": one.st_size, "changed_at_ns": one.st_mtime_ns}
        for name, one in status.items()
    }
    assert document == {**about, "format": 1, "files": files}
    assert list(document) == sorted(document)
    assert list(document["files"]) == sorted(names)
    assert len(text.splitlines()) == len(names) + len(document) + 3
    assert "é" in text


@pytest.mark.parametrize(
    ("digests", "about"),
    [
        ({}, WHOLE),
        ({"a": "A" * 64}, WHOLE),
        ({"a": "a" * 64}, WHOLE | {"manifest": "b"}),
        ({"a": "a" * 64}, {"registry": "r", "model": "m"}),
        ({".bucketry/a": "a" * 64}, WHOLE),
    ],
)
def test_what_is_no_receipt_is_not_written(tmp_path: Path, digests: dict[str, str], about: dict[str, Any]) -> None:
    for path in digests:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(b"")
    with pytest.raises(UsageError, match="a receipt needs"):
        receipt.write_receipt(tmp_path, digests, about)
    assert not (tmp_path / RECEIPT_PATH).exists()
