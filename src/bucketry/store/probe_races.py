"""Does exactly one of many writers win, when all of them write at the same moment?"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from bucketry.errors import UnavailableError
from bucketry.frozen import frozen
from bucketry.store.interface import IfAbsent, IfMatch, PreconditionFailedError
from bucketry.store.probe_checks import BrokenPromiseError, Promise, must_hold

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bucketry.store.interface import Condition, Store
    from bucketry.store.probe_checks import Scratch

WRITERS = 16
RACES_AT_ONCE = 3
START_SECONDS = 60.0


@frozen
class _Outcome:
    """What one writer was told: that it won, or that it lost, or nothing that can be relied on."""

    body: bytes
    won: bool = False
    unknown: UnavailableError | None = None


def _race_to_create(scratch: Scratch) -> str:
    keys = [scratch.key(f"race-create-{number}.json") for number in range(RACES_AT_ONCE)]
    _run_at_once([partial(_race, scratch.store, key, IfAbsent(), "create-only") for key in keys])
    return f"one winner of {WRITERS} writers in each of {len(keys)} races"


def _race_to_replace(scratch: Scratch) -> str:
    names = [f"race-replace-{number}.json" for number in range(RACES_AT_ONCE)]
    _run_at_once([partial(_race_from_start, scratch, name) for name in names])
    return f"one winner of {WRITERS} writers in each of {len(names)} races"


def _race_from_start(scratch: Scratch, name: str) -> None:
    etag = scratch.create(name, b"start")
    _race(scratch.store, scratch.key(name), IfMatch(etag), "compare-and-swap")


def _run_at_once(races: Sequence[Callable[[], object]]) -> None:
    """Run races on different keys at the same time."""
    with ThreadPoolExecutor(len(races)) as pool:
        for race in [pool.submit(race) for race in races]:
            race.result()


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
