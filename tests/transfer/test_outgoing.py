from __future__ import annotations

import threading
import tracemalloc
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import BucketryError, RejectedError
from bucketry.transfer.up.outgoing import SLICE_BYTES, Buffers, LocalReadError, PieceBody, PieceOfFile
from transfer.helpers import local_files

if TYPE_CHECKING:
    from pathlib import Path

    from bucketry.transfer.up.outgoing import LocalFile

CHUNK_BYTES = 3 * SLICE_BYTES + 1000


@pytest.fixture
def file(tmp_path: Path) -> LocalFile:
    body = b"".join(bytes([number]) * CHUNK_BYTES for number in range(4)) + b"tail"
    return local_files(tmp_path, {"large": body}, CHUNK_BYTES)[0]


def read(file: LocalFile, index: int, buffers: Buffers | None = None) -> bytes:
    return b"".join(bytes(one) for one in PieceBody(PieceOfFile(file, index), buffers or Buffers()).slices())


def test_a_piece_is_read_with_exactly_its_bytes_as_often_as_it_is_asked_for(file: LocalFile) -> None:
    for index, expected in [(0, b"\0" * CHUNK_BYTES), (3, b"\3" * CHUNK_BYTES), (4, b"tail")]:
        body = PieceBody(PieceOfFile(file, index), Buffers())
        assert len(body) == len(expected)
        for _ in range(2):
            assert b"".join(bytes(one) for one in body.slices()) == expected


def test_an_empty_file_has_no_slice(tmp_path: Path) -> None:
    assert read(local_files(tmp_path, {"empty": b""}, CHUNK_BYTES)[0], 0) == b""


def test_a_piece_on_its_way_takes_the_memory_of_one_slice_which_the_next_one_takes_again(file: LocalFile) -> None:
    buffers = Buffers()
    read(file, 0, buffers)
    tracemalloc.start()
    try:
        for index in (1, 2, 3):
            for one in PieceBody(PieceOfFile(file, index), buffers).slices():
                assert len(one) <= SLICE_BYTES
        assert tracemalloc.get_traced_memory()[1] < SLICE_BYTES
    finally:
        tracemalloc.stop()


def test_two_pieces_at_once_never_share_memory(file: LocalFile) -> None:
    buffers = Buffers()
    with (
        closing(PieceBody(PieceOfFile(file, 1), buffers).slices()) as ones,
        closing(PieceBody(PieceOfFile(file, 2), buffers).slices()) as twos,
    ):
        one, two = next(ones), next(twos)
        assert bytes(one) == b"\1" * SLICE_BYTES
        assert bytes(two) == b"\2" * SLICE_BYTES


@pytest.mark.parametrize("at", [0, SLICE_BYTES, CHUNK_BYTES - 1])
def test_of_a_piece_that_changed_the_last_slice_is_never_given(file: LocalFile, at: int) -> None:
    changed = bytearray(file.path.read_bytes())
    changed[at] ^= 1
    file.path.write_bytes(changed)
    slices = PieceBody(PieceOfFile(file, 0), Buffers()).slices()
    for _ in range(3):
        assert len(next(slices)) == SLICE_BYTES
    with pytest.raises(RejectedError, match="changed while it was published"):
        next(slices)
    assert read(file, 1) == b"\1" * CHUNK_BYTES


def test_a_file_that_grew_or_is_shorter_is_refused_before_its_first_byte(file: LocalFile) -> None:
    body = file.path.read_bytes()
    for other in (body + b"x", body[:-1]):
        file.path.write_bytes(other)
        with pytest.raises(RejectedError, match="changed while it was published"):
            next(PieceBody(PieceOfFile(file, 0), Buffers()).slices())


def test_a_file_that_is_cut_while_it_is_sent_is_refused(file: LocalFile) -> None:
    slices = PieceBody(PieceOfFile(file, 0), Buffers()).slices()
    next(slices)
    file.path.write_bytes(b"short")
    with pytest.raises(RejectedError, match="changed while it was published"):
        list(slices)


def test_what_is_given_up_gives_its_memory_back(file: LocalFile) -> None:
    buffers, seen = Buffers(), set()
    for index in range(4):
        with closing(PieceBody(PieceOfFile(file, index), buffers).slices()) as slices:
            seen.add(id(next(slices).obj))
    assert len(seen) == 1


def test_many_threads_get_their_own_bytes(file: LocalFile) -> None:
    buffers = Buffers()
    right: list[int] = []

    def check(index: int) -> None:
        if read(file, index, buffers) == bytes([index]) * CHUNK_BYTES:
            right.append(index)

    threads = [threading.Thread(target=check, args=(number % 4,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(right) == sorted(number % 4 for number in range(12))


def test_a_file_that_cannot_be_read_is_no_failure_of_the_store(file: LocalFile) -> None:
    file.path.unlink()
    with pytest.raises(LocalReadError, match="large") as caught:
        next(PieceBody(PieceOfFile(file, 0), Buffers()).slices())
    assert isinstance(caught.value.failure, BucketryError)
