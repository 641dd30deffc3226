"""What does every bucket promise about ranges, and about large objects in one piece or in parts?"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

import pytest

from bucketry.errors import BucketryError, RejectedError
from bucketry.store.contract import Entry, IfAbsent, IfMatch, ObjectNotFoundError, PreconditionFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bucketry.store.contract import ByteStream, Part, Store


class RangeContract:
    """Reading a part of an object, and only of that object."""

    @pytest.mark.parametrize(
        ("start", "stop"), [(0, 1), (0, 1000), (0, 100), (400, 500), (999, 1000), (900, 1000), (500, 501)]
    )
    def test_a_range_is_exactly_these_bytes(self, store: Store, start: int, stop: int) -> None:
        body = bytes(number % 251 for number in range(1000))
        etag = store.put("key", body, IfAbsent())
        with store.open_range("key", start, stop, etag=etag) as stream:
            assert read_range(stream, stop - start) == body[start:stop]
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
            assert read_range(stream, 3) == b"new"

    def test_a_range_of_whatever_object_is_there_needs_no_etag(self, store: Store) -> None:
        old = store.put("key", b"0123456789", IfAbsent())
        with store.open_range("key", 2, 6, etag=None) as stream:
            assert read_range(stream, 4) == b"2345"
        store.put("key", b"another one", IfMatch(old))
        with store.open_range("key", 0, 11, etag=None) as stream:
            assert read_range(stream, 11) == b"another one"
        with store.open_range("key", 0, 0, etag=None) as stream:
            assert read_range(stream, 0) == b""

    @pytest.mark.parametrize("stop", [0, 1])
    def test_a_range_without_an_etag_of_nothing_says_so(self, store: Store, stop: int) -> None:
        with pytest.raises(ObjectNotFoundError), store.open_range("absent", 0, stop, etag=None):
            pass

    def test_a_range_of_nothing_says_so(self, store: Store) -> None:
        etag = store.put("key", b"1", IfAbsent())
        with pytest.raises(ObjectNotFoundError), store.open_range("absent", 0, 1, etag=etag):
            pass


class LargeObjectContract:
    """Writing large objects, at once or in parts."""

    # The smallest part that S3 takes, but for the last one; a store without that limit may say less.
    part_size_bytes: ClassVar[int] = 5 * 1024 * 1024

    @pytest.mark.parametrize("size_bytes", [0, 1, 1_000_003])
    def test_a_blob_in_one_request_is_read_back(self, store: Store, size_bytes: int) -> None:
        body = _pattern(size_bytes, 1)
        entry = store.put_blob("blobs/a", memoryview(body))
        assert (entry.key, entry.size_bytes) == ("blobs/a", size_bytes)
        assert store.get("blobs/a").body == body
        assert store.stat("blobs/a").etag == entry.etag

    def test_bytes_with_their_digest_arrive(self, store: Store) -> None:
        body = _pattern(100_000, 6)
        digest = hashlib.sha256(body).hexdigest()
        store.put_blob("blobs/a", memoryview(body), sha256=digest)
        upload = store.start_upload("blobs/b")
        part = store.upload_part("blobs/b", upload, 1, 0, memoryview(body), sha256=digest)
        store.complete_upload("blobs/b", upload, [part])
        assert store.get("blobs/a").body == store.get("blobs/b").body == body

    def test_a_body_that_comes_in_slices_arrives_and_may_be_sent_again(self, store: Store) -> None:
        whole = _pattern(300_001, 7)
        body = Sliced(whole, 100_000)
        assert store.put_blob("blobs/a", body).size_bytes == len(whole)
        with pytest.raises(PreconditionFailedError):
            store.put_blob("blobs/a", body)
        upload = store.start_upload("blobs/b")
        for digest in (None, hashlib.sha256(whole).hexdigest()):
            part = store.upload_part("blobs/b", upload, 1, 0, body, sha256=digest)
            assert part.size_bytes == len(whole)
        store.complete_upload("blobs/b", upload, [part])
        assert store.get("blobs/a").body == store.get("blobs/b").body == whole

    def test_a_body_whose_last_slice_fails_becomes_nothing(self, store: Store) -> None:
        body, digest = Sliced(b"x" * 300_000, 100_000, fails=True), "ab" * 32
        with pytest.raises(RejectedError, match="other bytes than meant"):
            store.put_blob("blobs/a", body, sha256=digest)
        upload = store.start_upload("blobs/b")
        with pytest.raises(RejectedError, match="other bytes than meant"):
            store.upload_part("blobs/b", upload, 1, 0, body, sha256=digest)
        assert list(store.list_parts("blobs/b", upload)) == []
        assert list(store.list("blobs/")) == []
        store.put_blob("blobs/a", memoryview(b"works still"))

    def test_a_blob_never_replaces_one(self, store: Store) -> None:
        entry = store.put_blob("blobs/a", memoryview(b"first"))
        with pytest.raises(PreconditionFailedError):
            store.put_blob("blobs/a", memoryview(b"second"))
        found = store.get("blobs/a")
        assert (found.body, found.etag) == (b"first", entry.etag)

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
            assert read_range(stream, 20) == body[start : start + 20]

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
            parts = list(pool.map(lambda number: self._send(store, "blobs/big", upload, number, body), range(1, 5)))
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

    def test_a_part_can_be_copied_from_another_object(self, store: Store) -> None:
        size = self.part_size_bytes
        source = _pattern(2 * size + 1000, 7)
        new = _pattern(size, 8)
        first = store.start_upload("blobs/v1")
        sent = [self._send(store, "blobs/v1", first, number, source) for number in (1, 2, 3)]
        store.complete_upload("blobs/v1", first, sent)
        upload = store.start_upload("blobs/v2")
        parts = [
            store.copy_part("blobs/v2", upload, 1, 0, "blobs/v1", size, 2 * size),
            store.upload_part("blobs/v2", upload, 2, size, memoryview(new)),
            store.copy_part("blobs/v2", upload, 3, 2 * size, "blobs/v1", 2 * size + 1, 2 * size + 1000),
        ]
        assert _numbers_and_sizes(parts) == [(1, size), (2, size), (3, 999)]
        assert _numbers_and_sizes(store.list_parts("blobs/v2", upload)) == [(1, size), (2, size), (3, 999)]
        store.complete_upload("blobs/v2", upload, parts)
        assert store.get("blobs/v2").body == source[size : 2 * size] + new + source[2 * size + 1 :]
        assert store.get("blobs/v1").body == source

    def test_a_small_object_is_copied_as_a_whole(self, store: Store) -> None:
        store.put_blob("blobs/v1", memoryview(b"0123456789"))
        upload = store.start_upload("blobs/v2")
        part = store.copy_part("blobs/v2", upload, 1, 0, "blobs/v1", 0, 10)
        store.complete_upload("blobs/v2", upload, [part])
        assert store.get("blobs/v2").body == b"0123456789"

    def test_a_part_is_not_copied_from_nothing(self, store: Store) -> None:
        upload = store.start_upload("blobs/v2")
        with pytest.raises(ObjectNotFoundError):
            store.copy_part("blobs/v2", upload, 1, 0, "blobs/absent", 0, 10)
        assert list(store.list_parts("blobs/v2", upload)) == []

    def test_a_part_is_not_copied_from_where_an_object_has_ended(self, store: Store) -> None:
        store.put_blob("blobs/v1", memoryview(b"0123456789"))
        upload = store.start_upload("blobs/v2")
        with pytest.raises(BucketryError):
            store.copy_part("blobs/v2", upload, 1, 0, "blobs/v1", 11, 12)
        assert list(store.list_parts("blobs/v2", upload)) == []

    def test_a_copied_part_has_a_byte_at_least(self, store: Store) -> None:
        store.put_blob("blobs/v1", memoryview(b"0123456789"))
        upload = store.start_upload("blobs/v2")
        for start, stop in ((0, 0), (3, 2), (-1, 3)):
            with pytest.raises(BucketryError):
                store.copy_part("blobs/v2", upload, 1, 0, "blobs/v1", start, stop)
        assert list(store.list_parts("blobs/v2", upload)) == []

    def test_nothing_is_visible_before_completion(self, store: Store) -> None:
        upload = store.start_upload("blobs/big")
        part = store.upload_part("blobs/big", upload, 1, 0, memoryview(b"1"))
        with pytest.raises(ObjectNotFoundError):
            store.stat("blobs/big")
        assert list(store.list("")) == []
        store.complete_upload("blobs/big", upload, [part])
        assert [entry.key for entry in store.list("") if isinstance(entry, Entry)] == ["blobs/big"]

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

    def _send(self, store: Store, key: str, upload: str, number: int, body: bytes) -> Part:
        offset = (number - 1) * self.part_size_bytes
        chunk = memoryview(body)[offset : offset + self.part_size_bytes]
        part = store.upload_part(key, upload, number, offset, chunk)
        assert (part.number, part.size_bytes) == (number, len(chunk))
        return part


@dataclass(frozen=True, slots=True)
class Sliced:
    """A body of which only a slice lies in memory, always the same memory."""

    whole: bytes
    slice_bytes: int
    fails: bool = False

    def __len__(self) -> int:
        return len(self.whole)

    def slices(self) -> Iterator[memoryview]:
        buffer = bytearray(self.slice_bytes)
        for start in range(0, len(self.whole), self.slice_bytes):
            if self.fails and start + self.slice_bytes >= len(self.whole):
                raise RejectedError("other bytes than meant")
            one = self.whole[start : start + self.slice_bytes]
            buffer[: len(one)] = one
            yield memoryview(buffer)[: len(one)]
            buffer[: len(one)] = bytes(len(one))


def read_range(stream: ByteStream, size_bytes: int) -> bytes:
    """Read to the end of the range, and a byte more to see that there is none."""
    buffer = memoryview(bytearray(size_bytes + 1))
    filled = 0
    for _ in range(size_bytes + 1):
        count = stream.readinto(buffer[filled:])
        if count == 0:
            break
        filled += count
    return bytes(buffer[:filled])


def _numbers_and_sizes(parts: Sequence[Part]) -> list[tuple[int, int]]:
    return [(part.number, part.size_bytes) for part in parts]


def _pattern(size_bytes: int, seed: int) -> bytes:
    """Bytes in which every part differs from every other, made fast."""
    unit = b"".join((number * 2654435761 + seed).to_bytes(8, "little") for number in range(8192))
    marked = bytearray((unit * (size_bytes // len(unit) + 1))[:size_bytes])
    for offset in range(0, size_bytes - 8, 65_536):
        marked[offset : offset + 8] = (offset + seed).to_bytes(8, "little")
    return bytes(marked)
