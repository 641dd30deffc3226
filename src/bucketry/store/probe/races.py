"""Does exactly one of many writers win, when all of them write at the same moment?"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from bucketry.errors import UnavailableError
from bucketry.frozen import frozen
from bucketry.store.contract import IfAbsent, IfMatch, PreconditionFailedError
from bucketry.store.probe.checks import BrokenPromiseError, Promise, must_hold

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.store.contract import Condition, Store
    from bucketry.store.probe.checks import Scratch

WRITERS = 16
MOST_RACES = 3
SLOW_RACE_SECONDS = 1.0
START_SECONDS = 60.0


@frozen
class _Outcome:
    """What one writer was told: that it won, or that it lost, or nothing that can be relied on."""

    body: bytes
    won: bool = False
    unknown: UnavailableError | None = None


def _race_to_create(scratch: Scratch) -> str:
    def race(number: int) -> None:
        _race(scratch.store, scratch.key(f"race-create-{number}.json"), IfAbsent(), "create-only")

    return _repeat(race)


def _race_to_replace(scratch: Scratch) -> str:
    def race(number: int) -> None:
        name = f"race-replace-{number}.json"
        etag = scratch.create(name, b"start")
        _race(scratch.store, scratch.key(name), IfMatch(etag), "compare-and-swap")

    return _repeat(race)


def _repeat(race: Callable[[int], None]) -> str:
    """Hold one race after the other, each on a key of its own, and return what was seen.

    A store that lets the losers of one wait for seconds, as one with a lock for each key does, gets no further one: it
    has taken turns already, and whoever runs `init` waits.
    """
    began_at_seconds = time.monotonic()
    for number in range(MOST_RACES):
        race(number)
        if time.monotonic() - began_at_seconds > SLOW_RACE_SECONDS:
            break
    held = number + 1
    return f"one winner of {WRITERS} writers in {'each of ' if held > 1 else ''}{held} race{'s' if held > 1 else ''}"


def _race(store: Store, key: str, condition: Condition, kind: str) -> None:
    """Let all writers start together, and raise unless one of them wins and its bytes are there."""
    barrier = threading.Barrier(WRITERS)

    def write(number: int) -> _Outcome:
        # No two writers write the same bytes: where an ETag is a digest of them, it would not change.
        body = f"{kind}, writer {number}".encode()
        barrier.wait(timeout=START_SECONDS)
        try:
            store.put(key, body, condition)
        except PreconditionFailedError:
            return _Outcome(body)
        except UnavailableError as error:
            return _Outcome(body, unknown=error)
        return _Outcome(body, won=True)

    with ThreadPoolExecutor(WRITERS) as pool:
        outcomes = list(pool.map(write, range(WRITERS)))
    winners = [outcome.body for outcome in outcomes if outcome.won]
    if len(winners) > 1:
        raise BrokenPromiseError(
            f"{len(winners)} of {WRITERS} concurrent writers were told that they had won ({kind}): "
            "acknowledged commits would be lost"
        )
    for outcome in outcomes:
        # With a lost reply among them, the race shows nothing; two winners above it would show enough.
        if outcome.unknown is not None:
            raise outcome.unknown
    if not winners:
        raise BrokenPromiseError(f"none of {WRITERS} concurrent writers won ({kind}): nobody could ever commit")
    must_hold(key, winners[0], store, f"the object is not the one of the writer that won ({kind})")


RACES = (
    Promise("race to create", "of many create-only writers at once, one wins", _race_to_create),
    Promise("race to replace", "of many compare-and-swap writers at once, one wins", _race_to_replace),
)
