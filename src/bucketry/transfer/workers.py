"""How do threads share a list of work, stop together at the first failure, and all end before we return?"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

from bucketry.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_CONNECTIONS = 256
POLL_SECONDS = 0.05

Item = TypeVar("Item")
Context = TypeVar("Context")


class Interrupted(KeyboardInterrupt):
    """The caller's stop event was set while bytes were moving. Like Ctrl-C, it is no `Exception`."""


class Halt:
    """The one sign by which every thread of a transfer learns that it is over.

    It is given when the caller's `stop` event is set, when another thread fails, or on Ctrl-C.
    """

    def __init__(self, stop: threading.Event | None = None) -> None:
        self._stop = stop
        self._ended = threading.Event()

    def end(self) -> None:
        """Tell every thread to give up at its next step."""
        self._ended.set()

    @property
    def stopped_by_caller(self) -> bool:
        """Whether the caller's own event is set."""
        return self._stop is not None and self._stop.is_set()

    def check(self) -> None:
        """Raise `Interrupted` if the sign was given."""
        if self._ended.is_set() or self.stopped_by_caller:
            raise Interrupted

    def wait(self, seconds: float) -> None:
        """Sleep, but raise `Interrupted` soon after the sign is given."""
        rounds = math.ceil(seconds / POLL_SECONDS)
        for index in range(rounds):
            self.check()
            self._ended.wait(min(POLL_SECONDS, seconds - index * POLL_SECONDS))
        self.check()


def run_parallel(
    items: Sequence[Item],
    do: Callable[[Context, Item], None],
    *,
    make_context: Callable[[], Context],
    connections: int,
    halt: Halt,
) -> None:
    """Do every item once, in order of starting, by at most `connections` threads; each has its own context.

    The first failure ends all and is raised after every thread has ended. Raises `Interrupted` when the
    caller's stop event was set before the work was complete.
    """
    if not 1 <= connections <= MAX_CONNECTIONS:
        raise UsageError(
            f"{connections} connections are not possible", advice=f"choose between 1 and {MAX_CONNECTIONS}"
        )
    halt.check()
    count = min(connections, len(items))
    crew = _Crew(items, do, make_context, halt, count)
    # Daemons: a second Ctrl-C while a read hangs may end the process without waiting for it.
    threads = [threading.Thread(target=crew.work, name=f"transfer-{n}", daemon=True) for n in range(count)]
    try:
        for thread in threads:
            thread.start()
        # Not `join`: interrupted by Ctrl-C it takes a running thread for one that has ended (CPython 3.11).
        crew.ended.wait()
    except BaseException:
        halt.end()
        raise
    finally:
        crew.count_ended(sum(thread.ident is None for thread in threads))
        crew.ended.wait()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
    if crew.failure is not None:
        raise crew.failure
    if crew.interrupted:
        raise Interrupted


class _Crew(Generic[Context, Item]):
    """What the threads of one `run_parallel` share."""

    def __init__(
        self,
        items: Sequence[Item],
        do: Callable[[Context, Item], None],
        make_context: Callable[[], Context],
        halt: Halt,
        thread_count: int,
    ) -> None:
        self.ended = threading.Event()
        self.failure: BaseException | None = None
        self.interrupted = False
        self._items = items
        self._do = do
        self._make_context = make_context
        self._halt = halt
        self._next = 0
        self._lock = threading.Lock()
        self._running = thread_count
        self.count_ended(0)

    def work(self) -> None:
        try:
            context = self._make_context()
            for _ in range(len(self._items)):
                item_index = self._take()
                if item_index is None:
                    return
                self._halt.check()
                self._do(context, self._items[item_index])
        except Interrupted:
            self.interrupted = True
        except BaseException as error:  # noqa: BLE001 - carried to the calling thread, which raises it
            with self._lock:
                self.failure = self.failure or error
            self._halt.end()
        finally:
            self.count_ended(1)

    def count_ended(self, thread_count: int) -> None:
        """Count threads that ended, or that could not be started."""
        with self._lock:
            self._running -= thread_count
            if self._running <= 0:
                self.ended.set()

    def _take(self) -> int | None:
        with self._lock:
            if self._next == len(self._items):
                return None
            self._next += 1
            return self._next - 1
