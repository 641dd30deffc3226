"""Does the reference store keep the promises that it is the reference for?"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bucketry.errors import CorruptError, UsageError
from bucketry.store import memory
from bucketry.store.contract import IfAbsent, IfMatch, PreconditionFailedError, Store
from bucketry.store.memory import MemoryStore
from store.contract import FreshETagContract, StoreContract


class TestMemoryStore(StoreContract, FreshETagContract):
    part_size_bytes = 64 * 1024

    @pytest.fixture
    def store(self) -> Store:
        return MemoryStore()


def test_times_come_from_the_given_clock() -> None:
    times = [datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in (1, 2, 3)]
    store = MemoryStore(clock=iter(times).__next__)
    store.put("key", b"1", IfAbsent())
    found = store.get("key")
    assert (found.modified_at, found.served_at) == (times[0], times[1])
    assert next(iter(store.list(""))) == store.stat("key")


def test_the_caller_keeps_no_hold_on_the_bytes() -> None:
    store = MemoryStore()
    body = bytearray(b"before")
    store.put_blob("key", memoryview(body))
    body[:] = b"after!"
    assert store.get("key").body == b"before"


def test_a_range_keeps_its_bytes_while_the_object_changes() -> None:
    store = MemoryStore()
    etag = store.put("key", b"old", IfAbsent())
    buffer = bytearray(3)
    with store.open_range("key", 0, 3, etag=etag) as stream:
        store.put("key", b"new", IfMatch(etag))
        stream.readinto(memoryview(buffer))
    assert bytes(buffer) == b"old"
    with pytest.raises(PreconditionFailedError), store.open_range("key", 0, 3, etag=etag):
        pass


def test_a_range_beyond_the_end_is_a_mistake_of_the_caller() -> None:
    store = MemoryStore()
    etag = store.put("key", b"123", IfAbsent())
    with pytest.raises(UsageError), store.open_range("key", 0, 4, etag=etag):
        pass


def test_a_completion_with_a_missing_part_is_refused() -> None:
    store = MemoryStore()
    upload = store.start_upload("key")
    store.upload_part("key", upload, 1, 0, memoryview(b"1"))
    last = store.upload_part("key", upload, 2, 1, memoryview(b"2"))
    with pytest.raises(UsageError):
        store.complete_upload("key", upload, [last])
    assert list(store.list("")) == []


def test_an_object_over_the_size_of_documents_is_not_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "SMALL_OBJECT_BYTES", 3)
    store = MemoryStore()
    store.put("small", b"123", IfAbsent())
    store.put("large", b"1234", IfAbsent())
    assert store.get("small").body == b"123"
    with pytest.raises(CorruptError, match="larger than 3 bytes"):
        store.get("large")
