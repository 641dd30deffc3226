"""Are many small files brought by one thread as surely as large ones are, whatever each request meets?"""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import CorruptError, DeniedError, UnavailableError
from bucketry.store.contract import SlowDownError
from bucketry.store.memory import MemoryStore
from bucketry.transfer.disk.staged_files import StagedFile, order_pieces
from bucketry.transfer.down.ahead import MOST_IN_A_BUNDLE, bundle
from transfer.helpers import CHUNK_BYTES, HASTY, VirtualTime, fetch, read_tree, stock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bucketry.store.contract import ByteStream

SMALL = {f"folder-{n % 3}/{n:03}.bin": f"file {n}".encode() * (n + 1) for n in range(90)}
LARGE = {"large.bin": b"".join(bytes([n]) * CHUNK_BYTES for n in range(40))}


class AskedInMemory:
    """A range of an object in memory, which is ready at once if it answers at all."""

    def __init__(self, store: AheadStore, key: str, stop: int) -> None:
        self.store, self.key, self.stop = store, key, stop
        self.ours, self.theirs = socket.socketpair()
        if key not in store.silent:
            self.theirs.send(b"!")

    def fileno(self) -> int:
        return self.ours.fileno()

    @contextmanager
    def opened(self) -> Iterator[ByteStream]:
        self.store.fail(self.key)
        with self.store.open_range(self.key, 0, self.stop, etag=None) as stream:
            yield stream

    def close(self) -> None:
        if self.ours.fileno() >= 0:
            self.store.under_way -= 1
            self.ours.close()
            self.theirs.close()


class AheadStore(MemoryStore):
    """A store in memory that may be asked ahead."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.under_way = self.most_under_way = 0
        self.silent: set[str] = set()
        self.failures: dict[str, Exception] = {}
        self.on_ask: Callable[[], None] = lambda: None

    def begin_range(self, key: str, start: int, stop: int) -> AskedInMemory:
        assert start == 0
        self.on_ask()
        self.asked.append(key)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        return AskedInMemory(self, key, stop)

    def fail(self, key: str) -> None:
        error = self.failures.pop(key, None)
        if error is not None:
            raise error


def test_small_files_and_large_ones_arrive_within_the_connections(tmp_path: Path) -> None:
    store = AheadStore()
    files = stock(store, tmp_path / "source", SMALL | LARGE)
    (tmp_path / "target").mkdir()
    fetched = fetch(store, files, tmp_path / "target", connections=8)
    assert read_tree(tmp_path / "target") == SMALL | LARGE
    assert fetched.fetched_bytes == sum(map(len, (SMALL | LARGE).values()))
    assert len(store.asked) > 80
    assert 2 <= store.most_under_way <= 4
    assert store.under_way == 0


def test_small_files_alone_use_every_connection(tmp_path: Path) -> None:
    store = AheadStore()
    files = stock(store, tmp_path / "source", SMALL)
    (tmp_path / "target").mkdir()
    fetch(store, files, tmp_path / "target", connections=8, verify="fast")
    assert read_tree(tmp_path / "target") == SMALL
    assert store.most_under_way == 8


def test_few_connections_or_a_limit_ask_for_one_after_the_other(tmp_path: Path) -> None:
    store = AheadStore()
    files = stock(store, tmp_path / "source", SMALL)
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    fetch(store, files, tmp_path / "one", connections=3)
    fetch(store, files, tmp_path / "two", connections=8, limit_bytes_per_second=10**9)
    assert store.asked == []
    assert read_tree(tmp_path / "one") == read_tree(tmp_path / "two") == SMALL


@pytest.mark.parametrize(
    "failure", [UnavailableError("it broke"), SlowDownError("slower"), CorruptError("of another size")]
)
def test_a_failure_that_passes_costs_one_file_one_more_request(tmp_path: Path, failure: Exception) -> None:
    store = AheadStore()
    files = stock(store, tmp_path / "source", SMALL)
    store.failures = {files[5].key: failure}
    (tmp_path / "target").mkdir()
    fetch(store, files, tmp_path / "target", **HASTY)
    assert read_tree(tmp_path / "target") == SMALL
    assert sorted(store.asked) == sorted(file.key for file in files)


def test_after_a_slow_down_fewer_are_under_way(tmp_path: Path) -> None:
    store = AheadStore()
    files = stock(store, tmp_path / "source", SMALL)
    first = max(files, key=lambda file: file.size_bytes)
    seen: list[int] = []
    store.failures = {first.key: SlowDownError("slower")}
    store.on_ask = lambda: seen.append(store.under_way)
    (tmp_path / "target").mkdir()
    fetch(store, files, tmp_path / "target", connections=8, **HASTY)
    assert max(seen[:10]) == 7
    assert max(seen[20:40]) <= 4


def test_wrong_bytes_are_never_put_in_place(tmp_path: Path) -> None:
    store = AheadStore()
    files = stock(store, tmp_path / "source", SMALL)
    store.delete(files[7].key)
    store.put_blob(files[7].key, memoryview(b"x" * files[7].size_bytes))
    (tmp_path / "target").mkdir()
    with pytest.raises(CorruptError, match="digest"):
        fetch(store, files, tmp_path / "target", **HASTY)
    assert store.under_way == 0


def test_a_refusal_ends_all_and_leaves_nothing_under_way(tmp_path: Path) -> None:
    store = AheadStore()
    files = stock(store, tmp_path / "source", SMALL)
    store.failures = {files[50].key: DeniedError("not for you")}
    (tmp_path / "target").mkdir()
    with pytest.raises(DeniedError):
        fetch(store, files, tmp_path / "target")
    assert store.under_way == 0


def test_a_request_that_is_never_answered_is_given_up_while_others_are(tmp_path: Path) -> None:
    store, virtual = AheadStore(), VirtualTime()
    files = stock(store, tmp_path / "source", SMALL)
    silent = max(files, key=lambda file: file.size_bytes).key
    store.silent = {silent}
    store.failures = {silent: UnavailableError("it was never answered, and given up")}

    def pass_time() -> None:
        virtual.now += 1.0

    store.on_ask = pass_time
    (tmp_path / "target").mkdir()
    fetch(store, files, tmp_path / "target", connections=8, clock=virtual.clock)
    assert read_tree(tmp_path / "target") == SMALL


def test_small_files_are_bundled_where_the_first_of_each_bundle_was(tmp_path: Path) -> None:
    many = {f"{n:04}": b"x" for n in range(MOST_IN_A_BUNDLE + 5)}
    files = stock(MemoryStore(), tmp_path / "source", many | LARGE)
    pieces = order_pieces([StagedFile(n, file, tmp_path, may_exist=False) for n, file in enumerate(files)])
    bundles = bundle(pieces)
    assert sorted(map(len, bundles)) == [1] * len(LARGE) * 40 + [5, MOST_IN_A_BUNDLE]
    assert {id(piece) for one in bundles for piece in one} == set(map(id, pieces))
    places = [pieces.index(one[0]) for one in bundles]
    assert places == sorted(places)


def test_a_few_small_files_are_not_bundled(tmp_path: Path) -> None:
    files = stock(MemoryStore(), tmp_path / "source", {"a": b"1", "b": b"2", "c": b"3"} | LARGE)
    pieces = order_pieces([StagedFile(n, file, tmp_path, may_exist=False) for n, file in enumerate(files)])
    bundles = bundle(pieces)
    assert {len(one) for one in bundles} == {1}
    assert len(bundles) == len(pieces)
