"""How are many small reads done at once?"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from bucketry.transfer.pace.workers import Halt, run_parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

READERS = 16
LINGER_SECONDS = 0.2

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_parallel(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Return the function's result for each item, in order; one item is done in this thread.

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
        linger_seconds=LINGER_SECONDS,
    )
    return [results[index] for index in range(len(waiting))]
