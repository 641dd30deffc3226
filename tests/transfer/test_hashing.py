from __future__ import annotations

import hashlib
import os
import threading
from typing import TYPE_CHECKING

import pytest
import xxhash

from bucketry.errors import NotFoundError, RejectedError
from bucketry.transfer.disk.hashing import choose_chunk_size
from bucketry.transfer.disk.local_files import read_full
from bucketry.transfer.pace.workers import Interrupted
from transfer.helpers import CHUNK_BYTES, CONTENTS, digest_file, write_tree

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1024 * 1024
GIB = 1024 * MIB


def test_digests_are_those_of_the_whole_and_of_each_chunk(tmp_path: Path) -> None:
    write_tree(tmp_path, CONTENTS)
    for path, body in CONTENTS.items():
        digest = digest_file(tmp_path / path, CHUNK_BYTES)
        chunks = [body[start : start + CHUNK_BYTES] for start in range(0, len(body), CHUNK_BYTES)]
        assert digest.size_bytes == len(body)
        assert digest.sha256 == hashlib.sha256(body).hexdigest()
        assert digest.chunks.sha256 == tuple(hashlib.sha256(chunk).hexdigest() for chunk in chunks)
        assert digest.chunks.xxh3_128 == tuple(xxhash.xxh3_128_hexdigest(chunk) for chunk in chunks)


@pytest.mark.parametrize(
    ("sizes_bytes", "chunk_size_bytes"),
    [
        ([], 16 * MIB),
        ([0, 1, 100 * GIB], 16 * MIB),
        ([9_999 * 16 * MIB], 16 * MIB),
        ([9_999 * 16 * MIB + 1], 32 * MIB),
        ([9_000 * 16 * MIB, 9_000 * 16 * MIB], 16 * MIB),
        ([9_000 * 16 * MIB, 9_000 * 16 * MIB, 2_000 * 16 * MIB], 32 * MIB),
        ([1] * 20_000, 16 * MIB),
        ([40 * MIB] + [1] * 19_999, 64 * MIB),
    ],
)
def test_chunk_size_is_the_smallest_that_keeps_the_limits(sizes_bytes: list[int], chunk_size_bytes: int) -> None:
    assert choose_chunk_size(sizes_bytes) == chunk_size_bytes


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "growing.bin"
    file.write_bytes(b"a" * 5000)
    honest_read = read_full

    def read_while_another_writes(descriptor: int, buffer: memoryview, offset: int) -> int:
        count = honest_read(descriptor, buffer, offset)
        if offset == 2000:
            file.write_bytes(b"b" * 5000)
        return count

    monkeypatch.setattr("bucketry.transfer.disk.hashing.read_full", read_while_another_writes)
    with pytest.raises(RejectedError, match="changed while it was published"):
        digest_file(file, CHUNK_BYTES)


def test_a_file_that_shrinks_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "shrinking.bin"
    file.write_bytes(b"a" * 5000)
    honest_read = read_full

    def read_what_another_truncates(descriptor: int, buffer: memoryview, offset: int) -> int:
        os.truncate(file, 10)
        return honest_read(descriptor, buffer, offset)

    monkeypatch.setattr("bucketry.transfer.disk.hashing.read_full", read_what_another_truncates)
    with pytest.raises(RejectedError, match="changed while it was published"):
        digest_file(file, CHUNK_BYTES)


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_only_regular_files_are_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "link":
        (tmp_path / "real").write_bytes(b"secret")
        path.symlink_to(tmp_path / "real")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(RejectedError, match="not a regular file"):
        digest_file(path, CHUNK_BYTES)


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        digest_file(tmp_path / "nothing", CHUNK_BYTES)


def test_hashing_stops_when_it_is_told_to(tmp_path: Path) -> None:
    write_tree(tmp_path, CONTENTS)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Interrupted):
        digest_file(tmp_path / "one.bin", CHUNK_BYTES, stop)
