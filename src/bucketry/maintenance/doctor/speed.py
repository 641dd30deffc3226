"""Measures what the way to a store gives: time and price of a poll, and the bytes a second of one connection."""

from __future__ import annotations

import secrets
import statistics
from contextlib import suppress
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError, DeniedError
from bucketry.frozen import frozen
from bucketry.schema import keys
from bucketry.store.contract import NotModifiedError

if TYPE_CHECKING:
    from bucketry.clock import Clock
    from bucketry.store.contract import Store

POLLS = 5
SAMPLE_BYTES = 8 * 1024 * 1024
POLL_SECONDS = 30.0
"""How often `bucketry watch` polls, unless it is told otherwise."""
MONTH_SECONDS = 30 * 24 * 3600.0
USD_OF_1000_GETS = 0.0004
"""Amazon's list price for S3 Standard in us-east-1, in 2026."""


@frozen
class PollCost:
    """What one instance costs that follows one alias. `is_answered_short` says that an unchanged object is not sent."""

    seconds: float
    is_answered_short: bool

    @property
    def polls_a_month(self) -> int:
        """How many polls there are at the usual pace."""
        return round(MONTH_SECONDS / POLL_SECONDS)

    @property
    def usd_a_month(self) -> float:
        """What they cost at Amazon's list price."""
        return self.polls_a_month * USD_OF_1000_GETS / 1000


@frozen
class Throughput:
    """Bytes a second over one connection, one way and the other."""

    up: float
    down: float


def measure_poll(store: Store, clock: Clock) -> PollCost:
    """Ask a few times for what has not changed, as a watcher does."""
    etag = store.get(keys.REGISTRY).etag
    took: list[float] = []
    short = 0
    for _ in range(POLLS):
        began = clock.monotonic_seconds()
        try:
            store.get(keys.REGISTRY, unless=etag)
        except NotModifiedError:
            short += 1
        took.append(clock.monotonic_seconds() - began)
    return PollCost(statistics.median(took), is_answered_short=short == POLLS)


def measure_throughput(store: Store, clock: Clock, scratch_prefix: str) -> Throughput | None:
    """Send some bytes to a scratch key and read them back; None where this caller may not write there."""
    key = f"{scratch_prefix}speed"
    body = memoryview(secrets.token_bytes(SAMPLE_BYTES))  # nothing on the way can make it smaller
    try:
        began = clock.monotonic_seconds()
        entry = store.put_blob(key, body)
        sent = clock.monotonic_seconds()
    except DeniedError:
        return None
    try:
        buffer = memoryview(bytearray(SAMPLE_BYTES))
        filled = 0
        with store.open_range(key, 0, SAMPLE_BYTES, etag=entry.etag) as stream:
            while filled < SAMPLE_BYTES:
                count = stream.readinto(buffer[filled:])
                if not count:
                    break
                filled += count
        received = clock.monotonic_seconds()
    finally:
        with suppress(BucketryError):
            store.delete(key)
    return Throughput(SAMPLE_BYTES / max(sent - began, 1e-6), filled / max(received - sent, 1e-6))
