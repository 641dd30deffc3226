"""What does every bucket promise about one small object, and about the conditions of a write?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from bucketry.store.contract import (
    ETag,
    IfAbsent,
    IfMatch,
    NotModifiedError,
    ObjectNotFoundError,
    PreconditionFailedError,
    Unconditional,
)
from store.contract_listings import listed_keys

if TYPE_CHECKING:
    from bucketry.store.contract import Store


class ObjectContract:
    """Reading, writing and deleting small objects."""

    def test_what_was_written_is_read_back(self, store: Store) -> None:
        etag = store.put("heads/team/model.json", b'{"a": 1}', IfAbsent())
        found = store.get("heads/team/model.json")
        assert (found.body, found.etag) == (b'{"a": 1}', etag)

    def test_an_empty_object_is_an_object(self, store: Store) -> None:
        etag = store.put("empty", b"", IfAbsent())
        assert store.get("empty").body == b""
        assert store.stat("empty").size_bytes == 0
        assert store.stat("empty").etag == etag

    def test_every_byte_value_survives(self, store: Store) -> None:
        body = bytes(range(256)) * 5
        store.put("bytes", body, IfAbsent())
        assert store.get("bytes").body == body

    def test_an_etag_is_bare_text(self, store: Store) -> None:
        etag = store.put("key", b"1", IfAbsent())
        assert etag
        assert '"' not in etag

    def test_reading_nothing_says_so(self, store: Store) -> None:
        with pytest.raises(ObjectNotFoundError):
            store.get("absent")
        with pytest.raises(ObjectNotFoundError):
            store.get("absent", unless=ETag("0123"))
        with pytest.raises(ObjectNotFoundError):
            store.stat("absent")

    def test_a_folder_of_keys_is_not_an_object(self, store: Store) -> None:
        store.put("a/b", b"1", IfAbsent())
        with pytest.raises(ObjectNotFoundError):
            store.get("a")
        with pytest.raises(ObjectNotFoundError):
            store.stat("a")

    def test_stat_get_and_list_agree(self, store: Store) -> None:
        etag = store.put("a/b", b"12345", IfAbsent())
        entry = store.stat("a/b")
        found = store.get("a/b")
        assert (entry.key, entry.size_bytes, entry.etag) == ("a/b", 5, etag)
        assert found.etag == etag
        assert list(store.list("a/")) == [entry]
        # S3 says a Last-Modified in whole seconds in one reply and in milliseconds in another.
        assert abs(found.modified_at - entry.modified_at) < timedelta(seconds=1)

    def test_times_are_utc_and_now(self, store: Store) -> None:
        store.put("key", b"1", IfAbsent())
        found = store.get("key")
        for time in (found.modified_at, found.served_at, store.stat("key").modified_at):
            assert time.utcoffset() == timedelta(0)
            assert abs(datetime.now(UTC) - time) < timedelta(minutes=5)

    def test_a_poll_of_the_same_object_is_not_modified(self, store: Store) -> None:
        etag = store.put("key", b"1", IfAbsent())
        with pytest.raises(NotModifiedError):
            store.get("key", unless=etag)

    def test_a_poll_of_a_changed_object_brings_it(self, store: Store) -> None:
        old = store.put("key", b"1", IfAbsent())
        new = store.put("key", b"2", IfMatch(old))
        found = store.get("key", unless=old)
        assert (found.body, found.etag) == (b"2", new)

    # --- conditions

    def test_create_refuses_a_taken_key_and_leaves_it_alone(self, store: Store) -> None:
        etag = store.put("key", b"first", IfAbsent())
        with pytest.raises(PreconditionFailedError):
            store.put("key", b"second", IfAbsent())
        with pytest.raises(PreconditionFailedError):
            store.put("key", b"first", IfAbsent())
        found = store.get("key")
        assert (found.body, found.etag) == (b"first", etag)

    def test_a_matching_write_replaces_the_body_and_the_etag(self, store: Store) -> None:
        etags = [store.put("key", b"0", IfAbsent())]
        for number in range(1, 40):
            etags.append(store.put("key", str(number).encode(), IfMatch(etags[-1])))
            found = store.get("key")
            assert (found.body, found.etag) == (str(number).encode(), etags[-1])
            assert store.stat("key").etag == etags[-1]
        assert len(set(etags)) == 40

    def test_a_stale_write_is_refused_and_changes_nothing(self, store: Store) -> None:
        old = store.put("key", b"1", IfAbsent())
        new = store.put("key", b"2", IfMatch(old))
        with pytest.raises(PreconditionFailedError):
            store.put("key", b"3", IfMatch(old))
        found = store.get("key")
        assert (found.body, found.etag) == (b"2", new)

    def test_a_write_matching_nothing_known_is_refused(self, store: Store) -> None:
        etag = store.put("key", b"1", IfAbsent())
        with pytest.raises(PreconditionFailedError):
            store.put("key", b"2", IfMatch(ETag("d41d8cd98f00b204e9800998ecf8427e")))
        found = store.get("key")
        assert (found.body, found.etag) == (b"1", etag)

    def test_a_matching_write_on_nothing_is_refused_and_creates_nothing(self, store: Store) -> None:
        with pytest.raises(PreconditionFailedError):
            store.put("key", b"1", IfMatch(ETag("d41d8cd98f00b204e9800998ecf8427e")))
        with pytest.raises(ObjectNotFoundError):
            store.get("key")
        assert list(store.list("")) == []

    def test_a_matching_write_after_a_delete_is_refused(self, store: Store) -> None:
        first = store.put("key", b"1", IfAbsent())
        second = store.put("key", b"2", IfMatch(first))
        store.delete("key")
        for etag in (first, second):
            with pytest.raises(PreconditionFailedError):
                store.put("key", b"3", IfMatch(etag))
        with pytest.raises(ObjectNotFoundError):
            store.get("key")

    def test_an_unconditional_write_creates_and_replaces(self, store: Store) -> None:
        first = store.put("key", b"1", Unconditional())
        assert store.get("key").etag == first
        second = store.put("key", b"2", Unconditional())
        found = store.get("key")
        assert second != first
        assert (found.body, found.etag) == (b"2", second)

    def test_an_unconditional_write_replaces_a_register_and_makes_it_stale(self, store: Store) -> None:
        first = store.put("key", b"1", IfAbsent())
        second = store.put("key", b"2", IfMatch(first))
        third = store.put("key", b"3", Unconditional())
        assert store.get("key").body == b"3"
        with pytest.raises(PreconditionFailedError):
            store.put("key", b"4", IfMatch(second))
        store.put("key", b"4", IfMatch(third))
        assert store.get("key").body == b"4"

    # --- deleting

    def test_delete_removes_and_may_be_repeated(self, store: Store) -> None:
        store.put("a/b/c", b"1", IfAbsent())
        store.put("a/b/d", b"2", IfAbsent())
        for _ in range(2):
            store.delete("a/b/c")
            with pytest.raises(ObjectNotFoundError):
                store.get("a/b/c")
        assert listed_keys(store, "") == ["a/b/d"]

    def test_delete_of_nothing_succeeds(self, store: Store) -> None:
        store.delete("never/was")
        assert list(store.list("")) == []

    def test_a_deleted_key_can_be_created_again(self, store: Store) -> None:
        etag = store.put("a/b", b"1", IfAbsent())
        store.put("a/b", b"2", IfMatch(etag))
        store.delete("a/b")
        store.put("a/b", b"3", IfAbsent())
        assert store.get("a/b").body == b"3"


class FreshETagContract:
    """For stores whose ETag names the write and not the bytes (the ETag of S3 is the MD5 of the bytes)."""

    def test_an_etag_changes_with_each_write_even_for_equal_bytes(self, store: Store) -> None:
        first = store.put("key", b"same", IfAbsent())
        second = store.put("key", b"same", IfMatch(first))
        assert first != second
        with pytest.raises(PreconditionFailedError):
            store.put("key", b"lost", IfMatch(first))
        assert store.get("key", unless=first).etag == second

    def test_an_etag_never_recurs_when_the_bytes_do(self, store: Store) -> None:
        etags = [store.put("key", b"A", IfAbsent())]
        for number in range(1, 60):
            etags.append(store.put("key", (b"A", b"B")[number % 2], IfMatch(etags[-1])))
        assert len(set(etags)) == 60
        for stale in etags[:-1]:
            with pytest.raises(PreconditionFailedError):
                store.put("key", b"lost", IfMatch(stale))

    def test_an_etag_never_recurs_after_a_delete(self, store: Store) -> None:
        etags = set()
        for _ in range(20):
            first = store.put("key", b"same", IfAbsent())
            etags |= {first, store.put("key", b"same", IfMatch(first))}
            store.delete("key")
        assert len(etags) == 40
