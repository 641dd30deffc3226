"""Where do time, chance and identity come from? From one value, so that a simulation can drive them all."""

from __future__ import annotations

import random
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, TypeVar

from bucketry.frozen import frozen
from bucketry.registry.core.parallel import map_in_parallel
from bucketry.store.retry import FIRST_PAUSE_SECONDS, draw_pause_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Item = TypeVar("Item")
Result = TypeVar("Result")


def _now() -> datetime:
    return datetime.now(UTC)


def _new_transaction() -> str:
    return uuid.uuid4().hex


class MapInParallel(Protocol):
    """Does something for each item, several at once, and returns the results in order."""

    def __call__(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Return the function's result for each item."""
        ...


@frozen
class Ports:
    """The outside world as far as decisions need it. `chance` returns a float in [0, 1)."""

    now: Callable[[], datetime] = _now
    monotonic_seconds: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random
    new_transaction: Callable[[], str] = _new_transaction
    map_in_parallel: MapInParallel = map_in_parallel

    def timestamp(self) -> str:
        """Return the time as documents spell it: RFC 3339, UTC, milliseconds."""
        return format_time(self.now())

    def back_off(
        self, attempt: int, *, at_least_seconds: float = 0.0, first_seconds: float = FIRST_PAUSE_SECONDS
    ) -> None:
        """Sleep with full jitter, a random part of `first_seconds` * min(100, 2^attempt), or longer if it must be."""
        self.sleep(max(at_least_seconds, draw_pause_seconds(attempt, self.chance, first_seconds=first_seconds)))


def format_time(moment: datetime) -> str:
    """Return the RFC 3339 form in UTC with milliseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
