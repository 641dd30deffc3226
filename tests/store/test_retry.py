"""Is a call made again exactly when it may be, and never for too long?"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.clock import MOST_TRIES, Clock
from bucketry.errors import DeniedError, UnavailableError
from bucketry.store.contract import (
    Entry,
    ETag,
    IfAbsent,
    IfMatch,
    ObjectNotFoundError,
    PreconditionFailedError,
    SlowDownError,
    StoreFullError,
)
from bucketry.store.memory import MemoryStore
from bucketry.store.retry import RetryingStore, Silence
from store.contract import StoreContract

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bucketry.store.contract import Body, Condition, Folder, Object, Part, Store


class FailingStore(MemoryStore):
    """A memory store that fails as often as it is told, each time before the call has any effect."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: list[Exception] = []
        self.calls: list[str] = []
        self.listed_before_failure = 0

    def _fail(self, name: str) -> None:
        self.calls.append(name)
        if self.failures:
            raise self.failures.pop(0)

    def get(self, key: str, *, unless: ETag | None = None) -> Object:
        self._fail("get")
        return super().get(key, unless=unless)

    def stat(self, key: str) -> Entry:
        self._fail("stat")
        return super().stat(key)

    def put(self, key: str, body: bytes, condition: Condition) -> ETag:
        self._fail("put")
        return super().put(key, body, condition)

    def list(self, prefix: str, *, delimiter: str | None = None) -> Iterator[Entry | Folder]:
        self.calls.append("list")
        for number, found in enumerate(super().list(prefix, delimiter=delimiter)):
            if self.failures and number == self.listed_before_failure:
                raise self.failures.pop(0)
            yield found

    def delete(self, key: str) -> None:
        self._fail("delete")
        super().delete(key)

    @contextmanager
    def open_range(self, key: str, start: int, stop: int, *, etag: ETag | None) -> Iterator[Any]:
        self._fail("open_range")
        with super().open_range(key, start, stop, etag=etag) as stream:
            yield stream

    def put_blob(self, key: str, body: Body, *, sha256: str | None = None) -> Entry:
        self._fail("put_blob")
        return super().put_blob(key, body, sha256=sha256)

    def start_upload(self, key: str) -> str:
        self._fail("start_upload")
        return super().start_upload(key)

    def upload_part(
        self, key: str, upload: str, number: int, offset: int, body: Body, *, sha256: str | None = None
    ) -> Part:
        self._fail("upload_part")
        return super().upload_part(key, upload, number, offset, body, sha256=sha256)

    def complete_upload(self, key: str, upload: str, parts: object) -> None:
        self._fail("complete_upload")
        super().complete_upload(key, upload, parts)  # type: ignore[arg-type]


class Time:
    """A clock that only sleeping moves, and that remembers every sleep."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def clock(self, chance: Callable[[], float]) -> Clock:
        return Clock(monotonic_seconds=lambda: self.now, sleep=self.sleep, chance=chance)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def below() -> FailingStore:
    return FailingStore()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def store(below: FailingStore, time: Time) -> RetryingStore:
    # The largest chance, so that every pause is its upper bound.
    return RetryingStore(below, deadline_seconds=30.0, clock=time.clock(lambda: 1.0))


class TestContract(StoreContract):
    part_size_bytes = 64 * 1024

    @pytest.fixture
    def store(self) -> Store:
        return RetryingStore(MemoryStore())


def down(times: int) -> list[Exception]:
    return [UnavailableError("down") for _ in range(times)]


def test_a_read_is_made_again_until_it_succeeds(store: RetryingStore, below: FailingStore, time: Time) -> None:
    below.put("key", b"1", IfAbsent())
    below.failures = down(9)
    assert store.get("key").body == b"1"
    assert below.calls.count("get") == 10
    assert time.slept == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_a_pause_is_a_chance_below_its_bound(below: FailingStore, time: Time) -> None:
    chances = iter([0.0, 0.5, 0.25])
    store = RetryingStore(below, deadline_seconds=30.0, clock=time.clock(lambda: next(chances)))
    below.failures = down(3)
    store.delete("key")
    assert time.slept == [0.0, 0.05, 0.05]


def test_the_last_error_is_raised_at_the_deadline(store: RetryingStore, below: FailingStore, time: Time) -> None:
    below.failures = down(1000)
    with pytest.raises(UnavailableError, match="down"):
        store.get("key")
    assert 100.0 < time.now <= 130.0


def test_attempts_are_bounded_even_if_time_stands_still(below: FailingStore) -> None:
    store = RetryingStore(below, clock=Clock(monotonic_seconds=lambda: 0.0, sleep=lambda _: None))
    below.failures = down(1000)
    with pytest.raises(UnavailableError):
        store.get("key")
    assert len(below.calls) == MOST_TRIES


def test_the_store_s_own_time_to_wait_is_respected(store: RetryingStore, below: FailingStore, time: Time) -> None:
    below.failures = [SlowDownError("slow", retry_after_seconds=7.0), SlowDownError("slow")]
    store.delete("key")
    assert time.slept == [7.05, 0.1]


def test_a_time_to_wait_beyond_the_deadline_is_not_waited(
    store: RetryingStore, below: FailingStore, time: Time
) -> None:
    below.failures = [SlowDownError("slow", retry_after_seconds=31.0)]
    with pytest.raises(SlowDownError):
        store.delete("key")
    assert time.slept == []


@pytest.mark.parametrize(
    "error", [DeniedError("no"), ObjectNotFoundError("none"), PreconditionFailedError("moved"), ValueError("bug")]
)
def test_what_will_not_change_is_not_tried_again(
    store: RetryingStore, below: FailingStore, time: Time, error: Exception
) -> None:
    below.failures = [error]
    with pytest.raises(type(error)):
        store.get("key")
    assert (len(below.calls), time.slept) == (1, [])


@pytest.mark.parametrize(
    "write",
    [
        lambda store: store.put("key", b"1", IfAbsent()),
        lambda store: store.put("key", b"1", IfMatch(ETag("e"))),
        lambda store: store.put_blob("key", memoryview(b"1")),
        lambda store: store.complete_upload("key", "upload", []),
    ],
)
def test_a_conditional_write_passes_through_once(
    store: RetryingStore, below: FailingStore, time: Time, write: Callable[[Store], object]
) -> None:
    below.failures = down(1)
    with pytest.raises(UnavailableError):
        write(store)
    assert (len(below.calls), time.slept) == (1, [])


def test_every_idempotent_call_survives_a_failure(store: RetryingStore, below: FailingStore) -> None:
    etag = below.put("key", b"123", IfAbsent())
    below.failures = down(1)
    assert store.stat("key").etag == etag
    below.failures = down(1)
    with store.open_range("key", 0, 3, etag=etag) as stream:
        assert stream.readinto(memoryview(bytearray(3))) == 3
    below.failures = down(1)
    upload = store.start_upload("big")
    below.failures = down(1)
    part = store.upload_part("big", upload, 1, 0, memoryview(b"1"))
    assert list(store.list_parts("big", upload)) == [part]
    below.failures = down(1)
    store.delete("key")
    assert below.failures == []


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.upload_part("big", "upload", 1, 0, memoryview(b"1")),
        lambda store: list(store.list("")),
    ],
)
def test_a_store_that_is_full_is_not_waited_for(
    store: RetryingStore, below: FailingStore, time: Time, call: Callable[[Store], object]
) -> None:
    below.put("key", b"1", IfAbsent())
    below.calls.clear()
    below.failures = [StoreFullError("the disk is full")]
    with pytest.raises(StoreFullError):
        call(store)
    assert (len(below.calls), time.slept) == (1, [])


def test_a_stream_that_breaks_is_for_its_reader(store: RetryingStore, below: FailingStore) -> None:
    etag = below.put("key", b"123", IfAbsent())

    def read() -> None:
        with store.open_range("key", 0, 3, etag=etag):
            raise UnavailableError("broke while reading")

    with pytest.raises(UnavailableError, match="broke while reading"):
        read()
    assert below.calls.count("open_range") == 1


def test_a_listing_that_breaks_goes_on_where_it_was(store: RetryingStore, below: FailingStore) -> None:
    keys = [f"k/{number:02d}" for number in range(20)]
    for key in keys:
        below.put(key, b"1", IfAbsent())
    below.listed_before_failure = 7
    below.failures = down(3)
    assert [found.key for found in store.list("k/") if isinstance(found, Entry)] == keys
    assert below.calls.count("list") == 4


def test_a_listing_is_lazy(store: RetryingStore, below: FailingStore) -> None:
    listing = store.list("")
    assert "list" not in below.calls
    assert list(listing) == []


@pytest.mark.parametrize("refused", [False, True])
def test_whoever_waits_is_told_once_and_not_after_a_reply(*, refused: bool) -> None:
    told, below = threading.Event(), FailingStore()
    silence = Silence(0.01, told.set)
    below.failures = [UnavailableError("down"), SlowDownError("busy")]
    if refused:
        below.failures.append(DeniedError("no"))
    pauses: list[bool] = []
    retrying = RetryingStore(below, clock=Clock(sleep=lambda _: pauses.append(told.wait(10))), silence=silence)
    with pytest.raises((DeniedError, ObjectNotFoundError)):
        retrying.get("a")
    assert pauses == [True, True]
    told.clear()
    with pytest.raises(ObjectNotFoundError):
        retrying.get("a")
    assert not told.wait(0.1)


@pytest.mark.parametrize("refused", [False, True])
def test_whoever_is_answered_is_told_nothing_and_nor_is_who_asks_nothing(*, refused: bool) -> None:
    told, below = threading.Event(), FailingStore()
    retrying = RetryingStore(below, silence=Silence(0.05, told.set))
    assert not told.wait(0.1)
    if refused:
        below.failures.append(DeniedError("no"))
    with pytest.raises((DeniedError, ObjectNotFoundError)):
        retrying.get("a")
    assert not told.wait(0.1)
