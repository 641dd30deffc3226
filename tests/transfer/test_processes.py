"""Do several processes fetch one version together, and is their work as safe as that of one?"""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.errors import CorruptError, UnavailableError, UsageError
from bucketry.store.contract import Unconditional
from bucketry.store.folder.store import FolderStore
from bucketry.store.memory import MemoryStore
from bucketry.transfer.pace.workers import Interrupted
from transfer.helpers import CHUNK_BYTES, CONTENTS, read_tree, stock
from transfer.pulls import pull_and_count

if TYPE_CHECKING:
    from bucketry.store.contract import ETag
    from bucketry.transfer.down.processes import OpenStore
    from bucketry.transfer.down.remote import RemoteFile
    from bucketry.transfer.pace.progress import Progress

CHUNKS = 40
LARGE = {"large.bin": b"".join(bytes([n]) * CHUNK_BYTES for n in range(CHUNKS)), **CONTENTS}
SIZE_BYTES = sum(map(len, LARGE.values()))


class SlowStore(FolderStore):
    """A folder that takes its time."""

    def open_range(self, key: str, start: int, stop: int, *, etag: ETag | None) -> Any:
        time.sleep(0.1)
        return super().open_range(key, start, stop, etag=etag)


class DyingStore(FolderStore):
    """A folder that kills whoever reads it."""

    def open_range(self, key: str, start: int, stop: int, *, etag: ETag | None) -> Any:
        if start >= 5 * CHUNK_BYTES:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().open_range(key, start, stop, etag=etag)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    (tmp_path / "bucket").mkdir()
    (tmp_path / "home").mkdir()
    return FolderStore(tmp_path / "bucket", durable=False)


@pytest.fixture
def files(store: FolderStore, tmp_path: Path) -> list[RemoteFile]:
    return stock(store, tmp_path / "out", LARGE)


def opener(kind: type[FolderStore], tmp_path: Path) -> OpenStore:
    return partial(kind, tmp_path / "bucket", durable=False)


def children() -> list[str]:
    """Return the running workers of this process; servers of other tests are its children too."""
    mine = str(os.getpid())
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[1] == mine and fields[0] != "Z" and _is_worker(path.parent):
            found.append(path.parent.name)
    return found


def _is_worker(process: Path) -> bool:
    try:
        return b"slice_worker" in (process / "cmdline").read_bytes()
    except OSError:
        return False


@pytest.mark.parametrize("verify", ["sha256", "fast"])
def test_several_processes_bring_a_version_together(
    store: FolderStore, files: list[RemoteFile], tmp_path: Path, verify: str
) -> None:
    reports: list[Progress] = []
    _, fetched = pull_and_count(
        store,
        files,
        tmp_path / "home/chat",
        processes=3,
        open_store=opener(FolderStore, tmp_path),
        verify=verify,
        connections=6,
        on_transfer=reports.append,
    )
    assert read_tree(tmp_path / "home/chat") == LARGE
    assert fetched.fetched_bytes == SIZE_BYTES
    last = reports[-1]
    assert (last.done_bytes, last.done_files, last.verified_chunks) == (SIZE_BYTES, len(LARGE), 11 + CHUNKS)
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["chat"]
    assert children() == []


def test_a_failure_in_a_process_is_the_pulls(store: FolderStore, files: list[RemoteFile], tmp_path: Path) -> None:
    large = next(file for file in files if file.path == "large.bin")
    wrong = bytearray(LARGE["large.bin"])
    wrong[7 * CHUNK_BYTES] ^= 1
    store.put(large.key, bytes(wrong), Unconditional())
    with pytest.raises(CorruptError, match="chunk 8 of 40") as caught:
        pull_and_count(store, files, tmp_path / "home/chat", processes=3, open_store=opener(FolderStore, tmp_path))
    assert "replica" in caught.value.advice
    assert children() == []


def test_a_process_that_dies_is_noticed_and_its_work_kept(
    store: FolderStore, files: list[RemoteFile], tmp_path: Path
) -> None:
    with pytest.raises(UnavailableError, match="ended early"):
        pull_and_count(
            store, files, tmp_path / "home/chat", processes=2, open_store=opener(DyingStore, tmp_path), connections=2
        )
    assert children() == []
    _, fetched = pull_and_count(store, files, tmp_path / "home/chat")
    assert fetched.reused_bytes > 0
    assert read_tree(tmp_path / "home/chat") == LARGE


def test_stopping_ends_the_processes_soon(store: FolderStore, files: list[RemoteFile], tmp_path: Path) -> None:
    stop = threading.Event()
    threading.Timer(1.5, stop.set).start()
    began = time.monotonic()
    with pytest.raises(Interrupted):
        pull_and_count(
            store,
            files,
            tmp_path / "home/chat",
            processes=2,
            open_store=opener(SlowStore, tmp_path),
            connections=2,
            stop=stop,
        )
    assert time.monotonic() - began < 3.5
    assert children() == []


def test_impossible_numbers_of_processes_are_a_usage_error(tmp_path: Path) -> None:
    files = stock(MemoryStore(), tmp_path / "out", {"a": b"four"})
    (tmp_path / "home").mkdir()
    for processes in (0, 1000):
        with pytest.raises(UsageError, match="processes are not possible"):
            pull_and_count(
                MemoryStore(),
                files,
                tmp_path / "home/chat",
                processes=processes,
                open_store=opener(FolderStore, tmp_path),
            )
