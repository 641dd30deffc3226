"""Does a pull that was detached go on when its terminal is closed, and do the commands show and steer it?"""

from __future__ import annotations

import os
import pty
import shlex
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from bucketry.jobs import client as jobs
from bucketry.jobs.client import JobId, JobState
from cli.harness import PROGRAM, run_in_terminal
from faults.scene import REFERENCE, SIZE_BYTES, check_contents
from jobs.detached import detached_world, done, end_worker, is_gone, until
from servers.fault_proxy import Refused
from servers.misbehaving import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cli.harness import Program
    from jobs.detached import Detached


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Detached]:
    with detached_world(tmp_path, monkeypatch) as world:
        yield world


def test_a_transfer_ends_though_the_terminal_that_it_came_from_was_closed(world: Detached) -> None:
    held = world.holds(served=3)
    bucketry = shlex.join(PROGRAM)
    shell = (
        f"{bucketry} pull {REFERENCE} {shlex.quote(str(world.root / 'model'))} --detach --connections 2"
        f" && {bucketry} transfers attach 1"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv("/bin/sh", ["sh", "-c", shell])
    received = b""
    for _ in range(1_000):
        received += os.read(terminal, 65_536)
        if b"downloading" in received:
            break
    assert b"transfer 1" in received
    assert held.begun.wait(30)
    os.close(terminal)  # the kernel hangs up on everybody whose terminal this was
    os.waitpid(pid, 0)
    worker = jobs.find_worker()
    assert worker is not None
    assert not is_gone(worker)
    assert jobs.load_job(JobId(1)).state is JobState.RUNNING
    world.heals()
    done(JobId(1))
    check_contents(world.root / "model")


def test_a_detached_pull_prints_its_number_and_attach_says_what_pull_would(program: Program, world: Detached) -> None:
    ran = program.ok("pull", REFERENCE, world.root / "model", "--detach")
    assert ran.text == "transfer 1\n"
    assert "transfers attach 1" in ran.errors
    attached = program.ok("transfers", "attach", "1")
    assert attached.text.startswith(f"pulled acme/chat:1 to {world.root / 'model'} (")
    assert "verified by SHA-256" in attached.text
    check_contents(world.root / "model")
    assert program.json("pull", REFERENCE, world.root / "other", "--detach", "--limit", "1.5") == {"transfer": 2}
    document = program.json("transfers", "attach", "2")
    assert document["state"] == "done"
    assert document["limit_bytes_per_second"] == 1_500_000
    assert document["path"] == str(world.root / "other")
    assert document["fetched_bytes"] + document["reused_bytes"] == document["size_bytes"] == SIZE_BYTES


def test_transfers_are_listed_with_and_without_a_worker(program: Program, world: Detached) -> None:
    assert program.ok("transfers").text == "no transfers\n"
    assert program.json("transfers") == {"worker_pid": None, "transfers": []}
    held = world.holds(served=3)
    for name in ("a", "b", "c"):
        program.ok("pull", REFERENCE, world.root / name, "--detach")
    assert held.begun.wait(30)
    document = program.json("transfers", "list")
    assert document["worker_pid"] == jobs.find_worker()
    assert [job["state"] for job in document["transfers"]] == ["running", "running", "queued"]
    lines = program.ok("transfers").text.splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["ID", "VERSION", "STATE"],
        ["1", "acme/chat:1", "running"],
        ["2", "acme/chat:1", "running"],
        ["3", "acme/chat:1", "queued"],
    ]
    end_worker(world.folder)
    ran = program.ok("transfers")
    assert ran.text.count("interrupted") == 3
    assert "no worker runs" in ran.errors
    assert "lets 3 transfers go on" in ran.errors
    assert "resume 1" in program.fails(6, "transfers", "attach", "1")


def test_a_transfer_is_paused_tuned_resumed_cancelled_and_tried_again(program: Program, world: Detached) -> None:
    held = world.holds(served=3)
    program.ok("pull", REFERENCE, world.root / "model", "--detach", "--connections", "2")
    assert held.begun.wait(30)
    assert program.ok("transfers", "pause", "1").text == "transfer 1 is paused\n"
    assert "is paused" in program.ok("transfers", "attach", "1").text
    assert program.ok("transfers", "limit", "1", "0.5").text == "transfer 1 takes at most 500 kB/s\n"
    assert program.ok("transfers", "limit", "1", "none").text == "transfer 1 has no limit\n"
    assert program.ok("transfers", "connections", "1", "4").text == "transfer 1 has 4 connections at most\n"
    assert program.json("transfers", "resume", "1")["connections"] == 4
    assert program.ok("transfers", "cancel", "1").text == "transfer 1 is cancelled\n"
    assert "was cancelled" in program.fails(4, "transfers", "attach", "1")
    world.heals()
    assert until(lambda: "stopped, cancelled" in world.log())
    program.ok("transfers", "retry", "1")
    program.ok("transfers", "attach", "1")
    check_contents(world.root / "model")
    assert "is done" in program.fails(4, "transfers", "cancel", "1")
    program.ok("transfers", "verify", "1")
    assert "fetched 0 B" in program.ok("transfers", "attach", "1").text


def test_a_failure_is_told_by_attach_as_pull_would_have_told_it(program: Program, world: Detached) -> None:
    world.proxy.script = lambda asked: Refused(refusal(403, "AccessDenied")) if "/blobs/" in asked.path else None
    program.ok("pull", REFERENCE, world.root / "model", "--detach")
    told = program.fails(7, "transfers", "attach", "1")
    assert told.split("; do this")[0].removeprefix("error[denied]: ") in program.ok("transfers").text


def test_what_cannot_be_asked_is_refused(program: Program, world: Detached) -> None:
    assert "no transfer 9" in program.fails(3, "transfers", "attach", "9")
    for rate in ("0", "nan", "fast"):
        assert "is not a rate" in program.fails(2, "transfers", "limit", "1", rate)
    program.fails(2, "transfers", "pause", "0")
    program.fails(2, "transfers", "nothing")
    program.fails(3, "pull", "acme/nobody:1", world.root / "model", "--detach")
    assert jobs.find_worker() is not None or not (world.folder.path / "lock").exists()


def test_ctrl_c_leaves_a_transfer_to_itself(world: Detached) -> None:
    world.holds(served=3)
    *_, number = (world.submit(name) for name in ("a", "b", "c"))
    process = subprocess.Popen(
        [*PROGRAM, "transfers", "attach", str(number)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert process.stderr.readline() == f"note: transfer {number} waits for others to end\n"  # it follows by now
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert said == ""
    assert errors == f"note: detached; transfer {number} goes on\n"
    assert jobs.load_job(number).state is JobState.QUEUED
    world.heals()
    done(number)


def test_attach_shows_the_progress_that_pull_shows(world: Detached) -> None:
    number = world.submit(limit_bytes_per_second=200_000)
    code, received = run_in_terminal("transfers", "attach", str(number), columns=100)
    assert code == 0
    assert "downloading [" in received
    assert "files" in received
    assert received.rstrip().splitlines()[-1].endswith(")")
