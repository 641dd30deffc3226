"""`rclone serve s3`: a real S3 server that accepts every condition and ignores it."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from servers.process import S3Server, answers, find_free_ports, running

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET = "registry"
ACCESS_KEY = "AKIARCLONERCLONE0000"
SECRET_KEY = "rclone-secret-that-must-never-be-shown"


@contextmanager
def run_rclone(directory: Path) -> Iterator[S3Server]:
    """Run `rclone serve s3` over a fresh folder on a free loopback port."""
    (port,) = find_free_ports(1)
    (directory / "kept" / BUCKET).mkdir(parents=True)
    command = [
        str(Path(sys.executable).parent / "rclone"),
        "serve",
        "s3",
        f"--config={directory / 'rclone.conf'}",
        f"--addr=127.0.0.1:{port}",
        f"--auth-key={ACCESS_KEY},{SECRET_KEY}",
        str(directory / "kept"),
    ]
    with running(command, {}, directory / "rclone.log", lambda: answers(port)):
        yield S3Server(f"http://127.0.0.1:{port}", BUCKET, ACCESS_KEY, SECRET_KEY)
