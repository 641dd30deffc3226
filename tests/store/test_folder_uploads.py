"""Can several processes share one upload into a folder, and who sweeps up after those that died?"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import DeniedError, UsageError
from bucketry.store.contract import IfAbsent, ObjectNotFoundError
from bucketry.store.folder.store import FolderStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path, durable=False)


def test_any_process_can_continue_an_upload(tmp_path: Path) -> None:
    upload = FolderStore(tmp_path).start_upload("big")
    FolderStore(tmp_path).upload_part("big", upload, 2, 3, memoryview(b"def"))
    FolderStore(tmp_path).upload_part("big", upload, 1, 0, memoryview(b"abc"))
    other = FolderStore(tmp_path)
    other.complete_upload("big", upload, other.list_parts("big", upload))
    assert other.get("big").body == b"abcdef"


def test_a_completion_with_a_gap_is_refused(store: FolderStore) -> None:
    upload = store.start_upload("big")
    first = store.upload_part("big", upload, 1, 0, memoryview(b"abc"))
    late = store.upload_part("big", upload, 2, 4, memoryview(b"def"))
    for parts in ([first, late], [late]):
        with pytest.raises(UsageError):
            store.complete_upload("big", upload, parts)
    assert list(store.list("")) == []


def test_a_shorter_last_part_sent_again_shortens_the_object(store: FolderStore) -> None:
    upload = store.start_upload("big")
    store.upload_part("big", upload, 1, 0, memoryview(b"abcdef"))
    part = store.upload_part("big", upload, 1, 0, memoryview(b"xyz"))
    store.complete_upload("big", upload, [part])
    assert store.get("big").body == b"xyz"


@pytest.mark.parametrize("upload", ["", "..", "../../heads", "0" * 31, "0" * 32, "G" * 32, "0" * 32 + "\n"])
def test_an_upload_that_was_never_started_is_unknown(store: FolderStore, upload: str) -> None:
    store.put("key", b"1", IfAbsent())
    with pytest.raises(ObjectNotFoundError):
        store.list_parts("key", upload)
    with pytest.raises(ObjectNotFoundError):
        store.upload_part("key", upload, 1, 0, memoryview(b"1"))
    with pytest.raises(ObjectNotFoundError):
        store.complete_upload("key", upload, [])
    store.abort_upload("key", upload)
    assert store.get("key").body == b"1"


def test_an_upload_belongs_to_its_key(store: FolderStore) -> None:
    upload = store.start_upload("one")
    with pytest.raises(ObjectNotFoundError):
        store.upload_part("two", upload, 1, 0, memoryview(b"1"))
    store.abort_upload("two", upload)
    assert [found[0] for found in store.list_uploads("")] == ["one"]


def test_a_sweep_takes_the_old_and_leaves_the_young(store: FolderStore, tmp_path: Path) -> None:
    store.put("key", b"1", IfAbsent())
    old_upload, young_upload = store.start_upload("old"), store.start_upload("young")
    for name in ("a" * 32, "b" * 32):
        (tmp_path / ".staging" / name).write_bytes(b"half")
    an_hour_ago = time.time() - 3600
    old_files = [tmp_path / ".staging" / ("a" * 32), *(tmp_path / ".staging/uploads" / old_upload).iterdir()]
    for path in [*old_files, tmp_path / ".staging/uploads" / old_upload]:
        os.utime(path, (an_hour_ago, an_hour_ago))
    assert store.sweep_staging(1800) == 2
    assert [upload for _, upload, _ in store.list_uploads("")] == [young_upload]
    assert (tmp_path / ".staging" / ("b" * 32)).exists()
    assert store.sweep_staging(-60) == 2
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["key"]


def test_a_sweep_of_a_fresh_registry_finds_nothing(store: FolderStore) -> None:
    assert store.sweep_staging(0) == 0


@pytest.mark.parametrize("first", ["put_blob", "start_upload"])
def test_the_first_large_object_sweeps_what_a_killed_process_left_a_week_ago(
    store: FolderStore, tmp_path: Path, first: str
) -> None:
    left, living = tmp_path / ".staging" / ("a" * 32), tmp_path / ".staging" / ("b" * 32)
    FolderStore(tmp_path).abort_upload("none", FolderStore(tmp_path).start_upload("none"))
    for path, days in ((left, 8), (living, 6)):
        path.write_bytes(b"half")
        moment = time.time() - days * 24 * 3600
        os.utime(path, (moment, moment))
    store.put("heads/key", b"1", IfAbsent())
    assert left.exists()
    begin: dict[str, Callable[[], object]] = {
        "put_blob": lambda: store.put_blob("big", memoryview(b"1")),
        "start_upload": lambda: store.start_upload("big"),
    }
    begin[first]()
    assert (left.exists(), living.exists()) == (False, True)
    os.utime(living, (0, 0))
    store.put_blob("bigger", memoryview(b"2"))
    assert living.exists(), "once for each store is enough"


def test_a_sweep_that_fails_does_not_fail_the_write(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(_: float) -> int:
        raise DeniedError("no")

    monkeypatch.setattr(store, "sweep_staging", deny)
    store.put_blob("big", memoryview(b"1"))
    assert store.get("big").body == b"1"
