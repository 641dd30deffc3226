"""Is a bucket that is opened late opened by its first use, once, and named as it will be?"""

from __future__ import annotations

import pytest

from bucketry.errors import UsageError
from bucketry.store.contract import IfAbsent
from bucketry.store.late import LateStore
from bucketry.store.memory import MemoryStore


def test_nothing_is_opened_for_the_name_or_to_close_it() -> None:
    opened: list[MemoryStore] = []

    def open_store() -> MemoryStore:
        opened.append(MemoryStore())
        return opened[-1]

    late = LateStore("s3://models/prod", open_store)
    assert late.name == "s3://models/prod"
    late.close()
    assert opened == []
    late.put("a", b"1", IfAbsent())
    assert late.get("a").body == b"1"
    assert len(opened) == 1


def test_what_opening_raises_is_raised_by_each_use_until_it_succeeds() -> None:
    faults = [UsageError("no region"), UsageError("no region")]

    def open_store() -> MemoryStore:
        if faults:
            raise faults.pop()
        return MemoryStore()

    late = LateStore("s3://models/prod", open_store)
    for _ in range(2):
        with pytest.raises(UsageError, match="no region"):
            late.stat("a")
    assert late.endpoint == MemoryStore().endpoint
