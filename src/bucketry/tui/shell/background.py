"""What takes time is done in threads, while the keys go on working.

In threads that end with the program: a request that hangs must not keep a user from leaving. What comes of it is handed
to the thread of the screens. Of two pieces of work with the same name only the newer one's result is shown.
"""

from __future__ import annotations

import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from textual.message import Message

from bucketry.errors import BucketryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import App

Result = TypeVar("Result")

MOST_THREADS = 8
"""How much is done at once; more waits for its turn. Threads are kept: each has a connection to the index."""

STOP_CHECK_SECONDS = 0.01


class Finished(Message):
    """Something ended in the background; the app calls `deliver` in its own thread."""

    bubble = False

    def __init__(self, deliver: Callable[[], None]) -> None:
        super().__init__()
        self.deliver = deliver


class Background:
    """The threads of one app. `writing` counts what changes the registry now, which leaving would cut off."""

    def __init__(self, app: App[Any]) -> None:
        self.writing = 0
        self._app = app
        self._newest: dict[str, int] = {}
        self._waiting: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._threads = 0
        self._busy = 0
        self._is_stopped = False
        self._lock = threading.Lock()

    def start(
        self,
        name: str,
        work: Callable[[], Result],
        done: Callable[[Result], None],
        failed: Callable[[BucketryError], None],
        *,
        writes: bool = False,
    ) -> None:
        """Do the work in a thread; then call `done` or `failed` here, unless newer work took this name."""
        ticket = self._newest[name] = self._newest.get(name, 0) + 1
        self.writing += writes

        def hand_over(call: Callable[[], None]) -> None:
            def deliver() -> None:
                self.writing -= writes
                if writes or self._newest.get(name) == ticket:
                    call()

            self._app.post_message(Finished(deliver))

        def run() -> None:
            if not writes and self._newest.get(name) != ticket:
                return
            try:
                result = work()
            except BucketryError as error:
                failure = error
                hand_over(lambda: failed(failure))
            except Exception as error:  # noqa: BLE001 - a fault in a thread must be seen, and must not end the screens
                fault = BucketryError(f"a fault of the program: {type(error).__name__}: {error}")
                hand_over(lambda: failed(fault))
            else:
                hand_over(lambda: done(result))

        self._enqueue(run)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being done or waits for its turn."""
        return self._busy == 0

    def stop(self, *, patience_seconds: float) -> bool:
        """Begin nothing more, and wait that long for what is being done; return whether it ended.

        Where it did not, its thread may be inside the index's file, which must then not be closed under it.
        """
        self._is_stopped = True
        deadline = time.monotonic() + patience_seconds
        while not self.is_idle and time.monotonic() < deadline:
            time.sleep(STOP_CHECK_SECONDS)
        return self.is_idle

    def cancel(self, name: str) -> None:
        """Drop the result of the work of this name, if there is any under way."""
        self._newest[name] = self._newest.get(name, 0) + 1

    def _enqueue(self, run: Callable[[], None]) -> None:
        with self._lock:
            self._busy += 1
            grows = self._busy > self._threads and self._threads < MOST_THREADS
            self._threads += grows
        self._waiting.put(run)
        if grows:
            threading.Thread(target=self._work, name=f"tui-{self._threads}", daemon=True).start()

    def _work(self) -> None:
        while True:  # for as long as the program runs
            run = self._waiting.get()
            try:
                if not self._is_stopped:
                    run()
            finally:
                with self._lock:
                    self._busy -= 1
