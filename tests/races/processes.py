"""How is another process started that works on a registry, and killed or waited for?

The processes are real and share nothing with the test but the registry and a pipe. They come from a fork server that
has imported the expensive modules already, so that a hundred of them cost little.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerProcess

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "boto3",
        "bucketry.client",
        "bucketry.registry.publishing.publish",
        "bucketry.registry.reading.pull",
        "bucketry.store.folder.store",
        "bucketry.store.s3.store",
    ]
)
WAIT_SECONDS = 120.0
STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a process of a shell would inherit; the fork server has those of its own start."""

    directory: Path = field(default_factory=Path.cwd)
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))


@dataclass(frozen=True, slots=True)
class Child:
    """A process that has said it is ready and waits for `go`."""

    process: ForkServerProcess
    pipe: Connection

    def go(self) -> None:
        """Let it begin."""
        self.pipe.send("go")

    def kill(self) -> bool:
        """Kill it (-9), wait until it is gone, and say whether that ended it (it may have been done before)."""
        self.process.kill()
        self.process.join(STOP_SECONDS)
        return self.process.exitcode == -signal.SIGKILL

    def has_died(self) -> bool:
        """Wait for its end, and say whether it killed itself on the way."""
        assert self.pipe.poll(WAIT_SECONDS), f"{self.process.name} did not come to its end"
        try:
            self.pipe.recv()
        except EOFError:
            self.process.join(STOP_SECONDS)
            assert self.process.exitcode == -signal.SIGKILL
            return True
        return False

    def result(self) -> Any:
        """Return what it returned; fail if it raised, which its stderr shows."""
        assert self.pipe.poll(WAIT_SECONDS), f"{self.process.name} did not come to its end"
        try:
            returned = self.pipe.recv()
        except EOFError as error:
            raise AssertionError(f"{self.process.name} failed") from error
        self.process.join(STOP_SECONDS)
        return returned


@contextmanager
def child(work: Callable[..., Any], *arguments: Any) -> Iterator[Child]:
    """Start a process that will run `work(*arguments)` on `go`; it does not outlive the block."""
    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=_run, args=(theirs, Surroundings(), work, arguments), daemon=True)
    process.start()
    theirs.close()
    try:
        assert ours.poll(WAIT_SECONDS), f"{process.name} did not start"
        assert ours.recv() == "ready"
        yield Child(process, ours)
    finally:
        process.kill()
        process.join(STOP_SECONDS)
        process.close()
        ours.close()


def _run(pipe: Connection, around: Surroundings, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    os.environ.clear()
    os.environ.update(around.environment)
    os.chdir(around.directory)
    pipe.send("ready")
    assert pipe.recv() == "go"
    pipe.send(work(*arguments))
