"""Keeps many threads together below so many bytes a second."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from bucketry.errors import UsageError

if TYPE_CHECKING:
    from bucketry.clock import Clock

# What may pass at once after a pause: enough to be smooth, too little to be felt as a burst.
BURST_SECONDS = 0.25
SMALLEST_READ_BYTES = 16 * 1024
LONGEST_STEP_SECONDS = 0.5


class RateLimit:
    """A token bucket that may go into debt: who takes more than there is waits until the debt is paid."""

    def __init__(self, bytes_per_second: int | None, clock: Clock) -> None:
        check_limit(bytes_per_second)
        self.bytes_per_second = bytes_per_second
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens_bytes = 0.0
        self._filled_at = clock.monotonic_seconds()
        self._changes = 0

    def read_size_bytes(self, wanted_bytes: int) -> int:
        """Return how much to read at once, so that a thread never sleeps long for one read."""
        rate = self.bytes_per_second  # once: it may be changed meanwhile
        if rate is None:
            return wanted_bytes
        return min(wanted_bytes, max(SMALLEST_READ_BYTES, int(rate * BURST_SECONDS)))

    def change(self, bytes_per_second: int | None) -> None:
        """Let so many pass from now on, with no debt from before; whoever waits looks again soon."""
        check_limit(bytes_per_second)
        with self._lock:
            if bytes_per_second != self.bytes_per_second:
                self.bytes_per_second = bytes_per_second
                self._tokens_bytes = 0.0
                self._filled_at = self._clock.monotonic_seconds()
                self._changes += 1

    def take(self, size_bytes: int) -> None:
        """Account for bytes that were read, and wait if they were too many; the clock may end that."""
        if self.bytes_per_second is None:
            return
        with self._lock:
            if self.bytes_per_second is None:  # taken away since
                return
            changes = self._changes
            now = self._clock.monotonic_seconds()
            earned = (now - self._filled_at) * self.bytes_per_second
            self._filled_at = now
            self._tokens_bytes = min(self._tokens_bytes + earned, self.bytes_per_second * BURST_SECONDS)
            self._tokens_bytes -= size_bytes
            wait_seconds = -self._tokens_bytes / self.bytes_per_second
        # In steps: many threads at a low rate owe minutes, which a higher rate forgives.
        while wait_seconds > 0 and changes == self._changes:  # bounded: each round waits for a part of it
            self._clock.sleep(min(wait_seconds, LONGEST_STEP_SECONDS))
            wait_seconds -= LONGEST_STEP_SECONDS


def check_limit(bytes_per_second: int | None) -> None:
    """Raise `UsageError` for a limit that moves nothing."""
    if bytes_per_second is not None and bytes_per_second <= 0:
        raise UsageError(f"a limit of {bytes_per_second} bytes a second moves nothing", advice="give a positive limit")
