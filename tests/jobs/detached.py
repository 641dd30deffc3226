"""What the tests of detached transfers stand on: a registry behind a proxy that can hold bytes back, and workers whose
end is seen to."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bucketry.jobs import client as jobs
from bucketry.jobs.client import Job, JobId, JobState, follow
from bucketry.jobs.files import JobFolder, job_folder
from bucketry.registry.reading.pull import PullOptions
from bucketry.schema.names import parse_reference
from bucketry.transfer.disk import hashing
from faults.scene import CHUNK_BYTES, REFERENCE, is_of_weights, make_registry
from servers.fault_proxy import run_fault_proxy
from servers.static_bucket import run_static_bucket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

    from servers.fault_proxy import Fault, FaultProxy
    from servers.misbehaving import Asked

SECONDS = 30.0
POLL_SECONDS = 0.05
SECRET = "the-secret-key-itself"


class Held:
    """A script that lets some requests for bytes of the large file through and holds all others until released."""

    def __init__(self, served: int = 0, fault: Fault | None = None) -> None:
        self.begun = threading.Event()
        self.released = threading.Event()
        self.waiting = 0
        self._fault = fault
        self._left = served
        self._lock = threading.Lock()

    def __call__(self, asked: Asked) -> Fault | None:
        if not is_of_weights(asked) or self.released.is_set():
            return None
        with self._lock:
            self._left -= 1
            if self._left >= 0:
                return None
            self.waiting += 1
        self.begun.set()
        self.released.wait(SECONDS)
        return self._fault


@dataclass(frozen=True, slots=True)
class Detached:
    """A registry, and where its versions are pulled to."""

    proxy: FaultProxy
    root: Path

    @property
    def folder(self) -> JobFolder:
        return job_folder()

    def holds(self, served: int = 0) -> Held:
        """Let so many chunks through from now on, and no more until released."""
        held = Held(served)
        self.proxy.script = held
        return held

    def heals(self) -> None:
        """Let everything through from now on."""
        old, self.proxy.script = self.proxy.script, lambda _: None
        if isinstance(old, Held):
            old.released.set()

    def submit(self, name: str = "model", **options: object) -> JobId:
        """Order a pull of the version to a folder of this name."""
        known = PullOptions(**{"connections": 2, **options})  # type: ignore[arg-type]
        return jobs.submit_pull(None, parse_reference(REFERENCE), self.root / name, known)

    def log(self) -> str:
        return self.folder.log.read_text()


@contextmanager
def detached_world(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Detached]:
    """Serve a registry, point the environment at it, and end whatever worker is left at the end."""
    monkeypatch.setattr(hashing, "SMALLEST_CHUNK_BYTES", CHUNK_BYTES)
    memory = make_registry(root / "out")
    (root / "config.toml").touch()
    with run_static_bucket(memory) as server, run_fault_proxy(server) as proxy:
        for name in [name for name in os.environ if name.startswith(("BUCKETRY_", "AWS_"))]:
            monkeypatch.delenv(name)
        settings = {
            "BUCKETRY_CONFIG": str(root / "config.toml"),
            "BUCKETRY_CACHE": str(root / "cache"),
            "BUCKETRY_STATE": str(root / "state"),
            "BUCKETRY_IDENTITY": "ada@example.org",
            "BUCKETRY_REGISTRY": f"s3://{proxy.server.bucket}",
            "AWS_ENDPOINT_URL_S3": proxy.server.endpoint_url,
            "AWS_ACCESS_KEY_ID": "an-access-key",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "PYTHONPATH": str(Path(__file__).parents[2] / "src"),
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        world = Detached(proxy, root / "served")
        world.root.mkdir()
        try:
            yield world
        finally:
            world.heals()
            end_worker(world.folder)


def end_worker(folder: JobFolder) -> None:
    """End the workers that live, and wait until they are gone."""
    pids = {job.worker.pid for job in folder.load_all()[0] if job.worker and folder.is_in_hand(job)}
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, sign)
        if until(lambda: all(is_gone(pid) for pid in pids), seconds=15.0):
            return
    raise AssertionError(f"the workers {pids} are still there")


def is_gone(pid: int) -> bool:
    """Whether a process has ended, its parent having noticed or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return True


def until(is_so: Callable[[], object], *, seconds: float = SECONDS) -> bool:
    """Wait for something, and tell whether it came."""
    for _ in range(int(seconds / POLL_SECONDS)):
        if is_so():
            return True
        time.sleep(POLL_SECONDS)
    return bool(is_so())


def ended(job_id: JobId) -> Job:
    """Follow a job to its end."""
    last, until_seconds = None, time.monotonic() + 2 * SECONDS
    for last in follow(job_id):
        assert time.monotonic() < until_seconds, last
    assert last is not None
    assert last.state.is_over, last
    return last


def done(job_id: JobId) -> Job:
    """Follow a job to its end, which must be a good one."""
    job = ended(job_id)
    assert job.state is JobState.DONE, job.failure
    return job
