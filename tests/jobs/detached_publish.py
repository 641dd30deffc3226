"""What do the tests of detached publishes stand on? A registry, in a folder or behind a proxy that can hold parts back,
and files of several parts."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from bucketry.client import Registry
from bucketry.errors import NotFoundError
from bucketry.jobs import client as jobs
from bucketry.jobs.files import JobFolder, job_folder
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.registry.core.opening import open_session, record_conformance
from bucketry.registry.publishing.publish import PublishRequest
from bucketry.schema.names import parse_model_name
from faults.publishing import is_part
from faults.scene import conformance_of_a_perfect_store
from jobs.detached import SECONDS, end_worker
from servers.fault_proxy import Refused, let_through, run_fault_proxy
from servers.misbehaving import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from bucketry.jobs.client import JobId
    from bucketry.registry.core.session import Session
    from bucketry.transfer.plan import TransferOptions
    from servers.fault_proxy import Fault, FaultProxy
    from servers.misbehaving import Asked
    from servers.process import S3Server

PART_BYTES = 16 * 1024 * 1024
PARTS = 4
CONTENTS = {"config.json": b'{"layers": 2}', "weights.bin": Random(5).randbytes((PARTS - 1) * PART_BYTES + 1_234)}
SIZE_BYTES = sum(map(len, CONTENTS.values()))
MODEL = parse_model_name("acme/chat")


class HeldParts:
    """A script that lets some parts through, and holds all others until released; they never reach the server."""

    def __init__(self, served: int) -> None:
        self.begun = threading.Event()
        self.released = threading.Event()
        self._left = served
        self._lock = threading.Lock()

    def __call__(self, asked: Asked) -> Fault | None:
        if not is_part(asked):
            return None
        with self._lock:
            self._left -= 1
            if self._left >= 0:
                return None
        self.begun.set()
        self.released.wait(SECONDS)
        return Refused(refusal(503, "SlowDown"))


@dataclass(frozen=True, slots=True)
class Publishing:
    """A registry without versions, and a folder to publish; `proxy` is None where the registry is a folder."""

    proxy: FaultProxy | None
    source: Path
    root: Path

    @property
    def folder(self) -> JobFolder:
        return job_folder()

    @contextmanager
    def opened(self) -> Iterator[Session]:
        session = open_session()
        try:
            yield session
        finally:
            session.store.close()

    def submit(self, options: TransferOptions | None = None, *, request_review: bool = False, **request: Any) -> JobId:
        """Order a publish of the folder."""
        with self.opened() as session:
            return jobs.submit_publish(
                session, None, PublishRequest(MODEL, [self.source], **request), options, request_review=request_review
            )

    def holds(self, served: int) -> HeldParts:
        """Let so many parts through from now on, and no more until released."""
        assert self.proxy is not None
        held = HeldParts(served)
        self.proxy.script = held
        return held

    def heals(self) -> None:
        """Let everything through from now on, and forget what was asked."""
        if self.proxy is not None:
            old, self.proxy.script = self.proxy.script, let_through
            if isinstance(old, HeldParts):
                old.released.set()
            self.proxy.asked.clear()

    def parts(self) -> list[Asked]:
        """Return which parts were sent since the proxy was healed."""
        assert self.proxy is not None
        return [asked for asked in self.proxy.asked if is_part(asked)]

    def versions(self) -> list[int]:
        with self.opened() as session:
            try:
                return [summary.version for summary in Registry(session).versions(str(MODEL))]
            except NotFoundError:
                return []

    def check(self, version: int = 1) -> None:
        """Fail unless the registry has exactly this one version, whole."""
        assert self.versions() == [version]
        with self.opened() as session:
            findings = check_registry(session, deep=True).findings
            assert [finding for finding in findings if finding.grade == "damage"] == []
            pulled = Registry(session).pull(f"acme/chat:{version}", self.root / "back")
        assert {name: (pulled / name).read_bytes() for name in CONTENTS} == CONTENTS

    def log(self) -> str:
        return self.folder.log.read_text()

    def left(self) -> list[str]:
        """Return what lies beside the worker's own files."""
        if not self.folder.path.exists():
            return []
        own = {"worker.log", "lock"}
        return sorted(path.name for path in self.folder.path.iterdir() if path.name not in own)


@contextmanager
def publishing(root: Path, monkeypatch: pytest.MonkeyPatch, server: S3Server | None = None) -> Iterator[Publishing]:
    """Make a registry in a folder, or on a server, point the environment at it, and end whatever worker is left."""
    source = root / "out"
    source.mkdir()
    for name, body in CONTENTS.items():
        (source / name).write_bytes(body)
    (root / "config.toml").touch()
    for name in [name for name in os.environ if name.startswith(("BUCKETRY_", "AWS_"))]:
        monkeypatch.delenv(name)
    settings = {
        "BUCKETRY_CONFIG": str(root / "config.toml"),
        "BUCKETRY_CACHE": str(root / "cache"),
        "BUCKETRY_STATE": str(root / "state"),
        "BUCKETRY_IDENTITY": "ada@example.org",
        "PYTHONPATH": str(Path(__file__).parents[2] / "src"),
    }
    if server is None:
        (root / "registry").mkdir()
        settings["BUCKETRY_REGISTRY"] = str(root / "registry")
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    if server is None:
        yield from _kept(Publishing(None, source, root))
        return
    with run_fault_proxy(server) as proxy:
        reached = {
            "BUCKETRY_REGISTRY": f"s3://{server.bucket}/{root.name}",
            "AWS_ENDPOINT_URL_S3": proxy.server.endpoint_url,
            "AWS_ACCESS_KEY_ID": server.access_key,
            "AWS_SECRET_ACCESS_KEY": server.secret_key,
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
        for name, value in reached.items():
            monkeypatch.setenv(name, value)
        yield from _kept(Publishing(proxy, source, root))


def _kept(world: Publishing) -> Iterator[Publishing]:
    with world.opened() as session:
        record_conformance(session, conformance_of_a_perfect_store(), create=True)
    try:
        yield world
    finally:
        world.heals()
        end_worker(world.folder)
