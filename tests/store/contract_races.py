"""What does every bucket promise when many write at once?"""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ClassVar

from bucketry.store.contract import IfAbsent, IfMatch, PreconditionFailedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.store.contract import ETag, Store

PATIENCE_SECONDS = 120.0
MOST_ATTEMPTS = 10_000


class RaceContract:
    """Exactly one winner, and nothing lost."""

    race_threads: ClassVar[int] = 16
    increment_workers: ClassVar[int] = 8
    increments_per_worker: ClassVar[int] = 10

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

    def _race(self, write: Callable[[bytes], ETag]) -> dict[bytes, ETag]:
        """Let all threads write at the same moment; return what the winners wrote and got."""
        barrier = threading.Barrier(self.race_threads)
        # Never the bytes of an earlier race: where an ETag is a hash of the bytes, writing them again would leave
        # it as it is, and another writer would rightly win as well.
        race = uuid.uuid4()
        bodies = [f"writer {number} of {race}".encode() for number in range(self.race_threads)]

        def run(body: bytes) -> tuple[bytes, ETag] | None:
            barrier.wait(timeout=PATIENCE_SECONDS)
            try:
                return body, write(body)
            except PreconditionFailedError:
                return None

        with ThreadPoolExecutor(self.race_threads) as pool:
            return dict(outcome for outcome in pool.map(run, bodies) if outcome is not None)


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
