"""The process that does transfers when whoever wanted them has gone.

    python -m bucketry.jobs.worker

It does the job that it was started for, then the one with the lowest number that waits and was ordered under its own
settings, and ends where none is left. A worker belongs to no terminal and ignores a hang-up; SIGTERM ends it in order,
and what it did goes on with the next one. What is wanted of a job stands in its file: the worker looks there several
times a second, and stops where the job is no longer to run.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.clock import Clock
from bucketry.errors import BucketryError
from bucketry.jobs.files import WORKER_LOOKS_SECONDS, JobFolder, job_folder
from bucketry.jobs.log import Log
from bucketry.jobs.model import JobFailure, JobState, begin, failure_of, owner_text
from bucketry.jobs.orders import JobResult, PublishOrder, PullOrder
from bucketry.jobs.publish import do_publish
from bucketry.jobs.pull import discard_beginnings, do_pull
from bucketry.jobs.settings import digest_settings
from bucketry.transfer.disk.leftovers import this_owner
from bucketry.transfer.pace.controls import Controls
from bucketry.transfer.pace.workers import Interrupted

if TYPE_CHECKING:
    from bucketry.jobs.model import Job
    from bucketry.jobs.orders import PublishResult
    from bucketry.transfer.pace.progress import Progress

    Outcome = JobResult | PublishResult | JobFailure | None

PROGRESS_SECONDS = 0.2
FRESH_SECONDS = 10.0
"""How far a job is gets written so often where nothing moves: another container knows by nothing else that we live."""
STOP_SECONDS = 10.0
STARTER = 1
"""The descriptor that whoever starts a worker reads its name from."""
LONGEST_NAME_BYTES = 200


def main() -> None:
    """Become a process of its own, say which, and work."""
    born, tell = os.pipe()
    if os.fork() > 0:  # whoever started us needs not wait for us, and never has a dead child
        os.close(tell)
        name = os.read(born, LONGEST_NAME_BYTES)
        os.write(STARTER, name)
        os._exit(0 if name else 1)
    os.close(born)
    with suppress(OSError):
        os.setsid()  # only where whoever started us has not done it
    leaving = threading.Event()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda _number, _frame: leaving.set())
    folder = job_folder().made()
    log = Log(folder.log, Clock().timestamp)
    # From here on the log says what is to be said, and nothing else: not what a library may print.
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
    os.write(tell, owner_text(this_owner()).encode())
    os.close(tell)
    log.write("began")
    try:
        worker = Worker(folder, log, leaving)
        job = worker.find_first()
        while job is not None:  # bounded: each round ends a job
            job = worker.do(job)
    except Exception as error:
        log.write_trace(error)
        raise
    log.write("ended")


class Worker:
    """Does one job after the other."""

    def __init__(self, folder: JobFolder, log: Log, leaving: threading.Event) -> None:
        self._folder = folder
        self._log = log
        self._leaving = leaving
        self._me = this_owner()
        self._settings = digest_settings(os.environ)
        self._timestamp = Clock().timestamp

    def find_first(self) -> Job | None:
        """Return the job that whoever started us wrote our name to; None where he could not."""
        with self._folder.alone():
            return next((job for job in self._folder.load_all()[0] if job.worker == self._me), None)

    def do(self, job: Job) -> Job | None:
        """Do a job, write down what came of it, and return the next one, if there is one."""
        outcome: Outcome = None
        progress = _Watch(self._folder, job, self._leaving)
        try:
            with progress:
                controls, stop = progress.controls, progress.stop
                if isinstance(job.order, PullOrder):
                    outcome = do_pull(job.order, controls, stop, progress.note)
                else:
                    draft = self._folder.load_draft(job.order.draft)
                    outcome = do_publish(job.order, draft, controls, stop, progress.note)
        except Interrupted:
            pass
        except BucketryError as error:
            outcome = failure_of(error)
        except Exception as error:  # noqa: BLE001 - the other jobs go on
            self._log.write_trace(error)
            # Only the type: the message of an error that nobody foresaw may hold anything, a credential included.
            outcome = JobFailure("bug", f"something unforeseen happened ({type(error).__name__})", "see the log")
        if isinstance(job.order, PullOrder) and _is_cancelled(self._folder, job):
            discard_beginnings(job.order)
        try:
            with self._folder.alone():
                self._end(job, outcome, progress.last)
                return None if self._leaving.is_set() else self._take_next()
        except BucketryError as error:  # the disk is full, say: the next worker finds that nothing is left to do
            self._log.write(f"job {job.id}: its end cannot be written down: {error.message}")
            return None

    def _take_next(self) -> Job | None:
        for job in self._folder.load_all()[0]:
            if job.order.settings == self._settings and self._folder.is_left(job):
                if job.state is JobState.RUNNING:
                    self._log.write(f"job {job.id}: goes on where an earlier worker left it")
                taken = begin(job, self._me, self._timestamp())
                self._folder.save(taken)
                return taken
        return None

    def _end(self, job: Job, outcome: Outcome, progress: Progress | None) -> None:
        """Write down how a job ended. It may have been done before it heard of a pause or a cancellation."""
        wanted = self._folder.load(job.id)
        if wanted is None:
            return
        ended = replace(wanted, worker=None, progress=progress or wanted.progress)
        if outcome is None:
            if wanted.state is JobState.RUNNING:  # the worker is leaving
                ended = replace(ended, state=JobState.QUEUED)
            ending = f"stopped, {ended.state}"
        elif isinstance(outcome, JobFailure):
            if wanted.state is not JobState.CANCELLED:
                ended = replace(ended, state=JobState.FAILED, failure=outcome, ended_at=self._timestamp())
            ending = f"{ended.state}: {outcome.message}"
        else:
            ended = replace(ended, state=JobState.DONE, result=outcome, ended_at=self._timestamp())
            ending = f"done, {outcome.moved_bytes:,} bytes moved"
        self._folder.save(ended)
        self._folder.forget_progress(job.id)
        if ended.state is JobState.DONE and isinstance(job.order, PublishOrder):
            self._folder.forget_draft(job.order.draft)
        self._log.write(f"job {job.id}: {ending}")


class _Watch:
    """Passes on what is wanted of a job to what does it, and writes down how far that is, until the block ends."""

    def __init__(self, folder: JobFolder, job: Job, leaving: threading.Event) -> None:
        options = job.order.options
        self.controls = Controls(options.connections, options.limit_bytes_per_second)
        self.stop = threading.Event()
        self.last: Progress | None = None
        self._folder = folder
        self._id = job.id
        self._leaving = leaving
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watch", daemon=True)

    def note(self, progress: Progress) -> None:
        """Hear how far the job is."""
        self.last = progress

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        seen: object = ()
        written, written_at, left_at = None, 0.0, None
        while not self._over.wait(WORKER_LOOKS_SECONDS):  # bounded: by the job's end
            now = time.monotonic()
            if self._leaving.is_set():
                self.stop.set()
                left_at = left_at or now
                if now - left_at > STOP_SECONDS:
                    os._exit(1)  # what does not stop is taken up by the next worker
            found = self._folder.state_of_file(self._id)
            if found != seen:
                seen = found
                with suppress(BucketryError):  # what nobody could have written is not obeyed
                    wanted = self._folder.load(self._id)
                    if wanted is None or wanted.state is not JobState.RUNNING:
                        self.stop.set()
                    else:
                        self.controls.allow(wanted.order.options.connections)
                        self.controls.limit(wanted.order.options.limit_bytes_per_second)
            self.last = self.controls.look() or self.last
            if self.last is not None and (
                (self.last != written and now - written_at >= PROGRESS_SECONDS) or now - written_at >= FRESH_SECONDS
            ):
                self._folder.save_progress(self._id, self.last)
                written, written_at = self.last, now


def _is_cancelled(folder: JobFolder, job: Job) -> bool:
    with suppress(BucketryError):
        wanted = folder.load(job.id)
        return wanted is not None and wanted.state is JobState.CANCELLED
    return False


if __name__ == "__main__":
    main()
