"""When is a request sent again, how long does it wait before, and when is it enough?"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from bucketry.clock import Backoff, Clock
from bucketry.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.transfer.pace.workers import Halt

MAX_ATTEMPTS = 1000


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
        clock = Clock(
            monotonic_seconds=patience.clock, sleep=lambda seconds: patience.wait(seconds, halt), chance=patience.chance
        )
        self._backoff = Backoff(clock, deadline_seconds=patience.deadline_seconds, on_retry=on_retry)
        self.progressed = self._backoff.progressed
        self.insist = self._backoff.insist
        self.pause = self._backoff.pause_or_raise
