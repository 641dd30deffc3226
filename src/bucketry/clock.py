"""Gives time, chance and identity as one value, and holds the one policy of trying again.

Whatever waits, draws or numbers takes a `Clock`, so that a simulation can drive it all. Whatever tries again asks a
`Backoff`: how long each pause is and when it is enough is decided here alone, and what cannot pass by waiting (a full
store, no secure connection) says so of itself, by `UnavailableError.may_pass`.
"""

from __future__ import annotations

import math
import random
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from bucketry.errors import UnavailableError
from bucketry.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_PAUSE_SECONDS = 0.05
MOST_TIMES_THE_FIRST = 100
LONGEST_RETRY_AFTER_SECONDS = 60.0
MOST_TRIES = 1000

Result = TypeVar("Result")


@frozen
class Clock:
    """The outside world as far as decisions need it: `monotonic_seconds` counts from any start, `chance` is in [0, 1).

    `sleep` may raise, to end what waits.
    """

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic_seconds: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random
    new_transaction: Callable[[], str] = lambda: uuid.uuid4().hex

    def timestamp(self) -> str:
        """Return the time as documents spell it: RFC 3339, UTC, milliseconds."""
        return format_time(self.now())


def format_time(moment: datetime) -> str:
    """Return the RFC 3339 form in UTC with milliseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


@dataclass(slots=True)
class Backoff:
    """The tries of one piece of work that failed in a row, how long to wait before the next, and when it is enough.

    Full jitter: after `n` failures it waits `random(0, first_seconds * min(most_times, 2^(n-1)))`, any part of which is
    equally likely, so that those who failed together do not come back together. What the store asks for comes on top.
    The deadline counts from `since_seconds`, else from the first failure since the work last moved.
    """

    clock: Clock
    deadline_seconds: float = math.inf
    first_seconds: float = FIRST_PAUSE_SECONDS
    most_times: int = MOST_TIMES_THE_FIRST
    most_tries: int = MOST_TRIES
    on_retry: Callable[[], None] | None = None
    since_seconds: float | None = None
    failures: int = 0

    def progressed(self) -> None:
        """Forget earlier failures: the work moves again."""
        self.failures = 0
        self.since_seconds = None

    def pause(self, *, at_least_seconds: float = 0.0) -> None:
        """Count a failure, and sleep."""
        self.failures += 1
        self.clock.sleep(at_least_seconds + self._draw_seconds())

    def pause_or_raise(self, error: UnavailableError) -> None:
        """Sleep before the next try, for no longer than the deadline allows; raise `error` where it is enough.

        It is at once where waiting changes nothing, or where the store asks for more time than there is at all.
        """
        now = self.clock.monotonic_seconds()
        if self.since_seconds is None:
            self.since_seconds = now
        left_seconds = self.since_seconds + self.deadline_seconds - now
        asked_seconds = min(error.retry_after_seconds or 0.0, LONGEST_RETRY_AFTER_SECONDS)
        self.failures += 1
        is_last = self.failures >= self.most_tries or left_seconds <= 0
        if is_last or not error.may_pass or asked_seconds > self.deadline_seconds:
            raise error
        if self.on_retry is not None:
            self.on_retry()
        self.clock.sleep(min(asked_seconds + self._draw_seconds(), left_seconds))

    def insist(self, request: Callable[[], Result]) -> Result:
        """Return the result of a request that may safely be made again whenever its outcome is unknown."""
        for _ in range(self.most_tries):
            try:
                return request()
            except UnavailableError as error:
                self.pause_or_raise(error)
        raise AssertionError("the last try raises")

    def _draw_seconds(self) -> float:
        doublings = min(self.failures - 1, self.most_times.bit_length())
        return self.clock.chance() * self.first_seconds * min(self.most_times, 1 << doublings)
