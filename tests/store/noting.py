"""A store that notes what it is asked for, for those who count requests."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bucketry.store.contract import Store


class NotingStore:
    """Everything that the other store has; each call is noted as its name and the first part of the key."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self.requests: list[str] = []

    @property
    def unretried(self) -> NotingStore:
        """This one: what is not retried is asked for all the same."""
        return self

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not callable(found) or name == "close":
            return found

        def call(key: str = "", *arguments: Any, **named: Any) -> Any:
            with self._lock:
                self.requests.append(f"{name} {key.partition('/')[0]}")
            return found(key, *arguments, **named)

        return call
