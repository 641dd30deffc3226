"""Says how many requests should run at once: as many as still bring more bytes a second, fewer when the store asks.

The level doubles while each doubling brings more, then stays, and now and then tries a few more. What brought nothing
is taken back, and the next try comes later. When the store asks for less (429, 503), the level halves, and from then
on it grows by one at a time. Only rates measured in windows count, and the first window after a change is left out:
in it, new connections are still being made.

Nothing here sleeps, locks or starts threads: `workers.Gate` does.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_LEVEL = 4
WINDOW_SECONDS = 0.1
LONGEST_WINDOW_SECONDS = 2.0
COUNTS_PER_CONNECTION = 3  # a window ends only when this many reads came for each: fewer say little about a rate
GROWTH_THAT_COUNTS = 1.1  # of a doubling, which would bring 2.0 on an idle link
SHARE_OF_A_TRY_THAT_COUNTS = 0.3  # a try of +50 % must bring 15 %: too high a level costs little, too low a lot
WINDOWS_TO_JUDGE = 3
WINDOWS_BEFORE_A_TRY = 5
MOST_WINDOWS_BEFORE_A_TRY = 20
WINDOWS_BEFORE_A_TRY_AFTER_SLOW_DOWN = 50  # five seconds at least: whoever asked for less should notice it
SLOW_DOWNS_ARE_ONE_WITHIN_SECONDS = 1.0  # replies of one overload arrive on many connections at once
SMOOTHING = 0.3


class Concurrency:
    """The level of one transfer, at most `most`. Not for many threads: whoever shares it holds a lock."""

    def __init__(self, most: int, *, first: int = FIRST_LEVEL, clock: Callable[[], float] = time.monotonic) -> None:
        self.level = min(first, most)
        self._most = self._allowed = most
        self._lent = 0
        self._clock = clock
        self._window_began_at = clock()
        self._window_bytes = 0
        self._window_counts = 0
        self._is_settling = True
        self._is_doubling = True
        self._is_careful = False
        self._slowed_at: float | None = None
        self._steady_level = self.level
        self._steady_rate: float | None = None
        self._rates_at_level: list[float] = []
        self._windows_before_a_try = WINDOWS_BEFORE_A_TRY

    def count(self, size_bytes: int) -> None:
        """Count bytes that arrived just now, and change the level if that is due."""
        now = self._clock()
        self._window_bytes += size_bytes
        self._window_counts += 1
        seconds = now - self._window_began_at
        if seconds < WINDOW_SECONDS:
            return
        if self._window_counts < COUNTS_PER_CONNECTION * self.level and seconds < LONGEST_WINDOW_SECONDS:
            return
        rate = self._window_bytes / seconds
        self._begin_window(now)
        if self._is_settling:
            self._is_settling = False
        elif self._is_doubling:
            self._judge_doubling(rate)
        else:
            self._judge(rate)

    def lend(self, count: int) -> None:
        """Leave so many of what is allowed, and no others, to requests that are not counted here."""
        self._lent = count
        self._bound()

    def allow(self, most: int) -> None:
        """Let at most so many run from now on, those that are lent included."""
        self._allowed = most
        self._bound()

    def slow_down(self) -> None:
        """Halve the level: the store asked for fewer requests."""
        now = self._clock()
        if self._slowed_at is not None and now - self._slowed_at < SLOW_DOWNS_ARE_ONE_WITHIN_SECONDS:
            return
        self._slowed_at = now
        self._is_doubling = False
        self._is_careful = True
        self._windows_before_a_try = WINDOWS_BEFORE_A_TRY_AFTER_SLOW_DOWN
        self._steady_level = max(1, self.level // 2)
        self._steady_rate = None
        self._move_to(self._steady_level)
        self._begin_window(now)

    def _bound(self) -> None:
        most = max(1, self._allowed - self._lent)
        # Where only that kept the level from growing, it goes on growing.
        self._is_doubling = self._is_doubling or (self.level == self._most < most and not self._is_careful)
        self._most = most
        if self.level > most:
            self._steady_level = most
            self._move_to(most)

    def _judge_doubling(self, rate: float) -> None:
        self._rates_at_level.append(rate)
        if self._steady_rate is not None and rate < self._steady_rate * GROWTH_THAT_COUNTS:
            # One bad window may be chance, and stopping too low costs more than waiting at a level too high.
            if len(self._rates_at_level) >= WINDOWS_TO_JUDGE:
                self._is_doubling = False
                self._move_to(self._steady_level)
            return
        self._steady_rate = rate
        self._steady_level = self.level
        if self.level == self._most:
            self._is_doubling = False
        self._move_to(min(2 * self.level, self._most))

    def _judge(self, rate: float) -> None:
        self._rates_at_level.append(rate)
        if self.level == self._steady_level:
            known = self._steady_rate
            self._steady_rate = rate if known is None else known + SMOOTHING * (rate - known)
            if len(self._rates_at_level) >= self._windows_before_a_try and self.level < self._most:
                step = 1 if self._is_careful else max(1, self.level // 2)
                self._move_to(min(self._most, self.level + step))
        elif len(self._rates_at_level) >= WINDOWS_TO_JUDGE:
            self._judge_try(sum(self._rates_at_level) / len(self._rates_at_level))

    def _judge_try(self, rate: float) -> None:
        more = self.level / self._steady_level - 1
        if self._steady_rate is None or rate >= self._steady_rate * (1 + more * SHARE_OF_A_TRY_THAT_COUNTS):
            self._steady_level, self._steady_rate = self.level, rate
            self._rates_at_level.clear()
            if not self._is_careful:
                self._windows_before_a_try = WINDOWS_BEFORE_A_TRY
            return
        self._windows_before_a_try = min(MOST_WINDOWS_BEFORE_A_TRY, 2 * self._windows_before_a_try)
        self._move_to(self._steady_level)

    def _move_to(self, level: int) -> None:
        self._is_settling = level != self.level
        self.level = level
        self._rates_at_level.clear()

    def _begin_window(self, now: float) -> None:
        self._window_began_at = now
        self._window_bytes = 0
        self._window_counts = 0
