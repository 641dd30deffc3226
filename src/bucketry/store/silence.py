"""Tells a person who waits that it is the store that they wait for."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Silence:
    """The time from the first call of a store to the first reply; `tell` is called once where that is long.

    In a thread of its own, which ends with the program.
    """

    def __init__(self, longest_seconds: float, tell: Callable[[], None]) -> None:
        self._longest_seconds = longest_seconds
        self._tell = tell
        self._ended = threading.Event()
        self._has_begun = False

    def begin(self) -> None:
        """Note that the store is being asked."""
        if not self._has_begun:
            self._has_begun = True
            threading.Thread(target=self._wait, daemon=True).start()

    def end(self) -> None:
        """Note that the store replied, or that nobody waits any more."""
        self._ended.set()

    def _wait(self) -> None:
        if not self._ended.wait(self._longest_seconds):
            self._tell()
