"""Does all shards of a plan at once: by processes of this machine, or on an engine that has many.

An engine is only asked to call one function with one shard, as often as it likes. Nothing here schedules: which shards
are left to do says the bucket.
"""

from __future__ import annotations

import multiprocessing
import signal
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.errors import UnavailableError, UsageError
from bucketry.frozen import frozen
from bucketry.maintenance.work.collecting import load_status
from bucketry.maintenance.work.engines import run_on_dask
from bucketry.maintenance.work.running import run_shard
from bucketry.registry.core.location import FolderLocation, parse_location
from bucketry.registry.core.opening import UNREACHABLE_SECONDS, open_store
from bucketry.registry.core.session import Session
from bucketry.schema.text import displayable
from bucketry.store.retry import RetryingStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bucketry.registry.core.config import RegistryProfile
    from bucketry.schema.documents.work import WorkPlan

MOST_PROCESSES = 256
SHARDS_FOR_EACH = 4
"""A process that ends early takes another shard, and one that dies loses a part of its work."""
ENGINE_SHARDS = 256
"""How many workers an engine has may change while it works: enough for many, and little to plan."""
MOST_POOLS = 3
"""So often is a pool made anew of which a process died."""


@frozen
class Processes:
    """So many processes of this machine."""

    count: int

    @property
    def shards(self) -> int:
        """How many shards suit it."""
        return self.count * SHARDS_FOR_EACH


@frozen
class Dask:
    """The workers of a Dask scheduler at an address."""

    address: str

    @property
    def shards(self) -> int:
        """How many shards suit it."""
        return ENGINE_SHARDS


Scheduler = Processes | Dask


def parse_scheduler(text: str) -> Scheduler:
    """Return the scheduler of `processes:N` or `dask:ADDRESS`; raise `UsageError`."""
    engine, _, where = text.partition(":")
    if engine == "dask" and where:
        return Dask(where)
    if engine == "processes" and where.isascii() and where.isdigit() and 1 <= int(where[:4]) <= MOST_PROCESSES:
        return Processes(int(where))
    raise UsageError(
        f'"{displayable(text)}" is not a scheduler',
        advice=f"write processes:N, with N from 1 to {MOST_PROCESSES}, or dask:ADDRESS",
    )


@frozen
class ShardJob:
    """One shard, for another process: by which profile it opens the registry, and who acts. It holds no credentials."""

    profile: RegistryProfile
    actor: str
    work: str
    shard: int


def run_job(job: ShardJob) -> int:
    """Do one shard in whichever process this is, with the credentials that it has; return its number."""
    with closing(RetryingStore(open_store(job.profile), deadline_seconds=UNREACHABLE_SECONDS)) as store:
        run_shard(Session(store, job.actor, profile=job.profile), job.work, job.shard)
    return job.shard


def run_all(
    session: Session, plan: WorkPlan, scheduler: Scheduler, progress: Callable[[int, int], None] | None = None
) -> None:
    """Do every shard of a plan that has no result; raise what a shard raised.

    Raises `UnavailableError` where processes keep dying: what is left may be run by itself.
    """
    profile = session.profile
    if profile is None:
        raise UsageError("no other process can open this registry", advice="open it by its URL, path or profile")
    location = parse_location(profile.url)
    if isinstance(location, FolderLocation):
        profile = replace(profile, url=str(location.path))  # the same from whichever folder another process looks
    for _ in range(MOST_POOLS):
        missing = load_status(session, plan.work).missing
        if not missing:
            return
        jobs = [ShardJob(profile, session.actor, plan.work, shard) for shard in missing]
        try:
            match scheduler:
                case Processes(count):
                    _run_pool(jobs, count, progress)
                case Dask(address):
                    run_on_dask(address, run_job, jobs, progress)
        except BrokenProcessPool:
            continue
    if load_status(session, plan.work).missing:
        raise UnavailableError(
            f"processes that did the shards of {plan.work} died {MOST_POOLS} times",
            advice="is there enough memory? Take fewer processes, or use `bucketry work run` for what "
            "`bucketry work list` says is missing",
        )


def _run_pool(jobs: Sequence[ShardJob], count: int, progress: Callable[[int, int], None] | None) -> None:
    pool = ProcessPoolExecutor(min(count, len(jobs)), multiprocessing.get_context("spawn"), _begin_worker)
    try:
        futures = [pool.submit(run_job, job) for job in jobs]
        for done, future in enumerate(as_completed(futures), 1):
            future.result()
            if progress is not None:
                progress(done, len(futures))
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()  # else the interpreter would wait for shards that nobody asks for any more
        raise
    pool.shutdown()


def _begin_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a word: whoever began it tells
