"""Does a publish that was detached go on when its terminal is closed, and do the commands show and steer it?"""

from __future__ import annotations

import os
import pty
import re
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

from bucketry.jobs import client as jobs
from bucketry.jobs.client import JobId, JobState
from cli.harness import PROGRAM, run_in_terminal
from jobs.detached import done, end_worker, is_gone, until
from jobs.detached_publish import PARTS, SIZE_BYTES, publishing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cli.harness import Program
    from jobs.detached_publish import Publishing
    from servers.process import S3Server


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publishing]:
    with publishing(tmp_path, monkeypatch) as world:
        yield world


@pytest.fixture
def bucket(weed: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publishing]:
    with publishing(tmp_path, monkeypatch, weed) as world:
        yield world


def test_a_publish_ends_though_the_terminal_that_it_came_from_was_closed(bucket: Publishing) -> None:
    held = bucket.holds(served=1)
    bucketry = shlex.join(PROGRAM)
    command = (
        f"{bucketry} publish acme/chat {shlex.quote(str(bucket.source))} --detach && {bucketry} transfers attach 1"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv("/bin/sh", ["sh", "-c", command])
    received = b""
    for _ in range(1_000):
        received += os.read(terminal, 65_536)
        if b"uploading" in received:
            break
    assert b"transfer 1" in received
    assert held.begun.wait(30)
    os.close(terminal)  # the kernel hangs up on everybody whose terminal this was
    os.waitpid(pid, 0)
    worker = jobs.find_worker()
    assert worker is not None
    assert not is_gone(worker)
    assert jobs.load_job(JobId(1)).state is JobState.RUNNING
    bucket.heals()
    done(JobId(1))
    bucket.check()


def test_a_detached_publish_prints_its_number_and_attach_says_what_publish_would(
    program: Program, world: Publishing
) -> None:
    ran = program.ok("publish", "acme/chat", world.source, "--detach", "--label", "team=a")
    assert ran.text == "transfer 1\n"
    assert "transfers attach 1" in ran.errors
    attached = program.ok("transfers", "attach", "1")
    assert attached.text == "published acme/chat:1 (50.3 MB, 2 files; uploaded 50.3 MB, reused 0 B)\n"
    world.check()
    assert program.json("publish", "acme/chat", world.source, "--detach", "--idempotency-key", "k") == {
        "transfer": 2,
        "left_out": [],
        "files_left_out": [],
        "not_known": [],
    }
    document = program.json("transfers", "attach", "2")
    assert (document["direction"], document["state"], document["version"]) == ("upload", "done", 2)
    assert (document["uploaded_bytes"], document["reused_bytes"]) == (0, SIZE_BYTES)
    assert (document["created"], document["files"]) == (True, 2)
    assert document["sources"] == [str(world.source)]
    assert program.json("publish", "acme/chat", world.source, "--idempotency-key", "k")["version"] == 2


def test_transfers_say_which_way_the_bytes_go(program: Program, bucket: Publishing) -> None:
    held = bucket.holds(served=2)
    program.ok("publish", "acme/chat", bucket.source, "--detach")
    assert held.begun.wait(30)
    document = program.json("transfers")["transfers"][0]
    assert (document["direction"], document["version"], document["manifest"]) == ("upload", None, None)
    line = program.ok("transfers").text.splitlines()[1]
    assert re.split("  +", line.strip())[:3] == ["1", "a new version of acme/chat", "running"]
    assert f"s3://registry/{bucket.root.name} (upload)" in line
    end_worker(bucket.folder)
    assert "lets 1 transfer go on" in program.ok("transfers").errors
    assert "resume 1" in program.fails(6, "transfers", "attach", "1")


def test_a_publish_is_paused_tuned_resumed_cancelled_and_tried_again(program: Program, bucket: Publishing) -> None:
    held = bucket.holds(served=1)
    program.ok("publish", "acme/chat", bucket.source, "--detach")
    assert held.begun.wait(30)
    assert program.ok("transfers", "pause", "1").text == "transfer 1 is paused\n"
    assert program.ok("transfers", "limit", "1", "0.5").text == "transfer 1 takes at most 500 kB/s\n"
    assert program.ok("transfers", "limit", "1", "none").text == "transfer 1 has no limit\n"
    assert program.ok("transfers", "connections", "1", "4").text == "transfer 1 has 4 connections at most\n"
    assert program.json("transfers", "resume", "1")["connections"] == 4
    assert program.ok("transfers", "cancel", "1").text == "transfer 1 is cancelled\n"
    bucket.heals()
    assert until(lambda: bucket.log().count("stopped, cancelled") == 1)
    program.ok("transfers", "retry", "1")
    program.ok("transfers", "attach", "1")
    assert 0 < len(bucket.parts()) <= PARTS - 1
    bucket.check()
    assert "verified as they were sent" in program.fails(4, "transfers", "verify", "1")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--metrics", "nothing.json"), 3, "nothing.json"),
        (("--metrics", "bad.json"), 2, "bad.json"),
        (("--param", "x"), 2, "x"),
        (("--sign",), 2, "--detach and --sign exclude each other"),
        (("--base", "acme/none:1", "--relation", "finetune"), 3, "acme/none"),
        (("no-such-file",), 3, "no-such-file"),
    ],
)
def test_what_is_wrong_is_refused_at_once_and_nothing_is_queued(
    program: Program,
    world: Publishing,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(world.root)
    (world.root / "bad.json").write_text("{")
    assert said in program.fails(code, "publish", "acme/chat", world.source, "--detach", *arguments)
    assert jobs.list_jobs() == ()
    assert world.left() == []
    assert not (world.folder.path / "lock").exists()


def test_where_only_a_signed_publish_can_be_approved_this_is_said_at_once(program: Program, world: Publishing) -> None:
    policy = world.root / "policy.toml"
    policy.write_text('signatures = "required"\nseparate_duties = true\n')
    program.ok("policy", "set", "--default", policy)
    assert "asks for a signed publish" in program.ok("publish", "acme/chat", world.source, "--detach").errors


def test_attach_shows_the_progress_that_publish_shows(bucket: Publishing) -> None:
    held = bucket.holds(served=1)
    subprocess.run([*PROGRAM, "publish", "acme/chat", str(bucket.source), "--detach"], check=True, capture_output=True)
    assert held.begun.wait(30)
    jobs.set_limit(JobId(1), 20_000_000)
    bucket.heals()
    code, received = run_in_terminal("transfers", "attach", "1", columns=100)
    assert code == 0
    assert "uploading [" in received
    assert received.rstrip().splitlines()[-1].endswith(")")
    bucket.check()
