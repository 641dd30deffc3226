"""What does a folder give to those who walk over all of it: many small files at once, and what killed writers left?"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import CorruptError
from bucketry.store.contract import HasLeftovers, IfAbsent, ReadsMany
from bucketry.store.folder.store import FolderStore

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    store = FolderStore(tmp_path / "registry", durable=False)
    store.create_root()
    for name in ("a", "b"):
        store.put(f"manifests/acme/{name}.json", name.encode(), IfAbsent())
    return store


def test_many_files_of_a_folder_are_read_in_the_order_that_is_asked_for(store: FolderStore) -> None:
    assert isinstance(store, ReadsMany)
    assert list(store.read_many("manifests/acme/", ["b.json", "none.json", "a.json"])) == [b"b", None, b"a"]
    assert list(store.read_many("manifests/none/", ["b.json"])) == [None]


def test_what_is_not_plain_is_left_to_whoever_asks_for_it_by_itself(store: FolderStore, tmp_path: Path) -> None:
    folder = tmp_path / "registry" / "manifests" / "acme"
    (folder / "link.json").symlink_to(folder / "a.json")
    (folder / "inner").mkdir()
    os.mkfifo(folder / "pipe.json")
    names = ["link.json", "inner", "pipe.json", "../acme/a.json", "a.json"]
    assert list(store.read_many("manifests/acme/", names)) == [None, None, None, None, b"a"]


def test_nothing_is_read_through_a_folder_that_is_a_link(store: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "registry" / "linked").symlink_to(tmp_path / "registry" / "manifests")
    with pytest.raises(CorruptError):
        list(store.read_many("linked/acme/", ["a.json"]))


def test_what_a_killed_writer_left_is_listed_and_removed_unless_it_is_written_to(
    store: FolderStore, tmp_path: Path
) -> None:
    assert isinstance(store, HasLeftovers)
    assert list(store.list_leftovers()) == []
    staging = tmp_path / "registry" / ".staging"
    staging.mkdir(exist_ok=True)
    (staging / "uploads").mkdir(exist_ok=True)
    (staging / "left").write_bytes(b"half")
    found = list(store.list_leftovers())
    assert [(each.name, each.size_bytes) for each in found] == [(".staging/left", 4)]
    os.utime(staging / "left", (time.time() + 5, time.time() + 5))
    assert not store.remove_leftover(found[0])
    again = list(store.list_leftovers())
    assert store.remove_leftover(again[0])
    assert not store.remove_leftover(again[0])
    assert list(store.list_leftovers()) == []
