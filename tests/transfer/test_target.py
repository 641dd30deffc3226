from __future__ import annotations

import ctypes
import errno
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.errors import BucketryError, ContendedError, CorruptError, RejectedError, UnavailableError, UsageError
from bucketry.store.contract import Store, Unconditional
from bucketry.store.memory import MemoryStore
from bucketry.transfer.disk import durable, rename, target
from bucketry.transfer.disk.receipt import Absent, Foreign, Ours, inspect_target, write_receipt
from bucketry.transfer.disk.target import prepare_target, publish_target
from bucketry.transfer.pace.workers import Interrupted
from transfer.helpers import CONTENTS, hooked, read_tree, stock
from transfer.pulls import about, digest_of, pull, staged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAX_LOOKS = 1_000_000


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture(params=["one step", "two steps"])
def any_file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let a test run on a file system that can exchange names, and on one that cannot."""
    if request.param == "two steps":

        def cannot(*_: object) -> int:
            ctypes.set_errno(errno.EINVAL)
            return -1

        monkeypatch.setattr(rename._LIBRARY, "renameat2", cannot)  # noqa: SLF001 - the system's edge
    return str(request.param)


def manifest_at(destination: Path) -> str:
    there = inspect_target(destination)
    assert isinstance(there, Ours)
    return there.receipt.manifest


@pytest.mark.usefixtures("any_file_system")
def test_a_pull_appears_whole_with_its_receipt_and_nothing_beside_it(store: Store, tmp_path: Path, home: Path) -> None:
    files = stock(store, tmp_path / "out", CONTENTS)
    assert pull(store, files, home / "chat") == "appeared"
    assert read_tree(home / "chat") == CONTENTS
    there = inspect_target(home / "chat")
    assert isinstance(there, Ours)
    assert there.receipt.digests == {file.path: file.sha256 for file in files}
    assert [entry.name for entry in home.iterdir()] == ["chat"]


def test_folders_above_the_target_are_made(store: Store, tmp_path: Path, home: Path) -> None:
    pull(store, stock(store, tmp_path / "out", CONTENTS), home / "a/b/chat")
    assert read_tree(home / "a/b/chat") == CONTENTS


@pytest.mark.usefixtures("any_file_system")
def test_another_version_of_ours_is_replaced_whole(home: Path) -> None:
    assert publish_target(staged(home / "chat", {"a": b"1", "old": b"1"}, "m1")) == "appeared"
    assert publish_target(staged(home / "chat", {"a": b"2", "new": b"2"}, "m2")) == "replaced"
    assert read_tree(home / "chat") == {"a": b"2", "new": b"2"}
    assert [entry.name for entry in home.iterdir()] == ["chat"]


def test_the_same_version_that_is_there_meanwhile_is_left_alone(home: Path) -> None:
    first, second = (staged(home / "chat", {"a": b"1"}, "m1") for _ in range(2))
    assert publish_target(first) == "appeared"
    inode = (home / "chat").stat().st_ino
    assert publish_target(second) == "already_there"
    assert (home / "chat").stat().st_ino == inode
    assert [entry.name for entry in home.iterdir()] == ["chat"]


def test_other_files_of_the_same_version_replace_it(home: Path) -> None:
    publish_target(staged(home / "chat", {"a": b"1"}, "m1"))
    assert publish_target(staged(home / "chat", {"a": b"1", "b": b"2"}, "m1")) == "replaced"
    assert read_tree(home / "chat") == {"a": b"1", "b": b"2"}


def make_foreign(path: Path, kind: str) -> None:
    if kind == "file":
        path.write_bytes(b"mine")
    elif kind == "link":
        path.symlink_to(path.parent)
    else:
        path.mkdir()
    if kind in {"folder", "no manifest", "not json", "deep"}:
        (path / "thesis.txt").write_bytes(b"mine")
    receipts = {"no manifest": "{}", "not json": "{", "deep": "[" * 100_000, "list": "[]"}
    if kind in receipts:
        (path / ".bucketry").mkdir()
        (path / ".bucketry/receipt.json").write_text(receipts[kind])
    if kind == "linked receipt":
        (path / ".bucketry").mkdir()
        (path.parent / "r.json").write_text(json.dumps({"manifest": "m", "files": {}}))
        (path / ".bucketry/receipt.json").symlink_to(path.parent / "r.json")


@pytest.mark.usefixtures("any_file_system")
@pytest.mark.parametrize(
    "kind",
    ["file", "link", "folder", "no manifest", "not json", "deep", "list", "linked receipt"],
)
def test_a_foreign_target_is_refused_and_untouched(home: Path, kind: str) -> None:
    make_foreign(home / "chat", kind)
    before = (home / "chat").lstat()
    assert isinstance(inspect_target(home / "chat"), Foreign)
    with pytest.raises(RejectedError, match="left untouched"):
        publish_target(staged(home / "chat", {"a": b"1"}, "m1"))
    after = (home / "chat").lstat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.mark.usefixtures("any_file_system")
def test_what_somebody_creates_at_the_last_moment_is_not_merged_with(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    staging = staged(home / "chat", {"a": b"1"}, "m1")
    honest_inspect = inspect_target

    def inspect_then_another_creates(destination: Path) -> Any:
        state = honest_inspect(destination)
        if destination == staging.destination and isinstance(state, Absent):
            make_foreign(destination, "folder")
        return state

    monkeypatch.setattr(target, "inspect_target", inspect_then_another_creates)
    with pytest.raises(RejectedError, match="no pull made"):
        publish_target(staging)
    assert read_tree(home / "chat") == {"thesis.txt": b"mine"}


@pytest.mark.usefixtures("any_file_system")
def test_a_foreign_folder_swapped_in_at_the_last_moment_is_given_back(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_target(staged(home / "chat", {"a": b"1"}, "m1"))
    staging = staged(home / "chat", {"a": b"2"}, "m2")
    honest_inspect = inspect_target

    def inspect_then_another_swaps(destination: Path) -> Any:
        state = honest_inspect(destination)
        if destination == staging.destination and isinstance(state, Ours):
            destination.rename(home / "moved away")
            make_foreign(destination, "folder")
        return state

    monkeypatch.setattr(target, "inspect_target", inspect_then_another_swaps)
    with pytest.raises(RejectedError, match="no pull made"):
        publish_target(staging)
    staging.discard()
    assert read_tree(home / "chat") == {"thesis.txt": b"mine"}
    assert read_tree(home / "moved away") == {"a": b"1"}


@pytest.mark.usefixtures("any_file_system")
def test_a_file_put_into_the_target_at_the_last_moment_is_given_back(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_target(staged(home / "chat", {"a": b"1"}, "m1"))
    staging = staged(home / "chat", {"a": b"2"}, "m2")

    def inspect_then_another_writes(destination: Path) -> Any:
        state = inspect_target(destination)
        if destination == staging.destination and isinstance(state, Ours):
            (destination / "thesis.txt").write_bytes(b"mine")
        return state

    monkeypatch.setattr(target, "inspect_target", inspect_then_another_writes)
    with pytest.raises(RejectedError, match=r"thesis\.txt is a file"), staging:
        publish_target(staging)
    assert read_tree(home / "chat") == {"a": b"1", "thesis.txt": b"mine"}
    assert [entry.name for entry in home.iterdir()] == ["chat"]


@pytest.mark.usefixtures("any_file_system")
def test_the_same_version_with_a_changed_file_is_replaced(home: Path) -> None:
    publish_target(staged(home / "chat", {"a": b"1", "b": b"1"}, "m1"))
    (home / "chat/a").write_bytes(b"damage")
    assert publish_target(staged(home / "chat", {"a": b"1", "b": b"1"}, "m1")) == "replaced"
    assert read_tree(home / "chat") == {"a": b"1", "b": b"1"}


def test_a_folder_that_is_distrusted_is_replaced_and_one_that_came_since_is_not(home: Path) -> None:
    publish_target(staged(home / "chat", {"a": b"1"}, "m1"))
    distrusted = inspect_target(home / "chat")
    assert isinstance(distrusted, Ours)
    first, second = (staged(home / "chat", {"a": b"1"}, "m1") for _ in range(2))
    assert publish_target(first, distrusted=distrusted) == "replaced"
    assert publish_target(second, distrusted=distrusted) == "already_there"


def test_a_staged_version_that_was_changed_does_not_appear(home: Path) -> None:
    staging = staged(home / "chat", {"a": b"1"}, "m1")
    (staging.directory / "a").write_bytes(b"evil")
    with pytest.raises(ContendedError, match="changed"):
        publish_target(staging)
    assert not (home / "chat").exists()


@pytest.mark.parametrize("code", [errno.EBUSY, errno.EXDEV, errno.EPERM])
def test_a_folder_of_which_only_the_kernel_knows_that_it_cannot_be_replaced_is_filled_file_by_file(
    home: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    publish_target(staged(home / "chat", {"a": b"1", "old/c": b"1"}, "m1"))

    def cannot(*_: object) -> int:
        ctypes.set_errno(code)
        return -1

    inode = (home / "chat").stat().st_ino
    staging = staged(home / "chat", {"a": b"2", "new/b": b"2"}, "m2")
    monkeypatch.setattr(rename._LIBRARY, "renameat2", cannot)  # noqa: SLF001 - the system's edge
    with staging:
        assert publish_target(staging) == "replaced"
    assert (home / "chat").stat().st_ino == inode
    assert manifest_at(home / "chat") == digest_of("m2")
    assert read_tree(home / "chat") == {"a": b"2", "new/b": b"2"}
    assert [entry.name for entry in home.iterdir()] == ["chat"]


def look(destination: Path) -> bytes | None:
    """Return what both files say, or None if the folder that was opened is just being removed."""
    folder = os.open(destination, os.O_RDONLY | os.O_DIRECTORY)
    try:
        first, second = (read_below(folder, name) for name in ("a", "b"))
    except FileNotFoundError:
        return None
    finally:
        os.close(folder)
    assert first == second
    return first


def read_below(folder: int, name: str) -> bytes:
    descriptor = os.open(name, os.O_RDONLY, dir_fd=folder)
    try:
        return os.read(descriptor, 10)
    finally:
        os.close(descriptor)


def test_a_reader_never_sees_the_target_missing_or_mixed_while_versions_alternate(home: Path) -> None:
    versions = [{"a": b"%d" % n, "b": b"%d" % n} for n in range(2)]
    publish_target(staged(home / "chat", versions[0], "m0"))
    done = threading.Event()

    def alternate() -> None:
        try:
            for round_number in range(1, 61):
                version = versions[round_number % 2]
                publish_target(staged(home / "chat", version, f"m{round_number % 2}"))
        finally:
            done.set()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(alternate)
        looks = 0
        while not done.is_set() and looks < MAX_LOOKS:
            looks += 1
            assert look(home / "chat") in {b"0", b"1", None}
        writing.result()
    assert looks > 100


def test_two_pulls_to_one_target_at_once_both_succeed(store: Store, tmp_path: Path, home: Path) -> None:
    files = stock(store, tmp_path / "out", CONTENTS)
    together = threading.Barrier(4)

    def pull_together(_: int) -> str:
        together.wait(10)
        return pull(store, files, home / "chat", connections=2)

    with ThreadPoolExecutor(4) as pool:
        published = list(pool.map(pull_together, range(4)))
    assert sorted(published) == ["already_there"] * 3 + ["appeared"]
    assert read_tree(home / "chat") == CONTENTS
    assert [entry.name for entry in home.iterdir()] == ["chat"]


def test_pulls_of_different_versions_to_one_target_at_once_leave_one_of_them_whole(home: Path) -> None:
    together = threading.Barrier(6)
    versions = [{"a": b"%d" % n, f"only-{n}": b"%d" % n} for n in range(6)]

    def publish_together(number: int) -> str:
        staging = staged(home / "chat", versions[number], f"m{number}")
        together.wait(10)
        return publish_target(staging)

    with ThreadPoolExecutor(6) as pool:
        published = list(pool.map(publish_together, range(6)))
    assert published.count("appeared") == 1
    assert published.count("replaced") == 5
    assert read_tree(home / "chat") in versions
    assert [entry.name for entry in home.iterdir()] == ["chat"]


def test_a_stopped_pull_leaves_nothing(tmp_path: Path, home: Path) -> None:
    store = hooked(MemoryStore())
    files = stock(store, tmp_path / "out", CONTENTS)
    stop = threading.Event()

    def stop_at_once(method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        stop.set()
        return method(*arguments, **named)

    store.hooks["open_range"] = stop_at_once
    with pytest.raises(Interrupted):
        pull(store, files, home / "chat", stop=stop)
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("fault", ["corrupt", "full"])
def test_a_failed_pull_leaves_the_old_version_and_nothing_else(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    publish_target(staged(home / "chat", {"a": b"1"}, "m1"))
    store = MemoryStore()
    files = stock(store, tmp_path / "out", {"a": b"right"})
    if fault == "corrupt":
        store.put(files[0].key, b"wrong", Unconditional())
    else:

        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, "no space")

        monkeypatch.setattr(os, "pwrite", full)
    expected: dict[str, type[BucketryError]] = {"corrupt": CorruptError, "full": UnavailableError}
    with pytest.raises(expected[fault]):
        pull(store, files, home / "chat", "m2")
    assert manifest_at(home / "chat") == digest_of("m1")
    assert [entry.name for entry in home.iterdir()] == ["chat"]


def test_a_version_without_receipt_does_not_appear(home: Path) -> None:
    with prepare_target(home / "chat") as staging, pytest.raises(UsageError, match="needs its receipt"):
        publish_target(staging)
    with prepare_target(home / "chat") as staging, pytest.raises(UsageError, match="manifest"):
        write_receipt(staging.directory, {}, about("m1"))
    assert list(home.iterdir()) == []


def test_a_version_of_many_files_is_brought_to_the_disk_at_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "FILES_SYNCED_ONE_BY_ONE", 2)
    contents = {f"{n}": b"x" for n in range(5)}
    publish_target(staged(home / "chat", contents, "m1"))
    assert read_tree(home / "chat") == contents


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "."])
def test_odd_names_of_targets(home: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(home)
    destination = type(home)(name)
    if name == ".":
        with pytest.raises(UsageError, match="cannot be a target"):
            prepare_target(destination)
        return
    publish_target(staged(destination, {"a": b"1"}, "m1"))
    assert read_tree(home / name) == {"a": b"1"}


def test_a_target_below_a_file_is_refused(home: Path) -> None:
    (home / "file").write_bytes(b"")
    with pytest.raises(RejectedError):
        inspect_target(home / "file/chat")
    with pytest.raises(RejectedError):
        prepare_target(home / "file/chat")
