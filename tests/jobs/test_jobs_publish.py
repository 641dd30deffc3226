"""Does a detached publish make exactly one version, of what was there when it was ordered, whatever happens to it?"""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.errors import BucketryError, NotFoundError, RejectedError, UsageError
from bucketry.jobs import client as jobs
from bucketry.jobs.client import JobState, PublishOrder, PublishResult
from bucketry.jobs.publish import do_publish, order_publish
from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.core.resolve import load_manifest
from bucketry.registry.core.rows import load_row
from bucketry.registry.publishing.publish import PublishRequest, publish
from bucketry.registry.review.standings import load_standing
from bucketry.registry.serving.auditing import load_audit
from bucketry.schema.documents.evidence import Evidence, Metric
from bucketry.schema.documents.manifest import Training
from bucketry.schema.names import parse_reference
from bucketry.transfer.pace.controls import Controls
from bucketry.transfer.plan import TransferOptions
from jobs.detached import done, end_worker, ended, is_gone, until
from jobs.detached_publish import CONTENTS, MODEL, PART_BYTES, PARTS, SIZE_BYTES, publishing
from servers.fault_proxy import Refused
from servers.misbehaving import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bucketry.jobs.client import Job, JobId
    from jobs.detached_publish import Publishing
    from servers.process import S3Server

# One part after the other: at once, all would share the limit and be done at the same moment.
SLOW = TransferOptions(connections=1, limit_bytes_per_second=8_000_000)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publishing]:
    with publishing(tmp_path, monkeypatch) as world:
        yield world


@pytest.fixture
def bucket(weed: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publishing]:
    with publishing(tmp_path, monkeypatch, weed) as world:
        yield world


def published(job: Job) -> PublishResult:
    assert isinstance(job.result, PublishResult)
    return job.result


def chunks_done(number: JobId) -> int:
    progress = jobs.load_job(number).progress
    return progress.verified_chunks if progress else 0


def kill_worker() -> None:
    killed = jobs.find_worker()
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    assert until(lambda: is_gone(killed))


def test_files_become_a_version_with_all_that_was_said_of_them(
    world: Publishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence = Evidence("automated", (Metric("auc", 0.91),))
    number = world.submit(
        evidence=[evidence],
        training=Training(hyperparameters={"lr": 0.1}, seed=-3),
        labels={"team": "a"},
        notes="as ordered",
    )
    monkeypatch.setenv("BUCKETRY_IDENTITY", "eve@example.org")
    result = published(done(number))
    assert (result.version, result.size_bytes, result.uploaded_bytes, result.created) == (
        1,
        SIZE_BYTES,
        SIZE_BYTES,
        True,
    )
    world.check()
    with world.opened() as session:
        manifest = load_manifest(session, MODEL, result.manifest)
        row = load_row(session, load_existing_head(session, MODEL), 1)
    assert (manifest.created_by, manifest.notes, manifest.labels) == ("ada@example.org", "as ordered", {"team": "a"})
    assert (manifest.training.hyperparameters, manifest.training.seed) == ({"lr": 0.1}, -3)
    assert manifest.training.command
    assert manifest.training.published_from["python"]
    assert row.metrics == {"auc": 0.91}
    assert row.labels == {"team": "a"}
    assert world.left() == ["job-1.json"]


def test_the_manifest_is_that_of_a_publish_that_was_waited_for(world: Publishing) -> None:
    with world.opened() as session:
        waited = publish(session, PublishRequest(MODEL, [world.source], notes="n"))
        direct = load_manifest(session, MODEL, waited.manifest)
        detached = load_manifest(session, MODEL, published(done(world.submit(notes="n"))).manifest)
    assert detached.artifacts == direct.artifacts
    assert {**detached.to_document(), "created_at": ""} == {**direct.to_document(), "created_at": ""}


def test_a_killed_worker_is_followed_by_one_that_sends_only_what_is_missing(bucket: Publishing) -> None:
    held = bucket.holds(served=2)
    number = bucket.submit(TransferOptions(connections=1))
    assert held.begun.wait(30)
    assert until(lambda: chunks_done(number) == 3)  # two parts, and the small file
    kill_worker()
    assert jobs.load_job(number).state is JobState.INTERRUPTED
    bucket.heals()
    jobs.resume(number)
    result = published(done(number))
    sent = bucket.parts()
    assert len(sent) == PARTS - 2
    assert result.uploaded_bytes == sum(len(asked.body) for asked in sent) < SIZE_BYTES - PART_BYTES
    assert (result.version, result.created) == (1, True)
    bucket.check()


def test_a_killed_worker_is_followed_in_a_folder_too(world: Publishing) -> None:
    number = world.submit(SLOW)
    assert until(lambda: chunks_done(number) >= 2)  # the small file, and a part; the others take four seconds more
    kill_worker()
    jobs.set_limit(number, None)
    jobs.resume(number)
    result = published(done(number))
    assert 0 < result.uploaded_bytes < SIZE_BYTES
    world.check()


def test_a_worker_that_died_between_the_commit_and_its_own_note_makes_no_second_version(world: Publishing) -> None:
    stop = threading.Event()
    with world.opened() as session:
        order, draft = order_publish(session, None, PublishRequest(MODEL, [world.source]))
    first, again = (do_publish(order, draft, Controls(2), stop, lambda _: None) for _ in range(2))
    assert (first.version, first.manifest) == (again.version, again.manifest)
    assert (first.created, again.created) == (True, True)
    world.check()


def test_whoever_ordered_it_publishes_it_whatever_the_worker_is_told_of_itself(
    world: Publishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world.opened() as session:
        order, draft = order_publish(session, None, PublishRequest(MODEL, [world.source]))
    monkeypatch.setenv("BUCKETRY_IDENTITY", "eve@example.org")
    do_publish(order, draft, Controls(2), threading.Event(), lambda _: None)
    with world.opened() as session:
        assert {entry.record.actor for entry in load_audit(session, MODEL).entries} == {"ada@example.org"}


def test_a_registry_that_took_another_ones_place_is_not_published_to(world: Publishing) -> None:
    with world.opened() as session:
        order, draft = order_publish(session, None, PublishRequest(MODEL, [world.source]))
    other = replace(order, registry_id="another")
    with pytest.raises(RejectedError, match="another registry"):
        do_publish(other, draft, Controls(2), threading.Event(), lambda _: None)
    assert world.versions() == []


def test_a_worker_that_is_told_to_end_leaves_its_publish_to_the_next(world: Publishing) -> None:
    number = world.submit(SLOW)
    assert until(lambda: chunks_done(number) >= 1)
    end_worker(world.folder)
    assert [job.state for job in world.folder.load_all()[0]] == [JobState.QUEUED]
    jobs.set_limit(number, None)
    jobs.resume(number)
    done(number)
    world.check()


def test_a_paused_publish_stands_still_and_goes_on_where_it_was(bucket: Publishing) -> None:
    held = bucket.holds(served=2)
    number = bucket.submit(TransferOptions(connections=1))
    assert held.begun.wait(30)
    assert until(lambda: chunks_done(number) == 3)  # two parts, and the small file
    paused = jobs.pause(number)
    assert paused.state is JobState.PAUSED
    assert paused.progress is not None
    assert (paused.progress.verified_chunks, paused.progress.hashed_bytes) == (3, SIZE_BYTES)
    bucket.heals()
    assert until(lambda: "stopped, paused" in bucket.log())
    time.sleep(0.3)
    standing = jobs.load_job(number).progress
    assert standing is not None
    assert standing.verified_chunks == 3
    assert bucket.parts() == []
    assert bucket.versions() == []
    jobs.resume(number)
    assert published(done(number)).uploaded_bytes < SIZE_BYTES - PART_BYTES
    assert len(bucket.parts()) == PARTS - 2
    bucket.check()


def test_a_cancelled_publish_keeps_what_was_sent_for_whoever_tries_again(bucket: Publishing) -> None:
    held = bucket.holds(served=2)
    number = bucket.submit(TransferOptions(connections=1))
    assert held.begun.wait(30)
    assert until(lambda: chunks_done(number) == 3)  # two parts, and the small file
    assert jobs.cancel(number).state is JobState.CANCELLED
    bucket.heals()
    assert until(lambda: "stopped, cancelled" in bucket.log())
    assert bucket.versions() == []
    jobs.retry(number)
    done(number)
    assert len(bucket.parts()) == PARTS - 2
    bucket.check()


def test_a_limit_holds_at_once_and_is_taken_away_at_once(world: Publishing) -> None:
    number = world.submit(TransferOptions(limit_bytes_per_second=3_000_000))
    assert until(lambda: (p := jobs.load_job(number).progress) and p.hashed_bytes == SIZE_BYTES)
    time.sleep(2.0)
    assert jobs.load_job(number).progress.done_bytes < SIZE_BYTES / 2  # type: ignore[union-attr]
    assert jobs.set_limit(number, 4_000_000).order.options.limit_bytes_per_second == 4_000_000
    began_at = time.monotonic()
    jobs.set_limit(number, None)
    done(number)
    assert time.monotonic() - began_at < SIZE_BYTES / 4_000_000 / 2
    world.check()


def test_as_many_connections_are_used_as_it_is_told(bucket: Publishing) -> None:
    held = bucket.holds(served=0)
    number = bucket.submit(TransferOptions(connections=1))
    assert held.begun.wait(30)
    time.sleep(0.3)
    assert len(bucket.parts()) == 1
    assert jobs.set_connections(number, 3).order.options.connections == 3
    jobs.pause(number)
    bucket.heals()
    assert until(lambda: "stopped, paused" in bucket.log())
    bucket.holds(served=0)
    jobs.resume(number)
    assert until(lambda: len(bucket.parts()) == 3)
    bucket.heals()
    done(number)
    bucket.check()


def test_progress_tells_of_each_file_what_is_read_and_what_is_sent(world: Publishing) -> None:
    number = world.submit(TransferOptions(limit_bytes_per_second=8_000_000))
    heard = [job.progress for job in jobs.follow(number) if job.progress is not None]
    assert any(progress.hashed_bytes == SIZE_BYTES and progress.done_bytes < SIZE_BYTES for progress in heard)
    assert any([file.label for file in progress.active] == ["weights.bin"] for progress in heard)
    assert heard[-1].done_bytes == SIZE_BYTES
    assert heard[-1].verified_chunks == PARTS + 1


def test_two_transfers_run_at_once_in_all(world: Publishing) -> None:
    numbers = [world.submit(SLOW) for _ in range(3)]
    assert [job.state for job in jobs.list_jobs()] == [JobState.RUNNING, JobState.RUNNING, JobState.QUEUED]
    for number in numbers:
        jobs.set_limit(number, None)
    for number in numbers:
        done(number)
    assert sorted(world.versions()) == [1, 2, 3]


@pytest.mark.parametrize("change", ["written", "touched", "replaced", "removed"])
def test_a_file_that_changed_since_it_was_ordered_is_refused(world: Publishing, change: str) -> None:
    with world.opened() as session:
        order, draft = order_publish(session, None, PublishRequest(MODEL, [world.source]))
    weights, stop = world.source / "weights.bin", threading.Event()
    times = weights.stat()
    if change == "written":
        weights.write_bytes(b"other")
    elif change == "touched":
        os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns + 1))
    elif change == "replaced":
        (world.root / "aside").write_bytes(CONTENTS["weights.bin"])
        os.utime(world.root / "aside", ns=(times.st_atime_ns, times.st_mtime_ns))
        (world.root / "aside").replace(weights)
    else:
        weights.unlink()
    with pytest.raises(RejectedError, match=r"weights\.bin changed while it was published"):
        do_publish(order, draft, Controls(2), stop, lambda _: None)
    assert world.versions() == []
    assert not (world.root / "registry" / "blobs").exists()


def test_a_file_that_changes_while_others_are_read_is_refused(world: Publishing) -> None:
    with world.opened() as session:
        order, draft = order_publish(session, None, PublishRequest(MODEL, [world.source]))
    with pytest.raises(RejectedError, match=r"config\.json changed while it was published"):
        do_publish(
            order, draft, Controls(2), threading.Event(), lambda _: os.utime(world.source / "config.json", (1, 1))
        )
    assert (world.root / "registry" / "blobs").exists()
    assert world.versions() == []


def test_a_file_that_comes_after_the_order_is_not_published(world: Publishing) -> None:
    with world.opened() as session:
        order, draft = order_publish(session, None, PublishRequest(MODEL, [world.source]))
    (world.source / "late.bin").write_bytes(b"late")
    do_publish(order, draft, Controls(2), threading.Event(), lambda _: None)
    world.check()


@pytest.mark.parametrize(
    ("request_", "error", "match"),
    [
        ({"labels": {"no such name": "x"}}, UsageError, "not a label's name"),
        ({"base": parse_reference("acme/base:1"), "relation": "finetune"}, NotFoundError, "acme/base"),
        ({"relation": "finetune"}, UsageError, "go together"),
        ({"idempotency_key": ""}, UsageError, "idempotency key"),
        ({"sign": lambda _: None}, UsageError, "no key to sign"),
        ({"training": Training(hyperparameters={"x": float("nan")})}, UsageError, "cannot be compared"),
    ],
)
def test_what_is_wrong_with_an_order_is_told_before_it_is_one(
    world: Publishing, request_: dict[str, Any], error: type[BucketryError], match: str
) -> None:
    with pytest.raises(error, match=match):
        world.submit(**request_)
    assert jobs.list_jobs() == ()
    assert world.left() == []
    assert jobs.find_worker() is None


def test_files_that_are_not_there_are_told_before_there_is_a_job(world: Publishing) -> None:
    (world.source / "link").symlink_to("config.json")
    with pytest.raises(UsageError, match="symbolic link"):
        world.submit()
    assert jobs.list_jobs() == ()
    assert world.left() == []


def test_an_idempotency_key_is_that_of_one_job_and_of_one_version(world: Publishing) -> None:
    number = world.submit(SLOW, idempotency_key="run-8812")
    with pytest.raises(RejectedError, match="transfer 1, which publishes acme/chat with this idempotency key"):
        world.submit(idempotency_key="run-8812")
    left = [name for name in world.left() if name != "progress-1.json"]  # which is there once the worker is
    assert left == [f"draft-{order_of(number).draft}.json", "job-1.json"]
    jobs.set_limit(number, None)
    assert published(done(number)).created
    again = published(done(world.submit(idempotency_key="run-8812")))
    assert (again.version, again.created, again.uploaded_bytes) == (1, False, 0)
    with world.opened() as session:
        assert not publish(session, PublishRequest(MODEL, [world.source], idempotency_key="run-8812")).created
    world.check()


def order_of(number: JobId) -> PublishOrder:
    order = jobs.load_job(number).order
    assert isinstance(order, PublishOrder)
    return order


def test_the_reviewers_are_asked_once_it_is_published(world: Publishing) -> None:
    done(world.submit(request_review=True))
    with world.opened() as session:
        head = load_existing_head(session, MODEL)
        standing = load_standing(session, head, load_row(session, head, 1))
    assert str(standing.row.state) == "in_review"


def test_a_failed_publish_succeeds_when_it_is_tried_again(bucket: Publishing) -> None:
    assert bucket.proxy is not None
    bucket.proxy.script = lambda asked: Refused(refusal(403, "AccessDenied")) if "/blobs/" in asked.path else None
    number = bucket.submit()
    job = ended(number)
    assert job.failure is not None
    assert job.failure.kind == "denied"
    bucket.heals()
    jobs.retry(number)
    done(number)
    bucket.check()


def test_nothing_that_is_written_down_holds_a_credential_or_is_anybody_elses_to_read(
    bucket: Publishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["bucketry", "publish", "--token=hunter2", "s3://user:hunter2@host/x"])
    held = bucket.holds(served=0)
    bucket.submit(TransferOptions(connections=1))
    assert held.begun.wait(30)
    assert bucket.proxy is not None
    files = [path for path in bucket.folder.path.iterdir() if path.is_file()]
    assert len([path for path in files if path.name.startswith("draft-")]) == 1
    for path in files:
        assert path.stat().st_mode & 0o777 == 0o600
        text = path.read_text()
        for word in (bucket.proxy.server.secret_key, bucket.proxy.server.access_key, "Signature", "hunter2"):
            assert word not in text


def test_a_draft_that_is_gone_or_changed_is_not_published(world: Publishing) -> None:
    number = world.submit(SLOW)
    jobs.pause(number)
    assert until(lambda: "stopped, paused" in world.log())
    draft = world.folder.path / f"draft-{order_of(number).draft}.json"
    draft.write_bytes(draft.read_bytes().replace(b"weights", b"w3ights"))
    jobs.resume(number)
    job = ended(number)
    assert job.failure is not None
    assert "is not what was ordered" in job.failure.message
    draft.unlink()
    jobs.retry(number)
    assert "is missing" in ended(number).failure.message  # type: ignore[union-attr]
    assert world.versions() == []


def test_drafts_that_no_job_needs_are_removed_by_the_next_worker(world: Publishing) -> None:
    folder = world.folder.made()
    old, young = folder.path / f"draft-{'a' * 64}.json", folder.path / f"draft-{'b' * 64}.json"
    for path in (old, young):
        path.write_text("{}")
    os.utime(old, (1, 1))
    done(world.submit())
    assert not old.exists()
    assert young.exists()


def test_what_was_published_is_not_hashed_again(world: Publishing) -> None:
    number = world.submit()
    done(number)
    with pytest.raises(RejectedError, match="verified as they were sent"):
        jobs.verify_again(number)
    assert jobs.load_job(number).state is JobState.DONE
