"""Which jobs run, which wait, and what may be asked of each?

At most two run at once, lower numbers first. What is written down is what is wanted: a paused job is written as paused
before its threads have ended, so that a helper that dies in between does not go on with it.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError, NotFoundError, RejectedError
from bucketry.jobs.model import Job, JobFailure, JobId, JobState, failure_of
from bucketry.jobs.orders import PublishOrder, PullOrder, place_of, purpose_of
from bucketry.jobs.publish import do_publish
from bucketry.jobs.pull import discard_beginnings, do_order
from bucketry.jobs.settings import check_settings
from bucketry.transfer.pace.controls import Controls
from bucketry.transfer.pace.workers import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bucketry.jobs.files import JobFolder
    from bucketry.jobs.log import Log
    from bucketry.jobs.orders import JobResult, Order, PublishResult
    from bucketry.transfer.pace.progress import Progress

MOST_AT_ONCE = 2
MOST_WAITING = 1_000
MOST_ENDED_KEPT = 100
STOP_SECONDS = 10.0
YOUNG_DRAFT_SECONDS = 3600.0

_S = JobState
MAY_PAUSE = frozenset({_S.QUEUED, _S.RUNNING, _S.PAUSED})
MAY_RESUME = frozenset({_S.PAUSED, _S.QUEUED, _S.RUNNING})
MAY_CANCEL = frozenset({_S.QUEUED, _S.RUNNING, _S.PAUSED, _S.FAILED, _S.CANCELLED})
MAY_RETRY = frozenset({_S.FAILED, _S.CANCELLED, _S.QUEUED, _S.RUNNING})
MAY_VERIFY = frozenset({_S.DONE})
MAY_TUNE = frozenset({_S.QUEUED, _S.RUNNING, _S.PAUSED, _S.FAILED})


class ClosedError(Exception):
    """The helper is leaving: ask the next one."""


@dataclass(slots=True)
class _Entry:
    """A job and what runs for it; `thread` outlives a pause for the moment that stopping takes."""

    job: Job
    controls: Controls
    stop: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    progress: Progress | None = None


class JobQueue:
    """The jobs of one helper. Safe for threads."""

    def __init__(self, folder: JobFolder, settings: Mapping[str, str], log: Log, timestamp: Callable[[], str]) -> None:
        self._folder = folder
        self._settings = settings
        self._log = log
        self._timestamp = timestamp
        self._lock = threading.RLock()
        self._closed = False
        self._entries: dict[JobId, _Entry] = {}
        jobs, faults = folder.load_all()
        for fault in faults:
            log.write(f"left aside: {fault.message}")
        # Also of what cannot be read: no other job may take its place.
        self._next = max(folder.numbers(), default=0) + 1
        for job in jobs:
            self._pick_up(job)
        if not faults:  # else one of the jobs that cannot be read may need what no other names
            needed = {job.order.draft for job in jobs if isinstance(job.order, PublishOrder) and job.result is None}
            folder.sweep_drafts(needed, before_seconds=time.time() - YOUNG_DRAFT_SECONDS)

    def start(self) -> None:
        """Let run what waits."""
        with self._lock:
            self._start_waiting()

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs and nothing waits to."""
        with self._lock:
            return not any(entry.thread or entry.job.state is JobState.QUEUED for entry in self._entries.values())

    def jobs(self) -> tuple[Job, ...]:
        """Return every job in order."""
        with self._lock:
            return tuple(_seen(entry) for _, entry in sorted(self._entries.items()))

    def find(self, job_id: JobId) -> Job:
        """Return one job; raise `NotFoundError`."""
        with self._lock:
            return _seen(self._entry(job_id))

    def submit(self, order: Order) -> Job:
        """Put an order at the end of the queue; one that was put there before stays the same job."""
        controls = _controls_of(order)
        with self._lock:
            self._check_open()
            for entry in self._entries.values():
                if entry.job.order.token == order.token:
                    return _seen(entry)
            check_settings(order, self._settings)
            if len(self._unfinished()) >= MOST_WAITING:
                raise RejectedError(f"{MOST_WAITING:,} transfers wait already", advice="cancel some of them")
            self._check_alone(order)
            job = Job(JobId(self._next), order, JobState.QUEUED, submitted_at=self._timestamp())
            self._folder.save(job)
            self._next += 1
            self._entries[job.id] = _Entry(job, controls)
            self._log.write(f"job {job.id}: {purpose_of(order)}")
            self._forget_oldest()
            self._start_waiting()
            return self.find(job.id)

    def pause(self, job_id: JobId) -> Job:
        """Stop a job, to be resumed."""
        return self._turn(job_id, MAY_PAUSE, "paused", JobState.PAUSED)

    def resume(self, job_id: JobId) -> Job:
        """Let a paused job go on."""
        return self._turn(job_id, MAY_RESUME, "resumed", JobState.QUEUED)

    def cancel(self, job_id: JobId) -> Job:
        """Stop a job for good, and remove what it had begun."""
        return self._turn(job_id, MAY_CANCEL, "cancelled", JobState.CANCELLED)

    def retry(self, job_id: JobId) -> Job:
        """Try a job again that failed or was cancelled."""
        return self._turn(job_id, MAY_RETRY, "tried again", JobState.QUEUED)

    def verify(self, job_id: JobId) -> Job:
        """Hash again what a finished job brought, and mend it."""
        return self._turn(job_id, MAY_VERIFY, "verified again", JobState.QUEUED, rehash=True)

    def limit(self, job_id: JobId, bytes_per_second: int | None) -> Job:
        """Let a job take at most so many bytes a second, now or when it runs."""
        return self._tune(job_id, limit_bytes_per_second=bytes_per_second)

    def allow(self, job_id: JobId, connections: int) -> Job:
        """Let a job have so many connections at most, now or when it runs."""
        return self._tune(job_id, connections=connections)

    def close(self) -> None:
        """Take nothing more, and stop what runs: the next helper goes on with it."""
        with self._lock:
            self._closed = True
            threads = [entry.thread for entry in self._entries.values() if entry.thread is not None]
            for entry in self._entries.values():
                entry.stop.set()
        for thread in threads:
            thread.join(STOP_SECONDS)

    def close_if_idle(self) -> bool:
        """Take nothing more if nothing runs and nothing waits to; tell whether that is so."""
        with self._lock:
            if self.is_idle:
                self._closed = True
            return self._closed

    def _pick_up(self, job: Job) -> None:
        """Take over what an earlier helper left."""
        try:
            entry = _Entry(job, _controls_of(job.order), progress=job.progress)
        except BucketryError as error:
            self._log.write(f"left aside: job {job.id}: {error.message}")
            return
        self._entries[job.id] = entry
        if job.state in {JobState.RUNNING, JobState.INTERRUPTED}:  # the latter is written by nobody but an editor
            self._log.write(f"job {job.id}: goes on where an earlier helper left it")
            self._put(entry, state=JobState.QUEUED)

    def _entry(self, job_id: JobId) -> _Entry:
        entry = self._entries.get(job_id)
        if entry is None:
            raise NotFoundError(f"there is no transfer {job_id}", advice="see `bucketry transfers`")
        return entry

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError

    def _check_alone(self, order: Order, but: _Entry | None = None) -> None:
        """Raise where another job for the same place has not ended: the two would fill each other's folder in turn.

        Of a publish, its idempotency key is the place: the two would send the same bytes twice.
        """
        for entry in self._unfinished():
            job = entry.job
            if entry is not but and place_of(job.order) == place_of(order):
                raise RejectedError(
                    f"transfer {job.id}{_destination(job.order)} has not ended",
                    advice=f"wait for it with `bucketry transfers attach {job.id}`, or cancel it",
                )

    def _unfinished(self) -> list[_Entry]:
        return [entry for entry in self._entries.values() if not entry.job.state.is_over or entry.thread]

    def _forget_oldest(self) -> None:
        ended = [number for number, entry in sorted(self._entries.items()) if entry.job.state.is_over]
        for number in ended[: max(0, len(ended) - MOST_ENDED_KEPT)]:
            if self._entries[number].thread is None:
                self._folder.forget(number)
                self._forget_draft(self._entries[number].job.order)
                del self._entries[number]

    def _forget_draft(self, order: Order) -> None:
        if isinstance(order, PublishOrder):
            self._folder.forget_draft(order.draft)

    def _turn(
        self, job_id: JobId, allowed: frozenset[JobState], participle: str, state: JobState, *, rehash: bool = False
    ) -> Job:
        with self._lock:
            self._check_open()
            entry = self._entry(job_id)
            before = entry.job.state
            if before not in allowed:
                raise RejectedError(
                    f"transfer {job_id} is {before}, so it cannot be {participle}", advice=_advice(before, job_id)
                )
            if before is state or (before is JobState.RUNNING and state is JobState.QUEUED):
                return _seen(entry)
            if state is JobState.QUEUED:
                self._check_alone(entry.job.order, but=entry)
                order = _rehashing(job_id, entry.job.order) if rehash else entry.job.order
                self._put(entry, state=state, failure=None, ended_at=None, order=order)
            else:
                entry.stop.set()
                self._put(entry, state=state, ended_at=self._timestamp() if state.is_over else None)
                if state is JobState.CANCELLED and entry.thread is None:
                    _discard_beginnings(entry.job.order)
            self._log.write(f"job {job_id}: {participle}")
            self._start_waiting()
            return _seen(entry)

    def _tune(self, job_id: JobId, **changes: int | None) -> Job:
        with self._lock:
            self._check_open()
            entry = self._entry(job_id)
            state = entry.job.state
            if state not in MAY_TUNE:
                raise RejectedError(
                    f"transfer {job_id} is {state}, so nothing is left to be tuned", advice=_advice(state, job_id)
                )
            order = entry.job.order
            order = replace(order, options=replace(order.options, **changes))  # type: ignore[arg-type]
            entry.controls.allow(order.options.connections)
            entry.controls.limit(order.options.limit_bytes_per_second)
            has_processes = isinstance(order, PullOrder) and order.options.processes > 1
            if has_processes and entry.thread is not None and state is JobState.RUNNING:
                # Other processes are not told of a change: they stop, and others go on with what it says now.
                entry.stop.set()
                state = JobState.QUEUED
            self._put(entry, state=state, order=order)
            return _seen(entry)

    def _put(self, entry: _Entry, **changes: object) -> None:
        # First here: where the disk is full, what is wanted still holds for as long as this helper lives.
        entry.progress = _seen(entry).progress
        entry.job = replace(entry.job, progress=entry.progress, **changes)  # type: ignore[arg-type]
        self._folder.save(entry.job)

    def _start_waiting(self) -> None:
        for _, entry in sorted(self._entries.items()):
            running = sum(one.thread is not None for one in self._entries.values())
            if self._closed or running >= MOST_AT_ONCE:
                return
            if entry.job.state is JobState.QUEUED and entry.thread is None:
                self._begin(entry)

    def _begin(self, entry: _Entry) -> None:
        try:
            self._put(entry, state=JobState.RUNNING, started_at=self._timestamp(), ended_at=None, result=None)
        except BucketryError as error:  # what is written, that it waits, is as good for whoever picks it up
            self._log.write(f"job {entry.job.id}: its start cannot be written down: {error.message}")
        entry.stop = threading.Event()
        arguments = (entry, entry.stop)
        entry.thread = threading.Thread(target=self._run, args=arguments, name=f"job-{entry.job.id}", daemon=True)
        entry.thread.start()

    def _run(self, entry: _Entry, stop: threading.Event) -> None:
        outcome: JobResult | PublishResult | JobFailure | None = None
        try:
            check_settings(entry.job.order, self._settings)
            outcome = self._do(entry, stop)
        except Interrupted:
            pass
        except BucketryError as error:
            outcome = failure_of(error)
        except Exception as error:  # noqa: BLE001 - the helper does not end for one job
            self._log.write_trace(error)
            # Only the type: the message of an error that nobody foresaw may hold anything, a credential included.
            outcome = JobFailure("bug", f"something unforeseen happened ({type(error).__name__})", "see the log")
        finally:
            self._end(entry, outcome)

    def _do(self, entry: _Entry, stop: threading.Event) -> JobResult | PublishResult:
        order, controls = entry.job.order, entry.controls

        def note(progress: Progress) -> None:
            entry.progress = progress

        if isinstance(order, PullOrder):
            return do_order(order, controls, stop, note)
        return do_publish(order, self._folder.load_draft(order.draft), controls, stop, note)

    def _end(self, entry: _Entry, outcome: JobResult | PublishResult | JobFailure | None) -> None:
        if entry.job.state is JobState.CANCELLED:
            _discard_beginnings(entry.job.order)
        with self._lock:
            entry.thread = None
            try:
                self._put_outcome(entry, outcome)
            except BucketryError as error:  # the disk is full, say: the next helper finds that nothing is left to do
                self._log.write(f"job {entry.job.id}: its end cannot be written down: {error.message}")
            self._start_waiting()

    def _put_outcome(self, entry: _Entry, outcome: JobResult | PublishResult | JobFailure | None) -> None:
        state, now = entry.job.state, self._timestamp()
        if outcome is None:
            if state is JobState.RUNNING:  # the helper is leaving
                self._put(entry, state=JobState.QUEUED)
            told = f"stopped, {entry.job.state}"
        elif isinstance(outcome, JobFailure):
            if state is not JobState.CANCELLED:
                self._put(entry, state=JobState.FAILED, failure=outcome, ended_at=now)
            told = f"{entry.job.state}: {outcome.message}"
        else:
            # It may have been done before it heard of a pause or a cancellation.
            self._put(entry, state=JobState.DONE, result=outcome, ended_at=now)
            self._forget_draft(entry.job.order)
            told = f"done, {outcome.moved_bytes:,} bytes moved"
        self._log.write(f"job {entry.job.id}: {told}")


def _seen(entry: _Entry) -> Job:
    looked = entry.controls.look() if entry.thread is not None else None
    return replace(entry.job, progress=looked or entry.progress)


def _controls_of(order: Order) -> Controls:
    """Return the controls of a job; raise `UsageError` for what no transfer can be told."""
    return Controls(order.options.connections, order.options.limit_bytes_per_second)


def _destination(order: Order) -> str:
    if isinstance(order, PublishOrder):
        return f", which publishes {order.model} with this idempotency key,"
    return f" to {order.dest or 'the cache'}"


def _rehashing(job_id: JobId, order: Order) -> PullOrder:
    if isinstance(order, PublishOrder):
        raise RejectedError(
            f"transfer {job_id} published a version, whose bytes were verified as they were sent",
            advice="to hash what the registry holds, see `bucketry fsck --help`",
        )
    return replace(order, options=replace(order.options, rehash=True))


def _discard_beginnings(order: Order) -> None:
    """Remove what a pull fetched. What a publish sent stays for a week, as where it is interrupted: it may be used."""
    if isinstance(order, PullOrder):
        discard_beginnings(order)


def _advice(state: JobState, job_id: JobId) -> str:
    match state:
        case JobState.FAILED | JobState.CANCELLED:
            return f"try it again with `bucketry transfers retry {job_id}`"
        case JobState.PAUSED:
            return f"let it go on with `bucketry transfers resume {job_id}`"
        case _:
            return "see `bucketry transfers`"
