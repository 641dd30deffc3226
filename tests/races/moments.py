"""When is a process killed, and how often?"""

from __future__ import annotations

import os
import time
from random import Random
from typing import TYPE_CHECKING, Any

from races.processes import child

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KILLS_EVERYDAY, KILLS_IN_DEPTH = 6, 15
OVERSHOOT = 1.1  # the last moments may lie after the end of the work, which is then done when the kill comes


def count_kills(*, is_deep: bool) -> int:
    """Return how many processes one test kills: `BUCKETRY_KILLS`, or 6, or with `--deep` 15."""
    return int(os.environ.get("BUCKETRY_KILLS", KILLS_IN_DEPTH if is_deep else KILLS_EVERYDAY))


def seconds_taken_by(work: Callable[..., Any], *arguments: Any) -> float:
    """Run the work in a process of its own to its end, and return how long it took from `go` on."""
    with child(work, *arguments) as measured:
        started = time.monotonic()
        measured.go()
        measured.result()
        return time.monotonic() - started


def iter_moments(kills: int, duration_seconds: float, *, seed: int) -> Iterator[float]:
    """Yield delays in random order, one in each of `kills` equal pieces of the duration (and a little more)."""
    chance = Random(seed)
    pieces = list(range(kills))
    chance.shuffle(pieces)
    for piece in pieces:
        yield (piece + chance.random()) / kills * duration_seconds * OVERSHOOT
