"""Is a range of one file read to its end over connections that break, and is it given up where none brings a byte?"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from bucketry.clock import Clock
from bucketry.errors import UnavailableError
from bucketry.registry.core.artifacts import MOST_CONNECTIONS_BROKEN_IN_VAIN, ArtifactReader
from bucketry.schema.documents.manifest import Artifact, Chunks
from bucketry.schema.names import Digest
from bucketry.store.contract import IfAbsent
from bucketry.store.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bucketry.store.contract import ByteStream, ETag

BODY = bytes(range(256)) * 40
DIGEST = hashlib.sha256(BODY).hexdigest()


class Breaking(MemoryStore):
    """A store whose streams bring `bytes_each` bytes and then break, the first `count` times."""

    def __init__(self, count: int, bytes_each: int) -> None:
        super().__init__()
        self.left = count
        self.bytes_each = bytes_each

    @contextmanager
    def open_range(  # type: ignore[override] # its streams are of another class
        self, key: str, start: int, stop: int, *, etag: ETag | None
    ) -> Iterator[ByteStream]:
        with super().open_range(key, start, stop, etag=etag) as stream:
            self.left -= 1
            yield stream if self.left < 0 else Broken(stream, self.bytes_each)


class Broken:
    def __init__(self, stream: ByteStream, left_bytes: int) -> None:
        self._stream = stream
        self._left_bytes = left_bytes

    def readinto(self, buffer: memoryview) -> int:
        if self._left_bytes == 0:
            raise UnavailableError("the connection broke")
        count = self._stream.readinto(buffer[: self._left_bytes])
        self._left_bytes -= count
        return count


def reader(store: MemoryStore, pauses: list[float]) -> ArtifactReader:
    etag = store.put("blob", BODY, IfAbsent())
    chunks = Chunks(4096, tuple(hashlib.sha256(BODY[at : at + 4096]).hexdigest() for at in (0, 4096, 8192)), ("",) * 3)
    artifact = Artifact("model.bin", len(BODY), Digest(DIGEST), "application/octet-stream", chunks)
    return ArtifactReader(artifact, store, "blob", etag, Clock(sleep=pauses.append, chance=lambda: 1.0))


def test_connections_that_break_behind_some_bytes_are_gone_on_from_without_a_pause() -> None:
    pauses: list[float] = []
    assert reader(Breaking(40, 100), pauses).read_range(5, 4000) == BODY[5:4000]
    assert pauses == []


def test_connections_that_break_before_a_byte_are_followed_by_others_after_pauses() -> None:
    pauses: list[float] = []
    count = MOST_CONNECTIONS_BROKEN_IN_VAIN - 1
    assert reader(Breaking(count, 0), pauses).read_range(0, len(BODY)) == BODY
    assert pauses == [0.05 * 2**number for number in range(count)]


def test_a_store_that_brings_no_byte_at_all_is_given_up() -> None:
    pauses: list[float] = []
    with pytest.raises(UnavailableError, match="the connection broke"):
        reader(Breaking(1000, 0), pauses).read_range(0, 10)
    assert len(pauses) == MOST_CONNECTIONS_BROKEN_IN_VAIN - 1
