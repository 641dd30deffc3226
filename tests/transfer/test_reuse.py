"""Are bytes that are on this machine already taken instead of fetched, and only if they are right?"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from random import Random
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import UnavailableError
from bucketry.store.folder.store import FolderStore
from bucketry.store.memory import MemoryStore
from bucketry.transfer.disk.local_files import copy_range
from bucketry.transfer.disk.target import prepare_target
from bucketry.transfer.down.download import FetchOutcome, LocalSources
from bucketry.transfer.down.remote import plan_of
from bucketry.transfer.down.reuse import OlderFile, Source, version_in
from bucketry.transfer.pace.workers import Halt, Interrupted
from transfer.helpers import CHUNK_BYTES, CONTENTS, fetch, hooked, read_tree, stock, write_tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bucketry.store.contract import Store
    from bucketry.transfer.disk.staging import Staging
    from bucketry.transfer.down.remote import RemoteFile
    from bucketry.transfer.pace.progress import Progress

SIZE_BYTES = sum(map(len, CONTENTS.values()))


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def files(store: MemoryStore, tmp_path: Path) -> list[RemoteFile]:
    return stock(store, tmp_path / "out", CONTENTS)


@pytest.fixture
def staging(tmp_path: Path) -> Iterator[Staging]:
    with prepare_target(tmp_path / "home" / "chat") as prepared:
        yield prepared


@pytest.fixture(params=["kernel", "by hand"])
def any_copy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "by hand":

        def cannot(*_: object) -> int:
            raise OSError(errno.EXDEV, "another file system")

        monkeypatch.setattr(os, "copy_file_range", cannot)
    return str(request.param)


def older(files: Sequence[RemoteFile], *, with_chunks: bool = False) -> dict[str, OlderFile]:
    return {
        file.path: OlderFile(file.sha256, file.chunk_size_bytes, file.chunk_sha256 if with_chunks else ())
        for file in files
    }


def bring(
    store: Store,
    files: Sequence[RemoteFile],
    staging: Staging,
    sources: Sequence[Source],
    *,
    stop: threading.Event | None = None,
    reports: list[Progress] | None = None,
) -> FetchOutcome:
    nearby = LocalSources(staging, plan_of("chat", "m1", files), sources)
    progress = None if reports is None else reports.append
    return fetch(store, files, staging.directory, nearby=nearby, stop=stop, on_transfer=progress)


@pytest.mark.usefixtures("any_copy")
def test_an_older_version_gives_what_is_the_same_also_under_another_name(
    store: MemoryStore, tmp_path: Path, staging: Staging, files: list[RemoteFile]
) -> None:
    old = {"renamed.bin": CONTENTS["weights/three.bin"], "one.bin": CONTENTS["one.bin"], "gone": b"gone"}
    old_files = stock(MemoryStore(), tmp_path / "old", old)
    reports: list[Progress] = []
    fetched = bring(store, files, staging, [version_in(tmp_path / "old", older(old_files))], reports=reports)
    assert read_tree(staging.directory) == CONTENTS
    assert (fetched.reused_bytes, fetched.fetched_bytes) == (3001, SIZE_BYTES - 3001)
    last = reports[-1]
    assert (last.done_bytes, last.done_files, last.verified_chunks) == (SIZE_BYTES, len(CONTENTS), 11)


@pytest.mark.usefixtures("any_copy")
def test_a_version_that_shares_nine_tenths_of_its_chunks_moves_little(tmp_path: Path, staging: Staging) -> None:
    chance = Random(1)
    chunks = [chance.randbytes(CHUNK_BYTES) for _ in range(100)]
    old = {"model.bin": b"".join(chunks), "tail": b"t" * 10}
    # Ten chunks differ, and the others are in another order: a place means nothing, a digest everything.
    new = [chance.randbytes(CHUNK_BYTES) if n % 10 == 0 else chunks[n] for n in range(100)]
    chance.shuffle(new)
    store = MemoryStore()
    old_files = stock(store, tmp_path / "old", old)
    new_files = stock(store, tmp_path / "new", {"model.bin": b"".join(new), "tail": b"t" * 10})
    fetched = bring(store, new_files, staging, [version_in(tmp_path / "old", older(old_files, with_chunks=True))])
    assert read_tree(staging.directory) == read_tree(tmp_path / "new")
    assert fetched.fetched_bytes == 10 * CHUNK_BYTES


@pytest.mark.usefixtures("any_copy")
@pytest.mark.parametrize("with_chunks", [True, False])
@pytest.mark.parametrize("damage", ["changed", "shortened", "removed", "linked"])
def test_a_copy_that_is_not_what_its_receipt_says_is_not_used(
    store: MemoryStore, tmp_path: Path, staging: Staging, files: list[RemoteFile], damage: str, *, with_chunks: bool
) -> None:
    path = tmp_path / "out" / "exact.bin"
    body = CONTENTS["exact.bin"]
    path.unlink()
    if damage == "changed":
        path.write_bytes(body[:-1] + b"!")
    elif damage == "shortened":
        path.write_bytes(body[:-1])
    elif damage == "linked":
        path.symlink_to(tmp_path / "one.bin")
    fetched = bring(store, files, staging, [version_in(tmp_path / "out", older(files, with_chunks=with_chunks))])
    assert fetched.fetched_bytes == CHUNK_BYTES
    assert read_tree(staging.directory) == CONTENTS


def test_a_receipt_that_points_outside_gives_nothing(
    store: MemoryStore, tmp_path: Path, staging: Staging, files: list[RemoteFile]
) -> None:
    write_tree(tmp_path, {"outside": CONTENTS["one.bin"]})
    (tmp_path / "old").mkdir()
    one = [file for file in files if file.path == "one.bin"]
    fetched = bring(store, one, staging, [version_in(tmp_path / "old", {"../outside": OlderFile(one[0].sha256)})])
    assert fetched.reused_bytes == 0


def test_the_next_source_is_asked_when_the_first_is_wrong(
    store: MemoryStore, tmp_path: Path, staging: Staging, files: list[RemoteFile]
) -> None:
    one = [file for file in files if file.path == "one.bin"]
    write_tree(tmp_path / "bad", {"one.bin": b"y"})
    sources = [version_in(tmp_path / folder, older(one)) for folder in ("bad", "out")]
    assert bring(store, one, staging, sources).reused_bytes == 1


def test_a_full_disk_is_not_taken_for_a_wrong_copy(
    store: MemoryStore, tmp_path: Path, staging: Staging, files: list[RemoteFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "copy_file_range", full)
    with pytest.raises(UnavailableError, match="disk is full"):
        bring(store, files, staging, [version_in(tmp_path / "out", older(files))])


def test_it_stops_when_it_is_told_to(
    store: MemoryStore, tmp_path: Path, staging: Staging, files: list[RemoteFile]
) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Interrupted):
        bring(store, files, staging, [version_in(tmp_path / "out", older(files))], stop=stop)


@pytest.mark.usefixtures("any_copy")
def test_a_store_in_a_folder_is_copied_from_and_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bucket").mkdir()
    (tmp_path / "staging").mkdir()
    store = FolderStore(tmp_path / "bucket", durable=False)
    files = stock(store, tmp_path / "out", CONTENTS)
    monkeypatch.setattr(FolderStore, "open_range", None)
    fetched = fetch(store, files, tmp_path / "staging")
    assert read_tree(tmp_path / "staging") == CONTENTS
    assert (fetched.fetched_bytes, fetched.reused_bytes) == (SIZE_BYTES, 0)


def test_a_file_of_the_store_that_is_wrong_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "bucket").mkdir()
    (tmp_path / "staging").mkdir()
    store = FolderStore(tmp_path / "bucket", durable=False)
    files = stock(store, tmp_path / "out", {"a": b"right"})
    (tmp_path / "bucket" / files[0].key).chmod(0o644)
    (tmp_path / "bucket" / files[0].key).write_bytes(b"wrong")
    with pytest.raises(Exception, match="does not have the digest that its version names"):
        fetch(store, files, tmp_path / "staging")


@pytest.mark.usefixtures("any_copy")
def test_a_range_is_copied_from_any_place_to_any_place(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(bytes(range(100)))
    (tmp_path / "target").write_bytes(b"." * 50)
    with (tmp_path / "source").open("rb") as source, (tmp_path / "target").open("r+b") as target:
        assert copy_range(source.fileno(), 10, target.fileno(), 20, 7, Halt()) == 7
        assert copy_range(source.fileno(), 95, target.fileno(), 40, 10, Halt()) == 5
    expected = b"." * 20 + bytes(range(10, 17)) + b"." * 13 + bytes(range(95, 100)) + b"." * 5
    assert (tmp_path / "target").read_bytes() == expected


def test_blocks_are_shared_where_the_file_system_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, bytes]] = []
    monkeypatch.setattr(fcntl, "ioctl", lambda _, request, argument: asked.append((request, argument)))
    monkeypatch.setattr(os, "copy_file_range", None)
    (tmp_path / "source").write_bytes(b"s" * 8192)
    with (tmp_path / "source").open("rb") as source, (tmp_path / "target").open("w+b") as target:
        assert copy_range(source.fileno(), 4096, target.fileno(), 0, 4096, Halt()) == 4096
        expected = source.fileno().to_bytes(8, "little") + b"".join(n.to_bytes(8, "little") for n in (4096, 4096, 0))
    assert asked == [(0x4020940D, expected)]


def test_a_disturbed_store_is_not_bypassed() -> None:
    store = hooked(MemoryStore())
    assert (store.unretried, store.local_path("blobs/a")) == (store, None)
