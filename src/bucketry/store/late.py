"""Gives a bucket its name before it is opened.

Opening one may load an SDK and look for credentials, which takes as long as everything else that a start does. Whoever
shows what is known already has the name at once, and whoever first asks for more opens the bucket.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.store.contract import Store


class LateStore:
    """A store that is opened when it is first asked for anything but its name. Safe for threads.

    What opening raises, the one who asked gets; the next one tries again.
    """

    def __init__(self, name: str, open_store: Callable[[], Store]) -> None:
        self.name = name
        self._open_store = open_store
        self._opened: Store | None = None
        self._opening = threading.Lock()

    def close(self) -> None:
        """Close the store if it was opened."""
        if self._opened is not None:
            self._opened.close()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the store has
        with self._opening:
            if self._opened is None:
                self._opened = self._open_store()
        return getattr(self._opened, name)
