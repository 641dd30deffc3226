"""Order transfers that outlive the terminal, see how far they are, and steer them.

Each job is written down in a file of its own, and a worker process does it, which is started where fewer run than may
and ends when nothing is left to do. Nobody is asked anything: what is wanted of a job is written into its file, where
its worker looks, and how far it is stands beside it. `docs/decisions/0054-workers-without-a-socket.md` says why.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.clock import Clock
from bucketry.errors import BucketryError, CorruptError, NotFoundError, RejectedError, UnavailableError, UsageError
from bucketry.jobs.files import MOST_AT_ONCE, WORKER_LOOKS_SECONDS, JobFolder, job_folder
from bucketry.jobs.log import Log
from bucketry.jobs.model import (
    MAY_CANCEL,
    MAY_PAUSE,
    MAY_RESUME,
    MAY_RETRY,
    MAY_TUNE,
    MAY_VERIFY,
    Job,
    JobFailure,
    JobId,
    JobState,
    begin,
    parse_owner,
)
from bucketry.jobs.orders import (
    JobResult,
    PublishOrder,
    PublishResult,
    PullOrder,
    place_of,
    purpose_of,
)
from bucketry.jobs.settings import (
    absolute_path,
    differing_settings,
    digest_settings,
    registry_text,
    settle_paths,
)
from bucketry.registry.core.opening import open_session
from bucketry.registry.core.resolve import resolve
from bucketry.registry.reading.pull import PullOptions
from bucketry.registry.review.refusals import check_not_refused, load_refusals, refused_text
from bucketry.transfer.disk.receipt import Foreign, inspect_target
from bucketry.transfer.pace.controls import MOST_CONNECTIONS, Controls
from bucketry.transfer.pace.progress import ActiveFile, Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from bucketry.jobs.orders import Order
    from bucketry.registry.core.session import Session
    from bucketry.registry.publishing.publish import PublishRequest
    from bucketry.schema.names import Reference
    from bucketry.transfer.disk.leftovers import Owner
    from bucketry.transfer.plan import TransferOptions

__all__ = [
    "MOST_CONNECTIONS",
    "ActiveFile",
    "Job",
    "JobEvent",
    "JobFailure",
    "JobId",
    "JobResult",
    "JobState",
    "Progress",
    "PublishOrder",
    "PublishResult",
    "PullOrder",
    "cancel",
    "find_worker",
    "follow",
    "list_jobs",
    "load_job",
    "log_path",
    "pause",
    "resume",
    "retry",
    "set_connections",
    "set_limit",
    "submit_publish",
    "submit_pull",
    "verify_again",
]

JobEvent = Job
"""What a listener hears: the whole job, as it is now."""

START_SECONDS = 20.0
LOOK_SECONDS = 0.2
HEARTBEAT_SECONDS = 3.0
MOST_WAITING = 1_000
MOST_ENDED_KEPT = 100
YOUNG_DRAFT_SECONDS = 3600.0


def submit_pull(
    where: str | None,
    reference: Reference,
    dest: Path | None = None,
    options: PullOptions | None = None,
    *,
    with_base: bool = False,
    trust: Path | None = None,
    on_refused: Callable[[str], None] | None = None,
) -> JobId:
    """Have a version pulled by the worker, as `pull` does, and return at once with the number of the job.

    The registry, the reference, the trust and the target are looked at before: what is wrong with them is raised here.
    `on_refused` is called with who refused a version that is pulled all the same.
    """
    options = options or PullOptions()
    absolute = None if dest is None else absolute_path(dest)
    if absolute is not None and isinstance(there := inspect_target(absolute), Foreign):
        raise there.rejection()
    session = open_session(where, serves=True, trust=trust)
    with closing(session.store):
        resolved = resolve(session, reference)
        check_not_refused(resolved, allow_rejected=options.allow_rejected)
        if on_refused is not None and (refused := refused_text(resolved, load_refusals(session, resolved))):
            on_refused(refused)
        if session.strict is not None:
            session.strict.check_verification(options.verify)
        profile = session.profile
        trusted = trust or (None if profile is None else profile.trust)
        order = PullOrder(
            token=secrets.token_hex(16),
            registry=registry_text(where),
            registry_id=session.registry.registry,
            reference=str(reference),
            model=resolved.model,
            version=resolved.version,
            manifest=resolved.digest,
            dest=absolute,
            trust=None if trusted is None else absolute_path(trusted),
            settings=digest_settings(os.environ),
            options=options,
            with_base=with_base,
        )
    return _submit(job_folder().made(), order)


def submit_publish(
    session: Session,
    where: str | None,
    request: PublishRequest,
    options: TransferOptions | None = None,
    *,
    request_review: bool = False,
) -> JobId:
    """Have files published by the worker, as `publish` does, and return at once with the number of the job.

    `session` is that of the registry `where`. Everything but the bytes of the files is read and checked before.
    """
    from bucketry.jobs.publish import order_publish  # noqa: PLC0415 - who only looks on publishes nothing

    order, draft = order_publish(session, where, request, options, request_review=request_review)
    folder = job_folder().made()
    folder.save_draft(draft)
    try:
        return _submit(folder, order)
    except BucketryError:
        folder.forget_draft(order.draft)
        raise


def list_jobs() -> tuple[Job, ...]:
    """Return every job that is remembered, in order."""
    folder = job_folder()
    jobs = folder.load_all()[0]
    return tuple(_as_it_stands(folder, job, jobs) for job in jobs)


def load_job(job_id: JobId) -> Job:
    """Return one job; raise `NotFoundError`."""
    folder = job_folder()
    job = _load(folder, job_id)
    # Of a job that waits, only the others tell whether anybody will come for it.
    return _as_it_stands(folder, job, folder.load_all()[0] if job.state is JobState.QUEUED else ())


def follow(job_id: JobId) -> Iterator[JobEvent]:
    """Yield a job as it is now, and then whenever it changed, until it has ended; whoever stops earlier stops nothing.

    Where nothing changes for some seconds it is yielded once more. It ends with `interrupted` where the worker died, or
    where none runs.
    """
    seen, seen_at = None, 0.0
    while True:  # bounded: the job ends, or nobody does it any more
        job = load_job(job_id)
        now = time.monotonic()
        if (job, job.progress) != seen or now - seen_at >= HEARTBEAT_SECONDS:
            yield job
            seen, seen_at = (job, job.progress), now
        if job.state.is_over or job.state is JobState.INTERRUPTED:
            return
        time.sleep(LOOK_SECONDS)


def pause(job_id: JobId) -> Job:
    """Stop a job; `resume` lets it go on where it was. Raises `RejectedError` for one that has ended."""
    return _stop(job_id, MAY_PAUSE, JobState.PAUSED)


def resume(job_id: JobId) -> Job:
    """Let a paused or interrupted job go on."""
    return _let_run(job_id, MAY_RESUME, "resumed")


def cancel(job_id: JobId) -> Job:
    """Stop a job for good, and remove what it had fetched; what it had sent stays for whoever sends the same bytes."""
    cancelled = _stop(job_id, MAY_CANCEL, JobState.CANCELLED)
    # What a publish sent stays for a week, as where it is interrupted: it may be used.
    if isinstance(cancelled.order, PullOrder) and not job_folder().is_in_hand(cancelled):
        from bucketry.jobs.pull import discard_beginnings  # noqa: PLC0415 - most are cancelled by their worker

        discard_beginnings(cancelled.order)
    return cancelled


def retry(job_id: JobId) -> Job:
    """Try a job again that failed or was cancelled."""
    return _let_run(job_id, MAY_RETRY, "tried again")


def verify_again(job_id: JobId) -> Job:
    """Hash what a finished pull brought once more, and fetch again what is wrong."""
    return _let_run(job_id, MAY_VERIFY, "verified again", rehash=True)


def set_limit(job_id: JobId, bytes_per_second: int | None) -> Job:
    """Let a job take at most so many bytes a second from now on; None takes the limit away."""
    if bytes_per_second is not None and bytes_per_second <= 0:
        raise UsageError(f"a limit of {bytes_per_second} bytes a second moves nothing", advice="give a positive limit")
    return _tune(job_id, limit_bytes_per_second=bytes_per_second)


def set_connections(job_id: JobId, connections: int) -> Job:
    """Let a job have so many connections at most from now on."""
    return _tune(job_id, connections=connections)


def find_worker() -> int | None:
    """Return the process id of the worker that does the first of the jobs that run, or None where none runs."""
    folder = job_folder()
    return next((job.worker.pid for job in folder.load_all()[0] if job.worker and folder.is_in_hand(job)), None)


def log_path() -> Path:
    """Return where the workers write what they did."""
    return job_folder().log


def _submit(folder: JobFolder, order: Order) -> JobId:
    """Write an order down as a job, unless it was before, and see that somebody does it."""
    Controls(order.options.connections, order.options.limit_bytes_per_second)  # raises for what no transfer can be told
    folder.check_room()
    with folder.alone():
        jobs, faults = folder.load_all()
        for job in jobs:
            if job.order.token == order.token:
                return job.id
        _check_who_would(folder, order, jobs)
        if sum(not job.state.is_over for job in jobs) >= MOST_WAITING:
            raise RejectedError(f"{MOST_WAITING:,} transfers wait already", advice="cancel some of them")
        _check_alone(folder, order, jobs)
        # Also above what cannot be read: no other job may take its place.
        new = Job(JobId(max(folder.numbers(), default=0) + 1), order, JobState.QUEUED, Clock().timestamp())
        _put_to_work(folder, new, jobs)
        _log(folder, *(f"left aside: {fault.message}" for fault in faults), f"job {new.id}: {purpose_of(order)}")
        ended = [job for job in jobs if job.state.is_over and not folder.is_in_hand(job)]
        for job in ended[: max(0, len(ended) - MOST_ENDED_KEPT)]:
            folder.forget(job.id)
            if isinstance(job.order, PublishOrder):
                folder.forget_draft(job.order.draft)
        if not faults:  # else one of the jobs that cannot be read may need what no other names
            left = {
                job.order.draft for job in (*jobs, new) if isinstance(job.order, PublishOrder) and job.result is None
            }
            folder.sweep_drafts(left, before_seconds=time.time() - YOUNG_DRAFT_SECONDS)
    return new.id


def _let_run(job_id: JobId, allowed: Collection[JobState], participle: str, *, rehash: bool = False) -> Job:
    """Let a job run, now or when it is its turn."""
    with _changing(job_id) as (folder, job):
        _check_state(job, allowed, f"it cannot be {participle}")
        if not (job.state is JobState.RUNNING and folder.is_in_hand(job)):
            jobs = folder.load_all()[0]
            _check_who_would(folder, job.order, jobs)
            _check_alone(folder, job.order, jobs, but=job_id)
            order = job.order
            if rehash:
                if isinstance(order, PublishOrder):
                    raise RejectedError(
                        f"transfer {job_id} published a version, whose bytes were verified as they were sent",
                        advice="to hash what the registry holds, see `bucketry fsck --help`",
                    )
                order = replace(order, options=replace(order.options, rehash=True))
            changed = replace(job, state=JobState.QUEUED, failure=None, ended_at=None, order=order)
            _put_to_work(folder, changed, [other for other in jobs if other.id != job_id])
            _log(folder, f"job {job_id}: {participle}")
    return load_job(job_id)


def _stop(job_id: JobId, allowed: Collection[JobState], state: JobState) -> Job:
    """Let a job be paused, or cancelled: written down first, so that nobody goes on with it whatever happens now."""
    with _changing(job_id) as (folder, job):
        _check_state(job, allowed, f"it cannot be {state}")
        if job.state is not state:
            folder.save(replace(job, state=state, ended_at=Clock().timestamp() if state.is_over else None))
            _log(folder, f"job {job_id}: {state}")
    if folder.is_in_hand(job):  # what is answered holds: by then its worker has heard of it
        time.sleep(2 * WORKER_LOOKS_SECONDS)
    return _load(folder, job_id)


def _tune(job_id: JobId, **changes: int | None) -> Job:
    with _changing(job_id) as (folder, job):
        _check_state(job, MAY_TUNE, "nothing is left to be tuned")
        order, state = job.order, job.state
        order = replace(order, options=replace(order.options, **changes))  # type: ignore[arg-type]
        Controls(order.options.connections, order.options.limit_bytes_per_second)  # raises for what is not possible
        if state is JobState.RUNNING and isinstance(order, PullOrder) and order.options.processes > 1:
            # Its processes are not told of a change: they stop, and others go on with what it says now.
            state = JobState.QUEUED
        folder.save(replace(job, state=state, order=order))
    return load_job(job_id)


@contextmanager
def _changing(job_id: JobId) -> Iterator[tuple[JobFolder, Job]]:
    """Give a job that nobody else changes until the block ends; raise `NotFoundError`."""
    folder = job_folder().made()
    with folder.alone():
        yield folder, _load(folder, job_id)


def _load(folder: JobFolder, job_id: JobId) -> Job:
    job = folder.load(job_id)
    if job is None:
        raise NotFoundError(f"there is no transfer {job_id}", advice="see `bucketry transfers`")
    return job


def _as_it_stands(folder: JobFolder, job: Job, jobs: Sequence[Job]) -> Job:
    """Return a job as it is seen: interrupted, where it is to run and nobody does it or will come to do it."""
    is_awaited = job.state is JobState.QUEUED and any(folder.is_in_hand(other) for other in jobs)
    if is_awaited or not folder.is_left(job):
        return job
    now = folder.load(job.id) or job  # its worker may have ended it, and itself, since it was read
    return replace(now, state=JobState.INTERRUPTED) if folder.is_left(now) else now


def _check_state(job: Job, allowed: Collection[JobState], so: str) -> None:
    if job.state in allowed:
        return
    match job.state:
        case JobState.FAILED | JobState.CANCELLED:
            advice = f"try it again with `bucketry transfers retry {job.id}`"
        case JobState.PAUSED:
            advice = f"let it go on with `bucketry transfers resume {job.id}`"
        case _:
            advice = "see `bucketry transfers`"
    raise RejectedError(f"transfer {job.id} is {job.state}, so {so}", advice=advice)


def _check_alone(folder: JobFolder, order: Order, jobs: Sequence[Job], but: JobId | None = None) -> None:
    """Raise where another job for the same place has not ended: the two would fill each other's folder in turn.

    Of a publish, its idempotency key is the place: the two would send the same bytes twice.
    """
    for job in jobs:
        is_over = job.state.is_over and not folder.is_in_hand(job)
        if job.id != but and not is_over and place_of(job.order) == place_of(order):
            what = (
                f", which publishes {job.order.model} with this idempotency key,"
                if isinstance(job.order, PublishOrder)
                else f" to {job.order.dest or 'the cache'}"
            )
            raise RejectedError(
                f"transfer {job.id}{what} has not ended",
                advice=f"wait for it with `bucketry transfers attach {job.id}`, or cancel it",
            )


def _check_who_would(folder: JobFolder, order: Order, jobs: Sequence[Job]) -> None:
    """Raise unless somebody will do what is ordered under the settings that it was ordered under."""
    at_work = [job.order.settings for job in jobs if folder.is_in_hand(job)]
    if order.settings in at_work:
        return
    if len(at_work) >= MOST_AT_ONCE:
        raise RejectedError(
            f"the transfer worker that runs was started with another {differing_settings(order.settings, at_work[0])}",
            advice="wait until its transfers have ended, or leave out --detach",
        )
    differing = differing_settings(order.settings, digest_settings(os.environ))
    if differing:
        raise RejectedError(
            f"the transfer was ordered with another {differing}",
            advice="let it go on from where it was ordered, or order it anew",
        )


def _log(folder: JobFolder, *lines: str) -> None:
    with suppress(OSError), closing(Log(folder.log, Clock().timestamp)) as log:
        for text in lines:
            log.write(text)


def _put_to_work(folder: JobFolder, changed: Job, others: Sequence[Job]) -> None:
    """Write a job down, and start as many workers as may run for it and for whatever was left, lower numbers first."""
    own = digest_settings(os.environ)
    jobs = sorted((changed, *others), key=lambda job: job.id)
    waiting = [job for job in jobs if job.order.settings == own and folder.is_left(job)]
    begun = waiting[: max(0, MOST_AT_ONCE - sum(folder.is_in_hand(job) for job in jobs))]
    if changed not in begun:
        folder.save(changed)
    for job in begun:
        folder.save(begin(job, _start_worker(folder), Clock().timestamp()))


def _start_worker(folder: JobFolder) -> Owner:
    """Start a worker, with the environment that we have, in no folder that anybody may want to remove.

    It waits until nobody changes a job any more, does what has its name by then, and ends at once if nothing has.
    """
    folder.check_room()
    paths = os.pathsep.join(os.path.abspath(entry) for entry in sys.path if entry)  # noqa: PTH100
    log = os.open(folder.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        started = subprocess.run(
            [sys.executable, "-P", "-m", "bucketry.jobs.worker"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd="/",
            env={**settle_paths(os.environ), "PYTHONPATH": paths},
            start_new_session=True,
            check=True,
            timeout=START_SECONDS,
            text=True,
        )
        return parse_owner(started.stdout, what="what the transfer worker says")
    except (OSError, subprocess.SubprocessError, CorruptError) as error:
        raise UnavailableError(
            "the transfer worker does not start", advice=f"see {folder.log}, then try again"
        ) from error
    finally:
        os.close(log)
