"""The folder in which transfer jobs are remembered, so that they outlive the processes that do them.

    <state>/transfers/<host>/
        job-<number>.json       one job, replaced whole at each change of its state or of what is wanted of it
        progress-<number>.json  how far it is, for as long as a worker does it; replaced several times a second
        draft-<sha256>.json     what is to be published, for a job that publishes; it goes when that is done
        lock                    held by whoever changes a job, for that moment
        worker.log              what was done
        room                    written and removed before a worker starts, to see whether that is possible

`<state>` is `BUCKETRY_STATE`, else `$XDG_STATE_HOME/bucketry` or `~/.local/state/bucketry`. Each machine has a folder
of its own: a home folder may be shared by many, and a target's path means something on one. Nothing in it is a
credential, but which models somebody uses is nobody else's business: the folder is its owner's alone.

Nobody listens anywhere: a job is steered by replacing its file, which its worker looks at, and followed by reading
it.
"""

from __future__ import annotations

import os
import re
import socket
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError, CorruptError
from bucketry.frozen import frozen
from bucketry.jobs.model import JobId, JobState, job_document, progress_document, read_job, read_progress
from bucketry.schema.codec import FORMAT, LARGEST_DOCUMENT_BYTES, Fields, decode, digest_of, encode
from bucketry.store.modes import FOLDER_MODE, make_folders
from bucketry.transfer.disk.leftovers import is_alive, this_place
from bucketry.transfer.disk.local_files import disk_errors, find_small_file, make_private_folder, write_private
from bucketry.transfer.disk.receipt import LOCK_NAME
from bucketry.transfer.pace.turns import STALE_AFTER_SECONDS, alone_in
from bucketry.transfer.pace.workers import Halt
from bucketry.trust.generations import default_state_folder
from bucketry.user_folders import check_can_be_folder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from bucketry.jobs.model import Job
    from bucketry.transfer.pace.progress import Progress

MOST_AT_ONCE = 2
"""So many jobs run at once, each in a process of its own."""
WORKER_LOOKS_SECONDS = 0.1
"""So often a worker looks at the file of its job."""
LARGEST_JOB_BYTES = 1024 * 1024
ROOM_BYTES = 64 * 1024
"""A job, the lock and some lines of the log fit in there."""
_JOB = re.compile(r"job-([1-9][0-9]{0,8})\.json")
_DRAFT = re.compile(r"draft-([0-9a-f]{64})\.json")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]")


@frozen
class JobFolder:
    """The folder of this user's jobs on this machine. `made` before anything is written."""

    path: Path

    @property
    def log(self) -> Path:
        """What was done."""
        return self.path / "worker.log"

    def made(self) -> JobFolder:
        """Make the folder, for its owner alone; raise `DeniedError` where it is another user's."""
        self._check_place()
        with disk_errors(str(self.path)):
            make_folders(self.path.parent, FOLDER_MODE)
            make_private_folder(self.path)
        return self

    def check_room(self) -> None:
        """Raise `UnavailableError` where nothing more can be written, as a worker must from its first moment on."""
        path = self.path / "room"
        try:
            self._write(path, bytes(ROOM_BYTES))
        finally:
            with suppress(OSError):
                path.unlink()

    def save(self, job: Job) -> None:
        """Replace what is written of a job, at once, and bring it to the disk."""
        self._write(self._job(job.id), encode({"format": FORMAT} | job_document(job)))

    def save_progress(self, job_id: JobId, progress: Progress) -> None:
        """Replace what is written of how far a job is; nothing waits for the disk, and a full one costs only this."""
        aside = self._progress_aside(job_id)
        with suppress(OSError):
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(encode({"format": FORMAT} | progress_document(progress)))
            aside.replace(self._progress(job_id))

    def forget_progress(self, job_id: JobId) -> None:
        """Remove what is written of how far a job is: its own file says it."""
        with suppress(OSError):
            self._progress(job_id).unlink(missing_ok=True)
            self._progress_aside(job_id).unlink(missing_ok=True)

    def state_of_file(self, job_id: JobId) -> tuple[int, int] | None:
        """Return something that differs whenever a job's file was replaced; None where there is none."""
        try:
            state = self._job(job_id).stat()
        except OSError:
            return None
        return state.st_ino, state.st_mtime_ns

    def save_draft(self, body: bytes) -> None:
        """Write down what is to be published, and bring it to the disk before any job can name it."""
        self._write(self._draft(digest_of(body)), body)

    def load_draft(self, digest: str) -> bytes:
        """Return what is to be published; raise `CorruptError` where it is not what the job says."""
        path = self._draft(digest)
        body = find_small_file(path, LARGEST_DOCUMENT_BYTES)
        if body is None:
            raise CorruptError(f"{path} is missing", advice="publish anew")
        if digest_of(body) != digest:
            raise CorruptError(f"{path} is not what was ordered", advice="publish anew")
        return body

    def forget_draft(self, digest: str) -> None:
        """Remove what was to be published."""
        with disk_errors(str(self.path)):
            self._draft(digest).unlink(missing_ok=True)

    def sweep_drafts(self, kept: Collection[str], *, before_seconds: float) -> None:
        """Remove what no job needs, and what was not written just now: its job may be about to come."""
        with disk_errors(str(self.path)):
            for path in self.path.iterdir():
                found = _DRAFT.fullmatch(path.name)
                if found and found[1] not in kept and path.lstat().st_mtime < before_seconds:
                    path.unlink(missing_ok=True)

    def _write(self, path: Path, body: bytes) -> None:
        with disk_errors(str(self.path)):
            write_private(path, body)

    def forget(self, job_id: JobId) -> None:
        """Remove what is written of a job."""
        with disk_errors(str(self.path)):
            self._job(job_id).unlink(missing_ok=True)
        self.forget_progress(job_id)

    def numbers(self) -> list[JobId]:
        """Return the number of every job that is written down, readable or not, in order."""
        self._check_place()
        with disk_errors(str(self.path)):
            try:
                names = [path.name for path in self.path.iterdir()]
            except FileNotFoundError:
                return []
        return sorted(JobId(int(found[1])) for name in names if (found := _JOB.fullmatch(name)))

    def load(self, job_id: JobId) -> Job | None:
        """Return a job, or None if nothing of it is written; raise `CorruptError` for what nobody can read."""
        self._check_place()
        path = self._job(job_id)
        body = find_small_file(path, LARGEST_JOB_BYTES)
        if body is None:
            return None
        if len(body) > LARGEST_JOB_BYTES:
            raise CorruptError(f"{path} is too large to be a job", advice="remove it")
        job = read_job(Fields(decode(body, what=str(path)), what=str(path)))
        if job.id != job_id:
            raise CorruptError(f"{path} holds another job", advice="remove it")
        if job.state is JobState.INTERRUPTED:  # written by nobody but an editor
            job = replace(job, state=JobState.QUEUED)
        path = self._progress(job_id)
        with suppress(BucketryError):  # it only shows something
            body = find_small_file(path, LARGEST_JOB_BYTES)
            if body is not None:
                return replace(job, progress=read_progress(Fields(decode(body, what=str(path)), what=str(path))))
        return job

    def load_all(self) -> tuple[tuple[Job, ...], tuple[BucketryError, ...]]:
        """Return every job in order, and what is wrong with those that cannot be read."""
        jobs: list[Job] = []
        faults: list[BucketryError] = []
        for number in self.numbers():
            try:
                job = self.load(number)
            except BucketryError as error:
                faults.append(error)
                continue
            if job is not None:
                jobs.append(job)
        return tuple(jobs), tuple(faults)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only process that changes a job until the block ends: for moments, in which nothing is moved."""
        with disk_errors(str(self.path)):
            os.close(os.open(self.path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            with alone_in(self.path, "the transfers of this machine", Halt()):
                yield

    def is_in_hand(self, job: Job) -> bool:
        """Tell whether a process that lives does the job.

        Of another container's nobody can tell: what it writes must be fresh then.
        """
        if job.worker is None:
            return False
        if job.worker.place == this_place():
            return is_alive(job.worker)
        try:
            return time.time() - self._progress(job.id).stat().st_mtime < STALE_AFTER_SECONDS
        except OSError:
            return False

    def is_left(self, job: Job) -> bool:
        """Tell whether a job is to run, and nobody does it: nobody took it yet, or whoever did has died."""
        return job.state in {JobState.QUEUED, JobState.RUNNING} and not self.is_in_hand(job)

    def _check_place(self) -> None:
        check_can_be_folder(self.path, "what is remembered of transfers", "set BUCKETRY_STATE to a folder that is kept")

    def _progress(self, job_id: JobId) -> Path:
        return self.path / f"progress-{job_id}.json"

    def _progress_aside(self, job_id: JobId) -> Path:
        return self.path / f".progress-{job_id}"

    def _job(self, job_id: JobId) -> Path:
        return self.path / f"job-{job_id}.json"

    def _draft(self, digest: str) -> Path:
        return self.path / f"draft-{digest}.json"


def job_folder() -> JobFolder:
    """Return the folder of this user's jobs on this machine, which need not exist."""
    state = default_state_folder(os.environ).parent
    host = _NOT_IN_A_NAME.sub("_", socket.gethostname()).strip(".") or "localhost"
    return JobFolder(Path(os.path.abspath(state / "transfers" / host)))  # noqa: PTH100 - links stay as they are
