"""Lets somebody change a transfer while it runs.

How many connections and how many bytes a second. Whoever holds the controls changes them from any thread, before,
during and between the fetches of one piece of work; the fetch that runs is told at once, and can be looked at.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bucketry.transfer.pace.ratelimit import check_limit
from bucketry.transfer.pace.workers import check_connections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bucketry.transfer.pace.progress import Progress
    from bucketry.transfer.pace.ratelimit import RateLimit
    from bucketry.transfer.pace.workers import Gate

MOST_CONNECTIONS = 64
"""How many threads stand ready in a fetch that has controls; those beyond its connections cost next to nothing."""


class Controls:
    """The connections and the limit of one piece of work. Safe for threads; obeyed by one fetch at a time."""

    def __init__(self, connections: int, limit_bytes_per_second: int | None = None) -> None:
        check_connections(connections)
        check_limit(limit_bytes_per_second)
        self._connections = connections
        self._limit_bytes_per_second = limit_bytes_per_second
        self._obeying: tuple[Gate, RateLimit] | None = None
        self._snapshot: Callable[[], Progress] | None = None
        self._lock = threading.Lock()

    @property
    def connections(self) -> int:
        """The most that may run at once."""
        return self._connections

    @property
    def limit_bytes_per_second(self) -> int | None:
        """The most bytes a second, or None."""
        return self._limit_bytes_per_second

    def allow(self, connections: int) -> None:
        """Let at most so many connections run from now on; those above it end after their chunk."""
        check_connections(connections)
        with self._lock:
            self._connections = connections
            self._tell()

    def limit(self, bytes_per_second: int | None) -> None:
        """Let at most so many bytes a second pass from now on; None takes the limit away."""
        check_limit(bytes_per_second)
        with self._lock:
            self._limit_bytes_per_second = bytes_per_second
            self._tell()

    def look(self) -> Progress | None:
        """Return how far the fetch that runs is at this moment, also where nothing moves; None between fetches."""
        snapshot = self._snapshot
        return None if snapshot is None else snapshot()

    @contextmanager
    def obeyed_by(self, gate: Gate, limit: RateLimit, snapshot: Callable[[], Progress]) -> Iterator[None]:
        """Tell a fetch, until the block ends, what holds now and every change."""
        with self._lock:
            self._obeying = gate, limit
            self._snapshot = snapshot
            self._tell()
        try:
            yield
        finally:
            with self._lock:
                self._obeying = self._snapshot = None

    def _tell(self) -> None:
        if self._obeying is not None:
            gate, limit = self._obeying
            gate.allow(self._connections)
            limit.change(self._limit_bytes_per_second)
