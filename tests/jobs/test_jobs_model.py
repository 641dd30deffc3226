"""Is a job read as it was written, and nothing else believed?"""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.errors import CorruptError, DeniedError
from bucketry.jobs.files import JobFolder
from bucketry.jobs.model import (
    Job,
    JobFailure,
    JobId,
    JobState,
    failure_of,
    job_document,
    read_job,
)
from bucketry.jobs.orders import (
    JobResult,
    PublishOrder,
    PublishResult,
    PullOrder,
)
from bucketry.jobs.settings import differing_settings, digest_settings
from bucketry.registry.reading.pull import PullOptions
from bucketry.schema.codec import Fields, decode_foreign, encode
from bucketry.schema.names import parse_digest, parse_model_name
from bucketry.transfer.disk.leftovers import Owner
from bucketry.transfer.pace.progress import ActiveFile, Progress
from bucketry.transfer.plan import TransferOptions

if TYPE_CHECKING:
    from collections.abc import Callable

DIGEST = "ab" * 32
ORDER = PullOrder(
    token="t" * 32,
    registry="prod",
    registry_id="an-id",
    reference="acme/chat@production",
    model=parse_model_name("acme/chat"),
    version=7,
    manifest=DIGEST,
    dest=Path("/models/chät"),
    trust=Path("/etc/trust.toml"),
    settings={"AWS_PROFILE": "0123"},
    options=PullOptions(include=("*.bin",), exclude=("a*", "b*"), limit_bytes_per_second=5),
    with_base=True,
)
PROGRESS = Progress(
    total_bytes=100,
    done_bytes=10,
    total_files=2,
    done_files=1,
    active=(
        ActiveFile("a.bin", 5, 50, 1, 2, 3.5, None),
        ActiveFile("b.bin", 5, 50, eta_seconds=2.0, is_hashing=True),
    ),
    verified_chunks=3,
    retries=2,
    bytes_per_second=12.5,
    eta_seconds=7.2,
    connections=4,
)
PUBLISH_ORDER = PublishOrder(
    token="t" * 32,
    registry="prod",
    registry_id="an-id",
    model=parse_model_name("acme/chat"),
    actor="ada@example.org",
    draft="cd" * 32,
    key="ef" * 32,
    sources=("/runs/chät",),
    size_bytes=100,
    files=2,
    chunks=3,
    settings={"AWS_PROFILE": "0123"},
    options=TransferOptions(connections=3, limit_bytes_per_second=5),
    request_review=True,
)
PUBLISHED = PublishResult(7, parse_digest(DIGEST), 100, 60, 40, True, 1.5)
RESULT = JobResult(Path("/models/chat"), 7, DIGEST, 100, 60, 40, 1.5, "sha256")
JOB = Job(
    JobId(3),
    ORDER,
    JobState.FAILED,
    "2026-01-01T00:00:00.000Z",
    "2026-01-01T00:00:01.000Z",
    None,
    PROGRESS,
    JobFailure("denied", "no", "ask"),
    RESULT,
)


def read(document: dict[str, Any]) -> Job:
    return read_job(Fields(decode_foreign(encode(document), what="a test"), what="a test"))


@pytest.mark.parametrize(
    "job",
    [
        JOB,
        replace(JOB, state=JobState.RUNNING, worker=Owner("ab12", 7, 99)),
        Job(JobId(1), ORDER, JobState.QUEUED, "now"),
        replace(JOB, order=PUBLISH_ORDER, result=PUBLISHED, progress=replace(PROGRESS, hashed_bytes=70)),
        Job(JobId(1), PUBLISH_ORDER, JobState.QUEUED, "now"),
    ],
    ids=[
        "a pull",
        "one that runs",
        "one with as little as possible",
        "a publish",
        "a publish with as little as possible",
    ],
)
def test_a_job_is_read_as_it_was_written(job: Job, tmp_path: Path) -> None:
    assert read(job_document(job)) == job
    assert read(job_document(job)).progress == job.progress
    folder = JobFolder(tmp_path / "jobs").made()
    folder.save(job)
    assert folder.load(job.id) == job
    assert [path.name for path in folder.path.iterdir()] == [f"job-{job.id}.json"]


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "a relative target": lambda job: job["order"].update(dest="models"),
    "a target with a NUL": lambda job: job["order"].update(dest="/a\0b"),
    "an unknown state": lambda job: job.update(state="sleeping"),
    "a model that is none": lambda job: job["order"].update(model="../../etc"),
    "a digest that is none": lambda job: job["order"].update(manifest="../x"),
    "a pattern that is none": lambda job: job["order"]["options"].update(include=[1]),
    "an unknown way to verify": lambda job: job["order"]["options"].update(verify="trust me"),
    "no connections": lambda job: job["order"]["options"].update(connections=0),
    "a limit of nothing": lambda job: job["order"]["options"].update(limit_bytes_per_second=0),
    "bytes below zero": lambda job: job["progress"].update(done_bytes=-1),
    "a number that is a text": lambda job: job.update(id="3"),
    "a worker that is none": lambda job: job.update(worker="7"),
    "files that are none": lambda job: job["progress"].update(active=[3]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_could_not_have_been_written_is_not_read(change: Callable[[dict[str, Any]], object]) -> None:
    document = copy.deepcopy(job_document(JOB))
    change(document)
    with pytest.raises(CorruptError):
        read(document)


@pytest.mark.parametrize("wrong", [{"draft": "../x"}, {"sources": [1]}, {"files": 0}, {"kind": "push"}, {"actor": 1}])
def test_an_order_to_publish_that_could_not_have_been_written_is_not_read(wrong: dict[str, Any]) -> None:
    document = job_document(Job(JobId(1), PUBLISH_ORDER, JobState.QUEUED, "now"))
    document["order"].update(wrong)
    with pytest.raises(CorruptError):
        read(document)


def test_an_order_that_does_not_say_its_kind_is_a_pull_as_it_was_before_there_were_others() -> None:
    document = job_document(JOB)
    del document["order"]["kind"]
    assert read(document) == JOB


def test_a_failure_comes_back_as_the_error_that_it_was() -> None:
    error = failure_of(DeniedError("no", advice="ask")).as_error()
    assert type(error) is DeniedError
    assert (error.message, error.advice) == ("no", "ask")


def test_a_job_under_another_number_is_not_believed(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / "jobs").made()
    folder.save(JOB)
    (folder.path / "job-3.json").rename(folder.path / "job-4.json")
    with pytest.raises(CorruptError, match="another job"):
        folder.load(JobId(4))
    (folder.path / "job-5.json").symlink_to(folder.path / "job-4.json")
    (folder.path / "job-06.json").write_text("{}")
    (folder.path / "job-7.json").write_bytes(b" " * 2_000_000)
    jobs, faults = folder.load_all()
    assert jobs == ()
    assert len(faults) == 3
    assert folder.numbers() == [4, 5, 7]


def test_settings_are_compared_and_cannot_be_read() -> None:
    environment = {"AWS_PROFILE": "team-a", "BUCKETRY_CONFIG": "/etc/x.toml", "AWS_SECRET_ACCESS_KEY": "secret"}
    digests = digest_settings(environment)
    assert set(digests) == {"AWS_PROFILE", "BUCKETRY_CONFIG"}
    assert not any("team" in digest or "/etc" in digest for digest in digests.values())
    assert digest_settings({**environment, "AWS_SECRET_ACCESS_KEY": "renewed"}) == digests
    assert (
        differing_settings(digests, digest_settings({"BUCKETRY_CONFIG": "/x.toml"}))
        == "AWS_PROFILE and BUCKETRY_CONFIG"
    )
    assert differing_settings(digests, digests) == ""
