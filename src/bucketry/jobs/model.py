"""A transfer job: what it is, what may be asked of it, and how it is written down."""

from __future__ import annotations

import re
from dataclasses import asdict, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, NewType

from bucketry.errors import (
    BucketryError,
    ContendedError,
    CorruptError,
    DeniedError,
    NotFoundError,
    RejectedError,
    UnavailableError,
    UnsupportedError,
    UsageError,
)
from bucketry.frozen import frozen
from bucketry.jobs.orders import (
    LONGEST_PATH_CHARACTERS,
    JobResult,
    Order,
    PublishResult,
    one_of,
    order_document,
    read_order,
    read_result,
    result_document,
)
from bucketry.transfer.disk.leftovers import Owner
from bucketry.transfer.pace.progress import ActiveFile, Progress

if TYPE_CHECKING:
    from bucketry.schema.codec import Document, Fields

JobId = NewType("JobId", int)

MOST_ACTIVE_FILES_TOLD = 32
_OWNER = re.compile(r"([0-9a-f]{1,64})-([0-9]{1,10})-([0-9]{1,20})")
_ERRORS = {
    error.kind: error
    for error in (
        BucketryError,
        UsageError,
        NotFoundError,
        RejectedError,
        ContendedError,
        UnavailableError,
        DeniedError,
        CorruptError,
        UnsupportedError,
    )
}


class JobState(StrEnum):
    """Where a job stands. `interrupted` is never written: so a job looks that no process has in hand."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens unless somebody asks for it."""
        return self in {JobState.DONE, JobState.FAILED, JobState.CANCELLED}


_S = JobState
MAY_PAUSE = frozenset({_S.QUEUED, _S.RUNNING, _S.PAUSED})
MAY_RESUME = frozenset({_S.PAUSED, _S.QUEUED, _S.RUNNING})
MAY_CANCEL = frozenset({_S.QUEUED, _S.RUNNING, _S.PAUSED, _S.FAILED, _S.CANCELLED})
MAY_RETRY = frozenset({_S.FAILED, _S.CANCELLED, _S.QUEUED, _S.RUNNING})
MAY_VERIFY = frozenset({_S.DONE})
MAY_TUNE = frozenset({_S.QUEUED, _S.RUNNING, _S.PAUSED, _S.FAILED})


@frozen
class JobFailure:
    """Why a job failed, as the error that it was."""

    kind: str
    message: str
    advice: str

    def as_error(self) -> BucketryError:
        """Return the error, to be raised where somebody waited for the job."""
        return _ERRORS.get(self.kind, BucketryError)(self.message, advice=self.advice)


@frozen
class Job:
    """One transfer at one moment. Times are RFC 3339; `progress` is the last that was told.

    `worker` is the process that does it, for a moment after a pause too, as stopping takes one.
    """

    id: JobId
    order: Order
    state: JobState
    submitted_at: str
    started_at: str | None = None
    ended_at: str | None = None
    progress: Progress | None = field(default=None, compare=False)
    failure: JobFailure | None = None
    result: JobResult | PublishResult | None = None
    worker: Owner | None = None


def begin(job: Job, worker: Owner, at: str) -> Job:
    """Return a job as it is when a worker has taken it."""
    return replace(job, state=JobState.RUNNING, started_at=at, ended_at=None, result=None, worker=worker)


def failure_of(error: BucketryError) -> JobFailure:
    """Return an error as it is written down."""
    return JobFailure(error.kind, error.message, error.advice)


def job_document(job: Job) -> Document:
    """Return a job as it is written down."""
    return {
        "id": job.id,
        "order": order_document(job.order),
        "state": str(job.state),
        "submitted_at": job.submitted_at,
        "started_at": job.started_at,
        "ended_at": job.ended_at,
        "progress": progress_document(job.progress) if job.progress else None,
        "failure": asdict(job.failure) if job.failure else None,
        "result": result_document(job.result) if job.result else None,
        "worker": owner_text(job.worker) if job.worker else None,
    }


def read_job(fields: Fields) -> Job:
    """Return the job in a document; raise `CorruptError`."""
    document = fields.table
    order, worker = read_order(fields.inner("order")), fields.optional_text("worker")
    failure = fields.inner("failure")
    return Job(
        id=JobId(fields.integer("id", least=1)),
        order=order,
        state=one_of(fields, "state", tuple(JobState), JobState),
        submitted_at=fields.text("submitted_at", longest=64),
        started_at=fields.optional_text("started_at"),
        ended_at=fields.optional_text("ended_at"),
        progress=read_progress(fields.inner("progress")) if document("progress") else None,
        failure=JobFailure(failure.text("kind", longest=64), failure.text("message"), failure.text("advice"))
        if document("failure")
        else None,
        result=read_result(fields.inner("result"), order) if document("result") else None,
        worker=parse_owner(worker, what=fields.what) if worker is not None else None,
    )


def owner_text(owner: Owner) -> str:
    """Return a process as it is written down."""
    return f"{owner.place}-{owner.pid}-{owner.started}"


def parse_owner(text: str, *, what: str) -> Owner:
    """Return the process that a text names; raise `CorruptError`."""
    found = _OWNER.fullmatch(text)
    if found is None:
        raise CorruptError(f"{what} names no process")
    return Owner(found[1], int(found[2]), int(found[3]))


def progress_document(progress: Progress) -> Document:
    """Return a progress as it is written down."""
    document = asdict(replace(progress, active=progress.active[:MOST_ACTIVE_FILES_TOLD]))
    for counted in (document, *document["active"]):  # below zero for a moment, when a chunk was wrong
        counted["done_bytes"] = max(0, counted["done_bytes"])
    return document


def read_progress(fields: Fields) -> Progress:
    """Return the progress in a document; raise `CorruptError`."""
    return Progress(
        total_bytes=fields.integer("total_bytes"),
        done_bytes=fields.integer("done_bytes"),
        total_files=fields.integer("total_files"),
        done_files=fields.integer("done_files"),
        active=tuple(
            ActiveFile(
                label=file.text("label", longest=LONGEST_PATH_CHARACTERS),
                done_bytes=file.integer("done_bytes"),
                size_bytes=file.integer("size_bytes"),
                verified_chunks=file.integer("verified_chunks"),
                retries=file.integer("retries"),
                bytes_per_second=file.number("bytes_per_second"),
                eta_seconds=file.optional_number("eta_seconds"),
                is_hashing=file.flag("is_hashing", default=False),
            )
            for file in fields.inners("active", most=MOST_ACTIVE_FILES_TOLD)
        ),
        verified_chunks=fields.integer("verified_chunks"),
        retries=fields.integer("retries"),
        bytes_per_second=fields.number("bytes_per_second"),
        eta_seconds=fields.optional_number("eta_seconds"),
        connections=fields.integer("connections"),
        hashed_bytes=fields.optional_integer("hashed_bytes"),
    )
