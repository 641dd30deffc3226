"""What is a transfer job, and how is it written down, in its journal and on the socket alike?"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NewType, TypeVar, cast

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
from bucketry.registry.pull import PullOptions
from bucketry.schema.names import parse_model_name
from bucketry.transfer.progress import ActiveFile, Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bucketry.registry.pull import Verified
    from bucketry.schema.codec import Document, Fields
    from bucketry.schema.names import ModelName

JobId = NewType("JobId", int)
T = TypeVar("T", bound=str)

MOST_ACTIVE_FILES_TOLD = 32
LONGEST_PATH_CHARACTERS = 4096
MOST_PATTERNS = 1_000
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
    """Where a job stands. `interrupted` is never written: so a job looks whose helper is gone."""

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


@dataclass(frozen=True, slots=True)
class JobOptions:
    """How a version is pulled, as in `PullOptions`; `with_base` brings what an adapter adapts, too."""

    verify: Literal["sha256", "fast"] = "sha256"
    rehash: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    connections: int = PullOptions().connections
    limit_bytes_per_second: int | None = None
    processes: int = 1
    hard_link: bool = False
    with_base: bool = False


@dataclass(frozen=True, slots=True)
class PullOrder:
    """What was asked for, complete enough for a process that knows nothing else.

    `registry` is a profile's name, a URL or an absolute path, `registry_id` what was found there. The version is the
    one that the reference named when it was ordered. `dest` None means the cache. `token` makes an order that is sent
    twice one job; `settings` has digests of the settings in the environment that decide which registry is meant.
    """

    token: str
    registry: str
    registry_id: str
    reference: str
    model: ModelName
    version: int
    manifest: str
    dest: Path | None
    trust: Path | None
    settings: Mapping[str, str]
    options: JobOptions


@dataclass(frozen=True, slots=True)
class JobFailure:
    """Why a job failed, as the error that it was."""

    kind: str
    message: str
    advice: str

    def as_error(self) -> BucketryError:
        """Return the error, to be raised where somebody waited for the job."""
        return _ERRORS.get(self.kind, BucketryError)(self.message, advice=self.advice)


@dataclass(frozen=True, slots=True)
class JobResult:
    """What a finished job brought, as `PulledVersion` says it."""

    path: Path
    version: int
    manifest: str
    size_bytes: int
    fetched_bytes: int
    reused_bytes: int
    seconds: float
    verify: Verified


@dataclass(frozen=True, slots=True)
class Job:
    """One transfer at one moment. Times are RFC 3339; `progress` is the last that was told."""

    id: JobId
    order: PullOrder
    state: JobState
    submitted_at: str
    started_at: str | None = None
    ended_at: str | None = None
    progress: Progress | None = field(default=None, compare=False)
    failure: JobFailure | None = None
    result: JobResult | None = None


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
        "progress": _progress_document(job.progress) if job.progress else None,
        "failure": asdict(job.failure) if job.failure else None,
        "result": asdict(job.result) | {"path": str(job.result.path)} if job.result else None,
    }


def order_document(order: PullOrder) -> Document:
    """Return an order as it is written down."""
    return {
        "token": order.token,
        "registry": order.registry,
        "registry_id": order.registry_id,
        "reference": order.reference,
        "model": str(order.model),
        "version": order.version,
        "manifest": order.manifest,
        "dest": None if order.dest is None else str(order.dest),
        "trust": None if order.trust is None else str(order.trust),
        "settings": dict(order.settings),
        "options": asdict(order.options)
        | {"include": list(order.options.include), "exclude": list(order.options.exclude)},
    }


def read_job(fields: Fields) -> Job:
    """Return the job in a document; raise `CorruptError`."""
    document = fields.table
    return Job(
        id=JobId(fields.integer("id", least=1)),
        order=read_order(fields.inner("order")),
        state=_one_of(fields, "state", tuple(JobState), JobState),
        submitted_at=fields.text("submitted_at", longest=64),
        started_at=fields.optional_text("started_at"),
        ended_at=fields.optional_text("ended_at"),
        progress=_read_progress(fields.inner("progress")) if document("progress") else None,
        failure=_read_failure(fields.inner("failure")) if document("failure") else None,
        result=_read_result(fields.inner("result")) if document("result") else None,
    )


def read_order(fields: Fields) -> PullOrder:
    """Return the order in a document; raise `CorruptError`."""
    return PullOrder(
        token=fields.text("token", longest=64),
        registry=fields.text("registry", longest=LONGEST_PATH_CHARACTERS),
        registry_id=fields.text("registry_id", longest=256),
        reference=fields.text("reference", longest=512),
        model=fields.parsed("model", parse_model_name),
        version=fields.integer("version", least=1),
        manifest=fields.digest("manifest"),
        dest=_optional_path(fields, "dest"),
        trust=_optional_path(fields, "trust"),
        settings=fields.texts("settings"),
        options=_read_options(fields.inner("options")),
    )


def _read_options(fields: Fields) -> JobOptions:
    return JobOptions(
        verify=cast("Literal['sha256', 'fast']", _one_of(fields, "verify", ("sha256", "fast"), str)),
        rehash=fields.flag("rehash"),
        include=_read_patterns(fields, "include"),
        exclude=_read_patterns(fields, "exclude"),
        connections=fields.integer("connections", least=1),
        limit_bytes_per_second=fields.optional_integer("limit_bytes_per_second", least=1),
        processes=fields.integer("processes", least=1),
        hard_link=fields.flag("hard_link"),
        with_base=fields.flag("with_base"),
    )


def _read_patterns(fields: Fields, name: str) -> tuple[str, ...]:
    patterns = fields.items(name, most=MOST_PATTERNS)
    if not all(isinstance(pattern, str) for pattern in patterns):
        raise CorruptError(f"{fields.what}: {name} is not a list of texts")
    return tuple(patterns)


def _read_failure(fields: Fields) -> JobFailure:
    return JobFailure(fields.text("kind", longest=64), fields.text("message"), fields.text("advice"))


def _read_result(fields: Fields) -> JobResult:
    return JobResult(
        path=Path(fields.text("path", longest=LONGEST_PATH_CHARACTERS)),
        version=fields.integer("version", least=1),
        manifest=fields.digest("manifest"),
        size_bytes=fields.integer("size_bytes"),
        fetched_bytes=fields.integer("fetched_bytes"),
        reused_bytes=fields.integer("reused_bytes"),
        seconds=fields.number("seconds"),
        verify=cast("Verified", _one_of(fields, "verify", ("sha256", "fast", "sizes_and_times"), str)),
    )


def _progress_document(progress: Progress) -> Document:
    return {
        "total_bytes": progress.total_bytes,
        "done_bytes": max(0, progress.done_bytes),
        "total_files": progress.total_files,
        "done_files": progress.done_files,
        "active": [_active_document(file) for file in progress.active[:MOST_ACTIVE_FILES_TOLD]],
        "verified_chunks": progress.verified_chunks,
        "retries": progress.retries,
        "bytes_per_second": progress.bytes_per_second,
        "eta_seconds": progress.eta_seconds,
        "connections": progress.connections,
    }


def _active_document(file: ActiveFile) -> Document:
    return asdict(file) | {"done_bytes": max(0, file.done_bytes)}  # below zero for a moment, when a chunk was wrong


def _read_progress(fields: Fields) -> Progress:
    return Progress(
        total_bytes=fields.integer("total_bytes"),
        done_bytes=fields.integer("done_bytes"),
        total_files=fields.integer("total_files"),
        done_files=fields.integer("done_files"),
        active=tuple(_read_active(file) for file in fields.inners("active", most=MOST_ACTIVE_FILES_TOLD)),
        verified_chunks=fields.integer("verified_chunks"),
        retries=fields.integer("retries"),
        bytes_per_second=fields.number("bytes_per_second"),
        eta_seconds=fields.optional_number("eta_seconds"),
        connections=fields.integer("connections"),
    )


def _read_active(fields: Fields) -> ActiveFile:
    return ActiveFile(
        label=fields.text("label", longest=LONGEST_PATH_CHARACTERS),
        done_bytes=fields.integer("done_bytes"),
        size_bytes=fields.integer("size_bytes"),
        verified_chunks=fields.integer("verified_chunks"),
        retries=fields.integer("retries"),
        bytes_per_second=fields.number("bytes_per_second"),
        eta_seconds=fields.optional_number("eta_seconds"),
    )


def _optional_path(fields: Fields, name: str) -> Path | None:
    """Return an absolute path: whoever reads it may stand elsewhere than whoever wrote it."""
    text = fields.optional_text(name)
    if text is None:
        return None
    path = Path(text)
    if not path.is_absolute() or "\0" in text or len(text) > LONGEST_PATH_CHARACTERS:
        raise CorruptError(f"{fields.what}: {name} is not an absolute path")
    return path


def _one_of(fields: Fields, name: str, allowed: Sequence[T], make: Callable[[str], T]) -> T:
    text = fields.text(name, longest=64)
    if text not in allowed:
        raise CorruptError(f"{fields.what}: {name} is not one of {', '.join(map(str, allowed))}")
    return make(text)
