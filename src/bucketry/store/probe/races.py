"""Lets many writers write at the same moment, of whom exactly one must win.

One race of each kind. The compare-and-swap comes when the connections of the other race are open, so that its writers
really meet.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from bucketry.errors import UnavailableError
from bucketry.frozen import frozen
from bucketry.store.contract import IfAbsent, IfMatch, PreconditionFailedError
from bucketry.store.probe.checks import BrokenPromiseError, Promise, body_of

if TYPE_CHECKING:
    from bucketry.store.contract import Condition, ETag
    from bucketry.store.probe.checks import Subject

WRITERS = 16
START_SECONDS = 60.0


@frozen
class _Outcome:
    """What one writer was told: that it won, or that it lost, or nothing that can be relied on."""

    body: bytes
    etag: ETag | None = None
    unknown: UnavailableError | None = None


def _race_to_create(subject: Subject) -> str:
    return _race(subject, IfAbsent(), "create-only")


def _race_to_replace(subject: Subject) -> str:
    return _race(subject, IfMatch(subject.begin()), "compare-and-swap")


def _race(subject: Subject, condition: Condition, kind: str) -> str:
    """Let all writers start together, and raise unless one of them wins and its bytes are there."""
    barrier, store, key = threading.Barrier(WRITERS), subject.scratch.store, subject.key

    def write(number: int) -> _Outcome:
        # No two writers write the same bytes: where an ETag is a digest of them, it would not change.
        body = body_of(WRITERS + number)
        barrier.wait(timeout=START_SECONDS)
        try:
            return _Outcome(body, store.put(key, body, condition))
        except PreconditionFailedError:
            return _Outcome(body)
        except UnavailableError as error:
            return _Outcome(body, unknown=error)

    with ThreadPoolExecutor(WRITERS) as pool:
        outcomes = list(pool.map(write, range(WRITERS)))
    winners = [outcome for outcome in outcomes if outcome.etag is not None]
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
    subject.take(winners[0].body, winners[0].etag)
    subject.must_hold(f"the object is not the one of the writer that won ({kind})")
    return f"one winner of {WRITERS} writers"


RACE_TO_CREATE = Promise("race to create", "of many create-only writers at once, one wins", _race_to_create)
RACE_TO_REPLACE = Promise("race to replace", "of many compare-and-swap writers at once, one wins", _race_to_replace)
