"""Hands the shards of a plan to Dask, which has many machines. It is asked for tasks, and no more.

It gives a task to another worker when one dies. Its workers need this program, and the rights to read the registry
and to write below `work/`.
"""

from __future__ import annotations

from concurrent.futures import as_completed
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bucketry.errors import UnavailableError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def run_on_dask(
    address: str, run: Callable[[Any], int], jobs: Sequence[object], progress: Callable[[int, int], None] | None
) -> None:
    """Call the function with each job on the workers of a Dask scheduler; raise what it raised."""
    try:
        distributed: Any = import_module("distributed")
    except ImportError as error:
        raise UnsupportedError(
            "the package distributed is not installed here", advice="install bucketry[dask], here and on the workers"
        ) from error
    try:
        with distributed.Client(address, set_as_default=False) as client:
            executor = client.get_executor(pure=False)
            for done, future in enumerate(as_completed([executor.submit(run, job) for job in jobs]), 1):
                future.result()
                if progress is not None:
                    progress(done, len(jobs))
    except (OSError, distributed.KilledWorker) as error:  # TimeoutError and CommClosedError are of the first
        raise UnavailableError(
            f"Dask at {address} did not do all shards: {type(error).__name__}: {str(error)[:300]}",
            advice="look at the log of Dask; what is missing says `bucketry work list`",
        ) from error
