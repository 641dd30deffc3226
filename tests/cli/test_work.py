"""Do `work` and `fsck --scheduler` end as `fsck --deep` does, also where processes are killed?"""

from __future__ import annotations

import multiprocessing
import subprocess
import threading
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import UsageError
from bucketry.maintenance.work.schedulers import Dask, Processes, parse_scheduler
from cli.harness import PROGRAM

if TYPE_CHECKING:
    from pathlib import Path

    from cli.harness import Program

VARIABLES = ("JOB_COMPLETION_INDEX", "AWS_BATCH_JOB_ARRAY_INDEX", "SLURM_ARRAY_TASK_ID")


@pytest.fixture
def work(program: Program, registry: Path, files: Path) -> str:
    """Return the id of a plan with two shards."""
    assert registry.is_dir()
    (files / "more.bin").write_bytes(bytes(range(255)) * 400)
    program.ok("publish", "acme/chat", files)
    planned = program.json("work", "plan", "fsck", "--shards", "2")
    assert (planned["kind"], planned["shards"]) == ("fsck", 2)
    assert planned["largest_shard_bytes"] < planned["size_bytes"]
    return str(planned["work"])


def alter_weights(registry: Path) -> str:
    largest = max((path for path in (registry / "blobs").rglob("*") if path.is_file()), key=lambda p: p.stat().st_size)
    largest.chmod(0o644)
    largest.write_bytes(bytes(largest.stat().st_size))
    return str(largest.relative_to(registry))


def test_a_plan_is_run_and_collected(program: Program, work: str) -> None:
    assert program.ok("work", "list").text.splitlines()[1].split()[0] == work
    assert program.json("work", "list")["work"][0]["missing"] == [0, 1]
    assert "2 of 2 shards" in program.fails(6, "work", "collect", work)
    assert "done in " in program.ok("work", "run", work, "--shard", "0").text
    assert f"1 of 2 shards of {work} have no result: 1" in program.fails(6, "work", "collect", work)
    done = program.json("work", "run", work, "--shard", "1")
    assert (done["shard"], done["was_done"], done["problems"]) == (1, False, [])
    assert "was done before" in program.ok("work", "run", work, "--shard", "1").text
    assert program.ok("work", "collect", work).text == program.ok("fsck", "--deep").text
    assert program.json("work", "collect", work) == program.json("fsck", "--deep")
    assert program.json("work", "list")["work"][0]["missing"] == []


def test_damage_ends_as_the_whole_check_does(program: Program, registry: Path, work: str) -> None:
    key = alter_weights(registry)
    found = [program.json("work", "run", work, "--shard", str(shard))["problems"] for shard in (0, 1)]
    assert sum(map(len, found)) == 1
    collected, whole = program.run("work", "collect", work), program.run("fsck", "--deep")
    assert (collected.code, collected.text, collected.errors) == (8, whole.text, whole.errors)
    assert key in collected.text
    assert program.run("work", "collect", work, "--json").document == program.run("fsck", "--deep", "--json").document


@pytest.mark.parametrize("name", VARIABLES)
def test_a_task_of_an_array_job_knows_its_shard(
    program: Program, work: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    assert program.json("work", "run", work)["shard"] == 1
    monkeypatch.setenv(name, "2")
    assert "has no shard 2" in program.fails(2, "work", "run", work)
    monkeypatch.setenv(name, "one")
    assert f"{name} is not the number of a shard" in program.fails(2, "work", "run", work)


def test_without_an_index_there_is_no_shard(program: Program, work: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert "no shard was named" in program.fails(2, "work", "run", work)
    assert "there is no plan" in program.fails(3, "work", "run", "fsck-20260303t120000z-00000000", "--shard", "0")
    program.fails(2, "work", "plan", "fsck", "--shards", "0")


def test_a_shard_that_is_killed_again_and_again_is_done_at_last(program: Program, registry: Path, files: Path) -> None:
    (files / "large.bin").write_bytes(bytes(range(256)) * 250_000)
    program.ok("publish", "acme/chat", files)
    work = program.json("work", "plan", "fsck", "--shards", "2")["work"]
    kills = 0
    for delay_seconds in (0.2, 0.4, 0.5, 0.6, 0.7, 0.8):
        command = [*PROGRAM, "work", "run", work, "--shard", "0"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(delay_seconds)
        process.kill()
        process.communicate()
        kills += process.returncode < 0
    assert kills
    for shard in ("0", "1"):
        program.ok("work", "run", work, "--shard", shard)
    assert program.ok("work", "collect", work).text == program.ok("fsck", "--deep").text
    assert registry.is_dir()


# By processes


def test_processes_share_a_deep_check(program: Program, registry: Path, work: str) -> None:
    assert work
    told = program.ok("fsck", "--deep", "--scheduler", "processes:2").text
    assert told == program.ok("fsck", "--deep").text
    listed = program.json("work", "list")["work"]
    assert sorted((each["shards"], each["missing"]) for each in listed) == [(2, [0, 1]), (8, [])]
    key = alter_weights(registry)
    damaged = program.run("fsck", "--deep", "--scheduler", "processes:2")
    assert damaged.code == 8
    assert key in damaged.text


def test_what_a_killed_process_did_not_do_others_do(program: Program, registry: Path, work: str) -> None:
    assert registry.is_dir()
    assert work
    killed = threading.Event()

    def kill_the_first() -> None:
        for _ in range(3_000):
            for process in multiprocessing.active_children():
                process.kill()
                killed.set()
                return
            time.sleep(0.01)

    thread = threading.Thread(target=kill_the_first)
    thread.start()
    told = program.ok("fsck", "--deep", "--scheduler", "processes:2").text
    thread.join()
    assert killed.is_set()
    assert "nothing is wrong" in told


@pytest.mark.skipif(find_spec("distributed") is not None, reason="distributed (Dask) is installed")
def test_an_engine_that_is_not_installed_is_named(program: Program, work: str) -> None:
    assert work
    assert "install bucketry[dask]" in program.fails(9, "fsck", "--deep", "--scheduler", "dask:127.0.0.1:1")


def test_what_is_no_scheduler_is_refused(program: Program, work: str) -> None:
    assert work
    assert parse_scheduler("processes:3") == Processes(3)
    assert parse_scheduler("dask:tcp://10.0.0.5:8786") == Dask("tcp://10.0.0.5:8786")
    for text in ("processes", "processes:0", "processes:-1", "processes:1000", "threads:2", "dask:", "ray:auto", ""):
        with pytest.raises(UsageError, match="is not a scheduler"):
            parse_scheduler(text)
    program.fails(2, "fsck", "--deep", "--scheduler", "many")
    assert "add --deep" in program.fails(2, "fsck", "--scheduler", "processes:2")
