"""Says how bytes are moved and who watches: one value, from the faces that fill it down to the sockets."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Literal

from bucketry.clock import Backoff, Clock
from bucketry.frozen import frozen
from bucketry.transfer.pace.controls import MOST_CONNECTIONS, Controls

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from bucketry.transfer.pace.progress import ProgressListener

Verify = Literal["sha256", "fast"]

DEFAULT_CONNECTIONS = 16
"""The most that are used, unless more are asked for; how many are, the link decides."""
DEADLINE_SECONDS = 120.0


@frozen
class TransferOptions:
    """How files come from a store or go to it.

    `connections` is the most that run at once, and `processes` how many processes share those of a download. Bytes
    that come are verified by SHA-256, or `fast` by XXH3-128, for networks where nobody hostile writes. What `controls`
    say of connections and limit holds instead, also when it is changed meanwhile, of which other processes are not
    told.

    `on_transfer` and `on_hash` are told how far it is. `stop` ends the work soon after it is set, and
    `deadline_seconds` is how long one piece of it may fail without moving.
    """

    connections: int = DEFAULT_CONNECTIONS
    limit_bytes_per_second: int | None = None
    processes: int = 1
    verify: Verify = "sha256"
    controls: Controls | None = None
    on_transfer: ProgressListener | None = None
    on_hash: ProgressListener | None = None
    stop: threading.Event | None = None
    clock: Clock = field(default_factory=Clock)
    deadline_seconds: float = DEADLINE_SECONDS

    def new_controls(self) -> Controls:
        """Return the caller's controls, or such as nobody changes; raise `UsageError` for what is not possible."""
        return self.controls or Controls(self.connections, self.limit_bytes_per_second)

    @property
    def most_threads(self) -> int:
        """How many threads are to stand ready."""
        return self.connections if self.controls is None else MOST_CONNECTIONS

    def new_backoff(self, on_retry: Callable[[], None]) -> Backoff:
        """Return the tries of one piece of work."""
        return Backoff(self.clock, deadline_seconds=self.deadline_seconds, on_retry=on_retry)
