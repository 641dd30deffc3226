"""What do tests of the transfers' screen stand on? A worker that is not there, and the jobs that it would tell of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bucketry.jobs import client as jobs
from bucketry.jobs.client import Job, JobFailure, JobId, JobResult, JobState
from bucketry.jobs.files import job_folder
from bucketry.jobs.orders import PublishOrder, PublishResult, PullOrder
from bucketry.registry.reading.pull import PullOptions
from bucketry.schema.names import Digest, ModelName
from bucketry.transfer.pace.progress import ActiveFile, Progress
from bucketry.transfer.plan import TransferOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from bucketry.errors import BucketryError

GB, MB = 10**9, 10**6
WORKER = 4121


def order(name: str = "credit-risk", version: int = 486, dest: str | None = None, **options: Any) -> PullOrder:
    return PullOrder(
        token="t" * 32,
        registry="s3://ml-reg",
        registry_id="r" * 32,
        reference=f"{name}:{version}",
        model=ModelName("default", name),
        version=version,
        manifest="9f31c2ab" * 8,
        dest=Path(dest or f"/data/models/{name}/v{version}"),
        trust=None,
        settings={},
        options=PullOptions(**options),
    )


def publish_order(name: str = "vision-ocr", **options: Any) -> PublishOrder:
    return PublishOrder(
        token="t" * 32,
        registry="s3://ml-reg",
        registry_id="r" * 32,
        model=ModelName("default", name),
        actor="ada@example.org",
        draft="d1" * 32,
        key="e2" * 32,
        sources=(f"/data/runs/{name}/out",),
        size_bytes=12_100 * MB,
        files=4,
        chunks=190,
        settings={},
        options=TransferOptions(**options),
    )


def sent(done_bytes: int = 2_200 * MB, *, hashed_bytes: int = 7_100 * MB) -> Progress:
    active = (
        ActiveFile("vision-00001.safetensors", 1_200 * MB, 4_900 * MB, 18, 0, 61.0 * MB, 60.0),
        ActiveFile("vision-00002.safetensors", 2_100 * MB, 4_900 * MB, 0, 0, 900.0 * MB, 3.0, is_hashing=True),
    )
    return Progress(12_100 * MB, done_bytes, 4, 2, active, 34, 0, 95.0 * MB, 104.0, 8, hashed_bytes)


def published() -> PublishResult:
    return PublishResult(33, Digest("ab" * 32), 12_100 * MB, 12_000 * MB, 100 * MB, created=True, seconds=127.0)


def upload_jobs() -> tuple[Job, ...]:
    """Return a pull that runs, and a publish in each state."""
    ended_at = "2026-11-22T14:02:00.000Z"
    return (
        job(1, JobState.DONE, publish_order(), ended_at=ended_at, result=published()),
        job(2, JobState.CANCELLED, publish_order("chat"), ended_at="2026-11-22T13:30:00.000Z"),
        job(3, JobState.RUNNING, progress=progress(files=1)),
        job(4, JobState.RUNNING, publish_order(), progress=sent()),
        job(5, JobState.PAUSED, publish_order(), progress=sent(hashed_bytes=12_100 * MB)),
        job(6, JobState.QUEUED, publish_order("fraud-text"), started_at=None),
    )


def progress(done_bytes: int = 59_600 * MB, *, files: int = 4, rate: float = 812.0 * MB) -> Progress:
    shares = ((1.0, 0), (0.56, 0), (0.31, 0), (0.06, 2), (0.02, 0), (0.0, 0))[:files]
    active = tuple(
        ActiveFile(f"model-{number:05}.safetensors", int(4.9 * GB * share), int(4.9 * GB), 3, retries, 203.0 * MB, 12.0)
        for number, (share, retries) in enumerate(shares, 13)
    )
    return Progress(97_700 * MB, done_bytes, 21, 11, active, 931, 3, rate, 47.0, 16)


def job(number: int, state: JobState, given: PullOrder | PublishOrder | None = None, **more: Any) -> Job:
    at = {"submitted_at": "2026-11-22T13:50:00.000Z", "started_at": "2026-11-22T13:51:00.000Z"}
    return Job(JobId(number), given or order(), state, **(at | more))


def result(path: str = "/data/models/credit-risk/v484", version: int = 484) -> JobResult:
    return JobResult(Path(path), version, "ab" * 32, 97_600 * MB, 97_600 * MB, 0, 124.0, "sha256")


def busy_jobs(text: str = "the bucket refuses these credentials") -> tuple[Job, ...]:
    """Return one job in each state, as a worker would tell of them."""
    ended_at = "2026-11-22T14:02:00.000Z"
    return (
        job(1, JobState.DONE, order(version=484), ended_at=ended_at, result=result()),
        job(2, JobState.FAILED, order("chat", 1), ended_at=ended_at, failure=JobFailure("denied", text, "renew them")),
        job(3, JobState.CANCELLED, order("chat", 2), ended_at="2026-11-22T13:30:00.000Z"),
        job(4, JobState.RUNNING, progress=progress(files=6)),
        job(5, JobState.PAUSED, order("vision-ocr", 33, connections=32), progress=progress(17_600 * MB, files=0)),
        job(6, JobState.RUNNING, order("tiny", 2, limit_bytes_per_second=95 * MB)),
        job(7, JobState.QUEUED, order("fraud-text", 9), started_at=None),
    )


@dataclass
class Worker:
    """Answers in the worker's place; `asked` is what it was asked for, `refused` what it tells of a version."""

    jobs: tuple[Job, ...] = ()
    pid: int | None = WORKER
    fault: BucketryError | None = None
    refused: str = ""
    asked: list[tuple[Any, ...]] = field(default_factory=list)

    def list_jobs(self) -> tuple[Job, ...]:
        if self.fault is not None:
            raise self.fault
        return self.jobs

    def turn(self, name: str, job_id: JobId, state: JobState) -> Job:
        self.asked.append((name, job_id))
        if self.fault is not None:
            raise self.fault
        return self._put(job_id, state=state)

    def tune(self, name: str, job_id: JobId, **changed: Any) -> Job:
        self.asked.append((name, job_id, *changed.values()))
        given = next(job.order for job in self.jobs if job.id == job_id)
        return self._put(job_id, order=replace(given, options=replace(given.options, **changed)))  # type: ignore[arg-type]

    def submit(
        self,
        where: str | None,
        reference: object,
        dest: Path | None = None,
        *,
        on_refused: Callable[[str], None] | None = None,
    ) -> JobId:
        if self.refused and on_refused is not None:
            on_refused(self.refused)
        self.asked.append(("submit", where, str(reference), dest))
        if self.fault is not None:
            raise self.fault
        number = len(self.jobs) + 1
        self.jobs = (*self.jobs, job(number, JobState.RUNNING, order("credit-risk", 12), progress=progress()))
        return JobId(number)

    def _put(self, job_id: JobId, **changed: Any) -> Job:
        self.jobs = tuple(replace(job, **changed) if job.id == job_id else job for job in self.jobs)
        return next(job for job in self.jobs if job.id == job_id)


def stand_in(monkeypatch: pytest.MonkeyPatch, state: Path, known: tuple[Job, ...] = ()) -> Worker:
    """Put a worker in the place of the real one; `state` is the folder of a user who has transfers."""
    worker = Worker(known)
    monkeypatch.setenv("BUCKETRY_STATE", str(state))
    job_folder().made()
    monkeypatch.setattr(jobs, "list_jobs", worker.list_jobs)
    monkeypatch.setattr(jobs, "find_worker", lambda: worker.pid)
    monkeypatch.setattr(jobs, "submit_pull", worker.submit)
    for name, become in (
        ("pause", JobState.PAUSED),
        ("resume", JobState.RUNNING),
        ("cancel", JobState.CANCELLED),
        ("retry", JobState.QUEUED),
        ("verify_again", JobState.QUEUED),
    ):
        monkeypatch.setattr(jobs, name, lambda job_id, name=name, become=become: worker.turn(name, job_id, become))
    monkeypatch.setattr(
        jobs, "set_limit", lambda job_id, rate: worker.tune("limit", job_id, limit_bytes_per_second=rate)
    )
    monkeypatch.setattr(jobs, "set_connections", lambda job_id, n: worker.tune("connections", job_id, connections=n))
    return worker
