"""Shares a list of work among threads, which stop together at the first failure and all end before we return."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from bucketry.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bucketry.clock import Clock
    from bucketry.transfer.pace.concurrency import Concurrency

MAX_CONNECTIONS = 256
POLL_SECONDS = 0.05
LINGER_STEP_SECONDS = 0.01
LONGEST_LINGER_SECONDS = 1.0  # an interrupted program must be gone within 2 s, with time to clean up
READERS = 16
READERS_LINGER_SECONDS = 0.2

Item = TypeVar("Item")
Context = TypeVar("Context")
Result = TypeVar("Result")


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

    @property
    def is_over(self) -> bool:
        """Whether the sign was given."""
        return self._ended.is_set() or self.stopped_by_caller

    def check(self) -> None:
        """Raise `Interrupted` if the sign was given."""
        if self.is_over:
            raise Interrupted

    def interrupting(self, clock: Clock) -> Clock:
        """Return the clock with a sleep that raises `Interrupted` soon after the sign is given."""
        if clock.sleep is time.sleep:
            return replace(clock, sleep=self.wait)

        def sleep(seconds: float) -> None:
            clock.sleep(seconds)
            self.check()

        return replace(clock, sleep=sleep)

    def wait(self, seconds: float) -> None:
        """Sleep, but raise `Interrupted` soon after the sign is given."""
        rounds = math.ceil(seconds / POLL_SECONDS)
        for index in range(rounds):
            self.check()
            self._ended.wait(min(POLL_SECONDS, seconds - index * POLL_SECONDS))
        self.check()


class Gate:
    """Lets as many of a transfer's threads work at once as its `Concurrency` says now."""

    def __init__(self, concurrency: Concurrency) -> None:
        self._concurrency = concurrency
        self._changed = threading.Condition()
        self._lent = 0
        self._elsewhere: dict[int, int] = {}
        self._inside = 0
        self._is_over = False

    @property
    def level(self) -> int:
        """How many threads may work at once now, those of other processes included."""
        return sum(self._elsewhere.values()) or self._concurrency.level + self._lent

    def count_elsewhere(self, part: int, level: int) -> None:
        """Note the level of another process, which works on the same transfer in our place."""
        self._elsewhere[part] = level

    def lend(self, count: int) -> None:
        """Let so many requests, and no others that were lent before, run beside those of the threads inside."""
        with self._changed:
            self._lent = count
            self._concurrency.lend(count)
            self._changed.notify_all()

    def allow(self, most: int) -> None:
        """Let at most so many work from now on."""
        with self._changed:
            self._concurrency.allow(most)
            self._changed.notify_all()

    def count(self, size_bytes: int) -> None:
        """Count bytes that arrived."""
        with self._changed:
            before = self._concurrency.level
            self._concurrency.count(size_bytes)
            if self._concurrency.level > before:
                self._changed.notify_all()

    def slow_down(self) -> None:
        """Let fewer threads work: the store asked for it."""
        with self._changed:
            self._concurrency.slow_down()

    def enter(self, halt: Halt) -> None:
        """Wait until one more thread may work. Raises `Interrupted`."""
        with self._changed:
            while self._inside >= self._concurrency.level and not self._is_over:  # bounded: others leave, or halt
                halt.check()
                self._changed.wait(POLL_SECONDS)
            self._inside += 1

    def stay(self, halt: Halt) -> None:
        """Go on with the next item, or wait if there are too many of us now."""
        if self._inside > self._concurrency.level:
            self.leave()
            try:
                self.enter(halt)
            except Interrupted:
                self._inside += 1  # the caller leaves on its way out
                raise

    def leave(self) -> None:
        """Let another thread work."""
        with self._changed:
            self._inside -= 1
            self._changed.notify()

    def open_wide(self) -> None:
        """Let all threads see that there is nothing left to do."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()


def run_parallel(
    items: Sequence[Item],
    do: Callable[[Context, Item], None],
    *,
    make_context: Callable[[], Context],
    connections: int,
    halt: Halt,
    gate: Gate | None = None,
    linger_seconds: float = LONGEST_LINGER_SECONDS,
) -> None:
    """Do every item once, in order of starting, by at most `connections` threads; each has its own context.

    With a gate only as many work at once as it lets in. The first failure ends all and is raised after every thread
    has ended. Raises `Interrupted` when the caller's stop event was set before the work was complete. After an
    interrupt, threads that hang in a read are waited for only `linger_seconds`: they do nothing more when it returns.
    """
    check_connections(connections)
    halt.check()
    count = min(connections, len(items))
    crew = _Crew(items, do, make_context, halt, gate, count)
    # Daemons: a second Ctrl-C while a read hangs may end the process without waiting for it.
    threads = [threading.Thread(target=crew.work, name=f"transfer-{n}", daemon=True) for n in range(count)]
    try:
        for thread in threads:
            thread.start()
        # Not `join`: interrupted by Ctrl-C it takes a running thread for one that has ended (CPython 3.11).
        while not crew.ended.wait(POLL_SECONDS):  # bounded by the threads' work, or by the caller's stop
            if halt.stopped_by_caller:
                break
    except BaseException:
        halt.end()
        raise
    finally:
        crew.count_ended(sum(thread.ident is None for thread in threads))
        _linger(crew, linger_seconds)
        if crew.ended.is_set():
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
    if crew.failure is not None:
        raise crew.failure
    if crew.interrupted or not crew.ended.is_set():
        raise Interrupted


class MapInParallel(Protocol):
    """Does something for each item, several at once, and returns the results in order."""

    def __call__(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Return the function's result for each item."""
        ...


def map_in_parallel(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Return the function's result for each item, in order, for many small reads; one item is done in this thread.

    The first failure is raised when all threads have ended; after Ctrl-C nobody waits for a read that hangs.
    """
    waiting = list(items)
    if len(waiting) < 2:
        return [function(item) for item in waiting]
    results: dict[int, Result] = {}

    def read(_: None, index: int) -> None:
        results[index] = function(waiting[index])

    # Not a `ThreadPoolExecutor`: it waits for its threads, and so does the interpreter when it ends.
    run_parallel(
        range(len(waiting)),
        read,
        make_context=lambda: None,
        connections=READERS,
        halt=Halt(),
        linger_seconds=READERS_LINGER_SECONDS,
    )
    return [results[index] for index in range(len(waiting))]


def check_connections(connections: int) -> None:
    """Raise `UsageError` for a number of threads that is not possible."""
    if not 1 <= connections <= MAX_CONNECTIONS:
        raise UsageError(
            f"{connections} connections are not possible", advice=f"choose between 1 and {MAX_CONNECTIONS}"
        )


def _linger(crew: _Crew[Context, Item], longest_seconds: float) -> None:
    """Wait until every thread has ended, but not for long."""
    # Not `wait`: a Ctrl-C in the middle of one before can have left the event's own lock taken for ever.
    for _ in range(math.ceil(longest_seconds / LINGER_STEP_SECONDS)):
        if crew.ended.is_set():
            return
        time.sleep(LINGER_STEP_SECONDS)


class _Crew(Generic[Context, Item]):
    """What the threads of one `run_parallel` share."""

    def __init__(
        self,
        items: Sequence[Item],
        do: Callable[[Context, Item], None],
        make_context: Callable[[], Context],
        halt: Halt,
        gate: Gate | None,
        thread_count: int,
    ) -> None:
        self.ended = threading.Event()
        self.failure: BaseException | None = None
        self.interrupted = False
        self._items = items
        self._do = do
        self._make_context = make_context
        self._halt = halt
        self._gate = gate
        self._next = 0
        self._lock = threading.Lock()
        self._running = thread_count
        self.count_ended(0)

    def work(self) -> None:
        try:
            if self._gate is None:
                self._work_on(lambda: None)
            else:
                self._work_behind(self._gate)
        except Interrupted:
            self.interrupted = True
        except BaseException as error:  # noqa: BLE001 - carried to the calling thread, which raises it
            with self._lock:
                self.failure = self.failure or error
            self._halt.end()
        finally:
            self.count_ended(1)

    def _work_behind(self, gate: Gate) -> None:
        gate.enter(self._halt)
        try:
            self._work_on(lambda: gate.stay(self._halt))
        finally:
            gate.leave()
            # Whoever found nothing left, or failed, is not the only one for whom it is over.
            gate.open_wide()

    def _work_on(self, before_each: Callable[[], None]) -> None:
        context = self._make_context()
        for _ in range(len(self._items)):
            before_each()
            with self._lock:
                index = self._next
                self._next = min(index + 1, len(self._items))
            if index == len(self._items):
                return
            self._halt.check()
            self._do(context, self._items[index])

    def count_ended(self, thread_count: int) -> None:
        """Count threads that ended, or that could not be started."""
        with self._lock:
            self._running -= thread_count
            if self._running <= 0:
                self.ended.set()
