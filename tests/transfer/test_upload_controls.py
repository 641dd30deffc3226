"""Does an upload obey whoever holds its controls, and tell how far it is in hashing and in sending?"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import RejectedError, UnavailableError
from bucketry.store.contract import iter_slices
from bucketry.store.memory import MemoryStore
from bucketry.transfer.pace.controls import Controls
from bucketry.transfer.pace.progress import ActiveFile, Progress, with_hashing
from bucketry.transfer.pace.ratelimit import SMALLEST_READ_BYTES, RateLimit
from bucketry.transfer.plan import TransferOptions
from bucketry.transfer.up.outgoing import SLICE_BYTES, Buffers, LocalFile, PieceBody, PieceOfFile, SentBytes, SourceFile
from bucketry.transfer.up.upload import hash_and_upload
from transfer.helpers import VirtualTime, digest_file, upload

if TYPE_CHECKING:
    from pathlib import Path

    from bucketry.store.contract import Body, Entry

CHUNK_BYTES = 64 * 1024


class Gated(MemoryStore):
    """Counts who puts at once, and lets none end before it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()
        self.arrived = threading.Semaphore(0)
        self.may_end = threading.Semaphore(0)
        self.inside = self.most_inside = 0

    def put_blob(self, key: str, body: Body, *, sha256: str | None = None) -> Entry:
        with self.lock:
            self.inside += 1
            self.most_inside = max(self.most_inside, self.inside)
        self.arrived.release()
        assert self.may_end.acquire(timeout=30)
        with self.lock:
            self.inside -= 1
        return super().put_blob(key, body, sha256=sha256)


@dataclass
class Sources:
    """Some small files."""

    folder: Path
    files: list[SourceFile] = field(default_factory=list)

    def make(self, count: int, size_bytes: int) -> list[SourceFile]:
        for number in range(count):
            path = self.folder / f"{number}.bin"
            path.write_bytes(Random(number).randbytes(size_bytes))
            self.files.append(SourceFile(path, path.name, size_bytes))
        return self.files


@pytest.mark.parametrize(("count", "chunks"), [(1, 10), (10, 1)], ids=["in parts", "whole"])
def test_an_upload_takes_as_long_as_its_limit_says(tmp_path: Path, count: int, chunks: int) -> None:
    passing = VirtualTime()
    files = Sources(tmp_path).make(count, chunks * CHUNK_BYTES)
    options = TransferOptions(clock=passing.clock, controls=Controls(1, CHUNK_BYTES))
    hash_and_upload(MemoryStore(), files, CHUNK_BYTES, lambda digest: f"blobs/{digest.sha256}", options)
    assert passing.now == pytest.approx(10, abs=1)


def test_files_that_were_hashed_before_obey_a_limit_too(tmp_path: Path) -> None:
    passing = VirtualTime()
    [source] = Sources(tmp_path).make(1, 4 * CHUNK_BYTES)
    file = LocalFile(source.path, "blobs/x", digest_file(source.path, CHUNK_BYTES), source.label)
    upload(MemoryStore(), [file], clock=passing.clock, controls=Controls(1, CHUNK_BYTES))
    assert passing.now == pytest.approx(4, abs=1)


def test_no_more_requests_run_at_once_than_the_controls_allow_and_fewer_when_they_are_told(tmp_path: Path) -> None:
    store, controls = Gated(), Controls(3)
    files = Sources(tmp_path).make(12, 100)
    options = TransferOptions(connections=1, controls=controls)
    working = threading.Thread(
        target=hash_and_upload, args=(store, files, CHUNK_BYTES, lambda digest: f"blobs/{digest.sha256}", options)
    )
    working.start()
    for _ in range(3):
        assert store.arrived.acquire(timeout=30)
    assert not store.arrived.acquire(timeout=0.2)
    controls.allow(1)
    for _ in range(3):
        store.may_end.release()
    store.most_inside = 0
    for _ in range(9):
        assert store.arrived.acquire(timeout=30)
        store.may_end.release()
    working.join(30)
    assert not working.is_alive()
    assert store.most_inside == 1


def test_whoever_holds_the_controls_sees_what_is_hashed_and_what_is_sent(tmp_path: Path) -> None:
    store, controls = Gated(), Controls(1)
    files = Sources(tmp_path).make(2, 100)
    working = threading.Thread(
        target=hash_and_upload,
        args=(store, files, CHUNK_BYTES, lambda digest: f"blobs/{digest.sha256}", TransferOptions(controls=controls)),
    )
    assert controls.look() is None
    working.start()
    assert store.arrived.acquire(timeout=30)
    for _ in range(2):
        store.may_end.release()
    assert store.arrived.acquire(timeout=30)
    seen = controls.look()
    working.join(30)
    assert seen is not None
    assert (seen.hashed_bytes, seen.total_bytes, seen.total_files) == (200, 200, 2)
    assert controls.look() is None


def test_files_that_need_not_be_sent_count_as_chunks_that_are_there(tmp_path: Path) -> None:
    told: list[Progress] = []
    files = Sources(tmp_path).make(1, 3 * CHUNK_BYTES)
    hash_and_upload(MemoryStore(), files, CHUNK_BYTES, lambda _: None, TransferOptions(on_transfer=told.append))
    assert (told[-1].verified_chunks, told[-1].done_bytes) == (3, 3 * CHUNK_BYTES)


def test_a_piece_under_a_limit_comes_in_small_slices_and_is_compared_before_the_last(tmp_path: Path) -> None:
    [source] = Sources(tmp_path).make(1, CHUNK_BYTES)
    passing = VirtualTime()
    limit = RateLimit(1, passing.clock)
    file = LocalFile(source.path, "blobs/x", digest_file(source.path, CHUNK_BYTES), source.label)
    body = PieceBody(PieceOfFile(file, 0), Buffers(), limit)
    assert b"".join(bytes(one) for one in body.slices()) == source.path.read_bytes()
    source.path.write_bytes(Random(9).randbytes(CHUNK_BYTES))
    slices = body.slices()
    for _ in range(CHUNK_BYTES // SMALLEST_READ_BYTES - 1):
        assert len(next(slices)) == SMALLEST_READ_BYTES
    with pytest.raises(RejectedError, match="changed while it was published"):
        next(slices)


def test_bytes_count_while_they_are_sent_and_not_twice_when_they_are_sent_again(tmp_path: Path) -> None:
    [source] = Sources(tmp_path).make(1, CHUNK_BYTES)
    passing = VirtualTime()
    limit = RateLimit(1, passing.clock)
    file = LocalFile(source.path, "blobs/x", digest_file(source.path, CHUNK_BYTES), source.label)
    told: list[int] = []
    body = PieceBody(PieceOfFile(file, 0), Buffers(), limit, SentBytes(told.append))
    slices = body.slices()
    next(slices)
    assert sum(told) == 0
    next(slices)
    assert sum(told) == SMALLEST_READ_BYTES
    slices.close()
    for _ in body.slices():
        assert sum(told) < CHUNK_BYTES
    assert sum(told) == CHUNK_BYTES


def test_a_request_that_breaks_in_the_middle_is_not_counted(tmp_path: Path) -> None:
    class Breaking(MemoryStore):
        left = 2

        def put_blob(self, key: str, body: Body, *, sha256: str | None = None) -> Entry:
            if self.left:
                self.left -= 1
                slices = iter_slices(body)
                next(slices)
                next(slices)
                raise UnavailableError("the line broke")
            return super().put_blob(key, body, sha256=sha256)

    passing = VirtualTime()
    told: list[Progress] = []
    size_bytes = 5 * SLICE_BYTES
    [source] = Sources(tmp_path).make(1, size_bytes)
    file = LocalFile(source.path, "blobs/x", digest_file(source.path, size_bytes), source.label)
    upload(Breaking(), [file], clock=passing.clock, on_transfer=told.append, connections=1)
    assert (told[-1].done_bytes, told[-1].retries) == (size_bytes, 2)
    assert max(progress.done_bytes for progress in told) == size_bytes


def test_a_file_that_is_sent_is_not_shown_as_hashed_as_well() -> None:
    sent = Progress(30, 5, 3, 0, (ActiveFile("a", 5, 10),), 0, 0, 0.0, None)
    hashed = Progress(30, 17, 3, 1, (ActiveFile("a", 10, 10), ActiveFile("b", 7, 10)), 0, 0, 0.0, None)
    both = with_hashing(sent, hashed)
    assert [(file.label, file.done_bytes, file.is_hashing) for file in both.active] == [("a", 5, False), ("b", 7, True)]
    assert (both.done_bytes, both.hashed_bytes) == (5, 17)
