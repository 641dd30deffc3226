"""How is a version pulled or published by a process that outlives the terminal, and how is that seen and steered?

A helper does it, one for each user and machine, which is started when there is something to do and ends itself when
there is nothing. What is known of a job is read from the helper, or from the journals where none runs.
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

from bucketry.errors import BucketryError, NotFoundError, UnavailableError, UsageError
from bucketry.jobs.files import JobFolder, job_folder
from bucketry.jobs.model import (
    Job,
    JobFailure,
    JobId,
    JobState,
    read_job,
)
from bucketry.jobs.orders import (
    JobOptions,
    JobResult,
    PublishJobOptions,
    PublishOrder,
    PublishResult,
    PullOrder,
    order_document,
)
from bucketry.jobs.settings import absolute_path, digest_settings, registry_text, settle_paths
from bucketry.jobs.wire import LARGEST_REPLY_BYTES, ConnectionLostError, JobMessage, connect
from bucketry.registry.core.opening import open_session
from bucketry.registry.core.resolve import resolve
from bucketry.registry.review.refusals import check_not_refused, load_refusals, refused_text
from bucketry.transfer.disk.receipt import Foreign, inspect_target
from bucketry.transfer.pace.controls import MOST_CONNECTIONS
from bucketry.transfer.pace.progress import ActiveFile, Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bucketry.registry.core.session import Session
    from bucketry.registry.publishing.publish import PublishRequest
    from bucketry.schema.codec import Document, Fields
    from bucketry.schema.names import Reference

__all__ = [
    "MOST_CONNECTIONS",
    "ActiveFile",
    "Job",
    "JobEvent",
    "JobFailure",
    "JobId",
    "JobOptions",
    "JobResult",
    "JobState",
    "Progress",
    "PublishJobOptions",
    "PublishOrder",
    "PublishResult",
    "PullOrder",
    "cancel",
    "find_helper",
    "find_job",
    "follow",
    "list_jobs",
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
START_POLL_SECONDS = 0.05
ROUNDS_BEFORE_ANOTHER_START = 80
MOST_TRIES = 5
MOST_JOBS = 10_000


def submit_pull(
    where: str | None,
    reference: Reference,
    dest: Path | None = None,
    options: JobOptions | None = None,
    *,
    trust: Path | None = None,
    on_refused: Callable[[str], None] | None = None,
) -> JobId:
    """Have a version pulled by the helper, as `pull` does, and return at once with the number of the job.

    The registry, the reference, the trust and the target are looked at before: what is wrong with them is raised here.
    `on_refused` is called with who refused a version that is pulled all the same.
    """
    order = _order(where, reference, dest, options or JobOptions(), trust, on_refused)
    return _ask_for_job({"do": "submit", "order": order_document(order)}, fresh=True).id


def submit_publish(
    session: Session, where: str | None, request: PublishRequest, options: PublishJobOptions | None = None
) -> JobId:
    """Have files published by the helper, as `publish` does, and return at once with the number of the job.

    `session` is that of the registry `where`. Everything but the bytes of the files is read and checked before.
    """
    from bucketry.jobs.publish import order_publish  # noqa: PLC0415 - who only looks on publishes nothing

    order, draft = order_publish(session, where, request, options or PublishJobOptions())
    folder = job_folder().made()
    folder.save_draft(draft)
    try:
        return _ask_for_job({"do": "submit", "order": order_document(order)}, fresh=True).id
    except UnavailableError:
        raise  # it may have taken the order: if it has not, a later helper removes the draft
    except BucketryError:
        folder.forget_draft(order.draft)
        raise


def list_jobs() -> tuple[Job, ...]:
    """Return every job that is remembered, in order; no helper is started for it."""
    folder = job_folder()
    for _ in range(MOST_TRIES):
        with _connected(folder) as line:
            if line is None:
                break
            with suppress(ConnectionLostError):
                return _listed(line)
    return tuple(_interrupted(job) for job in folder.load_all()[0])


def find_job(job_id: JobId) -> Job:
    """Return one job; raise `NotFoundError`."""
    for job in list_jobs():
        if job.id == job_id:
            return job
    raise NotFoundError(f"there is no transfer {job_id}", advice="see `bucketry transfers`")


def follow(job_id: JobId) -> Iterator[JobEvent]:
    """Yield a job as it is now, and then whenever it changed, until it has ended; whoever stops earlier stops nothing.

    Where nothing changes for some seconds it is yielded once more. It ends with `interrupted` where the helper died, or
    where none runs.
    """
    folder, last = job_folder(), None
    for _ in range(MOST_TRIES):
        with _connected(folder) as line:
            if line is None:
                break
            with suppress(ConnectionLostError):
                line.send({"do": "follow", "job": job_id})
                while last is None or not last.state.is_over:  # bounded: the job ends, or the helper does
                    last = read_job(_reply(line).inner("job"))
                    yield last
                return
        time.sleep(START_POLL_SECONDS)  # one helper may be giving way to another
    job = find_job(job_id)
    if job != last:
        yield job


def pause(job_id: JobId) -> Job:
    """Stop a job; `resume` lets it go on where it was. Raises `RejectedError` for one that has ended."""
    return _ask_for_job({"do": "pause", "job": job_id})


def resume(job_id: JobId) -> Job:
    """Let a paused or interrupted job go on."""
    return _ask_for_job({"do": "resume", "job": job_id}, fresh=True)


def cancel(job_id: JobId) -> Job:
    """Stop a job for good, and remove what it had fetched; what it had sent stays for whoever sends the same bytes."""
    return _ask_for_job({"do": "cancel", "job": job_id})


def retry(job_id: JobId) -> Job:
    """Try a job again that failed or was cancelled."""
    return _ask_for_job({"do": "retry", "job": job_id}, fresh=True)


def verify_again(job_id: JobId) -> Job:
    """Hash what a finished pull brought once more, and fetch again what is wrong."""
    return _ask_for_job({"do": "verify", "job": job_id}, fresh=True)


def set_limit(job_id: JobId, bytes_per_second: int | None) -> Job:
    """Let a job take at most so many bytes a second from now on; None takes the limit away."""
    if bytes_per_second is not None and bytes_per_second <= 0:
        raise UsageError(f"a limit of {bytes_per_second} bytes a second moves nothing", advice="give a positive limit")
    return _ask_for_job({"do": "limit", "job": job_id, "bytes_per_second": bytes_per_second})


def set_connections(job_id: JobId, connections: int) -> Job:
    """Let a job have so many connections at most from now on."""
    return _ask_for_job({"do": "allow", "job": job_id, "connections": connections})


def find_helper() -> int | None:
    """Return the process id of the helper, or None where none runs."""
    with _connected(job_folder()) as line:
        if line is None:
            return None
        with suppress(ConnectionLostError):
            line.send({"do": "hello"})
            return _reply(line).integer("pid")
    return None


def log_path() -> Path:
    """Return where the helper writes what it did."""
    return job_folder().log


def _order(
    where: str | None,
    reference: Reference,
    dest: Path | None,
    options: JobOptions,
    trust: Path | None,
    on_refused: Callable[[str], None] | None,
) -> PullOrder:
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
        return PullOrder(
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
        )


def _ask_for_job(request: Document, *, fresh: bool = False) -> Job:
    """Ask the helper, which is started if need be, and return the job that it answers with.

    With `fresh` a helper that has nothing to do gives way to a new one, which knows the credentials of today.
    """
    folder = job_folder().made()
    if fresh:
        _ask_to_give_way(folder)
    for _ in range(MOST_TRIES):
        with _started(folder) as line, suppress(ConnectionLostError):
            line.send(request)
            return read_job(_reply(line).inner("job"))
    raise UnavailableError("the transfer helper came and went several times", advice=f"see {folder.log}")


def _ask_to_give_way(folder: JobFolder) -> None:
    with _connected(folder) as line:
        if line is not None:
            with suppress(ConnectionLostError):
                line.send({"do": "give way"})
                _reply(line)


def _listed(line: JobMessage) -> tuple[Job, ...]:
    line.send({"do": "list"})
    jobs: list[Job] = []
    for _ in range(MOST_JOBS):
        reply = _reply(line)
        if reply.flag("end", default=False):
            break
        jobs.append(read_job(reply.inner("job")))
    return tuple(jobs)


def _reply(line: JobMessage) -> Fields:
    """Return what the helper says next; raise the error that it tells."""
    reply = line.receive()
    if reply.table("error"):
        told = reply.inner("error")
        raise JobFailure(told.text("kind"), told.text("message"), told.text("advice")).as_error()
    return reply


def _interrupted(job: Job) -> Job:
    is_left = job.state in {JobState.QUEUED, JobState.RUNNING}
    return replace(job, state=JobState.INTERRUPTED) if is_left else job


@contextmanager
def _connected(folder: JobFolder) -> Iterator[JobMessage | None]:
    """Give a line to the helper that runs, or None."""
    connection = connect(folder.socket)
    if connection is None:
        yield None
        return
    with connection:
        yield JobMessage(connection, most_bytes=LARGEST_REPLY_BYTES)


@contextmanager
def _started(folder: JobFolder) -> Iterator[JobMessage]:
    """Give a line to the helper, which is started if none runs; raise `UnavailableError` if that is not possible."""
    connection = connect(folder.socket)
    for round_number in range(int(START_SECONDS / START_POLL_SECONDS)):
        if connection is not None:
            break
        if round_number % ROUNDS_BEFORE_ANOTHER_START == 0:  # the first may have met a helper that was just leaving
            _start(folder)
        time.sleep(START_POLL_SECONDS)
        connection = connect(folder.socket)
    if connection is None:
        raise UnavailableError("the transfer helper does not start", advice=f"see {folder.log}, then try again")
    with connection:
        yield JobMessage(connection, most_bytes=LARGEST_REPLY_BYTES)


def _start(folder: JobFolder) -> None:
    """Start the helper, with the environment that we have, in no folder that anybody may want to remove."""
    folder.check_room()
    paths = os.pathsep.join(os.path.abspath(entry) for entry in sys.path if entry)  # noqa: PTH100
    log = os.open(folder.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        subprocess.run(
            [sys.executable, "-P", "-m", "bucketry.jobs.helper"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env={**settle_paths(os.environ), "PYTHONPATH": paths},
            start_new_session=True,
            check=False,
        )
    finally:
        os.close(log)
