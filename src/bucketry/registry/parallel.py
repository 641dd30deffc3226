"""How are many small reads done at once?"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

READERS = 16

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_parallel(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Return the function's result for each item, in order; one item is done in this thread."""
    waiting = list(items)
    if len(waiting) < 2:
        return [function(item) for item in waiting]
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - most commands read one thing after another

    with ThreadPoolExecutor(min(READERS, len(waiting))) as pool:
        return list(pool.map(function, waiting))
