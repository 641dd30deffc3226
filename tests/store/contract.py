"""What does every bucket have to promise, whatever it is made of?

A subclass provides the fixture `store`: an empty store, fresh for each test. Nothing here is skipped: what
only some stores promise is a class of its own, which a store that promises it inherits as well.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

import pytest

from bucketry.errors import BucketryError
from bucketry.store.interface import (
    ByteStream,
    Entry,
    ETag,
    Folder,
    IfAbsent,
    IfMatch,
    NotModifiedError,
    ObjectNotFoundError,
    Part,
    PreconditionFailedError,
    Store,
    Unconditional,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ODD_KEYS = (
    "odd/a b",
    "odd/a%20b",
    "odd/a+b",
    "odd/a&b=c",
    "odd/a#b",
    "odd/a?b",
    "odd/a~b",
    "odd/a'b\"c",
    "odd/a(b)[c]{d}",
    "odd/a;b:c,d@e!f$g*h",
    "odd/r\u00e9sum\u00e9.bin",
    "odd/\u6a21\u578b",
    "odd/\U0001f916",
    "odd/.hidden",
    "odd/trailing.",
    "odd/..dots..",
    "odd/-dash",
    "odd/<tag>",
    "odd/" + "long" * 50,
)

# Everything that sorts around "/": a folder "a", and names that begin with "a" and go on below or above it.
ORDERED_KEYS = (
    "order/A",
    "order/a b",
    "order/a!/x",
    "order/a-",
    "order/a-b/c",
    "order/a.b",
    "order/a/b",
    "order/a/b.c",
    "order/a/c/d",
    "order/a/\u00e9",
    "order/a0",
    "order/aa",
    "order/b",
    "order/\u00e9",
    "order/\uff5e",
    "order/\U0001f916",
)

PATIENCE_SECONDS = 120.0
MOST_ATTEMPTS = 10_000


class StoreContract:
    """The promises of every store."""

    # The smallest part that S3 takes, but for the last one; a store without that limit may say less.
    part_size_bytes: ClassVar[int] = 5 * 1024 * 1024
    # More than one page of a listing.
    many_keys: ClassVar[int] = 1005
    race_threads: ClassVar[int] = 16
    increment_workers: ClassVar[int] = 8
    increments_per_worker: ClassVar[int] = 10

    # --- reading and writing small objects

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
        assert _keys(store, "") == ["a/b/d"]

    def test_delete_of_nothing_succeeds(self, store: Store) -> None:
        store.delete("never/was")
        assert list(store.list("")) == []

    def test_a_deleted_key_can_be_created_again(self, store: Store) -> None:
        etag = store.put("a/b", b"1", IfAbsent())
        store.put("a/b", b"2", IfMatch(etag))
        store.delete("a/b")
        store.put("a/b", b"3", IfAbsent())
        assert store.get("a/b").body == b"3"

    # --- listing

    def test_a_listing_of_nothing_is_empty(self, store: Store) -> None:
        assert list(store.list("")) == []
        assert list(store.list("no/such/")) == []
        assert list(store.list("no/such/", delimiter="/")) == []

    def test_a_listing_is_in_the_byte_order_of_whole_keys(self, store: Store) -> None:
        for key in reversed(ORDERED_KEYS):
            store.put(key, b"1", IfAbsent())
        assert _keys(store, "order/") == sorted(ORDERED_KEYS, key=str.encode)
        assert _keys(store, "") == sorted(ORDERED_KEYS, key=str.encode)

    def test_a_prefix_need_not_end_at_a_folder(self, store: Store) -> None:
        for key in ("heads/ab", "heads/abc/d", "heads/b", "headstrong", "a"):
            store.put(key, b"1", IfAbsent())
        assert _keys(store, "heads/a") == ["heads/ab", "heads/abc/d"]
        assert _keys(store, "heads") == ["heads/ab", "heads/abc/d", "heads/b", "headstrong"]
        assert _keys(store, "heads/ab") == ["heads/ab", "heads/abc/d"]
        assert _keys(store, "heads/abc/d") == ["heads/abc/d"]
        assert _keys(store, "heads/abc/d/") == []

    def test_a_delimiter_folds_deeper_keys_into_folders(self, store: Store) -> None:
        for key in ("h/a.json", "h/a/x", "h/a/y/z", "h/b/c", "h/z", "other"):
            store.put(key, b"1", IfAbsent())
        assert _names(store, "h/") == ["h/a.json", "h/a/", "h/b/", "h/z"]
        assert _names(store, "") == ["h/", "other"]
        assert _names(store, "h/a") == ["h/a.json", "h/a/"]
        assert _names(store, "h/a/") == ["h/a/x", "h/a/y/"]
        assert _names(store, "h") == ["h/"]

    def test_a_folder_disappears_with_its_last_object(self, store: Store) -> None:
        store.put("h/a/x", b"1", IfAbsent())
        store.delete("h/a/x")
        assert _names(store, "h/") == []
        assert _names(store, "") == []

    def test_a_listing_shows_each_write_at_once(self, store: Store) -> None:
        etag = store.put("key", b"1", IfAbsent())
        for number in range(20):
            etag = store.put("key", b"x" * number, IfMatch(etag))
            (entry,) = store.list("")
            assert isinstance(entry, Entry)
            assert (entry.key, entry.etag, entry.size_bytes) == ("key", etag, number)

    @pytest.mark.parametrize("key", ODD_KEYS)
    def test_an_odd_but_legal_key_is_literal(self, store: Store, key: str) -> None:
        body = key.encode()
        etag = store.put(key, body, IfAbsent())
        assert store.get(key).body == body
        assert store.stat(key).key == key
        assert _keys(store, "") == [key]
        assert _keys(store, key) == [key]
        etag = store.put(key, b"2", IfMatch(etag))
        with store.open_range(key, 0, 1, etag=etag) as stream:
            assert _read(stream, 1) == b"2"
        store.delete(key)
        assert _keys(store, "") == []

    def test_odd_keys_do_not_collide(self, store: Store) -> None:
        for key in ODD_KEYS:
            store.put(key, key.encode(), IfAbsent())
        assert _keys(store, "odd/") == sorted(ODD_KEYS, key=str.encode)
        for key in ODD_KEYS:
            assert store.get(key).body == key.encode()

    def test_a_listing_longer_than_a_page_is_complete_and_in_order(self, store: Store) -> None:
        keys = [f"many/{number:05d}/é+%" for number in range(self.many_keys)]

        def put(key: str) -> None:
            store.put(key, b"1", IfAbsent())

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(put, keys))
        assert _keys(store, "many/") == keys
        assert _names(store, "many/") == [key.removesuffix("é+%") for key in keys]

    # --- ranges

    @pytest.mark.parametrize(
        ("start", "stop"), [(0, 1), (0, 1000), (0, 100), (400, 500), (999, 1000), (900, 1000), (500, 501)]
    )
    def test_a_range_is_exactly_these_bytes(self, store: Store, start: int, stop: int) -> None:
        body = bytes(number % 251 for number in range(1000))
        etag = store.put("key", body, IfAbsent())
        with store.open_range("key", start, stop, etag=etag) as stream:
            assert _read(stream, stop - start) == body[start:stop]
            assert stream.readinto(memoryview(bytearray(10))) == 0

    def test_the_range_of_an_empty_object_is_empty(self, store: Store) -> None:
        etag = store.put("key", b"", IfAbsent())
        with store.open_range("key", 0, 0, etag=etag) as stream:
            assert stream.readinto(memoryview(bytearray(10))) == 0

    def test_a_range_can_be_read_in_small_pieces(self, store: Store) -> None:
        body = bytes(number % 251 for number in range(1000))
        etag = store.put("key", body, IfAbsent())
        found = bytearray()
        buffer = memoryview(bytearray(7))
        with store.open_range("key", 10, 990, etag=etag) as stream:
            for _ in range(981):
                count = stream.readinto(buffer)
                if count == 0:
                    break
                found += buffer[:count]
        assert bytes(found) == body[10:990]

    def test_a_range_never_spills_over_the_front_of_a_large_buffer(self, store: Store) -> None:
        etag = store.put("key", b"a" * 1000, IfAbsent())
        buffer = bytearray(b"-" * 100)
        with store.open_range("key", 100, 110, etag=etag) as stream:
            count = stream.readinto(memoryview(buffer))
        assert 0 < count <= 10
        assert bytes(buffer) == b"a" * count + b"-" * (100 - count)

    def test_a_range_of_another_object_is_refused(self, store: Store) -> None:
        old = store.put("key", b"old", IfAbsent())
        new = store.put("key", b"new", IfMatch(old))
        with pytest.raises(PreconditionFailedError), store.open_range("key", 0, 3, etag=old):
            pass
        with store.open_range("key", 0, 3, etag=new) as stream:
            assert _read(stream, 3) == b"new"

    def test_a_range_of_nothing_says_so(self, store: Store) -> None:
        etag = store.put("key", b"1", IfAbsent())
        with pytest.raises(ObjectNotFoundError), store.open_range("absent", 0, 1, etag=etag):
            pass

    # --- large objects in one request

    @pytest.mark.parametrize("size_bytes", [0, 1, 1_000_003])
    def test_a_blob_in_one_request_is_read_back(self, store: Store, size_bytes: int) -> None:
        body = _pattern(size_bytes, 1)
        entry = store.put_blob("blobs/a", memoryview(body))
        assert (entry.key, entry.size_bytes) == ("blobs/a", size_bytes)
        assert store.get("blobs/a").body == body
        assert store.stat("blobs/a").etag == entry.etag

    def test_a_blob_never_replaces_one(self, store: Store) -> None:
        entry = store.put_blob("blobs/a", memoryview(b"first"))
        with pytest.raises(PreconditionFailedError):
            store.put_blob("blobs/a", memoryview(b"second"))
        found = store.get("blobs/a")
        assert (found.body, found.etag) == (b"first", entry.etag)

    # --- large objects in parts

    def test_parts_sent_in_any_order_become_the_object(self, store: Store) -> None:
        body = _pattern(2 * self.part_size_bytes + 12_345, 2)
        upload = store.start_upload("blobs/big")
        parts = [self._send(store, "blobs/big", upload, number, body) for number in (3, 1, 2)]
        store.complete_upload("blobs/big", upload, parts)
        entry = store.stat("blobs/big")
        assert entry.size_bytes == len(body)
        assert store.get("blobs/big").body == body
        start = self.part_size_bytes - 10
        with store.open_range("blobs/big", start, start + 20, etag=entry.etag) as stream:
            assert _read(stream, 20) == body[start : start + 20]

    def test_one_small_part_is_enough(self, store: Store) -> None:
        upload = store.start_upload("blobs/small")
        part = store.upload_part("blobs/small", upload, 1, 0, memoryview(b"small"))
        assert (part.number, part.size_bytes) == (1, 5)
        store.complete_upload("blobs/small", upload, [part])
        assert store.get("blobs/small").body == b"small"

    def test_parts_can_be_sent_at_the_same_time(self, store: Store) -> None:
        body = _pattern(3 * self.part_size_bytes + 1, 3)
        upload = store.start_upload("blobs/big")
        with ThreadPoolExecutor(4) as pool:
            parts = list(
                pool.map(lambda number: self._send(store, "blobs/big", upload, number, body), range(1, 5))
            )
        store.complete_upload("blobs/big", upload, parts)
        assert store.get("blobs/big").body == body

    def test_a_part_sent_again_replaces_the_first(self, store: Store) -> None:
        body = _pattern(self.part_size_bytes + 1000, 4)
        upload = store.start_upload("blobs/big")
        wrong = memoryview(bytes(self.part_size_bytes))
        store.upload_part("blobs/big", upload, 1, 0, wrong)
        parts = [self._send(store, "blobs/big", upload, number, body) for number in (1, 2)]
        assert _numbers_and_sizes(store.list_parts("blobs/big", upload)) == _numbers_and_sizes(parts)
        store.complete_upload("blobs/big", upload, parts)
        assert store.get("blobs/big").body == body

    def test_the_parts_that_the_store_lists_complete_the_upload(self, store: Store) -> None:
        body = _pattern(self.part_size_bytes + 1000, 5)
        upload = store.start_upload("blobs/big")
        sent = [self._send(store, "blobs/big", upload, number, body) for number in (2, 1)]
        listed = store.list_parts("blobs/big", upload)
        assert _numbers_and_sizes(listed) == sorted(_numbers_and_sizes(sent))
        store.complete_upload("blobs/big", upload, listed)
        assert store.get("blobs/big").body == body

    def test_nothing_is_visible_before_completion(self, store: Store) -> None:
        upload = store.start_upload("blobs/big")
        part = store.upload_part("blobs/big", upload, 1, 0, memoryview(b"1"))
        with pytest.raises(ObjectNotFoundError):
            store.stat("blobs/big")
        assert list(store.list("")) == []
        store.complete_upload("blobs/big", upload, [part])
        assert _keys(store, "") == ["blobs/big"]

    def test_a_completion_never_replaces_an_object(self, store: Store) -> None:
        upload = store.start_upload("blobs/big")
        part = store.upload_part("blobs/big", upload, 1, 0, memoryview(b"late"))
        etag = store.put("blobs/big", b"early", IfAbsent())
        with pytest.raises(PreconditionFailedError):
            store.complete_upload("blobs/big", upload, [part])
        found = store.get("blobs/big")
        assert (found.body, found.etag) == (b"early", etag)
        store.abort_upload("blobs/big", upload)
        assert store.get("blobs/big").body == b"early"

    def test_of_two_uploads_to_one_key_the_first_to_complete_wins(self, store: Store) -> None:
        uploads = [store.start_upload("blobs/big") for _ in range(2)]
        assert len(set(uploads)) == 2
        parts = [
            store.upload_part("blobs/big", upload, 1, 0, memoryview(body))
            for upload, body in zip(uploads, (b"first", b"other"), strict=True)
        ]
        store.complete_upload("blobs/big", uploads[0], [parts[0]])
        with pytest.raises(PreconditionFailedError):
            store.complete_upload("blobs/big", uploads[1], [parts[1]])
        assert store.get("blobs/big").body == b"first"

    def test_an_aborted_upload_is_gone_and_may_be_aborted_again(self, store: Store) -> None:
        upload = store.start_upload("blobs/big")
        part = store.upload_part("blobs/big", upload, 1, 0, memoryview(b"1"))
        for _ in range(2):
            store.abort_upload("blobs/big", upload)
        with pytest.raises(ObjectNotFoundError):
            store.list_parts("blobs/big", upload)
        with pytest.raises(BucketryError):
            store.complete_upload("blobs/big", upload, [part])
        assert list(store.list_uploads("")) == []
        assert list(store.list("")) == []

    def test_unfinished_uploads_are_listed_until_they_end(self, store: Store) -> None:
        kept = store.start_upload("blobs/team/kept é+%")
        done = store.start_upload("blobs/team/done")
        other = store.start_upload("other/x")
        part = store.upload_part("blobs/team/done", done, 1, 0, memoryview(b"1"))
        found = {(key, upload) for key, upload, _ in store.list_uploads("blobs/")}
        assert found == {("blobs/team/kept é+%", kept), ("blobs/team/done", done)}
        store.complete_upload("blobs/team/done", done, [part])
        ((key, upload, started_at),) = store.list_uploads("blobs/")
        assert (key, upload) == ("blobs/team/kept é+%", kept)
        assert started_at.utcoffset() == timedelta(0)
        assert abs(datetime.now(UTC) - started_at) < timedelta(minutes=5)
        store.abort_upload("blobs/team/kept é+%", kept)
        store.abort_upload("other/x", other)
        assert list(store.list_uploads("")) == []

    def test_an_upload_without_parts_lists_none(self, store: Store) -> None:
        upload = store.start_upload("blobs/big")
        assert list(store.list_parts("blobs/big", upload)) == []

    # --- races

    def test_of_many_creators_at_once_exactly_one_wins(self, store: Store) -> None:
        for attempt in range(3):
            key = f"race/{attempt}"
            winners = self._race(lambda body, key=key: store.put(key, body, IfAbsent()))  # type: ignore[misc]
            assert len(winners) == 1
            found = store.get(key)
            assert {found.body: found.etag} == winners

    def test_of_many_matching_writers_at_once_exactly_one_wins(self, store: Store) -> None:
        etag = store.put("race", b"start", IfAbsent())
        for _ in range(5):
            winners = self._race(lambda body, etag=etag: store.put("race", body, IfMatch(etag)))  # type: ignore[misc]
            assert len(winners) == 1
            found = store.get("race")
            assert {found.body: found.etag} == winners
            etag = found.etag

    def test_of_many_blob_writers_at_once_exactly_one_wins(self, store: Store) -> None:
        winners = self._race(lambda body: store.put_blob("race", memoryview(body)).etag)
        assert len(winners) == 1
        found = store.get("race")
        assert {found.body: found.etag} == winners

    def test_no_increment_of_any_worker_is_lost_or_counted_twice(self, store: Store) -> None:
        store.put("counter", b"", IfAbsent())

        def work(worker: int) -> None:
            for number in range(self.increments_per_worker):
                append_token(store, "counter", f"{worker}.{number}")

        with ThreadPoolExecutor(self.increment_workers) as pool:
            list(pool.map(work, range(self.increment_workers), timeout=PATIENCE_SECONDS))
        tokens = store.get("counter").body.decode().split()
        assert len(tokens) == len(set(tokens)) == self.increment_workers * self.increments_per_worker

    def _send(self, store: Store, key: str, upload: str, number: int, body: bytes) -> Part:
        offset = (number - 1) * self.part_size_bytes
        chunk = memoryview(body)[offset : offset + self.part_size_bytes]
        part = store.upload_part(key, upload, number, offset, chunk)
        assert (part.number, part.size_bytes) == (number, len(chunk))
        return part

    def _race(self, write: Callable[[bytes], ETag]) -> dict[bytes, ETag]:
        """Let all threads write at the same moment; return what the winners wrote and got."""
        barrier = threading.Barrier(self.race_threads)
        bodies = [f"writer {number}".encode() for number in range(self.race_threads)]

        def run(body: bytes) -> tuple[bytes, ETag] | None:
            barrier.wait(timeout=PATIENCE_SECONDS)
            try:
                return body, write(body)
            except PreconditionFailedError:
                return None

        with ThreadPoolExecutor(self.race_threads) as pool:
            return dict(outcome for outcome in pool.map(run, bodies) if outcome is not None)


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


def append_token(store: Store, key: str, token: str) -> None:
    """Add `token` to the words of a register by compare-and-swap.

    A refusal may hide a success, so what the register says decides, as for every commit of a registry.
    """
    for _ in range(MOST_ATTEMPTS):
        found = store.get(key)
        words = found.body.decode().split()
        if token in words:
            return
        try:
            store.put(key, " ".join([*words, token]).encode(), IfMatch(found.etag))
        except PreconditionFailedError:
            continue
        return
    raise AssertionError(f"{token} lost the race {MOST_ATTEMPTS} times")


def _read(stream: ByteStream, size_bytes: int) -> bytes:
    """Read to the end of the range, and a byte more to see that there is none."""
    buffer = memoryview(bytearray(size_bytes + 1))
    filled = 0
    for _ in range(size_bytes + 1):
        count = stream.readinto(buffer[filled:])
        if count == 0:
            break
        filled += count
    return bytes(buffer[:filled])


def _keys(store: Store, prefix: str) -> list[str]:
    entries = list(store.list(prefix))
    assert all(isinstance(entry, Entry) for entry in entries)
    return [entry.key for entry in entries if isinstance(entry, Entry)]


def _names(store: Store, prefix: str) -> list[str]:
    found = store.list(prefix, delimiter="/")
    return [entry.prefix if isinstance(entry, Folder) else entry.key for entry in found]


def _numbers_and_sizes(parts: object) -> list[tuple[int, int]]:
    assert isinstance(parts, (list, tuple))
    return [(part.number, part.size_bytes) for part in parts]


def _pattern(size_bytes: int, seed: int) -> bytes:
    """Bytes in which every part differs from every other, made fast."""
    unit = b"".join((number * 2654435761 + seed).to_bytes(8, "little") for number in range(8192))
    marked = bytearray((unit * (size_bytes // len(unit) + 1))[:size_bytes])
    for offset in range(0, size_bytes - 8, 65_536):
        marked[offset : offset + 8] = (offset + seed).to_bytes(8, "little")
    return bytes(marked)
