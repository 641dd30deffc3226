from __future__ import annotations

import errno
import os
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from bucketry.errors import CorruptError, DeniedError, RejectedError, UnavailableError, UsageError
from bucketry.store.contract import (
    ObjectNotFoundError,
    PreconditionFailedError,
    SlowDownError,
    Store,
    Unconditional,
)
from bucketry.store.memory import MemoryStore
from bucketry.transfer.down import download
from bucketry.transfer.pace.workers import Interrupted
from transfer.helpers import (
    CHUNK_BYTES,
    CONTENTS,
    HASTY,
    IMPATIENT,
    VirtualTime,
    fetch,
    hooked,
    read_tree,
    stock,
    transfer_threads,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bucketry.store.contract import ByteStream
    from bucketry.transfer.pace.progress import Progress
    from bucketry.transfer.plan import Verify

LARGE = "weights/deep/over.bin"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    staging = tmp_path / "staging"
    staging.mkdir()
    return staging


class Stream:
    """A stream whose reads a test disturbs."""

    def __init__(self, inner: ByteStream, read: Callable[[ByteStream, memoryview], int]) -> None:
        self._inner = inner
        self._read = read

    def readinto(self, buffer: memoryview) -> int:
        return self._read(self._inner, buffer)


def disturb_reads(store: Any, read: Callable[[ByteStream, memoryview], int]) -> None:
    @contextmanager
    def open_range(method: Callable[..., Any], *arguments: Any, **named: Any) -> Iterator[Stream]:
        with method(*arguments, **named) as stream:
            yield Stream(stream, read)

    store.hooks["open_range"] = open_range


@pytest.mark.parametrize("verify", ["sha256", "fast"])
@pytest.mark.parametrize("connections", [1, 8])
def test_what_was_uploaded_comes_back(
    store: Store, tmp_path: Path, directory: Path, verify: str, connections: int
) -> None:
    files = stock(store, tmp_path / "out", CONTENTS)
    fetched = fetch(store, files, directory, verify=cast("Verify", verify), connections=connections)
    assert read_tree(directory) == CONTENTS
    assert fetched.fetched_bytes == sum(map(len, CONTENTS.values()))
    assert fetched.chunks == 11
    assert fetched.retries == 0


def test_fetching_nothing_is_fine(store: Store, directory: Path) -> None:
    assert fetch(store, [], directory).fetched_bytes == 0


@pytest.mark.parametrize("verify", ["sha256", "fast"])
def test_one_flipped_bit_in_the_store_is_found(tmp_path: Path, directory: Path, verify: str) -> None:
    store = MemoryStore()
    files = stock(store, tmp_path / "out", {LARGE: CONTENTS[LARGE]})
    wrong = bytearray(CONTENTS[LARGE])
    wrong[2 * CHUNK_BYTES + 5] ^= 1
    store.put(files[0].key, bytes(wrong), Unconditional())
    with pytest.raises(CorruptError, match=r"chunk 3 of 5 of weights/deep/over\.bin \(bytes 2000 to 2999\)"):
        fetch(store, files, directory, verify=cast("Verify", verify))


def test_a_chunk_that_arrives_wrong_once_is_read_again(tmp_path: Path, directory: Path) -> None:
    store = hooked(MemoryStore())
    files = stock(store, tmp_path / "out", CONTENTS)
    spoiled = [True]

    def spoil_once(stream: ByteStream, buffer: memoryview) -> int:
        count = stream.readinto(buffer)
        if spoiled and count == CHUNK_BYTES:
            spoiled.pop()
            buffer[0] ^= 1
        return count

    disturb_reads(store, spoil_once)
    reports: list[Progress] = []
    fetched = fetch(store, files, directory, on_transfer=reports.append, connections=1)
    assert read_tree(directory) == CONTENTS
    assert fetched.retries == 1
    assert reports[-1].done_bytes == reports[-1].total_bytes


@pytest.mark.parametrize(
    ("body", "there", "message"),
    [
        (CONTENTS[LARGE], CONTENTS[LARGE] + b"!", "has 4002 bytes in the store, where its version says 4001"),
        (b"four", b"fou", "has 3 bytes in the store, where its version says 4"),
        (b"four", b"", "has 0 bytes in the store, where its version says 4"),
    ],
)
def test_a_wrong_size_in_the_store_is_found(
    tmp_path: Path, directory: Path, body: bytes, there: bytes, message: str
) -> None:
    store = MemoryStore()
    files = stock(store, tmp_path / "out", {"a": body})
    store.put(files[0].key, there, Unconditional())
    with pytest.raises(CorruptError, match=message):
        fetch(store, files, directory)


def test_a_file_of_one_chunk_costs_one_request_and_one_of_several_a_question_more(
    tmp_path: Path, directory: Path
) -> None:
    store = hooked(MemoryStore())
    files = stock(store, tmp_path / "out", CONTENTS)
    store.calls.clear()
    fetch(store, files, directory)
    assert store.calls.count("stat") == 2
    assert store.calls.count("open_range") == 3 + 3 + 5


def test_a_file_of_one_chunk_that_breaks_is_read_from_its_start_with_its_etag(tmp_path: Path, directory: Path) -> None:
    store = hooked(MemoryStore())
    files = stock(store, tmp_path / "out", {"a": CONTENTS["exact.bin"]})
    asked: list[tuple[int, bool]] = []

    @contextmanager
    def break_twice(method: Callable[..., Any], key: str, start: int, stop: int, *, etag: Any) -> Iterator[Stream]:
        asked.append((start, etag is not None))
        with method(key, start, stop, etag=etag) as stream:
            yield Stream(stream, lambda inner, buffer: read_some(inner, buffer, len(asked)))

    def read_some(stream: ByteStream, buffer: memoryview, attempt: int) -> int:
        count = stream.readinto(buffer[:300])
        if attempt < 3 and bytes(buffer[:1]) == b"e" and len(buffer) < CHUNK_BYTES:
            raise UnavailableError("connection reset")
        return count

    store.hooks["open_range"] = break_twice
    fetched = fetch(store, files, directory, **HASTY)
    assert asked == [(0, False), (0, True), (300, True)]
    assert read_tree(directory) == {"a": CONTENTS["exact.bin"]}
    assert (fetched.retries, fetched.fetched_bytes) == (2, CHUNK_BYTES)


def test_a_store_that_asks_for_less_gets_less(tmp_path: Path, directory: Path) -> None:
    store = hooked(MemoryStore())
    body = b"".join(bytes([number]) * CHUNK_BYTES for number in range(40))
    files = stock(store, tmp_path / "out", {"a": body})
    inside: list[int] = []
    most: list[int] = []
    refused: list[bool] = []

    @contextmanager
    def refuse_once(method: Callable[..., Any], *arguments: Any, **named: Any) -> Iterator[Any]:
        if not refused:
            refused.append(True)
            raise SlowDownError("slow down")
        inside.append(1)
        time.sleep(0.005)
        most.append(len(inside))
        with method(*arguments, **named) as stream:
            yield stream
        inside.pop()

    store.hooks["open_range"] = refuse_once
    fetch(store, files, directory, **HASTY)
    assert read_tree(directory) == {"a": body}
    assert max(most[4:]) <= 2  # those that were under way when the store refused end as they are


def test_a_disk_without_room_is_found_before_anything_is_fetched(
    tmp_path: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = hooked(MemoryStore())
    files = stock(store, tmp_path / "out", CONTENTS)
    store.calls.clear()
    monkeypatch.setattr(download, "find_free_bytes", lambda _: 5000)
    with pytest.raises(UnavailableError, match=r"the disk is full: 8,752 bytes are to be fetched, and 5,000 are free"):
        fetch(store, files, directory)
    assert store.calls == []


def test_a_missing_object_is_not_found(tmp_path: Path, directory: Path) -> None:
    store = MemoryStore()
    files = stock(store, tmp_path / "out", {"a": b"four"})
    store.delete(files[0].key)
    with pytest.raises(ObjectNotFoundError):
        fetch(store, files, directory)


def test_an_object_replaced_between_its_ranges_is_refused(tmp_path: Path, directory: Path) -> None:
    store = hooked(MemoryStore())
    files = stock(store, tmp_path / "out", {LARGE: CONTENTS[LARGE]})
    opened: list[int] = []

    @contextmanager
    def replace_after_the_first(method: Callable[..., Any], key: str, *rest: Any, **named: Any) -> Iterator[Any]:
        with method(key, *rest, **named) as stream:
            yield stream
        opened.append(1)
        if len(opened) == 1:
            store.inner.put(key, CONTENTS[LARGE], Unconditional())

    store.hooks["open_range"] = replace_after_the_first
    with pytest.raises(PreconditionFailedError, match="was replaced in the store while it was read"):
        fetch(store, files, directory, connections=1)


def test_a_broken_connection_goes_on_where_it_broke(tmp_path: Path, directory: Path) -> None:
    store = hooked(MemoryStore())
    files = stock(store, tmp_path / "out", CONTENTS)
    moved = {"bytes": 0, "reads": 0}

    def break_often(stream: ByteStream, buffer: memoryview) -> int:
        moved["reads"] += 1
        if moved["reads"] % 3 == 0:
            raise UnavailableError("connection reset")
        count = stream.readinto(buffer[:300])
        moved["bytes"] += count
        return count

    disturb_reads(store, break_often)
    fetched = fetch(store, files, directory, connections=1, **HASTY)
    assert read_tree(directory) == CONTENTS
    assert fetched.retries > 5
    assert moved["bytes"] == fetched.fetched_bytes


def test_a_slow_and_shaky_connection_is_borne_as_long_as_bytes_arrive(tmp_path: Path, directory: Path) -> None:
    store = hooked(MemoryStore())
    files = stock(store, tmp_path / "out", {"a": CONTENTS["exact.bin"]})
    virtual = VirtualTime()
    reads: list[int] = []

    def break_every_second(stream: ByteStream, buffer: memoryview) -> int:
        reads.append(1)
        if len(reads) % 2 == 0:
            raise UnavailableError("connection reset")
        return stream.readinto(buffer[:100])

    disturb_reads(store, break_every_second)
    fetch(store, files, directory, clock=virtual.clock, deadline_seconds=0.3)
    assert read_tree(directory) == {"a": CONTENTS["exact.bin"]}
    assert virtual.now > 0.3  # the deadline


def test_a_store_that_ends_early_is_unavailable_at_last(tmp_path: Path, directory: Path) -> None:
    store = hooked(MemoryStore())
    files = stock(store, tmp_path / "out", {"a": b"four"})
    disturb_reads(store, lambda _stream, _buffer: 0)
    with pytest.raises(UnavailableError, match="ended early while a was read"):
        fetch(store, files, directory, **IMPATIENT)


def test_stopping_ends_every_thread_before_its_next_read(tmp_path: Path, directory: Path) -> None:
    store = hooked(MemoryStore())
    files = stock(store, tmp_path / "out", {LARGE: CONTENTS[LARGE]})
    stop = threading.Event()
    reads: list[int] = []
    together = threading.Barrier(3)

    def stop_while_reading(stream: ByteStream, buffer: memoryview) -> int:
        reads.append(len(buffer))
        together.wait(10)
        stop.set()
        return stream.readinto(buffer[:10])

    disturb_reads(store, stop_while_reading)
    with pytest.raises(Interrupted):
        fetch(store, files, directory, stop=stop, connections=3)
    assert len(reads) == 3
    assert transfer_threads() == []


def test_a_stop_ends_the_wait_before_a_retry(tmp_path: Path, directory: Path) -> None:
    store = hooked(MemoryStore())
    files = stock(store, tmp_path / "out", {"a": b"four"})
    stop = threading.Event()

    def fail(*_: Any, **__: Any) -> None:
        stop.set()
        raise UnavailableError("down")

    store.hooks["open_range"] = fail
    with pytest.raises(Interrupted):
        fetch(store, files, directory, stop=stop)


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        (errno.ENOSPC, UnavailableError, "disk is full"),
        (errno.EDQUOT, UnavailableError, "disk is full"),
        (errno.EACCES, DeniedError, "refuses access to one.bin"),
        (errno.EIO, UnavailableError, "local disk failed"),
    ],
)
def test_a_failing_disk_has_a_plain_name_and_is_not_retried(
    tmp_path: Path,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    error: type[Exception],
    message: str,
) -> None:
    store = hooked(MemoryStore())
    files = stock(store, tmp_path / "out", {"one.bin": b"x"})

    def fail(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "pwrite", fail)
    with pytest.raises(error, match=message):
        fetch(store, files, directory)
    assert store.calls.count("open_range") == 1


def test_a_file_system_without_preallocation_serves_too(
    store: Store, tmp_path: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(os, "posix_fallocate", cannot)
    fetch(store, stock(store, tmp_path / "out", CONTENTS), directory)
    assert read_tree(directory) == CONTENTS


@pytest.mark.parametrize("path", ["../out", "/etc/passwd", "a//b", "a/./b", "", "a/../../b"])
def test_a_path_that_leads_out_is_refused(tmp_path: Path, directory: Path, path: str) -> None:
    store = MemoryStore()
    files = stock(store, tmp_path / "out", {"a": b"four"})
    with pytest.raises(RejectedError, match="not a plain relative path"):
        fetch(store, [replace(files[0], path=path)], directory)


def test_a_link_in_the_staging_folder_is_not_followed(tmp_path: Path, directory: Path) -> None:
    store = MemoryStore()
    files = stock(store, tmp_path / "out", {"weights/a": b"four"})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (directory / "weights").symlink_to(elsewhere)
    with pytest.raises(RejectedError, match="symbolic link"):
        fetch(store, files, directory)
    assert list(elsewhere.iterdir()) == []


def test_a_file_that_is_there_already_is_not_overwritten(tmp_path: Path, directory: Path) -> None:
    store = MemoryStore()
    files = stock(store, tmp_path / "out", {"a": b"four"})
    (directory / "a").write_bytes(b"mine")
    with pytest.raises(RejectedError, match="exists already"):
        fetch(store, files, directory)
    assert (directory / "a").read_bytes() == b"mine"


@pytest.mark.parametrize(
    "wrong",
    [
        {"size_bytes": CHUNK_BYTES},
        {"chunk_sha256": ()},
        {"chunk_xxh3_128": ("00", "00", "00")},
        {"chunk_size_bytes": 0},
    ],
)
def test_digests_that_contradict_the_size_are_refused_before_any_request(
    tmp_path: Path, directory: Path, wrong: dict[str, Any]
) -> None:
    store = hooked(MemoryStore())
    files = stock(store, tmp_path / "out", {"one.bin": b"x" * (CHUNK_BYTES + 1)})
    store.calls.clear()
    with pytest.raises(CorruptError, match="contradict each other"):
        fetch(store, [replace(files[0], **wrong)], directory)
    assert store.calls == []


def test_progress_counts_every_byte_and_chunk_once(store: Store, tmp_path: Path, directory: Path) -> None:
    reports: list[Progress] = []
    fetch(store, stock(store, tmp_path / "out", CONTENTS), directory, on_transfer=reports.append)
    last = reports[-1]
    assert last.done_bytes == last.total_bytes == sum(map(len, CONTENTS.values()))
    assert last.done_files == last.total_files == len(CONTENTS)
    assert last.verified_chunks == 11
    assert last.active == ()


def test_no_descriptor_is_left_open(store: Store, tmp_path: Path, directory: Path) -> None:
    files = stock(store, tmp_path / "out", CONTENTS)
    before = len(list(Path("/proc/self/fd").iterdir()))
    fetch(store, files, directory)
    with pytest.raises(RejectedError):
        fetch(store, files, directory)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_impossible_numbers_of_connections_are_a_usage_error(tmp_path: Path, directory: Path) -> None:
    store = MemoryStore()
    files = stock(store, tmp_path / "out", {"a": b"four"})
    for connections in (0, 1000):
        with pytest.raises(UsageError, match="connections are not possible"):
            fetch(store, files, directory, connections=connections)


def test_a_connection_as_good_as_silent_is_given_up_and_another_goes_on(tmp_path: Path) -> None:
    virtual = VirtualTime()
    store = hooked(MemoryStore())
    files = stock(store, tmp_path / "source", {"three.bin": bytes(range(250)) * 12})
    starts: list[int] = []

    class Trickle:
        def __init__(self, stream: ByteStream) -> None:
            self.stream = stream

        def readinto(self, buffer: memoryview) -> int:
            virtual.now += 1.0
            return self.stream.readinto(buffer[:1])

    @contextmanager
    def open_range(method: Any, key: str, start: int, stop: int, *, etag: Any) -> Iterator[Any]:
        starts.append(start)
        with method(key, start, stop, etag=etag) as stream:
            yield Trickle(stream) if len(starts) == 1 else stream

    store.hooks["open_range"] = open_range
    (tmp_path / "target").mkdir()
    fetched = fetch(store, files, tmp_path / "target", connections=1, clock=virtual.clock)
    assert read_tree(tmp_path / "target") == {"three.bin": bytes(range(250)) * 12}
    assert starts == [0, 30, CHUNK_BYTES, 2 * CHUNK_BYTES]
    assert fetched.retries == 1
