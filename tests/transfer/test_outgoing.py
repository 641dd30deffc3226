from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import RejectedError
from bucketry.transfer import outgoing
from bucketry.transfer.outgoing import Buffers, PieceOfFile
from bucketry.transfer.workers import Halt, Interrupted
from transfer.helpers import local_files

if TYPE_CHECKING:
    from pathlib import Path

    from bucketry.transfer.outgoing import LocalFile

CHUNK_BYTES = 1_000_000


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalFile:
    monkeypatch.setattr(outgoing, "MOST_BYTES_IN_MEMORY", 2 * CHUNK_BYTES + 1)
    body = b"".join(bytes([number]) * CHUNK_BYTES for number in range(4)) + b"tail"
    return local_files(tmp_path, {"large": body}, CHUNK_BYTES)[0]


def test_a_piece_is_lent_with_exactly_its_bytes(file: LocalFile) -> None:
    buffers = Buffers(CHUNK_BYTES, Halt())
    for index, expected in [(0, b"\0" * CHUNK_BYTES), (3, b"\3" * CHUNK_BYTES), (4, b"tail")]:
        with buffers.filled(PieceOfFile(file, index)) as body:
            assert bytes(body) == expected


def test_only_as_many_pieces_are_in_memory_as_fit(file: LocalFile) -> None:
    buffers = Buffers(CHUNK_BYTES, Halt())
    inside: list[int] = []
    most = 0

    def borrow(index: int) -> None:
        nonlocal most
        with buffers.filled(PieceOfFile(file, index)):
            inside.append(index)
            most = max(most, len(inside))
            time.sleep(0.02)
            inside.remove(index)

    threads = [threading.Thread(target=borrow, args=(number % 4,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert most == 2


def test_waiting_for_memory_ends_with_the_upload(file: LocalFile) -> None:
    halt = Halt()
    buffers = Buffers(CHUNK_BYTES, halt)
    with ExitStack() as stack:
        for index in (0, 1):
            stack.enter_context(buffers.filled(PieceOfFile(file, index)))
        threading.Timer(0.1, halt.end).start()
        with pytest.raises(Interrupted), buffers.filled(PieceOfFile(file, 2)):
            pass


def test_a_piece_that_was_refused_gives_its_memory_back(file: LocalFile) -> None:
    buffers = Buffers(CHUNK_BYTES, Halt())
    changed = bytearray(file.path.read_bytes())
    changed[0] ^= 1
    file.path.write_bytes(changed)
    for _ in range(5):
        with pytest.raises(RejectedError, match="changed while it was published"), buffers.filled(PieceOfFile(file, 0)):
            pass
    with buffers.filled(PieceOfFile(file, 1)) as body:
        assert bytes(body) == b"\1" * CHUNK_BYTES
