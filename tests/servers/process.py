"""How is a real server started for the tests, and surely stopped again?"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

START_SECONDS = 60.0
POLL_SECONDS = 0.05
STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class S3Server:
    """A running S3 server, with a bucket and a user who may do everything in it."""

    endpoint_url: str
    bucket: str
    access_key: str
    secret_key: str


def find_free_ports(count: int) -> list[int]:
    """Return ports on loopback that were all free at one moment."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], log: Path, is_ready: Callable[[], bool]
) -> Iterator[None]:
    """Run a command in a process group of its own until the block ends; its output goes to `log`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "S3_", "WEED_"))}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={**kept, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait(process, is_ready, log)
        yield
    finally:
        _stop(process)


def answers(port: int) -> bool:
    """Whether something listens on the port."""
    with socket.socket() as one:
        one.settimeout(1.0)
        return one.connect_ex(("127.0.0.1", port)) == 0


def _wait(process: subprocess.Popen[bytes], is_ready: Callable[[], bool], log: Path) -> None:
    for _ in range(int(START_SECONDS / POLL_SECONDS)):
        if process.poll() is not None:
            break
        if is_ready():
            return
        time.sleep(POLL_SECONDS)
    raise RuntimeError(f"{process.args!r} did not start:\n{log.read_text(errors='replace')[-4000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            break
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    process.wait(STOP_SECONDS)
