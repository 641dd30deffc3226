"""Is a program that is told to stop gone within two seconds, with its exit code, and does the next one go on there?"""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from bucketry.transfer.disk import hashing
from faults.publishing import PART_BYTES, is_part, publishing
from faults.scene import CHUNK_BYTES, REFERENCE, SIZE_BYTES, is_of_weights
from faults.shell import START_SECONDS, running
from servers.fault_proxy import Silent, Stalled, Trickled

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from faults.scene import Scene
    from faults.shell import Running
    from servers.fault_proxy import Fault
    from servers.misbehaving import Asked
    from servers.process import S3Server

EACH_SIGNAL = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
SERVED = 3
POLL_SECONDS = 0.1


class Hanging:
    """A script that serves some requests of a kind and then breaks all others; `begun` is set when it begins to."""

    def __init__(self, served: int, matches: Callable[[Asked], bool], fault: Fault) -> None:
        self.begun = threading.Event()
        self._left = served
        self._matches = matches
        self._fault = fault
        self._lock = threading.Lock()

    def __call__(self, asked: Asked) -> Fault | None:
        if not self._matches(asked):
            return None
        with self._lock:
            self._left -= 1
            if self._left >= 0:
                return None
        self.begun.set()
        return self._fault

    def wait(self, program: Running) -> None:
        """Wait until it hangs, and until those that were served are written down."""
        for _ in range(int(START_SECONDS / POLL_SECONDS)):
            if self.begun.wait(POLL_SECONDS):
                break
            assert program.process.poll() is None, program.process.communicate()
        assert self.begun.is_set()
        time.sleep(0.5)


@pytest.mark.parametrize(("number", "exit_code"), EACH_SIGNAL)
@pytest.mark.parametrize("fault", [Stalled(1_000), Trickled(1)], ids=["in-silence", "in-a-trickle"])
def test_a_pull_that_is_stopped_is_gone_at_once_and_the_next_goes_on(
    scene: Scene, number: signal.Signals, exit_code: int, fault: Fault
) -> None:
    hanging = Hanging(SERVED, is_of_weights, fault)
    scene.breaks(hanging)
    with running(scene.proxy.server, "", "pull", REFERENCE, scene.destination) as program:
        hanging.wait(program)
        program.stop(number, exit_code=exit_code)
    assert not scene.destination.exists()
    assert len(scene.beside()) == 1
    pulled = scene.converges()
    assert pulled.fetched_bytes <= SIZE_BYTES - CHUNK_BYTES
    assert pulled.fetched_bytes + pulled.reused_bytes == SIZE_BYTES


@pytest.mark.parametrize(("number", "exit_code"), EACH_SIGNAL)
def test_a_publish_that_is_stopped_is_gone_at_once_and_the_next_sends_the_other_parts(
    weed: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, exit_code: int
) -> None:
    monkeypatch.setattr(hashing, "SMALLEST_CHUNK_BYTES", 16 * 1024 * 1024)  # as in the program that runs alone
    with publishing(weed, tmp_path) as scene:
        with (scene.source / "weights.bin").open("r+b") as file:
            file.seek(48 * 1024 * 1024)  # three parts, and one byte
            file.write(b"x")
        scene.contents["weights.bin"] = (scene.source / "weights.bin").read_bytes()
        hanging = Hanging(2, is_part, Silent())
        scene.proxy.script = hanging
        arguments = ("publish", "acme/chat", scene.source, "--idempotency-key", "job-1")
        with running(scene.proxy.server, scene.prefix, *arguments) as program:
            hanging.wait(program)
            program.stop(number, exit_code=exit_code)
        sent = [asked for asked in scene.converges() if is_part(asked)]
    assert PART_BYTES < 16 * 1024 * 1024
    assert len(sent) == 2
