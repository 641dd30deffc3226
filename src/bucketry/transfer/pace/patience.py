"""When is a request sent again, how long does it wait before, and when is it enough?"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, TypeVar

from bucketry.errors import UnavailableError
from bucketry.frozen import frozen
from bucketry.store.contract import SlowDownError
from bucketry.store.retry import draw_pause_seconds
from bucketry.transfer.disk.local_files import is_disk_full

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.transfer.pace.workers import Halt

LONGEST_RETRY_AFTER_SECONDS = 60.0
MAX_ATTEMPTS = 1000

Result = TypeVar("Result")


@frozen
class Patience:
    """How long one piece of work may go without progress, and the clock, sleep and chance that decide it.

    Without `sleep`, waiting ends as soon as the transfer is stopped.
    """

    deadline_seconds: float = 120.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] | None = None
    chance: Callable[[], float] = random.random

    def wait(self, seconds: float, halt: Halt) -> None:
        """Sleep; raise `Interrupted` if the transfer was stopped."""
        if self.sleep is None:
            halt.wait(seconds)
        else:
            self.sleep(seconds)
            halt.check()


class Attempts:
    """The failures of one piece of work since it last made progress."""

    def __init__(self, patience: Patience, halt: Halt, on_retry: Callable[[], None]) -> None:
        self._patience = patience
        self._halt = halt
        self._on_retry = on_retry
        self._failures = 0
        self._failing_since: float | None = None

    def progressed(self) -> None:
        """Forget earlier failures: the store serves again."""
        self._failures = 0
        self._failing_since = None

    def pause(self, error: UnavailableError) -> None:
        """Wait before the next attempt, a random time that grows; raise `error` when patience is over."""
        now = self._patience.clock()
        if self._failing_since is None:
            self._failing_since = now
        left_seconds = self._failing_since + self._patience.deadline_seconds - now
        self._failures += 1
        # A folder store on a full disk says so at once: waiting would not free any space.
        if left_seconds <= 0 or self._failures >= MAX_ATTEMPTS or is_disk_full(error.__cause__):
            raise error
        seconds = draw_pause_seconds(self._failures, self._patience.chance)
        if isinstance(error, SlowDownError) and error.retry_after_seconds is not None:
            seconds += min(error.retry_after_seconds, LONGEST_RETRY_AFTER_SECONDS)
        self._on_retry()
        self._patience.wait(min(seconds, left_seconds), self._halt)

    def insist(self, request: Callable[[], Result]) -> Result:
        """Return the result of a request that may safely be sent again whenever its outcome is unknown."""
        for _ in range(MAX_ATTEMPTS):
            try:
                return request()
            except UnavailableError as error:
                self.pause(error)
        raise UnavailableError(f"no success after {MAX_ATTEMPTS} attempts", advice="try again later")
