"""Lets many writers write at the same moment, of whom exactly one must win.

One race of each kind. Where a store takes bytes over a network, each writer has opened its connection and sent all but
the last byte before any of them is complete: what signing and connecting take differs by far more than the moment
between a look and a write that a race is to hit.
"""

# What is checked stands above each function: it is the promise that a report names.
# ruff: noqa: D103

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from bucketry.errors import UnavailableError
from bucketry.frozen import frozen
from bucketry.store.contract import HeldBack, IfAbsent, IfMatch, PreconditionFailedError
from bucketry.store.probe.checks import BrokenPromiseError, body_of, promise

if TYPE_CHECKING:
    from bucketry.store.contract import Condition, ETag
    from bucketry.store.probe.checks import Subject

WRITERS = 16
START_SECONDS = 60.0
MEET_SECONDS = 5.0
"""Nobody waits longer for others to have sent theirs: a server may take in only a few at once."""


@frozen
class _Outcome:
    """What one writer was told: that it won, or that it lost, or nothing that can be relied on."""

    body: bytes
    etag: ETag | None = None
    unknown: UnavailableError | None = None


@promise("race to create", "of many create-only writers at once, one wins")
def race_to_create(subject: Subject) -> str:
    return _race(subject, IfAbsent(), "create-only")


@promise("race to replace", "of many compare-and-swap writers at once, one wins")
def race_to_replace(subject: Subject) -> str:
    return _race(subject, IfMatch(subject.begin()), "compare-and-swap")


def _race(subject: Subject, condition: Condition, kind: str) -> str:
    """Raise unless one of many writers wins and its bytes are there."""
    outcomes = _write_at_once(subject, condition)
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


def _write_at_once(subject: Subject, condition: Condition) -> list[_Outcome]:
    """Let all writers start together, and send their last bytes together."""
    start, finish = threading.Barrier(WRITERS), threading.Barrier(WRITERS)
    store, key = subject.scratch.store, subject.key

    def meet() -> None:
        with suppress(threading.BrokenBarrierError):
            finish.wait(MEET_SECONDS)

    def write(number: int) -> _Outcome:
        # No two writers write the same bytes: where an ETag is a digest of them, it would not change.
        body = body_of(WRITERS + number)
        start.wait(START_SECONDS)
        try:
            return _Outcome(body, store.put(key, HeldBack.until(body, meet), condition))
        except PreconditionFailedError:
            return _Outcome(body)
        except UnavailableError as error:
            return _Outcome(body, unknown=error)
        finally:
            finish.abort()  # if one has not met the others by now, he never will

    with ThreadPoolExecutor(WRITERS) as pool:
        return list(pool.map(write, range(WRITERS)))
