"""Counts the requests that an action makes of the bucket, by a session that counts them as they go out."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from bucketry.registry.core.session import Session
    from bucketry.store.contract import Store


class RequestCount:
    """The requests so far. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made = 0

    @property
    def made(self) -> int:
        """How many there were."""
        return self._made

    def add(self) -> None:
        """Count one more."""
        with self._lock:
            self._made += 1


def counted(session: Session) -> tuple[Session, RequestCount]:
    """Return the session as one that counts its requests; documents that were read before are shared with it.

    What is counted are calls of the store: a repeated attempt counts once, and each page of a long listing does not.
    """
    count = RequestCount()
    return replace(session, store=cast("Store", _CountingStore(session.store, count))), count


class _CountingStore:
    """Everything that the other store has; its methods are counted."""

    def __init__(self, store: Store, count: RequestCount) -> None:
        self._store = store
        self._count = count

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the store has
        found = getattr(self._store, name)
        if not callable(found) or name == "close":
            return found

        def call(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever the store has
            self._count.add()
            return found(*arguments, **named)

        return call
