"""Writes and reads create-only objects.

A refusal with the same bytes already there is success, so every immutable write may be repeated by anybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.clock import Backoff
from bucketry.errors import CorruptError, UnavailableError
from bucketry.frozen import frozen
from bucketry.registry.core.writing import Readable, put_document
from bucketry.store.contract import IfAbsent, ObjectNotFoundError, PreconditionFailedError, StoreFullError

if TYPE_CHECKING:
    from bucketry.clock import Clock
    from bucketry.store.contract import ETag, Object, Store

MOST_ATTEMPTS = 100
MOST_FIRST_ATTEMPTS = 20


@frozen
class Immutable(Readable):
    """A create-only object, to be written before the commit that refers to it."""


def find_object(store: Store, key: str) -> Object | None:
    """Return the object at the key, or None if there is none."""
    try:
        return store.get(key)
    except ObjectNotFoundError:
        return None


def put_immutable(store: Store, item: Immutable, *, clock: Clock, deadline_seconds: float) -> None:
    """Make sure that exactly these bytes are at the key; `deadline_seconds` is a moment of the monotonic clock.

    Raises `CorruptError` if other bytes are there, `UnavailableError` when the store does not answer in time, and at
    once where it is full and does not hold them yet.
    """
    try:
        _insist(store, item, clock, deadline_seconds)
    except StoreFullError:
        if not _is_there(store, item):
            raise


def put_first(store: Store, item: Readable, *, clock: Clock) -> ETag | None:
    """Make sure that there is a document at the key: this one, unless somebody wrote there first.

    Returns the ETag of this one, or None where what is there has to be read. Raises `UnavailableError` when the store
    does not let that be known for so many tries.
    """
    backoff = Backoff(clock)
    for _ in range(MOST_FIRST_ATTEMPTS):
        try:
            return put_document(store, item, IfAbsent())
        except StoreFullError:
            raise
        except (PreconditionFailedError, UnavailableError):
            backoff.pause()
        try:
            if find_object(store, item.key) is not None:
                return None
        except UnavailableError:
            continue
    raise UnavailableError(f"{item.key} could not be written", advice="try again in a moment")


def _insist(store: Store, item: Immutable, clock: Clock, deadline_seconds: float) -> None:
    backoff = Backoff(clock)
    for attempt in range(MOST_ATTEMPTS):
        try:
            put_document(store, item, IfAbsent())
        except StoreFullError:
            raise  # waiting frees no space
        except PreconditionFailedError as error:
            failure: Exception = error
        except UnavailableError as error:
            failure = error
            backoff.pause()
        else:
            return
        try:
            if _is_there(store, item):
                return
        except UnavailableError as error:
            failure = error
        if clock.monotonic_seconds() >= deadline_seconds:
            break
        if attempt:
            backoff.pause()
    raise UnavailableError(f"{item.key} could not be written", advice="try again later") from failure


def _is_there(store: Store, item: Immutable) -> bool:
    there = find_object(store, item.key)
    if there is None:
        return False
    if there.body == item.body:
        return True
    raise CorruptError(
        f"{item.key} holds other bytes than it must",
        advice="run `bucketry fsck` and do not publish until it is mended",
    )
