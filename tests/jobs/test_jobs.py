"""Does a detached transfer outlive what it should, obey who steers it, and leave nobody's secrets anywhere?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import (
    BucketryError,
    CorruptError,
    DeniedError,
    NotFoundError,
    RejectedError,
    UnavailableError,
    UsageError,
)
from bucketry.jobs import client as jobs
from bucketry.jobs.client import Job, JobId, JobResult, JobState, PullOrder
from bucketry.jobs.files import JobFolder
from bucketry.jobs.model import parse_owner
from bucketry.jobs.pull import do_pull
from bucketry.schema.names import parse_digest, parse_reference
from bucketry.transfer.disk.leftovers import Owner, this_place
from bucketry.transfer.pace.controls import Controls
from faults.file_systems import mounted
from faults.scene import REFERENCE, SIZE_BYTES, check_contents
from jobs.detached import SECRET, detached_world, done, end_worker, ended, is_gone, until
from servers.fault_proxy import Refused
from servers.misbehaving import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.detached import Detached

NOBODY = 65534
SUBMIT = """
import sys
from pathlib import Path
from bucketry.jobs import client as jobs
from bucketry.registry.reading.pull import PullOptions
from bucketry.schema.names import parse_reference
print(jobs.submit_pull(None, parse_reference("acme/chat:1"), Path(sys.argv[1]), PullOptions(connections=2)))
"""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Detached]:
    with detached_world(tmp_path, monkeypatch) as world:
        yield world


def submit_alone(dest: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", SUBMIT, str(dest)], stdout=subprocess.PIPE, text=True)


def states() -> list[JobState]:
    return [job.state for job in jobs.list_jobs()]


def pulled(job: Job) -> JobResult:
    assert isinstance(job.result, JobResult)
    return job.result


def ordered(job: Job) -> PullOrder:
    assert isinstance(job.order, PullOrder)
    return job.order


def beside(world: Detached) -> list[str]:
    return sorted(path.name for path in world.root.iterdir())


def test_a_version_arrives_though_whoever_ordered_it_has_gone(world: Detached) -> None:
    held = world.holds(served=3)
    with submit_alone(world.root / "model") as process:
        number = int(process.communicate(timeout=60)[0])
    assert process.returncode == 0
    assert held.begun.wait(30)
    assert jobs.load_job(JobId(number)).state is JobState.RUNNING
    world.heals()
    job = done(JobId(number))
    check_contents(world.root / "model")
    result = pulled(job)
    assert (result.fetched_bytes, result.size_bytes) == (SIZE_BYTES, SIZE_BYTES)
    assert (result.path, result.version) == (world.root / "model", 1)
    assert job.started_at is not None
    assert job.ended_at is not None


def test_a_worker_that_was_killed_is_followed_by_one_that_goes_on_with_identical_bytes(world: Detached) -> None:
    held = world.holds(served=3)
    number = world.submit()
    assert held.begun.wait(30)
    assert until(lambda: (p := jobs.load_job(number).progress) and p.verified_chunks >= 3)
    killed = jobs.find_worker()
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    assert until(lambda: is_gone(killed))
    assert states() == [JobState.INTERRUPTED]
    assert [job.state for job in jobs.follow(number)] == [JobState.INTERRUPTED]
    assert jobs.find_worker() is None
    world.heals()
    jobs.resume(number)
    result = pulled(done(number))
    assert world.log().count("began") == 2
    check_contents(world.root / "model")
    assert beside(world) == ["model"]
    assert 0 < result.fetched_bytes < SIZE_BYTES
    assert result.fetched_bytes + result.reused_bytes == SIZE_BYTES


def test_a_worker_that_is_told_to_end_leaves_its_job_to_the_next(world: Detached) -> None:
    held = world.holds(served=2)
    number = world.submit()
    assert held.begun.wait(30)
    end_worker(world.folder)
    assert "ended" in world.log()
    assert [job.state for job in world.folder.load_all()[0]] == [JobState.QUEUED]
    assert states() == [JobState.INTERRUPTED]
    world.heals()
    other = world.submit("other")  # whatever starts a worker lets it take up all that is left
    assert done(number).state is done(other).state
    check_contents(world.root / "model")


def test_a_hang_up_does_not_end_the_worker(world: Detached) -> None:
    held = world.holds()
    number = world.submit()
    assert held.begun.wait(30)
    worker = jobs.find_worker()
    assert worker is not None
    assert os.getsid(worker) != os.getsid(0)
    for sign in (signal.SIGHUP, signal.SIGINT):
        os.kill(worker, sign)
    assert jobs.find_worker() == worker
    world.heals()
    done(number)
    assert f" {worker} job 1: done" in world.log()


def test_a_paused_job_stands_still_and_goes_on_where_it_was(world: Detached) -> None:
    held = world.holds(served=3)
    number = world.submit()
    assert held.begun.wait(30)
    assert until(lambda: (p := jobs.load_job(number).progress) and p.verified_chunks >= 3)
    assert jobs.pause(number).state is JobState.PAUSED
    assert until(lambda: "stopped, paused" in world.log())
    world.heals()
    time.sleep(0.3)
    assert states() == [JobState.PAUSED]
    assert not (world.root / "model").exists()
    end_worker(world.folder)
    assert states() == [JobState.PAUSED]
    assert jobs.resume(number).state in {JobState.QUEUED, JobState.RUNNING}
    result = pulled(done(number))
    assert result.fetched_bytes < SIZE_BYTES
    check_contents(world.root / "model")


def test_a_cancelled_job_leaves_nothing_and_can_be_tried_again(world: Detached) -> None:
    held = world.holds(served=3)
    number = world.submit()
    assert held.begun.wait(30)
    assert beside(world) != []
    assert jobs.cancel(number).state is JobState.CANCELLED
    assert until(lambda: beside(world) == [])
    assert ended(number).state is JobState.CANCELLED
    with pytest.raises(RejectedError, match="is cancelled, so it cannot be paused"):
        jobs.pause(number)
    world.heals()
    jobs.retry(number)
    done(number)
    check_contents(world.root / "model")


def test_a_paused_job_that_is_cancelled_leaves_nothing(world: Detached) -> None:
    held = world.holds(served=3)
    number = world.submit()
    assert held.begun.wait(30)
    assert until(lambda: (p := jobs.load_job(number).progress) and p.verified_chunks >= 3)
    jobs.pause(number)
    assert until(lambda: "stopped, paused" in world.log())
    assert beside(world) != []
    jobs.cancel(number)
    assert beside(world) == []


def test_of_three_jobs_two_run_and_the_third_waits_for_one_to_end(world: Detached) -> None:
    held = world.holds()
    first, second, third = (world.submit(name) for name in ("a", "b", "c"))
    assert (first, second, third) == (1, 2, 3)
    assert until(lambda: held.waiting >= 2)
    assert states() == [JobState.RUNNING, JobState.RUNNING, JobState.QUEUED]
    jobs.pause(first)
    assert until(lambda: states() == [JobState.PAUSED, JobState.RUNNING, JobState.RUNNING])
    jobs.resume(first)
    assert states() == [JobState.QUEUED, JobState.RUNNING, JobState.RUNNING]
    world.heals()
    for number, name in ((first, "a"), (second, "b"), (third, "c")):
        done(number)
        check_contents(world.root / name)


def test_of_what_many_order_at_once_two_run_and_all_arrive(world: Detached) -> None:
    held = world.holds()
    clients = [submit_alone(world.root / f"model-{index}") for index in range(4)]
    numbers = sorted(int(client.communicate(timeout=60)[0]) for client in clients)
    assert numbers == [1, 2, 3, 4]
    assert until(lambda: held.waiting >= 2)
    assert states() == [JobState.RUNNING, JobState.RUNNING, JobState.QUEUED, JobState.QUEUED]
    assert world.log().count("began") == 2
    world.heals()
    for number in numbers:
        done(JobId(number))
    assert beside(world) == ["model-0", "model-1", "model-2", "model-3"]
    assert world.log().count("began") == 2


def test_every_listener_hears_the_same_job_grow_and_end(world: Detached) -> None:
    held = world.holds(served=3)
    number = world.submit()
    heard: list[list[Job]] = [[], []]
    listeners = [threading.Thread(target=lambda each=each: each.extend(jobs.follow(number))) for each in heard]
    for listener in listeners:
        listener.start()
    assert held.begun.wait(30)
    assert until(lambda: all(each and each[-1].progress and each[-1].progress.verified_chunks >= 3 for each in heard))
    files = [file.label for file in heard[0][-1].progress.active] if heard[0][-1].progress else []
    assert "sub/weights.bin" in files
    world.heals()
    for listener in listeners:
        listener.join(30)
    for each in heard:
        assert each[-1].state is JobState.DONE
        assert each[-1].progress is not None
        assert each[-1].progress.done_bytes == SIZE_BYTES


def test_a_listener_hears_of_a_job_that_stands_still(world: Detached) -> None:
    world.holds()
    number = world.submit()
    jobs.pause(number)
    assert until(lambda: "stopped, paused" in world.log())
    began_at, events = time.monotonic(), jobs.follow(number)
    for _ in range(2):
        assert next(events).state is JobState.PAUSED
    assert 2 < time.monotonic() - began_at < 9  # neither all the time, nor only when it is taken for dead


def test_a_listener_hears_at_most_five_times_a_second(world: Detached) -> None:
    number = world.submit(limit_bytes_per_second=100_000)
    began_at = time.monotonic()
    heard = len(list(jobs.follow(number)))
    assert 3 < heard <= 5 * (time.monotonic() - began_at) + 2


def test_a_limit_holds_at_once_and_is_taken_away_at_once(world: Detached) -> None:
    number = world.submit(limit_bytes_per_second=20_000)
    assert until(lambda: (p := jobs.load_job(number).progress) and p.done_bytes > 0)
    time.sleep(1.0)
    before = jobs.load_job(number)
    assert before.progress is not None
    assert before.progress.done_bytes < SIZE_BYTES / 2
    limited = jobs.set_limit(number, 25_000)
    assert limited.order.options.limit_bytes_per_second == 25_000
    jobs.set_limit(number, None)
    began_at = time.monotonic()
    job = done(number)
    assert time.monotonic() - began_at < SIZE_BYTES / 25_000 / 2
    assert job.order.options.limit_bytes_per_second is None
    with pytest.raises(RejectedError, match="is done"):
        jobs.set_limit(number, 1)


def test_more_connections_are_used_while_a_job_runs(world: Detached) -> None:
    number = world.submit(connections=1, limit_bytes_per_second=100_000)
    assert until(lambda: (p := jobs.load_job(number).progress) and p.done_bytes > 0)
    assert jobs.load_job(number).progress.connections == 1  # type: ignore[union-attr]
    assert jobs.set_connections(number, 8).order.options.connections == 8
    assert until(lambda: (p := jobs.load_job(number).progress) and p.connections > 1)
    jobs.set_limit(number, None)
    done(number)
    with pytest.raises(UsageError, match="connections are not possible"):
        world.submit("other", connections=100_000)


def test_a_change_reaches_a_job_of_several_processes_by_stopping_and_going_on(world: Detached) -> None:
    number = world.submit(processes=2, limit_bytes_per_second=20_000)
    assert until(lambda: (p := jobs.load_job(number).progress) and p.done_bytes > 0)
    jobs.set_limit(number, None)
    began_at = time.monotonic()
    done(number)
    assert time.monotonic() - began_at < SIZE_BYTES / 20_000 / 2
    check_contents(world.root / "model")
    assert "stopped, queued" in world.log()


def test_a_failed_job_says_why_and_succeeds_when_it_is_tried_again(world: Detached) -> None:
    world.proxy.script = lambda asked: Refused(refusal(403, "AccessDenied")) if "/blobs/" in asked.path else None
    number = world.submit()
    job = ended(number)
    assert job.state is JobState.FAILED
    assert job.failure is not None
    assert job.failure.kind == "denied"
    assert job.failure.as_error().exit_code == 7
    assert SECRET not in job.failure.message
    world.heals()
    assert jobs.retry(number).failure is None
    done(number)
    check_contents(world.root / "model")


def test_what_was_brought_is_hashed_again_and_mended(world: Detached) -> None:
    number = world.submit()
    done(number)
    weights = world.root / "model" / "sub" / "weights.bin"
    times = weights.stat()
    with weights.open("r+b") as file:
        file.write(b"wrong")
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))
    jobs.verify_again(number)
    result = pulled(done(number))
    assert 0 < result.fetched_bytes < SIZE_BYTES
    check_contents(world.root / "model")


def test_two_jobs_never_fill_one_folder(world: Detached) -> None:
    held = world.holds()
    world.submit()
    assert held.begun.wait(30)
    with pytest.raises(RejectedError, match=r"transfer 1 to .*model has not ended"):
        world.submit()
    jobs.cancel(JobId(1))
    world.heals()
    assert until(lambda: "stopped, cancelled" in world.log())
    other = world.submit()
    done(other)
    assert states() == [JobState.CANCELLED, JobState.DONE]


def test_an_order_that_is_sent_twice_is_one_job(world: Detached, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bucketry.jobs.client.secrets.token_hex", lambda _: "ab" * 16)
    assert world.submit() == world.submit("another")
    done(JobId(1))
    assert states() == [JobState.DONE]


def test_what_is_wrong_with_an_order_is_told_before_it_is_one(world: Detached) -> None:
    (world.root / "mine").mkdir()
    (world.root / "mine" / "file").write_text("precious")
    with pytest.raises(RejectedError, match="mine"):
        world.submit("mine")
    with pytest.raises(NotFoundError):
        jobs.submit_pull(None, parse_reference("acme/chat:9"), world.root / "model")
    with pytest.raises(NotFoundError, match="no transfer 7"):
        jobs.pause(JobId(7))
    with pytest.raises(NotFoundError, match="no transfer 7"):
        jobs.load_job(JobId(7))
    assert jobs.list_jobs() == ()


def test_a_pull_without_a_target_goes_to_the_cache(world: Detached) -> None:
    path = pulled(done(jobs.submit_pull(None, parse_reference(REFERENCE)))).path
    check_contents(path)
    assert path.is_relative_to(world.root.parent / "cache")


def test_relative_paths_mean_what_they_mean_where_the_order_was_given(
    world: Detached, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world.root)
    monkeypatch.setenv("BUCKETRY_CACHE", "../cache")
    monkeypatch.setenv("BUCKETRY_STATE", "../state")
    job = done(jobs.submit_pull(None, parse_reference(REFERENCE), type(world.root)("here")))
    assert ordered(job).dest == world.root / "here"
    check_contents(world.root / "here")


def test_an_order_runs_under_the_settings_that_it_was_given_under_or_is_refused(
    world: Detached, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = world.holds()
    first = world.submit()
    assert held.begun.wait(30)
    with monkeypatch.context() as other:
        other.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        second = world.submit("other")
        assert until(lambda: held.waiting >= 2)
    workers = [job.worker for job in jobs.list_jobs()]
    assert None not in workers
    regions = [Path(f"/proc/{worker.pid}/environ").read_bytes().count(b"eu-west-1") for worker in workers if worker]
    assert regions == [0, 1]
    with monkeypatch.context() as another:
        another.setenv("AWS_DEFAULT_REGION", "us-west-2")
        with pytest.raises(RejectedError, match="that runs was started with another AWS_DEFAULT_REGION"):
            world.submit("third")
    world.heals()
    done(first)
    done(second)


def test_a_job_goes_on_only_under_the_settings_that_it_was_ordered_under(
    world: Detached, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = world.holds()
    number = world.submit()
    assert held.begun.wait(30)
    end_worker(world.folder)
    with monkeypatch.context() as other:
        other.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        with pytest.raises(RejectedError, match="was ordered with another AWS_DEFAULT_REGION"):
            jobs.resume(number)
        world.heals()
        done(world.submit("other"))
        assert jobs.load_job(number).state is JobState.INTERRUPTED
    jobs.resume(number)
    done(number)


def test_a_registry_that_took_another_ones_place_is_not_pulled_from(world: Detached) -> None:
    order = ordered(done(world.submit()))
    other = replace(order, registry_id="another", dest=world.root / "other")
    with pytest.raises(RejectedError, match="another registry"):
        do_pull(other, Controls(2), threading.Event(), lambda _: None)
    assert beside(world) == ["model"]


def test_an_alias_that_moved_since_the_order_brings_nothing_that_nobody_ordered(world: Detached) -> None:
    order = ordered(done(world.submit()))
    other = replace(order, manifest=parse_digest("0" * 64), dest=world.root / "other")
    with pytest.raises(RejectedError, match="not the version that was ordered"):
        do_pull(other, Controls(2), threading.Event(), lambda _: None)
    assert beside(world) == ["model"]


def test_jobs_that_nobody_can_read_are_in_nobodys_way(world: Detached) -> None:
    folder = world.folder.made()
    (folder.path / "job-6.json").write_bytes(b"\x00 not a job")
    done(world.submit())
    assert [job.id for job in jobs.list_jobs()] == [7]
    assert "left aside" in world.log()
    with pytest.raises(CorruptError):
        folder.load(JobId(6))


def test_a_job_that_somebody_wrote_as_interrupted_does_not_stand_in_the_way_for_ever(world: Detached) -> None:
    job = done(world.submit())
    world.folder.save(replace(job, state=JobState.INTERRUPTED, result=None))
    jobs.resume(job.id)
    assert done(job.id).state is JobState.DONE


def test_nothing_that_is_written_down_holds_a_credential_or_is_anybody_elses_to_read(world: Detached) -> None:
    world.proxy.script = lambda asked: Refused(refusal(403, "AccessDenied")) if "/blobs/" in asked.path else None
    ended(world.submit())
    end_worker(world.folder)
    assert world.folder.path.stat().st_mode & 0o777 == 0o700
    files = [path for path in world.folder.path.iterdir() if path.is_file()]
    assert {path.name for path in files} == {"worker.log", "job-1.json", "lock"}
    for path in files:
        assert path.stat().st_mode & 0o777 == 0o600
        text = path.read_text()
        for word in (SECRET, "an-access-key", "Signature"):
            assert word not in text


def test_a_worker_with_nothing_to_do_ends_by_itself(world: Detached) -> None:
    world.folder.made()
    program = [sys.executable, "-m", "bucketry.jobs.worker"]
    told = subprocess.run(program, check=True, capture_output=True, text=True).stdout
    worker = parse_owner(told, what="a worker")
    assert until(lambda: is_gone(worker.pid))
    assert f" {worker.pid} ended" in world.log()
    assert jobs.find_worker() is None


def test_how_far_a_killed_job_was_is_still_known(world: Detached) -> None:
    held = world.holds(served=3)
    number = world.submit()
    assert held.begun.wait(30)
    assert until(lambda: (p := jobs.load_job(number).progress) and p.verified_chunks >= 3)
    worker = jobs.find_worker()
    assert worker is not None
    os.kill(worker, signal.SIGKILL)
    assert until(lambda: is_gone(worker))
    job = jobs.load_job(number)
    assert job.state is JobState.INTERRUPTED
    assert job.progress is not None
    assert job.progress.verified_chunks >= 3


def test_a_worker_of_another_container_counts_for_as_long_as_it_writes(world: Detached) -> None:
    job = replace(done(world.submit()), state=JobState.RUNNING, result=None, worker=Owner("abc", os.getpid(), 1))
    world.folder.save(job)
    assert states() == [JobState.INTERRUPTED]
    assert job.progress is not None
    world.folder.save_progress(job.id, job.progress)
    assert states() == [JobState.RUNNING]
    path = world.folder.path / "progress-1.json"
    os.utime(path, (time.time() - 61, time.time() - 61))
    assert states() == [JobState.INTERRUPTED]


def test_a_job_that_ended_while_it_was_looked_at_is_not_taken_for_interrupted(
    world: Detached, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = done(world.submit())
    read = [replace(job, state=JobState.RUNNING, result=None, worker=Owner(this_place(), 2**22 + 1, 1))]
    load = JobFolder.load
    monkeypatch.setattr(JobFolder, "load", lambda folder, number: read.pop() if read else load(folder, number))
    assert jobs.load_job(job.id) == job


def test_rights_that_were_widened_are_narrowed_again(world: Detached) -> None:
    world.folder.made().path.chmod(0o777)
    assert world.folder.made().path.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_users_folder_is_not_used(world: Detached) -> None:
    os.chown(world.folder.made().path, NOBODY, NOBODY)
    with pytest.raises(DeniedError, match="not a folder of this user"):
        jobs.pause(JobId(1))


def test_a_job_whose_start_cannot_be_made_says_so(world: Detached, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bucketry.jobs.client.sys.executable", "/bin/false")
    with pytest.raises(BucketryError, match="does not start"):
        world.submit()
    assert jobs.list_jobs() == ()


def test_a_full_disk_is_told_at_once_and_the_job_starts_when_there_is_room(world: Detached) -> None:
    state = world.folder.path.parent.parent
    with mounted(state, "size=100k"):
        filling = state / "filling"
        filling.write_bytes(bytes(90_000))
        with pytest.raises(UnavailableError, match="the disk is full"):
            world.submit()
        assert not list(world.folder.path.iterdir())
        filling.unlink()
        done(world.submit())
        end_worker(world.folder)
