"""Does a register in a folder hold when a writer or a reader stalls, or never gets its answer?"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.errors import UnavailableError
from bucketry.store.contract import (
    Folder,
    IfAbsent,
    IfMatch,
    ObjectNotFoundError,
    PreconditionFailedError,
    StoreFullError,
)
from bucketry.store.folder.store import FolderStore
from store.folder_register import KEY, check_register, commit_many

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path, durable=False)


# --- stalled


def stall_once(patch: pytest.MonkeyPatch, name: str, ending: str, meanwhile: Callable[[], object]) -> None:
    """Let `meanwhile` happen just before the first call `os.<name>` that concerns a path with this ending."""
    real = getattr(os, name)
    pending = [meanwhile]

    def call(*arguments: Any, **options: Any) -> Any:
        if pending and any(str(argument).endswith(ending) for argument in arguments):
            pending.pop()()
        return real(*arguments, **options)

    patch.setattr(os, name, call)


@pytest.mark.parametrize("states", [1, 4, 20])
def test_a_stalled_writer_that_finds_its_number_trimmed_is_refused(
    store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, states: int
) -> None:
    base = commit_many(store, states - 1, store.put(KEY, b"first", IfAbsent()))
    stall_once(monkeypatch, "link", f".cas/{KEY}/{states}", lambda: commit_many(store, 40, base))
    with pytest.raises(PreconditionFailedError):
        store.put(KEY, b"stalled", IfMatch(base))
    assert store.get(KEY).body == b"other 39"
    assert store.local_path(KEY).read_bytes() == b"other 39"
    assert not (tmp_path / ".cas" / KEY / str(states)).exists()
    check_register(store, {b"other 39"})


def test_a_writer_stalled_before_it_numbers_the_first_state_is_refused(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = store.put(KEY, b"first", IfAbsent())
    stall_once(monkeypatch, "link", f".cas/{KEY}/0", lambda: commit_many(store, 40, base))
    with pytest.raises(PreconditionFailedError):
        store.put(KEY, b"stalled", IfMatch(base))
    check_register(store, {b"other 39"})


def test_a_writer_stalled_after_its_commit_may_turn_back_the_readable_copy_alone(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = store.put(KEY, b"first", IfAbsent())

    def overtake() -> None:
        commit_many(store, 40, store.get(KEY).etag)

    stall_once(monkeypatch, "replace", KEY, overtake)
    store.put(KEY, b"slow", IfMatch(base))
    assert store.local_path(KEY).read_bytes() == b"slow"
    check_register(store, {b"other 39"})


def test_a_reader_whose_state_was_trimmed_finds_the_newest(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    base = commit_many(store, 3, store.put(KEY, b"first", IfAbsent()))
    stall_once(monkeypatch, "open", f".cas/{KEY}/3", lambda: commit_many(store, 40, base))
    assert store.get(KEY).body == b"other 39"


def test_a_reader_never_takes_a_later_state_for_the_first(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    base = store.put(KEY, b"first", IfAbsent())
    stall_once(monkeypatch, "open", KEY, lambda: commit_many(store, 3, base))
    found = store.get(KEY)
    assert (found.body, found.etag) == (b"other 2", store.stat(KEY).etag)
    store.put(KEY, b"next", IfMatch(found.etag))


def test_a_writer_survives_that_its_folder_is_removed(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put("heads/team/other.json", b"1", IfAbsent())
    stall_once(monkeypatch, "link", KEY, lambda: store.delete("heads/team/other.json"))
    store.put(KEY, b"new", IfAbsent())
    assert store.get(KEY).body == b"new"


def test_a_writer_whose_register_was_deleted_is_refused(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    base = commit_many(store, 3, store.put(KEY, b"first", IfAbsent()))
    stall_once(monkeypatch, "link", f".cas/{KEY}/4", lambda: store.delete(KEY))
    with pytest.raises(PreconditionFailedError):
        store.put(KEY, b"stalled", IfMatch(base))
    with pytest.raises(ObjectNotFoundError):
        store.get(KEY)


def test_a_writer_stalled_after_its_link_is_refused_although_it_happened(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = commit_many(store, 3, store.put(KEY, b"first", IfAbsent()))
    seen: list[bytes] = []

    def overtake() -> None:
        seen.append(store.get(KEY).body)
        commit_many(store, 40, store.get(KEY).etag)

    real = os.link

    def link(source: str, target: str, **options: Any) -> None:
        real(source, target, **options)
        if target.endswith(f".cas/{KEY}/4") and not seen:
            overtake()

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(PreconditionFailedError):
        store.put(KEY, b"stalled", IfMatch(base))
    assert seen == [b"stalled"]
    check_register(store, {b"other 39"})


@pytest.mark.parametrize("remove_folder", [False, True])
def test_a_register_whose_readable_copy_was_removed_by_hand_still_exists(
    store: FolderStore,
    remove_folder: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    base = commit_many(store, 3, store.put(KEY, b"first", IfAbsent()))
    store.local_path(KEY).unlink()
    if remove_folder:
        store.local_path(KEY).parent.rmdir()
    assert [*store.list(""), *store.list("heads/team/m"), *store.list("heads/team/", delimiter="/")] == [
        store.stat(KEY)
    ] * 3
    assert list(store.list("heads/", delimiter="/")) == [Folder("heads/team/")]
    with pytest.raises(PreconditionFailedError):
        store.put(KEY, b"new", IfAbsent())
    assert store.get(KEY).body == b"other 2"
    store.put(KEY, b"next", IfMatch(base))
    check_register(store, {b"next"})


def test_a_writer_whose_staged_file_was_swept_says_so(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    stall_once(monkeypatch, "link", KEY, lambda: store.sweep_staging(-60))
    with pytest.raises(UnavailableError, match="was removed before it had its name"):
        store.put(KEY, b"new", IfAbsent())
    assert list(store.list("")) == []


# --- never answered


@pytest.mark.parametrize("number", [errno.EEXIST, errno.EIO, errno.ETIMEDOUT])
def test_a_link_that_happened_is_a_success_whatever_the_reply(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    real = os.link

    def lose_the_reply(*arguments: Any, **options: Any) -> None:
        real(*arguments, **options)
        if not str(arguments[1]).endswith(".copy"):
            raise OSError(number, os.strerror(number))

    base = store.put("other", b"1", IfAbsent())
    base = store.put("other", b"2", IfMatch(base))
    monkeypatch.setattr(os, "link", lose_the_reply)
    assert store.put(KEY, b"first", IfAbsent()) == store.get(KEY).etag
    assert store.put("other", b"second", IfMatch(base)) == store.get("other").etag
    assert store.get("other").body == b"second"
    with pytest.raises(PreconditionFailedError):
        store.put("other", b"third", IfMatch(base))


def test_a_commit_whose_readable_copy_fails_is_a_commit_all_the_same(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    etag = store.put(KEY, b"first", IfAbsent())

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        for number in range(40):
            etag = store.put(KEY, str(number).encode(), IfMatch(etag))
    assert store.local_path(KEY).read_bytes() == b"first"
    assert store.get(KEY).etag == etag
    check_register(store, {b"39"})


# --- a full disk


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_is_full_after_the_name_was_given_leaves_it_open_what_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    store = FolderStore(tmp_path)
    base = store.put("other", b"1", IfAbsent())
    base = store.put("other", b"2", IfMatch(base))
    real_link, real_fsync, linked = os.link, os.fsync, [False]

    def link(*arguments: Any, **options: Any) -> None:
        real_link(*arguments, **options)
        linked[0] = True

    def fsync(descriptor: int) -> None:
        if linked[0]:
            raise OSError(number, os.strerror(number))
        real_fsync(descriptor)

    monkeypatch.setattr(os, "link", link)
    monkeypatch.setattr(os, "fsync", fsync)
    for key, condition in ((KEY, IfAbsent()), ("other", IfMatch(base))):
        linked[0] = False
        with pytest.raises(UnavailableError, match="has its name") as caught:
            store.put(key, b"after", condition)
        assert not isinstance(caught.value, StoreFullError)
        assert store.get(key).body == b"after"


# --- losing power


def test_bytes_reach_the_disk_before_the_name_and_the_name_before_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def note(name: str) -> None:
        real = getattr(os, name)

        def call(*arguments: Any, **options: Any) -> Any:
            calls.append(name)
            return real(*arguments, **options)

        monkeypatch.setattr(os, name, call)

    store = FolderStore(tmp_path)
    etag = store.put("key", b"1", IfAbsent())
    etag = store.put("key", b"2", IfMatch(etag))
    for name in ("pwrite", "utime", "fsync", "link", "replace"):
        note(name)
    store.put("other", b"1", IfAbsent())
    assert calls == ["pwrite", "utime", "fsync", "link", "fsync"]
    calls.clear()
    store.put("key", b"3", IfMatch(etag))
    assert calls == ["pwrite", "utime", "fsync", "link", "fsync", "link", "replace"]
