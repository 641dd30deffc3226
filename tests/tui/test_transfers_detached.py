"""Does a download that was begun in the screens end though the terminal has gone?"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3
import pytest

from bucketry.jobs import client as jobs
from bucketry.jobs.client import JobId, JobState
from bucketry.store.contract import Entry
from faults.scene import check_contents
from jobs import detached
from jobs.detached import detached_world, done
from servers.moto import run_moto
from tui.panes import TMUX, Pane

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bucketry.store.contract import Store
    from servers.process import S3Server

SECONDS_TO_LIVE = 60
pytestmark = pytest.mark.skipif(TMUX is None, reason="tmux is not installed")


@contextmanager
def listed_bucket(store: Store, folder: Path) -> Iterator[S3Server]:
    """Serve what is in a store by a server that can list it, too: the screens need that."""
    with run_moto(folder) as server:
        client = boto3.client(
            "s3",
            endpoint_url=server.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
        )
        for entry in store.list(""):
            assert isinstance(entry, Entry)
            client.put_object(Bucket=server.bucket, Key=entry.key, Body=store.get(entry.key).body)
        client.close()
        yield server


def test_a_download_ends_though_the_terminal_was_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detached, "run_static_bucket", lambda store: listed_bucket(store, tmp_path / "moto"))
    with detached_world(tmp_path, monkeypatch) as world:
        held = world.holds(served=3)
        for name, value in {"LC_ALL": "C.UTF-8", "TERM": "tmux-256color", "SSH_AUTH_SOCK": ""}.items():
            monkeypatch.setenv(name, value)
        pane = Pane(tmp_path)
        program = f"{sys.executable} -c 'from bucketry.cli.main import run; run()' tui; sleep {SECONDS_TO_LIVE}"
        pane.tmux("new-session", "-d", "-x", "80", "-y", "24", f"env TERM=tmux-256color {program}")
        try:
            pane.wait_for("chat")
            pane.press("Enter")
            pane.wait_for(">  v1 ")
            pane.press("d")
            pane.wait_for("get acme/chat:1 to:")
            pane.press("C-u")
            pane.tmux("send-keys", "-l", str(world.root / "model"))
            pane.press("Enter")
            assert held.begun.wait(30)
            pane.press("t")
            pane.wait_for("1 active")
            pane.wait_for("acme/chat v1")
            pane.wait_for("weights.bin")
        finally:
            pane.tmux("kill-server")
        assert jobs.load_job(JobId(1)).state is JobState.RUNNING
        worker = jobs.find_worker()
        assert worker is not None
        world.heals()
        job = done(JobId(1))
        assert job.order.kind == "pull"
        assert job.order.dest == world.root / "model"
        check_contents(world.root / "model")
        assert os.getsid(worker) != os.getsid(0)
